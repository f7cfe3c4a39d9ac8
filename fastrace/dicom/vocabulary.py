"""Which texts of a header may be shown: the defined terms of their attribute, and the words that consoles write there.

A name, a date or a number of a patient can stand in any attribute that holds text: "QXMUELLER Eva 1933" was met as a Photometric
Interpretation. So a text reaches a message, the terminal or the dataset only if each of its words is listed here; numbers do as
they are. The terms of the standard are those of `fastrace.dicom.terms`; what the words mean is not decided here.
"""

from __future__ import annotations

import re
import unicodedata

from fastrace.dicom.terms import TERMS

UNLISTED = "unlisted"
"""What the dataset holds in place of a text that may not be shown."""
_HIDDEN = "a text that is no known term"
QUOTE = "'"
_LONGEST = 64
_FEW_DIGITS = 2  # "CHEST 2": more could be a year or a number of a patient

_SIDES = "L R B U LEFT RIGHT LT RT BOTH BILATERAL BILAT UNPAIRED"
_SILENT = "UNKNOWN UNDEFINED UNSPECIFIED OTHER NONE NULL NA NAN N A"
# Column of the index whose terms of the standard are taken, and the words that consoles write beside those.
_WORDS: dict[str, tuple[str | None, str]] = {
    "Modality": (
        "modality",
        "AS CD CF CP CS DD DF DM DS EC FA FS LP MA MS OPR ST VF",
    ),
    "PhotometricInterpretation": (
        "photometric",
        "MONOCHROME XYB",
    ),
    "ViewPosition": (
        "view",
        "AT CV RM TAN LAT OBL AXILLARY SUPINE PRONE ERECT UPRIGHT SITTING STANDING SEMIERECT DECUB PORT PORTABLE"
        " FLEXION EXTENSION NEUTRAL SPOT MAG MAGNIFICATION ROLLED COMPRESSION IMPLANT DISPLACED ID STEREO SPECIMEN RCC"
        " LCC RMLO LMLO RML LML RLM LLM RXCCL LXCCL RLAT LLAT VIEW POSITION INSP EXP INSPIRATION EXPIRATION",
    ),
    "BodyPartExamined": (
        "body_part",
        "C T S SP SPN CERVICAL CERVSPINE THORACIC TORAX LUMBAR SACRUM SACRAL LUNGS RIBS CHST CXR ABD KUB MAMMA MAMMO"
        " MAMMOGRAPHY MAMMOGRAM BREASTS HANDS HANDWRIST WRISTS FEET FINGERS TOES LOWER UPPER LEGS KNEES HIPS HEEL PORT"
        " PORTABLE TO WITH AND OF THE WHOLE BODY PART LIMB BONE AGE NECHEST COLUMN CERV WHOLESPINE LHAND RHAND LBREAST"
        " RBREAST POLMONE MANO SEIN MAIN BRUST PHANTOM SPECIMEN",
    ),
    "ImageType": (
        "image_type",
        "MIP MINIP TOMO_PROJ TOMO_2D TOMO CVIEW STEREO STEREO_PAIR MULTIPLEXED SUBTRACTED LOW_ENERGY HIGH_ENERGY"
        " RESAMPLED MAXIMUM MEAN MINIMUM FULLY PARTIAL_VIEW DOSE DOSE_INFO SCREEN SAVE CT_SOM5 SCOUT SCREENSHOT REPORT"
        " M MAGNITUDE PHASE ND NORM CSA COLOR RESCALED VALUE OTHER",
    ),
    "VOILUTFunction": (None, "LINEAR LINEAR_EXACT SIGMOID"),
    "PresentationLUTShape": (None, "IDENTITY INVERSE LIN OD"),
    "PresentationIntentType": ("presentation_intent", ""),
}
_LISTED = {
    keyword: frozenset(
        re.findall(r"[^\W_]+", f"{' '.join(TERMS[column]) if column else ''} {words} {_SIDES} {_SILENT}".upper())
    )
    for keyword, (column, words) in _WORDS.items()
}
_DICOM_UID = re.compile(r"1\.2\.840\.10008(\.\d{1,3}){1,6}")  # registered by the standard: the numbers are its own


def is_listed(keyword: str, text: str) -> bool:
    """Tell whether each word of a text is a known one of the attribute; case, accents and what divides words do not matter."""
    if keyword.endswith("UID"):
        return _DICOM_UID.fullmatch(text.strip()) is not None
    known = _LISTED.get(keyword, frozenset())
    folded = "".join(c for c in unicodedata.normalize("NFKD", text.upper()) if not unicodedata.combining(c))
    if len(text) > _LONGEST or any(not c.isalnum() and c not in " _-/\\+.,;:()&'" for c in folded):
        return False
    return all(
        word in known or (word.isdecimal() and len(word) <= _FEW_DIGITS) for word in re.findall(r"[^\W_]+", folded)
    )


def listed(keyword: str, text: str | None) -> str | None:
    """Return a text as the dataset may hold it: itself, `UNLISTED` if it may hold a name, None if there is none."""
    return text if text is None or is_listed(keyword, text) else UNLISTED


def shown(keyword: str, value: object, quote: str = "") -> str:
    """Return a value as a message may hold it: numbers and listed texts themselves, other texts as words that say so.

    Parameters
    ----------
    keyword : str
        The attribute.
    value : object
        int, float or str; of anything else only that it is none of them.
    quote : str
        Put before and after a text that is shown.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str) and (value == UNLISTED or is_listed(keyword, value)):
        return f"{quote}{value}{quote}" if value != UNLISTED else _HIDDEN
    return _HIDDEN
