"""Who issued a Patient ID: a number is one person's only within its issuer (PS3.3 C.7.1.1, table 10-18).

Issuer of Patient ID (0010,0021) is a local name, which may be absent; the items of its Qualifiers Sequence (0010,0024) say by a
worldwide identifier, or by type, facility, jurisdiction and department, which issuer is meant. All of them are one text here,
divided by ``&`` as HL7 writes it (``HOSP_A&1.2.3.4&ISO``), so that whoever names the persons can write it into a table.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from fastrace.dicom.values import identifier, items

_SEQUENCE = "IssuerOfPatientIDQualifiersSequence"
_ENTITY = ("UniversalEntityID", "UniversalEntityIDType")
_FACILITY = ("LocalNamespaceEntityID", *_ENTITY)
_CODE = ("CodeValue", "CodingSchemeDesignator")
_QUALIFYING = (
    ("AssigningFacilitySequence", _FACILITY),
    ("AssigningJurisdictionCodeSequence", _CODE),
    ("AssigningAgencyOrDepartmentCodeSequence", _CODE),
)


def issuer_of_patient_id(ds: Dataset) -> str | None:
    """The issuer with what qualifies it, in the order of the standard; None where nothing names one. Never raises."""
    parts = [identifier(ds, "IssuerOfPatientID")]
    for item in items(ds, _SEQUENCE)[:1]:
        parts += (identifier(item, keyword) for keyword in (*_ENTITY, "IdentifierTypeCode"))
        for sequence, keywords in _QUALIFYING:
            scope = (items(item, sequence) or [Dataset()])[0]
            parts += (identifier(scope, keyword) for keyword in keywords)
    return "&".join(part or "" for part in parts).rstrip("&") or None
