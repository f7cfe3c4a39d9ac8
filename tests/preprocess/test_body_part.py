"""Body Part Examined decides: absent is kept and counted, another part is rejected, an option overrides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fastrace.cli.main import main
from fastrace.dataset import Dataset
from fastrace.errors import DatasetError, UsageError
from fastrace.modality import MODALITIES, get_modality
from fastrace.phantom import PhantomSpec, make
from fastrace.preprocess.body_part import belongs, names_a_part
from fastrace.preprocess.dry_run import dry_run
from fastrace.preprocess.recipe import Job, Join, Recipe
from fastrace.preprocess.run import preprocess
from fastrace.preprocess.summary import Summary

WriteDicom = Callable[..., Path]

# Defined terms of PS3.16 annex L, and what consoles and archives make of them (upper case, as the header is read).
KEPT = {
    "mammo": ("BREAST", "LEFT BREAST", "BREASTS", "MAMMA", "MAMMOGRAPHY"),
    "cxr": (
        "CHEST",
        "THORAX",
        "TORAX",
        "TÓRAX",
        "CHEST PA",
        "PORT CHEST",
        "CHEST_LUNGS",
        "LUNG",
        "CHESTABDOMEN",
        "ABDOMEN CHEST",
    ),
    "ct": ("CHEST", "THORAX", "LUNG", "CTA_CHEST", "PE CHEST", "CHEST_TO_PELVIS", "NECKCHESTABDPELV", "THORAX/ABDOMEN"),
    "hand": ("HAND", "HANDS", "LEFT HAND", "HAND_WRIST", "L-HAND", "RHAND", "LT HAND"),
    "cspine": (
        "CSPINE",
        "C SPINE",
        "C-SPINE",
        "CERVICAL SPINE",
        "CERVICAL_SPINE",
        "C_SPINE_LAT",
        "CERV SPINE",
        "CERVSPINE",
    ),
}
REJECTED = {
    "mammo": ("CHEST", "AXILLA", "ABDOMEN"),
    "cxr": ("HIP", "HAND", "TSPINE", "THORACIC SPINE", "RIB", "ABDOMEN", "EXTREMITY", "SHOULDER", "ABTEILUNG"),
    "ct": ("HEAD", "CSPINE", "PANCREAS", "BACINO", "NECK", "ABDOMENPELVIS", "WHOLEBODY"),
    "hand": ("CHEST", "WRIST", "FINGER", "FOOT", "EXTREMITY", "BREAST", "BEHANDLUNG"),
    "cspine": (
        "LSPINE",
        "TSPINE",
        "LSSPINE",
        "SPINE",
        "NECK",
        "CERVIX",
        "CHEST",
        "THORACIC SPINE",
        "THORACIC_SPINE",
        "THORACICSPINE",
    ),
}
SILENT = (None, "", "-", "***", "UNKNOWN", "NONE", "N/A", "OTHER", "UNDEFINED")

# What is no Code String is written on purpose: consoles do.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR CS")


def run(archive: Path, out: Path, modality: str = "hand", body_parts: tuple[str, ...] = (), **options: Any) -> Summary:
    return preprocess(job(archive, out, modality, body_parts, **options))


def job(archive: Path, out: Path, modality: str = "hand", body_parts: tuple[str, ...] = (), **options: Any) -> Job:
    preset = get_modality(modality)
    recipe = Recipe.from_preset(preset, size=(16, 16), body_parts=body_parts)
    join = Join(labels=options.pop("labels", None))
    return Job(sources=(archive,), out=out, recipe=recipe, preset=preset, join=join, **options)


@pytest.fixture
def archive(tmp_path: Path, write_dicom: WriteDicom) -> Path:
    """Hands, wrists, feet, and files that name none."""
    parts = {"a": "HAND", "b": "hand", "c": "LEFT HAND", "d": "WRIST", "e": "FOOT", "f": None, "g": "", "h": "UNKNOWN"}
    for name, part in parts.items():
        write_dicom(tmp_path / "archive" / name, PatientID=f"patient {name}", BodyPartExamined=part)
    return tmp_path / "archive"


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_terms_of_the_standard_and_the_spellings_of_archives(modality: str) -> None:
    kept = get_modality(modality).body_parts
    assert all(belongs(part, kept) for part in KEPT.get(modality, ("CHEST", "FOOT")))
    assert not [part for part in REJECTED.get(modality, ()) if belongs(part, kept)]
    assert all(belongs(part, kept) and not names_a_part(part) for part in SILENT)
    assert all(names_a_part(part) for part in kept)


def test_another_body_part_is_rejected_and_what_names_none_is_counted(archive: Path, tmp_path: Path) -> None:
    summary = run(archive, tmp_path / "out")
    assert (summary.indexed, summary.rejected) == (6, {"other_body_part": 2})
    assert summary.examples["other_body_part"].endswith(
        "d: Body Part Examined (0018,0015) is 'WRIST'; --modality hand keeps HAND; to keep it too: --body-part 'WRIST', or "
        "--body-part any for every part"
    )
    assert summary.notes == [
        "3 images whose Body Part Examined (0018,0015) is absent or names no part, nor a code of Anatomic Region Sequence "
        "(0008,2218): kept, since --modality is hand"
    ]
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.meta["recipe"]["body_parts"] == ["HAND"]
    assert set(dataset.index["body_part"].dropna()) == {"HAND", "LEFT HAND", "UNKNOWN"}


def test_another_modality_is_the_first_reason(tmp_path: Path, write_dicom: WriteDicom) -> None:
    write_dicom(tmp_path / "in" / "a", Modality="CT", BodyPartExamined="CHEST")
    with pytest.raises(DatasetError, match=r"\(other_modality 1\)"):
        run(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "indexed", "recorded"),
    [
        (("WRIST",), 7, ["HAND", "WRIST"]),
        (("wrist", "Foot", "hand"), 8, ["HAND", "FOOT", "WRIST"]),
        (("any",), 8, []),
        (("WRIST", "ANY"), 8, []),
    ],
)
def test_an_option_keeps_more(
    archive: Path, tmp_path: Path, given: tuple[str, ...], indexed: int, recorded: list[str]
) -> None:
    summary = run(archive, tmp_path / "out", body_parts=given)
    assert summary.indexed == indexed
    assert Dataset.open(tmp_path / "out").meta["recipe"]["body_parts"] == recorded
    assert len(summary.notes) == (1 if recorded else 0)


def test_the_order_of_the_option_does_not_matter() -> None:
    recipes = [
        Recipe.from_preset(get_modality("hand"), body_parts=parts)
        for parts in (("WRIST", "FOOT"), ("foot", "wrist", "Wrist"))
    ]
    assert recipes[0] == recipes[1]


@pytest.mark.parametrize(
    ("modality", "given", "message"),
    [
        ("hand", "", "--body-part '': names no body part; images that name none are kept"),
        ("hand", "Unknown", "--body-part 'Unknown': names no body part"),
        ("any", "HAND", "--body-part: --modality any keeps every body part"),
    ],
)
def test_an_option_without_a_meaning_is_refused(modality: str, given: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe.from_preset(get_modality(modality), body_parts=(given,))


def test_a_dataset_goes_on_only_with_the_same_option(archive: Path, tmp_path: Path) -> None:
    run(archive, tmp_path / "out", body_parts=("WRIST",))
    with pytest.raises(DatasetError, match=r"body_parts: \['HAND', 'WRIST'\] there, \['HAND'\] requested"):
        run(archive, tmp_path / "out")
    again = run(archive, tmp_path / "out", body_parts=("WRIST",))
    assert (again.resumed_images, again.indexed, len(again.notes)) == (7, 7, 1)


def test_the_label_table_gives_it_where_the_file_does_not(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    generator = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(generator.integers(0, 256, (20, 20), dtype=np.uint8)).save(tmp_path / "in" / f"{name}.png")
    table = tmp_path / "labels.csv"
    table.write_text("path,patient_id,Body Part Examined\na.png,p1,Hand\nb.png,p2,foot\nc.png,p3,\n")
    summary = run(tmp_path / "in", tmp_path / "out", labels=table)
    assert (summary.indexed, summary.rejected) == (2, {"other_body_part": 1})
    assert "Body part in the label table is 'FOOT'; --modality hand keeps HAND" in summary.examples["other_body_part"]
    assert summary.notes[-1].startswith("1 image whose Body Part Examined")
    assert pd.isna(Dataset.open(tmp_path / "out").index["body_part"]).sum() == 1


def test_the_plan_names_what_is_there(archive: Path, tmp_path: Path) -> None:
    found = dry_run(job(archive, tmp_path / "out"))
    assert found.rejected == {"other_body_part": 2}
    assert found.by["body_part"] == {"HAND": 2, "not given": 2, "LEFT HAND": 1, "UNKNOWN": 1}


def test_a_chest_phantom_is_no_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "chest", PhantomSpec("cxr", patients=3, images_per_patient=1, size=(96, 96)))
    words = ["preprocess", str(tmp_path / "chest"), "--labels", str(tmp_path / "chest" / "labels.csv"), "--json"]
    words += ["--size", "16x16", "--jobs", "1", "--out"]

    def call(out: str, *more: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main([*words, str(tmp_path / out), *more])
        return int(stop.value.code or 0)

    def indexed(out: str, *more: str) -> int:
        assert call(out, *more) == 0
        return int(json.loads(capsys.readouterr().out)["indexed"])

    assert call("none", "--modality", "hand") == 1
    assert "(other_body_part 3)" in (error := capsys.readouterr().err)
    assert "Body Part Examined (0018,0015) is 'CHEST'; --modality hand keeps HAND" in error
    assert indexed("chest-too", "--modality", "hand", "--body-part", "chest") == 3
    assert indexed("every", "--modality", "hand", "--body-part", "any") == 3
    assert indexed("cxr", "--modality", "cxr") == 3
    assert indexed("any", "--modality", "any") == 3
