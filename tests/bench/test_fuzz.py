"""Damaged files for three quarters of a minute; an hour of it is in docs/fuzz.md."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from fastrace.bench.studies.fuzz import elements
from fastrace.bench.studies.fuzz.attempt import Attempts, Outcome, read
from fastrace.bench.studies.fuzz.run import run
from fastrace.bench.studies.fuzz.seeds import generated
from fastrace.modality import get_modality
from fastrace.preprocess.recipe import Recipe
from fastrace.preprocess.task import Settings


@pytest.mark.slow
def test_damaged_files_end_as_frames_or_as_a_rejection_in_bounded_memory_and_time(test_data: Path, cases: Path) -> None:
    folders = [test_data / "dicom", cases / "dicom", cases / "hostile"]
    given = argparse.Namespace(seconds=40.0, seed=0, first=0, files=None, data=folders, findings=None, json=None)
    found = run(given)
    assert found.findings == []
    assert found.files > 100
    assert found.decoded_files > found.files // 20  # else the changes never reach what is behind the header
    assert len(found.reasons) > 5
    assert found.peak_bytes < 1 << 30


def test_a_number_makes_the_same_file_again_and_it_is_read_alike(tmp_path: Path) -> None:
    files = generated()
    preset = get_modality("any")
    settings = Settings(Recipe.from_preset(preset, size=(32, 32)), preset, 1 << 28)
    for number in range(25):
        twice: list[tuple[bytes, Outcome]] = []
        for attempts in (Attempts(3, files), Attempts(3, files)):
            outcome = attempts.make(number, tmp_path / "file")
            size = (tmp_path / "file").stat().st_size
            with (tmp_path / "file").open("rb") as file:
                content = file.read(1 << 20)
            read(tmp_path / "file", outcome, settings)
            twice.append((content + str(size).encode(), outcome))
        assert twice[0][0] == twice[1][0]
        assert twice[0][1].digest == twice[1][1].digest
        assert twice[0][1].failures == []


@pytest.mark.parametrize("name", sorted(generated()))
def test_a_file_that_is_taken_apart_and_put_together_is_read_as_before(name: str, tmp_path: Path) -> None:
    content = generated()[name]
    parsed = elements.parse(content)
    assert (parsed is None) == ("." in name)  # of the others `containers` takes care
    settings = Settings(Recipe.from_preset(get_modality("any"), size=(32, 32)), get_modality("any"), 1 << 28)
    outcomes = []
    for written in (content, content if parsed is None else elements.write(parsed)):
        (tmp_path / "file").write_bytes(written)
        outcomes.append(Outcome(0, name, []))
        read(tmp_path / "file", outcomes[-1], settings)
    assert outcomes[0].digest == outcomes[1].digest
