"""A text of a header is shown if each of its words is a known term of the attribute, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dicom_files import smooth, write

from fastrace.dicom import open_frames
from fastrace.dicom.values import Unusable, why
from fastrace.dicom.vocabulary import UNLISTED, is_listed, listed, shown
from fastrace.errors import RejectedInput
from fastrace.preprocess.facts import facts_of

NAME = "QXMUELLER"


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("Modality", "MG"),
        ("Modality", "mg"),
        ("PhotometricInterpretation", "YBR_FULL_422"),
        ("PhotometricInterpretation", "PALETTE COLOR"),
        ("BodyPartExamined", "PORT CHEST"),
        ("BodyPartExamined", "CHEST_TO_PELVIS"),
        ("BodyPartExamined", "Tórax"),
        ("BodyPartExamined", "CHEST 2"),
        ("BodyPartExamined", "L-HAND"),
        ("ViewPosition", "L MLO"),
        ("ViewPosition", "AP SUPINE"),
        ("ImageType", "GENERATED_2D"),
        ("VOILUTFunction", "LINEAR_EXACT"),
        ("TransferSyntaxUID", "1.2.840.10008.1.2.4.90"),
        ("BodyPartExamined", ""),
    ],
)
def test_terms_and_the_words_of_consoles_are_shown(keyword: str, text: str) -> None:
    assert is_listed(keyword, text)
    assert listed(keyword, text) == text
    assert shown(keyword, text) == text


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("PhotometricInterpretation", "QXMUELLER Eva 1933"),
        ("BodyPartExamined", "CHEST QXMUELLER"),
        ("BodyPartExamined", "CHEST 1933"),
        ("BodyPartExamined", "19330303"),
        ("BodyPartExamined", "HAND\x1b[31m"),
        ("ViewPosition", "MR. PA"),
        ("Modality", "EVA"),
        ("TransferSyntaxUID", "1.2.840.10008.19330303"),
        ("TransferSyntaxUID", "1.2.3.4.5"),
        ("SeriesDescription", "CHEST"),  # of an attribute without terms nothing is
        ("BodyPartExamined", "CHEST " * 40),
    ],
)
def test_any_other_text_is_not(keyword: str, text: str) -> None:
    assert not is_listed(keyword, text)
    assert listed(keyword, text) == UNLISTED
    assert shown(keyword, text) == shown(keyword, UNLISTED) == "a text that is no known term"


def test_numbers_are_shown_and_other_things_are_not() -> None:
    assert [shown("Rows", value) for value in (7, 0.25)] == ["7", "0.25"]
    assert shown("Rows", object()) == shown("Rows", b"QXMUELLER") == "a text that is no known term"


def test_only_codecs_and_fastrace_are_quoted() -> None:
    assert why(ValueError(f"invalid literal for int() with base 10: '{NAME}'")) == "ValueError"
    assert why(Unusable("7 of 8 bytes")) == "7 of 8 bytes"


# Every attribute that decides how an image is read, as text where a number or a term is expected.
ATTRIBUTES = [
    "PhotometricInterpretation", "VOILUTFunction", "WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept",
    "NumberOfFrames", "BodyPartExamined", "ViewPosition", "Modality", "ImageType", "PresentationLUTShape",
    "PresentationIntentType", "PixelSpacing", "ImagerPixelSpacing", "KVP", "Exposure", "PatientSex", "PatientAge",
]  # fmt: skip


# Texts that the parent lets into the index where several patients have them: `fastrace.preprocess.vocabulary`.
LEARNED = ("manufacturer", "model", "body_part", "withheld")


@pytest.mark.parametrize("keyword", ATTRIBUTES)
@pytest.mark.filterwarnings("ignore")
def test_a_name_in_any_attribute_leaves_the_file_in_no_message_and_no_column(tmp_path: Path, keyword: str) -> None:
    options: dict[str, Any] = {"WindowCenter": 90, "WindowWidth": 90, keyword: "7"}
    path = write(tmp_path / "image", smooth(), **options)
    content = path.read_bytes()
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword) or 0
    start = content.index(
        (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + dictionary_VR(tag).encode()
    )
    text = f"{NAME} EVA 1933".ljust(16).encode()
    old = int.from_bytes(content[start + 6 : start + 8], "little")
    changed = content[: start + 6] + len(text).to_bytes(2, "little") + text + content[start + 8 + old :]
    path.write_bytes(changed)
    try:
        frame = open_frames(path).frame(0)
        left = repr((frame.notes, {k: v for k, v in facts_of(frame).items() if k not in LEARNED}))
    except RejectedInput as error:
        left = error.message
    assert NAME not in left.upper()
    assert "1933" not in left
