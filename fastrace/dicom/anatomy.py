"""Body part by code: Anatomic Region Sequence (0008,2218) as a term of Body Part Examined (0018,0015).

DX and MG objects must name the anatomy by code (PS3.3 C.8.11.2, C.8.11.7), enhanced ones for each frame (C.7.6.16.2.8), while
Body Part Examined may be absent. PS3.16 annex L gives the term of each code: SNOMED CT, the SNOMED RT code that it replaced, and
SNOMED CT codes of earlier editions of the standard. Of a code that is not here the meaning is read, for these terms alone.

Regions tell whether two names can be of one image: CHEST and LUNG can, CHEST and HAND cannot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydicom.dataset import Dataset

from fastrace.dicom.values import items, text
from fastrace.dicom.views import SILENT, folded

# Term of Body Part Examined: regions: codes.
_TABLE = """
ABDOMEN: abdomen: 818981001 113345001 T-D4000
ABDOMENPELVIS: abdomen pelvis: 818982008 416949008 R-FAB57
ADRENAL: abdomen: 23451007 T-B3000
ANKLE: leg: 70258002 T-15750
AORTA: chest abdomen: 15825003 113262008 7832008 57034009 T-42000 T-42070 T-42500 T-42300
ARM: arm: 40983000 53120007 T-D8200 T-D8000
AXILLA: chest arm breast: 91470000 T-D8104
BACK: spine chest abdomen: 77568009 T-D2100
BLADDER: pelvis: 89837001 T-74000
BRAIN: head: 12738006 T-A0100
BREAST: breast chest: 76752008 T-04000
BRONCHUS: chest: 955009 T-26000
CALCANEUS: leg: 80144004 T-12770
CAROTID: neck: 69105007 T-45010
CEREBELLUM: head: 113305005 T-A6000
CHEST: chest: 816094009 51185008 43799004 T-D3000 T-D3200
CHESTABDOMEN: chest abdomen: 416550000 R-FAB55
CHESTABDPELVIS: chest abdomen pelvis: 416775004 R-FAB56
CLAVICLE: chest arm: 51299004 T-12310
COCCYX: spine pelvis: 64688005 T-11BF0
COLON: abdomen pelvis: 71854001 14742008 T-59300 T-59000
CORONARYARTERY: chest: 41801008 T-43000
CSPINE: spine neck: 122494005 T-11501
CTSPINE: spine neck chest: 1217257000 297171002 T-D00F7
DUODENUM: abdomen: 38848004 T-58200
ELBOW: arm: 16953009 T-15430
ESOPHAGUS: neck chest abdomen: 32849002 T-56000
EXTREMITY: arm leg: 66019005 T-D0300
EYE: head: 81745001 371398005 T-AA000 T-D0801
FACE: head: 89545001 91397008 T-D1200 T-11196
FEMUR: leg: 71341001 T-12710
FINGER: arm: 7569003 T-D8800
FOOT: leg: 56459004 T-D9700
FOREARM: arm: 14975008 T-D8500
GALLBLADDER: abdomen: 28231008 T-63000
HAND: arm: 85562004 T-D8700
HEAD: head: 69536005 T-D1100
HEADNECK: head neck: 774007 T-D1000
HEART: chest: 80891009 T-32000
HIP: leg pelvis: 29836001 24136001 T-D2500 T-15710
HUMERUS: arm: 85050009 T-12410
IAC: head: 361078006 T-AB959
ILIUM: pelvis: 22356005 T-12340
JAW: head: 661005 91609006 T-D1213 T-11180
KIDNEY: abdomen: 64033007 T-71000
KNEE: leg: 72696002 T-D9200
LARYNX: neck: 4596009 T-24100
LEG: leg: 30021000 61685007 T-D9400 T-D9000
LIVER: abdomen: 10200004 303270005 T-62000 T-50007
LSPINE: spine abdomen: 122496007 T-11503
LSSPINE: spine abdomen pelvis: 1217253001 297173004 T-D00F9
LUNG: chest: 39607008 86598002 T-28000 T-280A0
MAXILLA: head: 70925003 T-11170
MEDIASTINUM: chest: 72410000 T-D3300
NECK: neck: 45048000 T-D1600
NECKCHEST: neck chest: 417437006 R-FAB52
NECKCHESTABDOMEN: neck chest abdomen: 416152001 R-FAB53
NECKCHESTABDPELV: neck chest abdomen pelvis: 416319003 R-FAB54
NOSE: head: 45206002 74386004 T-21000 T-11149
ORBIT: head: 363654007 T-D14AE
PANCREAS: abdomen: 15776009 T-65000
PATELLA: leg: 64234005 T-12730
PELVIS: pelvis: 816092008 12921003 T-D6000
PHANTOM: phantom: 706342009 R-FE0C7
PROSTATE: pelvis: 41216001 T-92000
RADIUS: arm: 62413002 T-12420
RADIUSULNA: arm: 110535000 T-12403
RECTUM: pelvis: 34402009 T-59600
RIB: chest: 113197003 T-11300
SCAPULA: chest arm: 79601000 T-12280
SHOULDER: chest arm: 16982005 T-D2220
SKULL: head: 89546000 T-11100
SPINE: spine neck chest abdomen pelvis: 421060004 T-D04FF
SPLEEN: abdomen: 78961009 T-C3000
SSPINE: spine pelvis: 54735007 1217254007 297174005 T-11AD0 T-D00FA
STERNUM: chest: 56873002 T-11210
STOMACH: abdomen: 69695003 T-57000
THIGH: leg: 68367000 T-D9100
THORAX: chest:
THUMB: arm: 76505004 T-D8810
THYROID: neck: 69748006 T-B6000
TIBIA: leg: 12611008 T-12740
TIBIAFIBULA: leg: 110536004 T-12701
TLSPINE: spine chest abdomen: 1217256009 297172009 T-D00F8
TMJ: head: 53620006 T-15290
TOE: leg: 29707007 T-D9800
TRACHEA: neck chest: 44567001 T-25000
TSPINE: spine chest: 122495006 T-11502
ULNA: arm: 23416004 T-12430
UTERUS: pelvis: 35039007 T-83000
WHOLEBODY: head neck chest abdomen pelvis spine arm leg breast: 38266002 T-D0010
WRIST: arm: 74670003 8205005 T-15460 T-D8600
ZYGOMA: head: 13881006 T-11166
"""
_ROWS = [[cell.strip() for cell in line.split(":")] for line in _TABLE.split("\n") if line]
REGIONS = {term: frozenset(regions.split()) for term, regions, _ in _ROWS}
PART_OF_CODE = {code: term for term, _, codes in _ROWS for code in codes.split()}
# Bones and organs that are no terms of their own, and adjectives: the term of the limb or organ that they are part of.
_BONES = {
    "FEMORAL": "FEMUR", "HUMERAL": "HUMERUS", "RADIAL": "RADIUS", "ULNAR": "ULNA", "TIBIAL": "TIBIA", "FIBULA": "TIBIAFIBULA",
    "FIBULAR": "TIBIAFIBULA", "METACARPAL": "HAND", "METACARPALS": "HAND", "METACARPUS": "HAND", "CARPAL": "WRIST",
    "SCAPHOID": "WRIST", "OLECRANON": "ELBOW", "GLENOID": "SHOULDER", "SCAPULAR": "SCAPULA", "ACETABULUM": "HIP",
    "METATARSAL": "FOOT", "METATARSALS": "FOOT", "METATARSUS": "FOOT", "TALUS": "FOOT", "TALAR": "FOOT", "TARSAL": "FOOT",
    "CALCANEAL": "CALCANEUS", "PANCREATIC": "PANCREAS",
}  # fmt: skip
_OF_TWO_BONES = {"RADIUSULNA": {"RADIUS", "ULNA"}, "TIBIAFIBULA": {"TIBIA", "TIBIAFIBULA"}}
_BREAST_BONE = re.compile(r"\bBREAST ?BONE\b")
# Parts of the body, and words for parts of bones, organs, teeth and chairs.
_ALSO_OF_OTHERS = frozenset({"HEAD", "NECK", "BACK", "FACE", "ARM", "EYE"})
_MOST_ITEMS = 4  # read of a sequence that should have one


def coded_part(scope: Dataset) -> tuple[str | None, str]:
    """The body part that codes name, as a term of Body Part Examined, and the keyword of the sequence; None without one.

    Parameters
    ----------
    scope : Dataset
        The data set, or the item of a Frame Anatomy macro.
    """
    for keyword in ("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"):
        found = sorted({part for item in items(scope, keyword)[:_MOST_ITEMS] if (part := _part(item))})
        if found:
            return " ".join(found), keyword
    return None, ""


def _part(item: Dataset) -> str | None:
    """By the code; any other code by its meaning, where exactly one term stands in it: "Hand and wrist" names two."""
    known = PART_OF_CODE.get(text(item, "CodeValue") or "")
    if known is not None:
        return known
    said = _terms(text(item, "CodeMeaning"))
    return said.pop() if len(said) == 1 else None


def _terms(said: str | None) -> set[str]:
    """The terms in a text: what stands last behind "of" is the part, what stands before it a part of that.

    The head of a radius is a forearm, and a radial head too.
    """
    words = re.findall(r"[^\W_]+", _BREAST_BONE.sub("STERNUM", folded(said)))
    last = max((place for place, word in enumerate(words) if word == "OF"), default=-1)
    behind = _known(words[last + 1 :])
    return behind or (_known(words[:last]) - _ALSO_OF_OTHERS if last >= 0 else set())


def _known(words: Sequence[str]) -> set[str]:
    found = set(words) & REGIONS.keys()
    bones = {_BONES[word] for word in words if word in _BONES}
    for term, both in _OF_TWO_BONES.items():
        if both <= found | bones:
            return {term}
    return (found - _ALSO_OF_OTHERS or bones or found) if bones else found


def names_a_part(said: str | None) -> bool:
    """Whether a text names a body part at all."""
    return re.sub(r"[\W_]+", "", folded(said)) not in SILENT | {"OTHER"}


def regions(said: str | None) -> frozenset[str]:
    """Regions of the body of the terms in a text; empty where it has none that is known."""
    return frozenset().union(*(REGIONS[term] for term in _terms(said)))


def contradict(one: str | None, other: str | None) -> bool:
    """Whether two names cannot be of one image; unknown words contradict nothing."""
    first, second = regions(one), regions(other)
    return bool(first and second) and not first & second
