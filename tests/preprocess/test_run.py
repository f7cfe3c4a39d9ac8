"""The archive becomes a dataset: everything is counted, nothing identifying leaves, a kill changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fastrace.cli.main import main
from fastrace.dataset import Dataset
from fastrace.errors import DatasetError, UsageError
from fastrace.modality import get_modality
from fastrace.preprocess.dry_run import dry_run
from fastrace.preprocess.recipe import Job, Join, Recipe
from fastrace.preprocess.run import preprocess
from fastrace.verify import verify

WriteDicom = Callable[..., Path]
FASTRACE = [sys.executable, "-m", "fastrace.cli"]


def job(archive: Path, out: Path, modality: str = "cxr", size: tuple[int, int] = (16, 16), **options: Any) -> Job:
    preset = get_modality(modality)
    recipe = Recipe.from_preset(preset, size=size, voi=options.pop("voi", None), dtype=options.pop("dtype", "uint16"))
    join = Join(**{one.name: options.pop(one.name) for one in fields(Join) if one.name in options})
    return Job(sources=(archive,), out=out, recipe=recipe, preset=preset, join=join, **options)


def sources(out: Path) -> pd.DataFrame:
    return pd.read_parquet(Path(f"{out}.private") / "sources.parquet")


def content(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(out.iterdir())}


@pytest.fixture
def archive(tmp_path: Path, write_dicom: WriteDicom) -> Path:
    """Six patients with two images each, and five files that cannot be used."""
    folder = tmp_path / "archive"
    for patient in range(6):
        for view in ("PA", "AP"):
            write_dicom(folder / f"p{patient}" / f"{view}.bin", PatientID=f"MRN{patient}", ViewPosition=view)
    write_dicom(folder / "lateral", ViewPosition="LATERAL")
    write_dicom(folder / "ct", Modality="CT")
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "notes.txt").write_text("not an image")
    good = write_dicom(folder / "cut.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(good[: len(good) // 2])
    return folder


def test_every_input_is_indexed_or_rejected_with_its_reason(archive: Path, tmp_path: Path) -> None:
    summary = preprocess(job(archive, tmp_path / "out"))
    assert (summary.indexed, summary.inputs, summary.patients) == (12, 17, 6)
    assert summary.rejected == {
        "empty": 1, "not_an_image": 1, "other_modality": 1, "other_view": 1, "truncated": 1
    }  # fmt: skip
    table = sources(tmp_path / "out")
    assert len(table) == 17
    assert set(table.loc[table["outcome"] == "rejected", "message"].str.len() > 10) == {True}
    assert verify(tmp_path / "out") == []


def test_nothing_identifying_is_in_the_dataset(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    preprocess(job(archive, out))
    everything = b"".join(content(out).values())
    for secret in (b"MRN", b"archive", str(tmp_path).encode(), b"1.2.3"):
        assert secret not in everything
    private = Path(f"{out}.private")
    assert private.stat().st_mode & 0o777 == 0o700
    assert (private / "salt").stat().st_mode & 0o777 == 0o600
    assert (private / "contact_sheet.png").is_file()


def test_pixels_are_the_windowed_resized_image(tmp_path: Path, write_dicom: WriteDicom) -> None:
    pixels = np.repeat(np.repeat(np.arange(16).reshape(4, 4) * 256, 8, 0), 8, 1)
    write_dicom(tmp_path / "in" / "a", pixels)
    preprocess(job(tmp_path / "in", tmp_path / "out", size=(4, 4)))
    dataset = Dataset.open(tmp_path / "out")
    expected = np.clip((np.arange(16).reshape(4, 4) * 256 - 2047.5) / 4095 + 0.5, 0, 1) * 65535
    assert np.abs(dataset.images([0])[0].astype(float) - expected).max() <= 0.5 + 1e-6


def test_the_result_does_not_depend_on_the_number_of_workers(archive: Path, tmp_path: Path) -> None:
    salt = tmp_path / "salt"
    salt.write_bytes(os.urandom(32))
    preprocess(job(archive, tmp_path / "one", salt=salt, jobs=1, rows_per_shard=5))
    preprocess(job(archive, tmp_path / "two", salt=salt, jobs=2, rows_per_shard=5))
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert len(list((tmp_path / "one").glob("images-*.npy"))) == 3


def test_the_same_salt_names_the_same_patients(archive: Path, tmp_path: Path) -> None:
    summary = preprocess(job(archive, tmp_path / "one"))
    again = preprocess(job(archive, tmp_path / "two", salt=summary.private / "salt"))
    other = preprocess(job(archive, tmp_path / "three"))
    one, two, three = (Dataset.open(result.data) for result in (summary, again, other))
    assert one.salt_id == two.salt_id != three.salt_id
    assert set(one.index["patient_key"]) == set(two.index["patient_key"])
    assert not set(one.index["patient_key"]) & set(three.index["patient_key"])


def test_labels_join_and_both_kinds_of_orphans_are_counted(archive: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    rows = [f"MRN{n},{'A' if n % 2 else 'B'}" for n in range(4)] + ["MRN4,A", "MRN4,B", "nobody,A"]
    labels.write_text("\ufeffpatient_id;group\n" + "\n".join(rows).replace(",", ";"), encoding="utf-8")
    summary = preprocess(job(archive, tmp_path / "out", labels=labels))
    assert summary.indexed == 10
    assert summary.rejected["no_label"] == 2  # MRN5: no row
    assert summary.rows_without_images == 1
    listed = (summary.private / "labels_without_images.csv").read_text().splitlines()
    assert listed == ["patient", "nobody"]
    dataset = Dataset.open(summary.data)
    assert dataset.labels == ["group"]
    assert dataset.index["group"].value_counts().to_dict() == {"A": 4, "B": 4, "contradictory": 2}  # MRN4
    recorded = dataset.index.loc[dataset.index["group"] == "contradictory", "group_recorded"]
    words = dataset.meta["labels"]["group_recorded"]["values"]
    assert [[words[int(code)] for code in codes.split(",")] for codes in recorded] == [["A", "B"]] * 2


def test_raster_images_get_patient_sex_and_view_from_the_table(tmp_path: Path) -> None:
    (tmp_path / "png").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (3, 20, 20), dtype=np.uint8)
    for name, image in zip(("i1", "i2", "i3"), noise, strict=True):
        Image.fromarray(image).save(tmp_path / "png" / f"{name}.png")
    labels = tmp_path / "labels.csv"
    labels.write_text("image_id,patient_id,sex,projection,age\ni1,p1,f,pa,95\ni2,p1,f,lateral,95\n")
    summary = preprocess(job(tmp_path / "png", tmp_path / "out", labels=labels))
    assert summary.indexed == 1
    assert summary.rejected == {"no_label": 1, "other_view": 1}
    row = Dataset.open(summary.data).index.iloc[0]
    assert (row["sex"], row["view"]) == ("F", "PA")
    assert row["age_years"] == 90  # ages above 89 identify people


def test_raster_images_without_a_patient_column_are_rejected(tmp_path: Path, write_dicom: WriteDicom) -> None:
    write_dicom(tmp_path / "in" / "a")
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(tmp_path / "in" / "x.png")
    assert preprocess(job(tmp_path / "in", tmp_path / "out")).rejected == {"no_patient": 1}


def test_a_folder_from_which_nothing_could_be_used_can_be_tried_again(tmp_path: Path, write_dicom: WriteDicom) -> None:
    """Most often the first call has the wrong key or preset; nothing was made that another call could contradict."""
    write_dicom(tmp_path / "in" / "a", PatientID="p1")
    labels = tmp_path / "labels.csv"
    labels.write_text("study,group\np1,A\n")
    with pytest.raises(DatasetError, match=r"none of 1 inputs .*no_label 1.*all of them: .*sources\.parquet"):
        preprocess(job(tmp_path / "in", tmp_path / "out", labels=labels))
    assert sources(tmp_path / "out")["reason"].tolist() == ["no_label"]
    summary = preprocess(job(tmp_path / "in", tmp_path / "out", size=(8, 8), labels=labels, key=("patient=study",)))
    assert (summary.indexed, summary.resumed_images) == (1, 0)
    assert verify(tmp_path / "out") == []


def test_files_of_one_name_in_two_sources_are_two_images(tmp_path: Path) -> None:
    rows = []
    for number, site in enumerate(("a", "b", "copy")):
        (tmp_path / site).mkdir()
        noise = np.random.default_rng(number % 2).integers(0, 256, (20, 20), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / site / "1.png")
        rows.append(f"{site}/1.png,p{number},A\n")
    labels = tmp_path / "labels.csv"
    labels.write_text("path,patient_id,group\n" + "".join(rows))
    base = job(tmp_path / "a", tmp_path / "out", labels=labels)
    summary = preprocess(replace(base, sources=tuple(tmp_path / site for site in ("a", "b", "copy"))))
    assert (summary.indexed, summary.patients) == (2, 2)
    assert "the same path below its SRC and the same pixels" in summary.examples["duplicate"]


def noise(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 20), dtype=np.uint8)).save(path)


@pytest.mark.parametrize("rows_per_shard", [1, 100])
def test_a_row_that_names_no_folder_and_fits_two_images_labels_neither(tmp_path: Path, rows_per_shard: int) -> None:
    """Two folders with an image 1.png each and a table that holds only "1": either would get the label of the other patient."""
    for number, name in enumerate(("a/1.png", "b/1.png", "b/2.png")):
        noise(tmp_path / "in" / name, number)
    labels = tmp_path / "labels.csv"
    labels.write_text("image_id,patient_id,group\n1,p,A\n2,q,B\n")
    options = {"labels": labels, "rows_per_shard": rows_per_shard}
    summary = preprocess(job(tmp_path / "in", tmp_path / "out", **options))
    assert (summary.indexed, summary.rejected) == (1, {"ambiguous_label": 2})
    assert "name the folder in the table" in summary.examples["ambiguous_label"]
    assert Dataset.open(tmp_path / "out").index["group"].tolist() == ["B"]
    assert verify(tmp_path / "out") == []
    before = content(tmp_path / "out")
    assert preprocess(job(tmp_path / "in", tmp_path / "out", **options)).indexed == 1
    assert content(tmp_path / "out") == before


def test_copies_of_one_image_share_the_row_that_names_it(tmp_path: Path, write_dicom: WriteDicom) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 30))
    for name in ("a/1-1.dcm", "b/1-1.dcm", "c/other.dcm"):
        write_dicom(tmp_path / "in" / name, pixels, SOPInstanceUID="1.2.840.1")
    labels = tmp_path / "labels.csv"
    labels.write_text("image,group\n1-1.dcm,A\n")
    summary = preprocess(job(tmp_path / "in", tmp_path / "out", labels=labels))
    assert (summary.indexed, summary.rejected) == (1, {"duplicate": 1, "no_label": 1})


def test_a_row_that_names_a_file_by_its_whole_path_is_about_that_file(tmp_path: Path) -> None:
    for number, name in enumerate(("z.png", "a/z.png")):
        noise(tmp_path / "in" / name, number)
    labels = tmp_path / "labels.csv"
    labels.write_text("path,patient_id,group\nz.png,p,A\n")
    summary = preprocess(job(tmp_path / "in", tmp_path / "out", labels=labels))
    assert (summary.indexed, summary.rejected) == (1, {"no_label": 1})
    assert summary.examples["no_label"].startswith(f"{tmp_path}/in/a/z.png")


def test_frames_of_a_multiframe_file_are_rows_of_their_own(tmp_path: Path, write_dicom: WriteDicom) -> None:
    frames = np.random.default_rng(0).integers(0, 4096, (40, 8, 8))
    frames[7] = 5
    write_dicom(tmp_path / "in" / "a", frames)
    write_dicom(tmp_path / "in" / "b", frames[0], SOPInstanceUID="1.2.840.1")
    write_dicom(tmp_path / "in" / "c", frames[0], SOPInstanceUID="1.2.840.1")
    summary = preprocess(job(tmp_path / "in", tmp_path / "out", jobs=2, rows_per_shard=9))
    assert (summary.indexed, summary.rejected) == (40, {"constant": 1, "duplicate": 1})
    frame = Dataset.open(summary.data).index["frame"]
    assert frame.tolist() == [n for n in range(40) if n != 7] + [0]


def test_another_recipe_another_archive_and_a_foreign_folder_are_refused(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    preprocess(job(archive, out))
    with pytest.raises(DatasetError, match=r"size: \[16, 16\] there, \[8, 8\] requested"):
        preprocess(job(archive, out, size=(8, 8)))
    (archive / "p0" / "new").write_bytes(b"x")
    with pytest.raises(DatasetError, match="the archive, the label table or the options about patients changed"):
        preprocess(job(archive, out))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(DatasetError, match="not empty"):
        preprocess(job(archive, tmp_path / "mine"))
    (tmp_path / "short").write_bytes(b"abc")
    with pytest.raises(UsageError, match="has 3 bytes"):
        preprocess(job(archive, tmp_path / "new", salt=tmp_path / "short"))


def test_a_finished_dataset_is_left_as_it_is(archive: Path, tmp_path: Path) -> None:
    preprocess(job(archive, tmp_path / "out"))
    before = content(tmp_path / "out")
    again = preprocess(job(archive, tmp_path / "out"))
    assert (again.resumed_images, again.indexed) == (12, 12)
    assert content(tmp_path / "out") == before


def test_an_archive_without_a_usable_image_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "readme").write_text("hello")
    with pytest.raises(DatasetError, match=r"none of 1 inputs could be used \(not_an_image 1\)"):
        preprocess(job(tmp_path / "in", tmp_path / "out"))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError, match="no files there"):
        preprocess(job(tmp_path / "nothing", tmp_path / "out2"))


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastrace.preprocess import store

    salt = tmp_path / "salt"
    salt.write_bytes(b"0" * 32)
    preprocess(job(archive, tmp_path / "good", salt=salt, rows_per_shard=4))
    write = store.ShardWriter.add
    monkeypatch.setattr(store.ShardWriter, "add", _failing_after(6, write))
    with pytest.raises(DatasetError, match=r"No space left on device\); make room"):
        preprocess(job(archive, tmp_path / "out", salt=salt, rows_per_shard=4))
    monkeypatch.setattr(store.ShardWriter, "add", write)
    assert preprocess(job(archive, tmp_path / "out", salt=salt, rows_per_shard=4)).resumed_images == 4
    assert content(tmp_path / "out") == content(tmp_path / "good")


def _failing_after(calls: int, add: Callable[..., int]) -> Callable[..., int]:
    left = [calls]

    def wrapped(self: Any, image: np.ndarray) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return add(self, image)

    return wrapped


def test_too_little_room_is_noticed_before_the_first_file(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: os.terminal_size((0, 0)) and _Usage(10, 10, 0))
    with pytest.raises(DatasetError, match="GB free; make room"):
        preprocess(job(archive, tmp_path / "out"))


class _Usage:
    def __init__(self, total: int, used: int, free: int) -> None:
        self.total, self.used, self.free = total, used, free


def test_two_runs_on_one_folder_exclude_each_other(archive: Path, tmp_path: Path) -> None:
    from fastrace.preprocess.store import locked

    private = tmp_path / "out.private"
    private.mkdir()
    with locked(private), pytest.raises(DatasetError, match="another fastrace preprocess is writing"):
        preprocess(job(archive, tmp_path / "out"))


def test_unwritable_output_is_one_sentence(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="cannot be written"):
        preprocess(job(archive, tmp_path / "file" / "out"))
    with pytest.raises(DatasetError, match="a file of this name is in the way"):
        preprocess(job(archive, tmp_path / "file"))


def test_the_plan_counts_without_writing(archive: Path, tmp_path: Path) -> None:
    found = dry_run(job(archive, tmp_path / "out"))
    assert (found.files, found.images, found.bytes) == (17, 12, 12 * 16 * 16 * 2)
    assert found.by["view"] == {"AP": 6, "PA": 6} or found.by["view"] == {"PA": 6, "AP": 6}
    assert found.by["voi_source"] == {"window_1": 12}
    assert sum(found.rejected.values()) == 5
    assert not (tmp_path / "out").exists()


def call(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


def test_the_command_prints_counts_and_strict_sets_the_exit_code(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("preprocess", archive, "--out", tmp_path / "out", "--modality", "cxr", "--size", "16x16")
    done = subprocess.run([*FASTRACE, *map(str, command), "--strict"], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "17 inputs from 17 files: 12 indexed (6 patients), 5 rejected" in done.stdout
    assert call(*command, "--json") == 0
    assert json.loads(capsys.readouterr().out)["indexed"] == 12
    assert call("verify", tmp_path / "out") == 0
    assert call("preprocess", archive, "--modality", "cxr", "--size", "16by16") == 2
    errors = capsys.readouterr().err
    assert "224x224" in errors
    assert "Traceback" not in errors


@pytest.fixture
def many(tmp_path: Path, write_dicom: WriteDicom) -> Path:
    folder = tmp_path / "many"
    for number in range(120):
        write_dicom(folder / f"{number:03}", PatientID=f"p{number % 7}")
    (folder / "050x").write_bytes(b"junk")
    return folder


def _children(pid: int) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _parent(entry) == pid
    ]  # fmt: skip


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return -1


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# Progress, not time, decides when to kill: before the first shard, a shard that has no part yet, near the end.
KILL_POINTS = {
    "before the first shard": "part-open",
    "between rename and index": "shard-renamed",
    "near the end": "last-part",
}

_DRIVER = """
import os, signal, sys
from pathlib import Path
from fastrace.preprocess.recipe import Job, Join, Recipe
from fastrace.preprocess.run import preprocess
from fastrace.preprocess import store, run
from fastrace.modality import get_modality

def main(archive, out, salt, point):
    write_part, add = run.write_part, store.ShardWriter.add

    def die(*_):
        print("dying", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    if point == "part-open":
        def adding(self, image):
            if self.rows == 3:
                die()
            return add(self, image)
        store.ShardWriter.add = adding
    else:
        def writing(private, number, part):
            if (point == "shard-renamed" and number == 1) or (point == "last-part" and part.last):
                die()
            write_part(private, number, part)
        run.write_part = writing
    preset = get_modality("cxr")
    recipe = Recipe.from_preset(preset, size=(16, 16))
    preprocess(Job((Path(archive),), Path(out), recipe, preset, salt=Path(salt), jobs=2, rows_per_shard=25))

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_parent_leaves_no_worker_and_the_next_run_ends_with_the_same_bytes(many: Path, tmp_path: Path) -> None:
    salt = tmp_path / "salt"
    salt.write_bytes(b"s" * 32)
    driver = tmp_path / "driver.py"
    driver.write_text(_DRIVER)
    preprocess(job(many, tmp_path / "undisturbed", salt=salt, jobs=2, rows_per_shard=25))
    expected = content(tmp_path / "undisturbed")
    for name, point in KILL_POINTS.items():
        out = tmp_path / point
        command = [sys.executable, str(driver), str(many), str(out), str(salt), point]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            workers: set[int] = set()
            while process.poll() is None:
                workers.update(_children(process.pid))
                time.sleep(0.02)
        assert process.returncode == -signal.SIGKILL, name
        deadline = time.monotonic() + 10
        while any(map(_alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(_alive, workers)), name
        with pytest.raises(DatasetError, match=r"not finished|no dataset here"):
            Dataset.open(out)
        preprocess(job(many, out, salt=salt, jobs=1, rows_per_shard=25))  # with another number of workers
        assert content(out) == expected, name


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_resumable(many: Path, tmp_path: Path) -> None:
    command = [*FASTRACE, "preprocess", str(many), "--out", str(tmp_path / "out"), "--modality", "cxr", "--jobs", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out").glob("images-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.fail("the run ended before it could be interrupted; make the archive larger")
    assert process.returncode == 130
    assert errors.count("the same command goes on") == 1
    assert "Traceback" not in errors
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_crashing_decoder_costs_one_file(many: Path, tmp_path: Path) -> None:
    """A worker that ends itself is like a codec that crashes; the file is named and the rest is read."""
    driver = tmp_path / "crash.py"
    driver.write_text(
        "import os, sys\n"
        "from fastrace.preprocess import opening\n"
        "open_frames = opening.open_frames\n"
        "def crashing(path, **options):\n"
        "    if path.name == '033':\n"
        "        os.abort()\n"
        "    return open_frames(path, **options)\n"
        "opening.open_frames = crashing\n"  # spawn imports this module in the workers too
        "if __name__ == '__main__':\n"
        "    from fastrace.cli.main import main\n"
        "    main()\n"
    )
    command = [
        sys.executable,
        str(driver),
        "preprocess",
        str(many),
        "--out",
        str(tmp_path / "out"),
        "--modality",
        "cxr",
    ]
    done = subprocess.run([*command, "--size", "16x16", "--json"], capture_output=True, text=True, check=False)
    summary = json.loads(done.stdout)
    assert summary["rejected"] == {"decoder_crashed": 1, "not_an_image": 1}
    assert summary["indexed"] == 119
    assert summary["examples"]["decoder_crashed"].split(":")[0].endswith("033")
