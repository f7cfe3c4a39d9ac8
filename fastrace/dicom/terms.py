"""Words of the standard: values that say nothing about a person, whoever wrote them.

Consoles accept free text where the standard has a list, so a name can stand in any of these attributes. What is in the list
may be kept without being learned from the archive (`fastrace.preprocess.vocabulary`); everything else must be
shared by patients. Terms of PS3.3: C.7.3.1.1.1 (Modality), C.7.6.3.1.2 (Photometric Interpretation), C.8.11.5.1.1 and
C.8.11.7.1 (view), C.8.11.4 (Detector Type), C.8.7.10 (filter), C.8.7.11 and C.8.15.2.2 (grid), C.8.11.3 (intent),
C.7.6.1.1.2 (Image Type); of PS3.16 annex L (Body Part Examined); of PS3.6 annex A (transfer syntaxes, SOP classes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from pydicom._uid_dict import UID_dictionary

from fastrace.dicom.notes import KINDS
from fastrace.dicom.views import VIEWS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _uids(kind: str) -> frozenset[str]:
    return frozenset(
        word for entry in UID_dictionary.values() if entry[1] == kind for word in (entry[0], entry[4]) if word
    )


# Column of the index -> its terms.
TERMS: Mapping[str, frozenset[str]] = {
    "modality": _words(
        """
        ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DMS DG DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT
        IVUS KER KO LEN LS MG MR M3D NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF
        RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG
        US VA XA XAPROTOCOL XC
        """
    ),
    "view": frozenset(VIEWS),
    "laterality": frozenset(("L", "R", "U", "B")),
    "photometric": _words(
        """
        MONOCHROME1 MONOCHROME2 RGB YBR_FULL YBR_FULL_422 YBR_PARTIAL_420 YBR_ICT YBR_RCT YBR_PARTIAL_422 HSV ARGB
        CMYK
        """
    )
    | {"PALETTE COLOR"},
    "body_part": _words(
        """
        ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM AXILLA BACK BILEDUCT BLADDER BRAIN BREAST BRONCHUS BUTTOCK
        CALCANEUS CALF CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CIRCLEOFWILLIS CLAVICLE
        COCCYX COLON CORNEA CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR
        FINGER FOOT FOREARM GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS IAC ILEUM ILIUM JAW JEJUNUM KIDNEY KNEE
        LARYNX LEG LIVER LSPINE LSSPINE LUNG MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN
        NECKCHESTABDPELV NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RADIUS RADIUSULNA
        RECTUM RIB SCALP SCAPULA SCLERA SCROTUM SHOULDER SKULL SPINE SPLEEN SSPINE STERNUM STOMACH SUBMANDIBULAR
        TESTIS THIGH THORAX THUMB THYMUS THYROID TIBIA TIBIAFIBULA TLSPINE TMJ TOE TONGUE TRACHEA TSPINE ULNA URETER
        URETHRA UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA
        """
    ),
    "anode_material": _words("TUNGSTEN MOLYBDENUM RHODIUM"),
    "filter_material": _words(
        "MOLYBDENUM ALUMINUM COPPER RHODIUM NIOBIUM EUROPIUM LEAD TIN SILVER BERYLLIUM TITANIUM NONE MIXED"
    ),
    "grid": _words("FIXED FOCUSED RECIPROCATING PARALLEL CROSSED NONE IN"),
    "detector_type": _words("DIRECT SCINTILLATOR STORAGE FILM"),
    "presentation_intent": frozenset(("FOR PRESENTATION", "FOR PROCESSING")),
    "image_type": _words(
        """
        ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER REFORMATTED MPR AVERAGE MIN_IP MAX_IP PROJECTION
        TOMOSYNTHESIS GENERATED_2D POST_PROCESSED POST_CONTRAST SUBTRACTION NONE MIXED VOLUME
        """
    )
    | {"SINGLE PLANE", "BIPLANE A", "BIPLANE B"},
    "official_split": frozenset(("train", "val", "test")),
    "notes": frozenset(KINDS),
    "transfer_syntax": _uids("Transfer Syntax"),
    "sop_class": _uids("SOP Class"),
}


# Said of a body part or a view beside its term, or in its place.
_BESIDE = _words(
    """
    L R LEFT RIGHT LT RT BOTH BILATERAL UNILATERAL AP PA LAT LATERAL OBLIQUE AXIAL SUPINE PRONE ERECT UPRIGHT STANDING SITTING
    PORT PORTABLE UNKNOWN UNDEFINED UNSPECIFIED OTHER NONE NULL
    """
)
# What fastrace itself writes where it does not hand a value on.
_OURS = frozenset(("other", "OTHER", "private", "unlisted"))


@lru_cache(4096)
def is_term(column: str, value: str) -> bool:
    """Whether a value of a column of the index, or each part of a multiple one, is a word of the standard.

    Body parts and views may have their side or position beside them, as consoles write them: LEFT HAND, CHEST PORTABLE.
    """
    terms = TERMS.get(column, frozenset())
    if column in ("body_part", "view") and all(word in terms or word in _BESIDE for word in re.findall(r"\w+", value)):
        return True
    return value in terms or value in _OURS or all(part.strip() in terms for part in re.split(r"[\\,]", value))
