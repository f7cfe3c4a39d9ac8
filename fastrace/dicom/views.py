"""View, its modifiers and the side: from codes, and from the words that consoles write.

View Position (0018,5101) has defined terms (PS3.3 C.8.11.5, C.8.11.7: AP, PA, LL, RL, CC, MLO, ...), but archives hold
"RCC", "L MLO", "AP SUPINE", "ERECT PA" and "postero-anterior" too. Every value becomes one of `VIEWS`, or ``other``: words
that say how the patient stood or was placed do not change the view, and no other text leaves a file by this way.

View Code Sequence (0054,0220) takes codes of PS3.16 CID 4014 and 4010, its modifiers those of CID 4015: SNOMED CT, and the
SNOMED RT codes that they replaced (designators SRT, SNM3 and 99SDM).
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

OTHER = "other"
# Placeholders, written where a value was required and none was known: treated as absent. Letters and digits alone.
SILENT = frozenset({
    "", "UNKNOWN", "UNK", "UKN", "UNDEFINED", "UNSPECIFIED", "NOTSPECIFIED", "NOTDEFINED", "NOTAPPLICABLE", "NOTAVAILABLE",
    "NOTKNOWN", "NONE", "NULL", "NIL", "NA", "NAN", "UNBEKANNT", "INCONNU", "INCONNUE", "DESCONOCIDO", "DESCONOCIDA",
    "DESCONHECIDO", "DESCONHECIDA", "SCONOSCIUTO", "SCONOSCIUTA", "ONBEKEND",
})  # fmt: skip

# Views as View Position terms, with their codes: SNOMED CT first, then the retired ones.
CODES = {
    "CC": ("399162004", "R-10242"),
    "MLO": ("399368009", "R-10226"),
    "ML": ("399260004", "R-10224"),
    "LM": ("399352003", "R-10228"),
    "LMO": ("399099002", "R-10230"),
    "FB": ("399196006", "R-10244"),
    "SIO": ("399188001", "R-102D0"),
    "ISO": ("441555000", "R-40AAA"),
    "XCCL": ("399192008", "R-1024A"),
    "XCCM": ("399101009", "R-1024B"),
    "AP": ("399348003", "R-10206"),
    "PA": ("272479007", "R-10214", "R-40888"),
    "FRONTAL": ("399033003", "R-10202"),
    "LL": ("399173006", "R-10236"),
    "RL": ("399198007", "R-10232"),
    "LATERAL": ("399067008", "R-102CD"),
    "OBLIQUE": ("399182000", "R-102C1"),
    "RAO": ("399356000", "R-40985"),
    "LAO": ("399135007", "R-10220"),
    "RPO": ("399038007", "R-10210"),
    "LPO": ("399006002", "R-10212"),
    "AXIAL": ("399061009", "R-10241"),
}
VIEW_OF_CODE = {code: view for view, codes in CODES.items() for code in codes}

# View modifiers (CID 4015) by a name in one word, with their codes and their ACR MQCM 1999 letters.
MODIFIERS = {
    "cleavage": ("399161006", "R-102D2"),
    "axillary_tail": ("399011000", "R-102D1"),
    "rolled_lateral": ("399197002", "R-102D3"),
    "rolled_medial": ("399226006", "R-102D4"),
    "rolled_inferior": ("414493004", "R-102CA"),
    "rolled_superior": ("415670009", "R-102C9"),
    "implant_displaced": ("399209000", "R-102D5"),
    "magnification": ("399163009", "R-102D6"),
    "spot_compression": ("399055006", "R-102D7"),
    "tangential": ("399110001", "R-102C2"),
    "nipple_in_profile": ("442581004", "R-40AB3"),
    "anterior_compression": ("441752004", "P2-00161"),
    "infra_mammary_fold": ("442593008", "R-40ABE"),
    "axillary_tissue": ("442580003", "R-40AB2"),
}
MODIFIER_OF_CODE = {code: name for name, codes in MODIFIERS.items() for code in codes}
# What words say beside a view and no code of CID 4015 does.
WORDED = ("implant", "partial", "rolled", "specimen", "stereo")
SPECIMEN_CODES = ("127457009", "G-8310", "119376003", "G-8300")

BREAST = ("CC", "MLO", "ML", "LM", "LMO", "FB", "SIO", "ISO", "XCCL", "XCCM", "XCC")
# From the particular to the general: "AP AXIAL" is no plain AP, "PA LATERAL" no plain PA.
VIEWS = (
    *BREAST, "LLD", "RLD", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "SWIMMERS", "ODONTOID", "LORDOTIC", "AXIAL", "TANGENTIAL",
    "OBLIQUE", "DECUBITUS", "LL", "RL", "LATERAL", "AP", "PA", "FRONTAL",
)  # fmt: skip
"""The views that are told apart."""

# What is written out, letters alone; the longest first.
_WRITTEN = {
    "MEDIOLATERALOBLIQUE": "MLO",
    "LATEROMEDIALOBLIQUE": "LMO",
    "EXAGGERATEDCRANIOCAUDAL": "XCC",
    "ANTEROPOSTERIOR": "AP",
    "ANTERIORPOSTERIOR": "AP",
    "POSTEROANTERIOR": "PA",
    "POSTERIORANTERIOR": "PA",
    "CRANIOCAUDAL": "CC",
    "CRANEOCAUDAL": "CC",
    "KRANIOKAUDAL": "CC",
    "CAUDOCRANIAL": "FB",
    "CAUDOCRANEAL": "FB",
    "MEDIOLATERAL": "ML",  # MLO where oblique stands elsewhere, as in Romance languages: see _one
    "MEDIOLAT": "ML",
    "LATEROMEDIAL": "LM",
    "LEFTLATERALDECUBITUS": "LLD",
    "RIGHTLATERALDECUBITUS": "RLD",
    "LEFTLATERAL": "LL",
    "LATERALLEFT": "LL",
    "RIGHTLATERAL": "RL",
    "LATERALRIGHT": "RL",
}
_WORDS = {
    **{view: view for view in VIEWS},
    "LAT": "LATERAL", "SEITLICH": "LATERAL", "SEITL": "LATERAL", "PROFIL": "LATERAL", "LLAT": "LL", "RLAT": "RL",
    "XTABLE": "LATERAL", "CROSSTABLE": "LATERAL", "SWIMMER": "SWIMMERS", "OBL": "OBLIQUE", "DENS": "ODONTOID",
    "TAN": "TANGENTIAL", "PERFIL": "LATERAL", "LATERALE": "LATERAL",
}  # fmt: skip
# Words that have many endings, and mean one view wherever they stand.
_STEMS = re.compile(
    r"(?P<OBLIQUE>OBLI[QCK]|SCHRAE?G|SCHUIN|SKRA)|(?P<LORDOTIC>LORDOT|(?<!PERI)APICAL)|(?P<DECUBITUS>DECUB)"
)
# Whole words of a description that can mean nothing else.
_DESCRIBING = (
    "LAT", "LATERAL", "LATERALE", "SEITLICH", "SEITL", "PROFIL", "PERFIL", "LL", "AP", "PA", "FRONTAL", "LLD", "RLD", "OBL",
    "LAO", "RAO", "LPO", "RPO", "SWIMMERS", "ODONTOID",
)  # fmt: skip
FRONTAL_VIEWS, LATERAL_VIEWS = frozenset({"AP", "PA", "FRONTAL"}), frozenset({"LATERAL", "LL", "RL"})
_SIDES = {
    "L": "L", "LT": "L", "LEFT": "L", "R": "R", "RT": "R", "RIGHT": "R", "B": "B", "BI": "B", "BOTH": "B", "BILATERAL": "B",
}  # fmt: skip
_MODIFYING = {
    "M": "magnification", "MAG": "magnification", "MAGN": "magnification", "MAGNIFIED": "magnification",
    "MAGNIFICATION": "magnification", "S": "spot_compression", "SPOT": "spot_compression", "ID": "implant_displaced",
    "EKLUND": "implant_displaced", "CV": "cleavage", "CLEAVAGE": "cleavage", "AT": "axillary_tail", "RL": "rolled_lateral",
    "RM": "rolled_medial", "RI": "rolled_inferior", "RS": "rolled_superior", "TAN": "tangential", "NP": "nipple_in_profile",
    "AC": "anterior_compression", "IMF": "infra_mammary_fold",
}  # fmt: skip
# What several words say together, in this order; what is found is taken out. LAT would be a view, and an implant may be absent.
_PHRASES = tuple(
    (re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])"), modifier)
    for words, modifier in (
        (r"(?:NO|WITHOUT|W[ /]?O|SANS|OHNE|SIN|SEM|SENZA)[\W_]+IMP\w*", None),
        (
            r"IMP(?:L|LANTS?)?[\W_]*(?:DISPLACED|DISPL|DISP|ID)|(?:DISPLACED|DISPL|DISP)[\W_]*IMP(?:L|LANTS?)?",
            "implant_displaced",
        ),
        (r"(?:W|WITH)?[\W_]*IMP(?:L|LANTS?|LANTE)?", "implant"),
        *(
            (rf"{way}\w*[\W_]*ROLL(?:ED)?|ROLL(?:ED)?[\W_]*{way}\w*", f"rolled_{name}")
            for way, name in (("LAT", "lateral"), ("MED", "medial"), ("INF", "inferior"), ("SUP", "superior"))
        ),
        (r"ROLL(?:ED)?", "rolled"),
        (r"PARTIAL", "partial"),
        (r"STEREO\w*", "stereo"),
        (r"SPECIMENS?", "specimen"),
    )
)
# One word of mammography: side, prefixes, view, suffix, as the ACR writes them, and the D (right) and E or I (left) that
# consoles in Portuguese and Spanish put behind.
_GLUED = re.compile(
    r"(?P<side>[LRB])?(?P<before>M|S|MS|SM)?(?P<view>XCCL|XCCM|XCC|MLO|OML|LMO|SIO|ISO|CC|ML|LM|FB)"
    r"(?P<after>ID|RL|RM|RI|RS|NP|AC|TAN|IMF)?(?P<behind>[DEILR])?"
)
_SPELLED = {"OML": "MLO"}  # oblíqua médio-lateral
_BEHIND = {"D": "R", "R": "R", "E": "L", "I": "L", "L": "L"}


class View(NamedTuple):
    """What a text says of a view.

    Attributes
    ----------
    view : str or None
        One of `VIEWS`; ``other`` where the text names none of them; None where it is empty or one of `SILENT`.
    side : str or None
        L, R or B.
    modifiers : tuple of str
        Keys of `MODIFIERS`, and `WORDED`; sorted.
    """

    view: str | None = None
    side: str | None = None
    modifiers: tuple[str, ...] = ()


def read_words(text: str | None) -> View:
    """Read a view from the words of a console; never raises."""
    plain = folded(text)
    if re.sub(r"[\W_]+", "", plain) in SILENT:
        return View()
    said = set()
    for phrase, modifier in _PHRASES:
        plain, count = phrase.subn(" ", plain)
        said |= {modifier} if count and modifier else set()
    found = _of_words(plain)
    return found._replace(modifiers=tuple(sorted({*found.modifiers, *said})))


def _of_words(plain: str) -> View:
    letters = re.sub(r"[\W_]+", "", plain)
    for written, view in _WRITTEN.items():
        if written in letters.replace("UPRIGHT", ""):
            rest = re.sub(r"[\W_]*".join(written), " ", plain)
            found = _read(rest, {view})
            return found._replace(side=found.side if view not in ("LL", "RL", "LLD", "RLD") else None)
    return _read(plain, set())


def _read(plain: str, views: set[str]) -> View:
    sides: set[str] = set()
    modifiers: set[str] = set()
    words = re.findall(r"[^\W_]+", plain)
    breast = bool(views & set(BREAST)) or any(_glued(word) for word in words)
    for word in words:
        glued = _glued(word)
        if glued:
            views.add(glued.view or OTHER)
            sides.update(filter(None, [glued.side]))
            modifiers.update(glued.modifiers)
        elif breast and word in _MODIFYING:
            modifiers.add(_MODIFYING[word])
        elif word in _SIDES:
            sides.add(_SIDES[word])
        elif (known := _view_of(word)) is not None:
            views.add(known)
        elif word in _MODIFYING and len(word) > 2:
            modifiers.add(_MODIFYING[word])
    view = _one(views)
    if view in ("LATERAL", "DECUBITUS", "OBLIQUE", "AXIAL"):  # "LEFT LATERAL" tells the side that faces the detector
        sides.clear()
    return View(view, sides.pop() if len(sides) == 1 else None, tuple(sorted(modifiers)))


def _view_of(word: str) -> str | None:
    stem = _STEMS.search(word)
    return stem.lastgroup if stem else _WORDS.get(word) or _WORDS.get(word.rstrip("0123456789"))


def _one(views: set[str]) -> str:
    """The view that several words name together: two of a breast contradict each other, AP and PA are both frontal.

    OBLIQUE makes MLO of ML and LMO of LM: "oblicua mediolateral".
    """
    if "OBLIQUE" in views:
        views = {{"ML": "MLO", "LM": "LMO"}.get(view, view) for view in views}
    if len(views & set(BREAST)) > 1:
        return OTHER
    if views >= {"AP", "PA"} and len(views) == 2:
        return "FRONTAL"
    return next((view for view in VIEWS if view in views), OTHER)


def read_description(text: str | None) -> str | None:
    """The view of a radiograph that a description names beyond doubt, else None: "CHEST PA AND LATERAL" names a pair."""
    words = re.findall(r"[^\W_]+", folded(text))
    views = {view for word in words if (word in _DESCRIBING or _STEMS.search(word)) and (view := _view_of(word))}
    views = {"LATERAL" if view == "LL" else view for view in views}  # latero-laterale, in Italian: either side
    plain = views <= FRONTAL_VIEWS | LATERAL_VIEWS  # any other view goes before them: this may be the oblique one
    if not views or (plain and views & FRONTAL_VIEWS and views & LATERAL_VIEWS):
        return None
    return _one(views)


def read_orientation(row: str, column: str) -> str | None:
    """FRONTAL or LATERAL, by the directions of Patient Orientation (0020,0020; PS3.3 C.7.6.1.1.1), else None.

    Where one of them is the length of the body, left or right is the width of a frontal view, front or back that of a
    lateral one.
    """
    directions = {row, column}
    if len(directions & {"F", "H"}) != 1:
        return None
    return "FRONTAL" if directions & {"L", "R"} else "LATERAL" if directions & {"A", "P"} else None


def _glued(word: str) -> View | None:
    if word in _WORDS and word not in BREAST:
        return None
    if word in BREAST:
        return View(word)
    match = _GLUED.fullmatch(word)
    if match is None:
        return None
    modifiers = {_MODIFYING[letter] for letter in match["before"] or ""}
    if match["after"]:
        modifiers.add(_MODIFYING[match["after"]])
    view = _SPELLED.get(match["view"], match["view"])
    return View(view, match["side"] or _BEHIND.get(match["behind"] or ""), tuple(sorted(modifiers)))


def read_side(text: str | None) -> str | None:
    """L, R or B from a term or a word ("L", "left", "RIGHT"); None for any other text (U is unpaired)."""
    return _SIDES.get(folded(text).strip())


def folded(text: str | None) -> str:
    """Upper case, without accents."""
    decomposed = unicodedata.normalize("NFKD", text or "")
    return "".join(letter for letter in decomposed.upper() if not unicodedata.combining(letter))
