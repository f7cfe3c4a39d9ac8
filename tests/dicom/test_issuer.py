"""The issuer of a Patient ID: the local name and its qualifiers."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from fastrace.dicom.issuer import issuer_of_patient_id


def item(**attributes: Any) -> Dataset:
    found = Dataset()
    for keyword, value in attributes.items():
        setattr(found, keyword, value)
    return found


@pytest.mark.parametrize(
    ("name", "qualifiers", "issuer"),
    [
        ("HOSP_A", {}, "HOSP_A"),
        (None, {}, None),
        (None, {"UniversalEntityID": "1.2.3", "UniversalEntityIDType": "ISO"}, "&1.2.3&ISO"),
        ("HOSP_A", {"UniversalEntityID": "1.2.3", "UniversalEntityIDType": "ISO"}, "HOSP_A&1.2.3&ISO"),
        ("HOSP_A", {"IdentifierTypeCode": "MR"}, "HOSP_A&&&MR"),
        ("A", {"AssigningFacilitySequence": [item(LocalNamespaceEntityID="Eye clinic")]}, "A&&&&Eye clinic"),
        (
            "A",
            {"AssigningJurisdictionCodeSequence": [item(CodeValue="DE", CodingSchemeDesignator="ISO3166_1")]},
            "A&&&&&&&DE&ISO3166_1",
        ),
    ],
)
def test_qualifiers_are_part_of_the_issuer(name: str | None, qualifiers: dict[str, Any], issuer: str | None) -> None:
    ds = Dataset() if name is None else item(IssuerOfPatientID=name)
    if qualifiers:
        ds.IssuerOfPatientIDQualifiersSequence = [item(**qualifiers)]
    assert issuer_of_patient_id(ds) == issuer


def test_an_empty_sequence_qualifies_nothing() -> None:
    for found in ([], [Dataset()]):
        assert issuer_of_patient_id(item(IssuerOfPatientIDQualifiersSequence=found)) is None
    assert issuer_of_patient_id(item(UniversalEntityID="1.2.3")) is None
