"""Which cells of a label column hold no answer: none was given (``unknown``), or one was refused (``declined``).

Every system words it its own way, so words are combined here rather than phrases listed. A cell holds no answer if all its
words are of these kinds, and it has a word that says so alone (unknown, refused), or a negation beside a word of answering (not
recorded, no information, unable to obtain: unknown) or of willing or disclosing (prefer not to say, does not want to: declined).
One other word makes it an answer: "White, ethnicity unknown", "No insurance", "Not Hispanic", "None of these", "Unknown tribe".
So do "Other", an answer like any in all the lists of categories, and "Not present", which is a finding; and "Other/Unknown",
since some of its patients have answered and nobody can tell which. A number before or behind the words is a code ("7 - Refused",
"99 Unknown") and says nothing; nor does a letter that is set apart before them.

A column may say otherwise (`no_answers`): "Not confirmed" beside "Confirmed" is an answer, as is "+" or, beside it, "-". Codes
such as NI and MSK are no answers in columns that ask who somebody is, and the names of something elsewhere.

Words of EMBED, MIMIC, CheXpert, Epic, Cerner and REDCap; HL7 v3 NullFlavor (names and codes), FHIR data-absent-reason, OMOP
concept names; of other languages those that their tables were seen to use, letters without accents.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

UNKNOWN, DECLINED, CONTRADICTORY = "unknown", "declined", "contradictory"
NO_ANSWER = frozenset({UNKNOWN, DECLINED})


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_UNKNOWN_WORDS = _words(
    """unknown unk ukn unavailable unreported unrecorded unspecified undetermined undefined unobtainable unascertained undeclared
    unanswered undocumented unstated unsure unclassified unmapped unobtained uncollected unidentified missing blank empty invalid
    pending tbd tba deferred skipped masked null nan na
    unbekannt ukendt ukjent okand onbekend tuntematon inconnu inconnue inconnus indetermine indeterminee indisponible
    desconocido desconocida desconoce desconhecido desconhecida ignorado ignorada sconosciuto sconosciuta ignoto
    nieznany nieznana nieznane neznamy bilinmiyor 不明 不详 未知 未回答 미상"""
)
_DECLINED_WORDS = _words(
    """declined declines decline declining refused refuses refuse refusing refusal withheld withholds undisclosed nondisclosed
    unwilling withdrawn verweigert verweigerte abgelehnt weigert geweigerd refus refusee refuse refuses refusent recusou recusa
    recusado rehusa rehusado rehuso niega nego rifiuta rifiutato odmowa 拒绝 拒否 回答拒否"""
)
_NEGATIONS = _words(
    """not no non none never nothing without cannot cant couldnt didnt doesnt dont wont wouldnt hasnt havent isnt wasnt unable
    nicht kein keine keinen ohne ne pas sans aucun aucune sin nao sem senza niet geen ninguno ninguna"""
)
# Beside a negation: no answer. Alone they say nothing.
_ANSWERING = _words(
    """recorded record records reported report reporting specified specify collected collect documented document documentation
    stated asked ask entered enter file obtained obtain indicated indicate known know knows knowing available availability
    provided provide given give answered answer answers answering ascertained ascertain applicable response responses respond
    responded information info data determined determine identified identify declared declare mentioned mention
    completed complete captured capture supplied supply charted classified coded mapped verified verify confirmed value
    entry say says said sure
    angabe angaben angeben angegeben erhoben bekannt erfasst dokumentiert gefragt beantwortet mitgeteilt verfugbar ermittelbar
    antwort auskunft daten information informationen weiss zutreffend
    renseigne renseignee precise precisee connu connue communique communiquee disponible repondu reponse sait donnee donnees
    repondre declare declaree specifie specifiee documente documentee
    informado informada informacion informo consta dato datos sabe responde respondio contesta contesto respuesta declara
    declarado declarada especificado especificada registrado registrada aplica indicado indicada
    respondeu informou especificou resposta informacao informacoes disponivel
    noto nota dichiarato dichiarata risposta
    ingevuld gevraagd opgegeven geregistreerd beschikbaar vermeld antwoord gegevens informatie bekend"""
)
# Beside a negation: refused.
_WILLING = _words(
    """prefer prefers preferred preferring wish wishes wished want wants wanted choose chooses chose chosen rather willing like
    elect elects elected will would disclose disclosed discloses disclosing disclosure share
    mochte moechte will wollte wunscht wuenscht souhaite souhaitent veut prefere desire voulu divulgue prefiere desea quiere
    deseja quer quis preferisce vuole risponde wil wenst liever"""
)
# What may stand beside them without making an answer of it.
_BESIDE = _words(
    """patient patients pt subject respondent participant person individual member client parent guardian family proxy staff
    provider race races racial ethnicity ethnic ethnicities group background origin heritage ancestry sex gender language
    religion insurance category class field question form chart survey registration system status state self identity
    describe described inadequately
    i im id je ich yo eu io ik he she they we you my his her their and or of the by to at in on for from with as a
    an this that it its is are be been being was were has have had do does did can could may but if so all any time visit
    currently presently temporarily temporary temp yet still now reason further otherwise please due during patientin die
    der das zur zum den dem oder und bitte et ou o e u y le la les de du des d l il elle se lo el los en por del da dos ao
    het een van te op om zeggen antwoorden antworten dire dirlo dit di decir decirlo responder contestar dizer rispondere n
    k"""
)
# Phrases whose words alone say nothing, or something else.
_UNKNOWN_PHRASES = (
    "no matching concept", "not a number", "negative infinity", "positive infinity", "sufficient quantity", "k a",
    "brak danych", "data absent", "to be determined",
)  # fmt: skip
_DECLINED_PHRASES = ("opted out", "opt out", "opts out", "zegt liever niet", "no contesta")
# HL7 v3 NullFlavor where it is all that the cell says. OTH is an answer.
_CODES = _words("nav nask asku unk ninguno ninguna")
# Those that are names of something as well (Memorial Sloan Kettering), and UTD, "unable to determine", of registries.
_SHORT_CODES = _words("ni inv qs np nna nang ninf pinf msk utd")
_SIGNS = re.compile(r"[-+±−–/()\s]*[-+±−–][-+±−–/()\s]*")


def stratum(cell: str, *, codes: bool = True) -> str | None:
    """``unknown`` or ``declined`` where a cell holds no answer, else None.

    Parameters
    ----------
    cell : str
    codes : bool
        Whether short codes of HL7, such as NI and MSK, are meant: in a column that asks who somebody is.
    """
    cell = cell[:256]
    return None if not codes and _text(cell) in _SHORT_CODES else _stratum(cell)


def no_answers(cells: Iterable[str | None], *, codes: bool = True) -> dict[str, str]:
    """The cells of a column that hold no answer, and their stratum.

    What is a gap by itself is an answer beside its counterpart: a cell with a negation where the column holds the same words
    without it (and the reverse: Masked, Not masked), and signs alone where one is a plus.

    Parameters
    ----------
    cells : iterable of str or None
    codes : bool
        As of `stratum`.
    """
    values = {cell for cell in cells if cell is not None}
    texts = {_text(cell[:256]) for cell in values} - {""}
    negated = {text: positive for text in texts if (positive := _without_negation(text) & texts)}
    answers = {*negated, *(one for several in negated.values() for one in several)}
    signs = has_plus(values)
    found = {}
    for cell in values:
        if _text(cell[:256]) in answers or (signs and is_sign(cell)):
            continue
        without = stratum(cell, codes=codes)
        if without is not None:
            found[cell] = without
    return found


def is_sign(cell: str) -> bool:
    """Whether a cell is made of plus and minus alone."""
    return _SIGNS.fullmatch(cell) is not None


def has_plus(cells: Iterable[str]) -> bool:
    """Whether signs are the answers of a column: ``-`` alone is a gap."""
    return any(is_sign(cell) and re.search("[+±]", cell) for cell in cells)


def _without_negation(text: str) -> set[str]:
    """The same words without one that denies them; not one behind them: "weiß nicht" is "don't know", "weiß" white."""
    words = text.split()
    found = {
        " ".join((*words[:place], *words[place + 1 :])) for place, one in enumerate(words[:-1]) if one in _NEGATIONS
    }
    for place, one in enumerate(words):
        if one in _UNKNOWN_WORDS and one.startswith("un") and one != "unknown":
            found.add(" ".join((*words[:place], one.removeprefix("un"), *words[place + 1 :])))
    return found


def mixes(cell: str) -> bool:
    """Whether a cell says "other" beside no answer, as in "Other/Unknown"."""
    rest = re.sub(r"\b(?:other|others|oth|andere|sonstige|autre|otro|otra|outro|altro)\b", " ", cell.casefold())
    return rest != cell.casefold() and re.search(r"[^\W\d_]", rest) is not None and stratum(rest) is not None


@lru_cache(4096)
def _text(cell: str) -> str:
    """The words of a cell, lower case, without accents and without the code of an answer."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", cell)  # NullFlavor writes AskedButUnknown
    folded = "".join(one for one in unicodedata.normalize("NFKD", apart.casefold()) if not unicodedata.combining(one))
    # The code of an answer, "U - Unknown" or "99 Unknown", makes no other answer of it; a longer number may be somebody's.
    folded = re.sub(r"^\s*[a-z]\s*[-=:.)]\s*(?=[^\W\d_]{2})", "", folded)
    text = " ".join(re.findall(r"\w+", re.sub(r"['’`´]", "", folded.replace("_", " "))))
    return re.sub(r"^(?:\d{1,3}|9+) ?(?=[^\d ])|(?<=[^\d ]) (?:\d{1,3}|9+)$", "", text)


@lru_cache(4096)
def _stratum(cell: str) -> str | None:
    text = _text(cell)
    if not text or text in _CODES or text in _SHORT_CODES or re.fullmatch("x{3,}", text):
        return UNKNOWN
    found = set()
    for kind, phrases in ((DECLINED, _DECLINED_PHRASES), (UNKNOWN, _UNKNOWN_PHRASES)):
        for phrase in phrases:
            text, count = re.subn(rf"\b{phrase}\b", " ", text)
            if count:
                found.add(kind)
    words = set(text.split())
    if words - _UNKNOWN_WORDS - _DECLINED_WORDS - _NEGATIONS - _ANSWERING - _WILLING - _BESIDE:
        return None
    if words & _DECLINED_WORDS:
        found.add(DECLINED)
    if words & _UNKNOWN_WORDS:
        found.add(UNKNOWN)
    if words & _NEGATIONS:
        if words & _WILLING:
            found.add(DECLINED)
        elif words & _ANSWERING and not found:
            found.add(UNKNOWN)
    # Of "unknown or declined" no one can say which.
    return UNKNOWN if UNKNOWN in found else DECLINED if found else None
