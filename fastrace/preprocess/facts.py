"""What is known of an image besides its pixels, as plain values that a worker process hands back.

They hold identifiers: the parent replaces those by keyed hashes, and nothing of this is written before that. A text that
repeats a name, number or date of its header is taken out here, where the header is still at hand.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastrace.dicom import Frame
from fastrace.dicom.header import Header
from fastrace.dicom.identity import Withheld
from fastrace.dicom.terms import is_term

IDENTIFIERS = ("patient_id", "issuer", "study_uid", "accession", "image_uid", "institution", "study_day")
# Written by fastrace, or read as one of a few known words: no text of the header.
OURS = (
    "sex", "voi_source", "spacing_source", "notes", "modality", "sop_class", "image_type", "image_kinds", "presentation_intent",
    "view", "view_modifiers", "laterality", "photometric", "transfer_syntax",
)  # fmt: skip


def facts_of(frame: Frame) -> dict[str, Any]:
    """Column of the index, or name of an identifier -> value; ``withheld`` lists what was taken out."""
    header = frame.header
    row_mm, column_mm = header.spacing_mm or (None, None)
    facts: dict[str, Any] = {
        **selection_facts(header, frame.display.voi_source),
        "institution": header.institution,
        "study_day": header.study_day,
        "age_years": header.age_years,
        "sex": header.sex,
        "manufacturer": header.manufacturer,
        "model": header.model,
        "bits_stored": header.bits_stored,
        "burned_in": header.burned_in,
        "source_rows": header.rows,
        "source_columns": header.columns,
        "spacing_mm": None if header.spacing_mm is None else float(sum(header.spacing_mm) / 2),
        "row_spacing_mm": row_mm,
        "column_spacing_mm": column_mm,
        "spacing_source": header.spacing_source,
        "recognizable": header.recognizable,
        "ethnic_group": header.ethnic_group_present,
        **asdict(header.acquisition),
    }
    facts["identity"] = header.identity  # for the cells of the label table, which the parent joins
    facts["withheld"] = [*header.withheld, *_personal(facts, header)]
    return facts


def selection_facts(header: Header, voi_source: str) -> dict[str, Any]:
    """Who an image is and what decides whether it belongs."""
    return {
        **_ids(header),
        "modality": header.modality,
        "sop_class": header.sop_class,
        "image_type": "\\".join(header.image_type) or None,
        "image_kinds": ",".join(kind.name for kind in header.kinds) or None,
        "presentation_intent": header.presentation_intent,
        "body_part": header.body_part,
        "view": header.view,
        "view_modifiers": ",".join(header.view_modifiers) or None,
        "laterality": header.laterality,
        "photometric": header.photometric,
        "transfer_syntax": header.transfer_syntax,
        "voi_source": voi_source,
    }


def person_facts(header: Header) -> dict[str, Any]:
    """What an image could be called in a table, and what is compared to see whether one id is one person."""
    return {**_ids(header), "sex": header.sex, "age_years": header.age_years, "birth_day": header.birth_day}


def _ids(header: Header) -> dict[str, str | None]:
    return {
        "patient_id": header.patient_id,
        "issuer": header.issuer,
        "study_uid": header.study_uid,
        "accession": header.accession,
        "image_uid": header.image_uid,
    }


def _personal(facts: dict[str, Any], header: Header) -> list[Withheld]:
    """Find what repeats something that identifies; what stands there as a word, number or date of its own becomes None."""
    found: list[Withheld] = []
    for column, value in facts.items():
        if column in IDENTIFIERS or column in OURS:
            continue
        if isinstance(value, str) and not is_term(column, value):
            how = header.identity.found_in(value)
        elif isinstance(value, float) and header.identity.holds(value):
            how = "stands"
        else:
            continue
        if how is not None:
            found.append(Withheld(column, how, str(value)))
            if how == "stands":
                facts[column] = None
    return found
