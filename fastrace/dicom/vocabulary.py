"""Which texts of a header may be shown: the defined terms of their attribute, and the words that consoles write there.

A name, a date or a number of a patient can stand in any attribute that holds text: "QXMUELLER Eva 1933" was met as a Photometric
Interpretation. So a text reaches a message, the terminal or the dataset only if each of its words is listed here; numbers do as
they are. Lists: PS3.3 C.7.3.1.1.1 (modalities), C.7.6.3.1.2 (photometric interpretations), C.8.11.7.1 and C.8.7.1 (views,
image types), PS3.16 annex L (body parts). What the words mean is not decided here.
"""

from __future__ import annotations

import re
import unicodedata

UNLISTED = "unlisted"
"""What the dataset holds in place of a text that may not be shown."""
_HIDDEN = "a text that is no known term"
QUOTE = "'"
_LONGEST = 64
_FEW_DIGITS = 2  # "CHEST 2": more could be a year or a number of a patient

_SIDES = "L R B U LEFT RIGHT LT RT BOTH BILATERAL BILAT UNPAIRED"
_SILENT = "UNKNOWN UNDEFINED UNSPECIFIED OTHER NONE NULL NA NAN N A"
_MODALITIES = (
    "AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT"
    " IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF"
    " RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG"
    " US VA XA XAPROTOCOL XC AS CD CF CP CS DD DF DM DS EC FA FS LP MA MS OPR ST VF"
)
_PHOTOMETRIC = (
    "MONOCHROME1 MONOCHROME2 MONOCHROME PALETTE COLOR RGB HSV ARGB CMYK YBR_FULL YBR_FULL_422 YBR_PARTIAL_422"
    " YBR_PARTIAL_420 YBR_ICT YBR_RCT XYB"
)
_VIEWS = (
    "CC MLO ML LM LMO FB SIO ISO XCCL XCCM XCC AT CV RL LL RM LMO TAN TANGENTIAL AP PA LLD LLO RLD RLO RAO LAO LPO"
    " RPO LAT LATERAL OBLIQUE OBL AXIAL AXILLARY SUPINE PRONE ERECT UPRIGHT SITTING STANDING SEMIERECT DECUB"
    " DECUBITUS PORT PORTABLE FRONTAL LORDOTIC SWIMMERS ODONTOID FLEXION EXTENSION NEUTRAL SPOT MAG MAGNIFICATION"
    " ROLLED COMPRESSION IMPLANT DISPLACED ID STEREO SPECIMEN RCC LCC RMLO LMLO RML LML RLM LLM RXCCL LXCCL RLAT"
    " LLAT VIEW POSITION INSP EXP INSPIRATION EXPIRATION"
)
_BODY_PARTS = (
    "ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS BUTTOCK CALCANEUS CALF"
    " CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CIRCLEOFWILLIS CLAVICLE COCCYX COLON CORNEA"
    " CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FINGER FOOT"
    " GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS IAC ILEUM ILIUM JAW JEJUNUM KIDNEY KNEE LARYNX LEG LIVER"
    " LSPINE LSSPINE LUNG MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV NOSE ORBIT"
    " OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RADIUS RADIUSULNA RECTUM RIB SCALP SCAPULA SCLERA"
    " SCROTUM SHOULDER SKULL SPINE SPLEEN SSPINE STERNUM STOMACH SUBMANDIBULAR TESTIS THIGH THUMB THYMUS THYROID"
    " TIBIA TIBIAFIBULA TLSPINE TMJ TOE TONGUE TRACHEA TSPINE ULNA URETER URETHRA UTERUS VAGINA VULVA WHOLEBODY"
    " WRIST ZYGOMA"
    # As consoles write them, beside those.
    " C T S SP SPN CERVICAL CERVSPINE THORACIC THORAX TORAX LUMBAR SACRUM SACRAL LUNGS RIBS CHST CXR ABD KUB MAMMA"
    " MAMMO MAMMOGRAPHY MAMMOGRAM BREASTS HANDS HANDWRIST WRISTS FEET FINGERS TOES FOREARM LOWER UPPER LEGS KNEES"
    " HIPS HEEL PORT PORTABLE TO WITH AND OF THE WHOLE BODY PART LIMB BONE AGE NECHEST COLUMN CERV WHOLESPINE LHAND"
    " RHAND LBREAST RBREAST POLMONE MANO SEIN MAIN BRUST PHANTOM SPECIMEN"
)
_IMAGE_TYPES = (
    "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER MPR MIP MINIP AVERAGE REFORMATTED PROJECTION VOLUME"
    " TOMOSYNTHESIS TOMO_PROJ TOMO_2D GENERATED_2D TOMO CVIEW STEREO STEREO_PAIR MULTIPLEXED POST_PROCESSED"
    " POST_CONTRAST SUBTRACTION SUBTRACTED LOW_ENERGY HIGH_ENERGY MIXED RESAMPLED MAXIMUM MEAN MINIMUM SINGLE"
    " BIPLANE FULLY PARTIAL_VIEW DOSE DOSE_INFO SCREEN SAVE CT_SOM5 SCOUT SCREENSHOT REPORT M MAGNITUDE PHASE ND"
    " NORM NONE CSA COLOR RESCALED VALUE OTHER"
)
_WORDS: dict[str, str] = {
    "Modality": _MODALITIES,
    "PhotometricInterpretation": _PHOTOMETRIC,
    "ViewPosition": _VIEWS,
    "BodyPartExamined": _BODY_PARTS,
    "ImageType": _IMAGE_TYPES,
    "VOILUTFunction": "LINEAR LINEAR_EXACT SIGMOID",
    "PresentationLUTShape": "IDENTITY INVERSE LIN OD",
    "PresentationIntentType": "FOR PRESENTATION PROCESSING",
}
_LISTED = {
    keyword: frozenset(re.findall(r"[^\W_]+", f"{words} {_SIDES} {_SILENT}")) for keyword, words in _WORDS.items()
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
