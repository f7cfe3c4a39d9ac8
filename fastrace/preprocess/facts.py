"""What is known of an image besides its pixels, as plain values that a worker process hands back.

They hold identifiers: the parent replaces those by keyed hashes, and nothing of this is written before that.
"""

from __future__ import annotations

from typing import Any

from fastrace.dicom import Frame, Header
from fastrace.dicom.vocabulary import listed


def facts_of(frame: Frame) -> dict[str, Any]:
    """Column of the index, or name of an identifier -> value."""
    header = frame.header
    return {
        **selection_facts(header, frame.display.voi_source),
        "age_years": header.age_years,
        "sex": header.sex,
        "manufacturer": header.manufacturer,
        "model": header.model,
        "bits_stored": header.bits_stored,
        "kvp": header.kvp,
        "exposure_mas": header.exposure_mas,
        "burned_in": header.burned_in,
        "source_rows": int(frame.pixels.shape[0]),
        "source_columns": int(frame.pixels.shape[1]),
        "spacing_mm": None if header.spacing_mm is None else float(sum(header.spacing_mm) / 2),
        "spacing_source": header.spacing_source,
    }


def selection_facts(header: Header, voi_source: str) -> dict[str, Any]:
    """Who an image is and what decides whether it belongs."""
    return {
        "patient_id": header.patient_id,
        "study_uid": header.study_uid,
        "accession": header.accession,
        "image_uid": header.image_uid,
        "modality": header.modality,
        "sop_class": header.sop_class,
        "image_type": "\\".join(header.image_type) or None,
        "image_kinds": ",".join(kind.name for kind in header.kinds) or None,
        "presentation_intent": header.presentation_intent,
        "body_part": listed("BodyPartExamined", header.body_part),
        "view": listed("ViewPosition", header.view),
        "view_modifiers": ",".join(header.view_modifiers) or None,
        "laterality": header.laterality,
        "photometric": header.photometric,
        "transfer_syntax": header.transfer_syntax,
        "voi_source": voi_source,
    }
