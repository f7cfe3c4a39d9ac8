"""Embeddings as readers: whose a row is by real UIDs and Patient IDs, what of them is audited, and that nobody is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from audit_archives import Stop, fewer_permutations, request
from pydicom.dataset import Dataset as Header
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from fastrace import api
from fastrace.audit.controls.coverage import shares
from fastrace.audit.document import Audit
from fastrace.audit.marks import mark
from fastrace.audit.readers.embeddings import Embedding
from fastrace.audit.readers.joining import join
from fastrace.audit.readers.owners import Archive
from fastrace.audit.readers.vector_files import open_vectors
from fastrace.audit.run import audit
from fastrace.audit.subjects import select_subjects
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.errors import RunError, UsageError

PATIENTS = 64


@dataclass(frozen=True)
class Made:
    """An archive of 64 patients of two studies, the first with two images; and a row for each image."""

    dataset: Dataset
    files: pd.DataFrame
    """patient_id, study_id, image_id (the UID), path, filename, image_key, group."""


def write(file: Path, seed: int, **names: str) -> None:
    pixels = np.random.default_rng(seed).integers(0, 4096, (20, 20)).astype("<u2")
    header = Header()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = DigitalXRayImageStorageForPresentation
    header.file_meta.MediaStorageSOPInstanceUID = names["SOPInstanceUID"]
    header.Rows, header.Columns, header.BitsAllocated, header.BitsStored, header.HighBit = 20, 20, 16, 12, 11
    header.SamplesPerPixel, header.PixelRepresentation, header.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    header.WindowCenter, header.WindowWidth, header.Modality, header.PixelData = 2048, 4096, "DX", pixels.tobytes()
    for name, value in names.items():
        setattr(header, name, value)
    file.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(file, enforce_file_format=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("archive")
    rows = []
    for patient in range(PATIENTS):
        for image in range(3):
            name = f"MRN00{patient:03d}"
            uid, study = f"1.2.826.7.{patient}.{image}", f"1.2.826.{patient}.{image // 2}"
            file = folder / "files" / name / f"{name}-{image}.dcm"
            write(file, 3 * patient + image, SOPInstanceUID=uid, StudyInstanceUID=study, PatientID=name)
            rows.append([name, study, uid, str(file), file.name, "AB"[patient % 2]])
    files = pd.DataFrame(rows, columns=["patient_id", "study_id", "image_id", "path", "filename", "group"])
    files.drop_duplicates("patient_id")[["patient_id", "group"]].to_csv(folder / "labels.csv", index=False)
    api.preprocess(
        folder / "files", folder / "data", modality="any", labels=folder / "labels.csv", size=(20, 20), jobs=1
    )
    sources = pd.read_parquet(folder / "data.private" / "sources.parquet").set_index("path")["image_key"]
    return Made(Dataset.open(folder / "data"), files.assign(image_key=files["path"].map(sources)))


def vectors_of(files: pd.DataFrame, seed: int = 0, d: int = 4) -> np.ndarray:
    """Noise, and the class in the second number."""
    found = np.random.default_rng(seed).standard_normal((len(files), d)).astype(np.float32)
    found[:, 1] += 3.0 * (files["group"] == "B")
    return found


def parquet(file: Path, files: pd.DataFrame, columns: Sequence[str], vectors: np.ndarray) -> str:
    files[list(columns)].assign(vector=list(vectors)).to_parquet(file)
    return str(file)


def joined(made: Made, text: str, folder: Path, *, keys: Sequence[str] = (), salt: Path | None = None) -> Embedding:
    dataset = made.dataset
    archive = Archive(dataset, select_subjects(dataset, "group"), salt)
    found = join(open_vectors(text, keys), {"v": "0"}, archive, folder, Stop())
    found.build()
    return found


def expected(made: Made, vectors: np.ndarray, unit: str) -> np.ndarray:
    """Mean over the studies of the mean over their rows, in the order of the patients' keys; by patient the mean of all rows."""
    levels = ["patient_id"] if unit == "patient_id" else ["patient_id", "study_id"]
    means = pd.DataFrame(vectors.astype(np.float64), index=made.files.index).join(made.files[levels])
    for n in range(len(levels), 0, -1):
        means = means.groupby(levels[:n]).mean(numeric_only=True).reset_index()
    keys = made.dataset.index.set_index("image_key")["patient_key"]
    of = (
        made.files.assign(key=made.files["image_key"].map(keys))
        .drop_duplicates("patient_id")
        .set_index("patient_id")["key"]
    )
    order = np.argsort(means["patient_id"].map(of).to_numpy(dtype=str))
    return means[list(range(vectors.shape[1]))].to_numpy()[order]


@pytest.mark.parametrize("column", ["image_id", "image_key", "path", "filename", "study_id", "patient_id"])
def test_a_patients_vector_is_the_mean_over_studies_of_the_mean_over_images(
    made: Made, tmp_path: Path, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastrace.audit.readers.vectors.PIECE_BYTES", 8 * 4 * 11)  # pieces of eleven rows
    vectors = vectors_of(made.files)
    order = np.random.default_rng(1).permutation(len(vectors))
    found = joined(made, parquet(tmp_path / "v.parquet", made.files.iloc[order], [column], vectors[order]), tmp_path)
    np.testing.assert_allclose(found.table(), expected(made, vectors, column), atol=1e-6)
    assert found.subjects.keys.tolist() == sorted(set(made.dataset.index["patient_key"]))
    assert not found.few


def test_columns_of_numbers_are_read_some_at_a_time(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastrace.audit.readers.vectors.COLUMNS_AT_ONCE", 3)
    vectors = vectors_of(made.files, d=8)
    numbered = pd.DataFrame(vectors, columns=[f"f{n}" for n in range(8)])
    frame = pd.concat([numbered.assign(image_id=made.files["image_id"], race_code=1.0)] * 2)
    frame.to_parquet(tmp_path / "v.parquet")
    np.testing.assert_allclose(
        joined(made, str(tmp_path / "v.parquet"), tmp_path).table(), expected(made, vectors, "image_id"), atol=1e-6
    )
    frame.iloc[-1, 7] += 1
    frame.to_parquet(tmp_path / "v.parquet")
    with pytest.raises(UsageError, match="rows 192 and 384 name the same image and differ"):
        joined(made, str(tmp_path / "v.parquet"), tmp_path)


def test_names_of_files_are_found_without_folder_and_ending(made: Made, tmp_path: Path) -> None:
    vectors = vectors_of(made.files)
    files = made.files.assign(image=made.files["filename"].str.removesuffix(".dcm"))
    by_name = joined(made, parquet(tmp_path / "v.parquet", files, ["image"], vectors), tmp_path)
    np.testing.assert_allclose(by_name.table(), expected(made, vectors, "image_id"), atol=1e-6)


def test_rows_of_nobody_and_the_same_row_twice_change_nothing(made: Made, tmp_path: Path) -> None:
    vectors = vectors_of(made.files)
    more = pd.concat([made.files, made.files.iloc[:5], made.files.iloc[:3].assign(image_id=["", "1.2", None])])
    several = np.concatenate([vectors, vectors[:5], vectors[:3] + 9])
    found = joined(made, parquet(tmp_path / "v.parquet", more, ["image_id"], several), tmp_path)
    np.testing.assert_allclose(found.table(), expected(made, vectors, "image_id"), atol=1e-6)
    text = parquet(tmp_path / "w.parquet", more, ["image_id"], np.concatenate([vectors, vectors[:5] + 1, vectors[:3]]))
    with pytest.raises(UsageError, match="rows 1 and 193 name the same image and differ"):
        joined(made, text, tmp_path)


def test_images_without_a_vector_are_left_out_of_the_mean_and_of_the_count(made: Made, tmp_path: Path) -> None:
    keep = ~made.files["image_id"].str.endswith((".0", ".2")) | (made.files["patient_id"] < "MRN00040")
    part = Made(made.dataset, made.files[keep])
    vectors = vectors_of(part.files)
    found = joined(made, parquet(tmp_path / "v.parquet", part.files, ["image_id"], vectors), tmp_path)
    np.testing.assert_allclose(found.table(), expected(part, vectors, "image_id"), atol=1e-6)
    assert len(found.subjects) == PATIENTS
    assert len(found.subjects.cohort.rows) == keep.sum()


def other_salt(folder: Path) -> Path:
    (folder / "salt").write_bytes(bytes(32))
    return folder / "salt"


def test_ids_need_the_salt_of_the_dataset_and_keys_of_the_index_need_none(made: Made, tmp_path: Path) -> None:
    vectors = vectors_of(made.files)
    moved = tmp_path / "elsewhere"
    moved.symlink_to(made.dataset.path)  # beside which lies no private folder
    away = Made(Dataset.open(moved), made.files)
    salt = made.dataset.path.with_name("data.private") / "salt"
    for column in ("patient_id", "study_id", "image_id"):
        text = parquet(tmp_path / "v.parquet", made.files, [column], vectors)
        with pytest.raises(UsageError, match=r"--salt FILE|image_key of index\.parquet"):
            joined(away, text, tmp_path)
        with pytest.raises(UsageError, match="not the salt of"):
            joined(away, text, tmp_path, salt=other_salt(tmp_path))
        joined(away, text, tmp_path, salt=salt)
    joined(away, parquet(tmp_path / "v.parquet", made.files, ["image_key"], vectors), tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ids: [f"{one}.0" for one in ids], "more fit without '.0' behind numbers"),
        (lambda ids: [f" X{one[3:]}" for one in ids], "written like 'a99999'"),
        (lambda ids: [one if one > "MRN00043" else "" for one in ids], "20 of 64 patients (60 of 192 images)"),
        (
            lambda ids: [one if one[-1] in "13579" or one < "MRN00010" else "" for one in ids],
            "fewer than 11 patients of 'A'",
        ),
    ],
)
def test_ids_that_fit_few_patients_are_refused_and_not_shown(
    made: Made, tmp_path: Path, change: Any, words: str
) -> None:
    files = made.files.assign(patient_id=change(made.files["patient_id"]))
    text = parquet(tmp_path / "v.parquet", files, ["patient_id"], vectors_of(files))
    with pytest.raises(UsageError) as refused:
        joined(made, text, tmp_path)
    assert words in str(refused.value)
    assert "MRN" not in str(refused.value)


def test_another_column_that_would_fit_is_named(made: Made, tmp_path: Path) -> None:
    files = made.files.assign(study_id=range(len(made.files)))
    text = parquet(tmp_path / "v.parquet", files, ["study_id", "patient_id"], vectors_of(files))
    with pytest.raises(UsageError, match="column 'patient_id' as patient fits more: add --key patient=patient_id"):
        joined(made, text, tmp_path)
    joined(made, text, tmp_path, keys=["patient=patient_id"])


def test_a_name_that_several_files_have_is_refused(made: Made, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(made.dataset.path)
    (tmp_path / "data.private").mkdir()
    sources = pd.read_parquet(made.dataset.path.with_name("data.private") / "sources.parquet")
    sources["path"] = [f"/archive/{n}/IM1.dcm" for n in range(len(sources))]
    sources.to_parquet(tmp_path / "data.private" / "sources.parquet")
    files = pd.DataFrame(
        {"filename": ["IM1.dcm"] * len(sources), "path": [f"{n}/IM1.dcm" for n in range(len(sources))]}
    )
    same = Made(Dataset.open(tmp_path / "data"), files)
    vectors = np.ones((len(files), 2))
    with pytest.raises(UsageError, match="1 of its ids fit several files each"):
        joined(same, parquet(tmp_path / "v.parquet", files, ["filename"], vectors), tmp_path)
    assert len(joined(same, parquet(tmp_path / "v.parquet", files, ["path"], vectors), tmp_path).subjects) == PATIENTS


def patches(images: Any) -> dict[str, Any]:
    """A reader of two means; it changes its argument, which must change nothing for others."""
    images *= 2
    return {"features": images.flatten(1)[:, :2], "score": images.mean(dim=(1, 2, 3))}


def test_numbers_that_lost_the_zeros_before_them_are_refused_not_joined_in_part(tmp_path: Path) -> None:
    # Of patients 068 to 131 those from 100 on would have joined: half of an archive, and not a random one.
    names = [f"{number:03d}" for number in range(68, 132)]
    for number, name in enumerate(names):
        uid, study = f"1.2.826.9.{number}", f"1.2.826.8.{number}"
        write(tmp_path / "files" / f"x{number}.dcm", number, SOPInstanceUID=uid, StudyInstanceUID=study, PatientID=name)
    labels = pd.DataFrame({"patient_id": names, "group": ["A", "B"] * 32})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    made = api.preprocess(
        tmp_path / "files", tmp_path / "data", modality="any", labels=tmp_path / "labels.csv", size=(20, 20), jobs=1
    )
    dataset = Dataset.open(made.data)
    archive = Archive(dataset, select_subjects(dataset, "group"))
    vectors = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    for ids, digits in ((range(68, 132), 3), (names, 0)):
        table = pd.DataFrame({"patient_id": ids, **{f"v{k}": vectors[:, k] for k in range(3)}})
        table.to_parquet(tmp_path / "vectors.parquet")
        opened = open_vectors(str(tmp_path / "vectors.parquet"), ())
        if digits:
            with pytest.raises(UsageError, match=r"32 of 64 images have a vector, and more would with ids of 3 digits"):
                join(opened, {"vectors": ""}, archive, tmp_path, Progress())
        else:
            assert len(join(opened, {"vectors": ""}, archive, tmp_path, Progress()).subjects) == 64


@pytest.fixture(scope="module")
def audited(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, Path, list[str]]:
    """One of all patients by study, one of all but four by patient, and a function."""
    folder = tmp_path_factory.mktemp("audited")
    whole = parquet(folder / "whole.parquet", made.files, ["study_id"], vectors_of(made.files))
    people = made.files.drop_duplicates("patient_id").iloc[4:]
    np.save(folder / "most.npy", vectors_of(people, d=3))
    people[["patient_id"]].to_csv(folder / "most.csv", index=False)
    progress = Stop()
    wanted = request(
        made.dataset.path, folder / "audit", only=("Q1",), keep_work=True,
        readers=("test_embeddings:patches",), embeddings=(whole, str(folder / "most.npy")),
    )  # fmt: skip
    with fewer_permutations(99):
        return audit(wanted, progress=progress), folder, progress.lines


def test_each_is_a_reader_of_unchanged_images_with_its_own_patients(
    made: Made, audited: tuple[Audit, Path, list[str]]
) -> None:
    found, _, lines = audited
    cells = found.of("A1")
    assert [one.name for one in found.features] == ["built-in", "test_embeddings:patches", "whole", "most"]
    assert sorted(cell.features for cell in cells) == sorted(one.name for one in found.features)
    assert {cell.family for cell in cells} == {"primary"}
    whole, most = (found.of("A1", features=name)[0].estimate for name in ("whole", "most"))
    assert whole.value is not None
    assert whole.value > 0.95
    assert (whole.n_patients, whole.n_images) == (PATIENTS, 3 * PATIENTS)
    # Four patients have no vector: that number follows from no number shown.
    assert (most.n_patients, most.n_positive, most.n_images) == (None, None, None)
    assert most.value is not None
    assert found.questions[0].estimate == whole  # built-in and the function find nothing
    facts = {one.name: one for one in found.features}
    assert facts["whole"].dimensions == 4
    assert "whole.parquet (BLAKE2b " in facts["whole"].sees
    assert "60" not in facts["most"].evaluation
    assert facts["test_embeddings:patches"].dimensions == 2
    assert any("60 of 64 patients" in line for line in lines)  # the custodian may know
    assert any(limit.startswith("test_embeddings:patches, whole, most: made elsewhere") for limit in found.limits)


def test_vectors_that_lack_images_of_one_group_alone_give_no_answer(made: Made, tmp_path: Path) -> None:
    """The third image lies elsewhere than the others, in both groups; 26 of 32 patients of B have no vector of it.

    Without a control the means told the groups: p < .01 in 60 of 60 simulated archives without a signal.
    """
    files = made.files.reset_index(drop=True)
    vectors = np.random.default_rng(5).standard_normal((len(files), 4)).astype(np.float32)
    vectors[2::3] += 3
    people = dict.fromkeys(files["patient_id"][files["group"] == "B"])
    lacking = files["patient_id"].isin(list(people)[:26]) & (files.index % 3 == 2)
    some = np.flatnonzero(~lacking)
    text = parquet(tmp_path / "some.parquet", files.iloc[some], ["image_id"], vectors[some])
    whole = parquet(tmp_path / "whole.parquet", files, ["image_id"], vectors)
    wanted = request(made.dataset.path, tmp_path / "audit", only=("Q1",), embeddings=(text, whole))
    with fewer_permutations():
        found = audit(wanted)
    (cell,) = found.of("A1", features="some")
    assert cell.p is not None
    assert cell.p < 0.01
    assert (cell.finding, mark(cell), cell.estimate.sure) == (None, "coverage differs", False)
    (control,) = (one for one in found.controls if one.id == "coverage")
    assert [one.name for one in control.estimates] == ["some"]
    assert control.status == "for comparison"
    assert "it differs between the groups, so some gives no answer" in control.sentence
    assert found.questions[0].estimate == found.of("A1", features="built-in")[0].estimate  # it does not answer
    assert "coverage differs (which images or patients have a vector goes with the group" in found.questions[0].sentence
    assert "The reader some was asked of all patients; of 26 of them not all images have one." in found.limits
    assert mark(found.of("A1", features="whole")[0]) == "not shown"
    assert "coverage differs" in api.report(tmp_path / "audit").read_text()


def test_of_patients_without_a_vector_the_report_says_how_many_of_each_group(made: Made, tmp_path: Path) -> None:
    people = made.files.drop_duplicates("patient_id")
    kept = pd.concat([people[people["group"] == "A"], people[people["group"] == "B"].iloc[:20]])
    text = parquet(tmp_path / "v.parquet", kept, ["patient_id"], vectors_of(kept))
    found = joined(made, text, tmp_path)
    assert found.who == "the 52 of 64 patients who have a vector (A 32 of 32, B 20 of 32)"
    assert found.limit == f"The reader v was asked of {found.who}: it says nothing of the others."
    assert len(shares(found)) == 1


def test_which_views_a_patient_has_is_not_what_the_coverage_tells(made: Made, tmp_path: Path) -> None:
    """Else an archive where one group has a view more often would silence every embedding with a missing vector."""
    text = parquet(tmp_path / "v.parquet", made.files.iloc[1:], ["image_id"], vectors_of(made.files)[1:])
    found = joined(made, text, tmp_path)
    frame = found.everyone.cohort.frame
    views = np.where(found.everyone.labels[found.everyone.owner] == 0, "CC", "MLO")
    cohort = replace(found.everyone.cohort, frame=frame.assign(view=views))
    for one in shares(replace(found, everyone=replace(found.everyone, cohort=cohort))):
        assert np.bincount(one.level).min() == 1  # the patient of the one image, and all others


def test_nobody_and_no_folder_is_in_what_is_written(made: Made, audited: tuple[Audit, Path, list[str]]) -> None:
    found, folder, lines = audited
    named = [*made.files["patient_id"], *made.files["study_id"], *made.files["image_id"], *made.files["filename"]]
    documents = {"audit.json": found.to_json().decode(), "lines": "\n".join(lines)}
    for file in (folder / "audit").rglob("*"):
        if file.is_file():
            documents[file.name] = file.read_bytes().decode("latin1")
    for what, text in documents.items():
        assert not [one for one in named if one in text], what
    assert str(folder) not in documents["audit.json"]
    page = api.report(folder / "audit").read_text()
    assert "most.npy" in page
    assert not [one for one in named if one in page]
    assert "--embeddings whole.parquet --embeddings most.npy" in found.repeat
    assert {file.stat().st_mode & 0o077 for file in (folder / "audit").rglob("*")} == {0}


def test_another_file_is_not_resumed_with(made: Made, tmp_path: Path) -> None:
    text = parquet(tmp_path / "v.parquet", made.files, ["image_id"], vectors_of(made.files))
    wanted = request(made.dataset.path, tmp_path / "audit", only=("Q1",), embeddings=(text,))
    with fewer_permutations(99), pytest.raises(KeyboardInterrupt):
        audit(wanted, progress=Stop("cells", 2))
    parquet(tmp_path / "v.parquet", made.files, ["image_id"], vectors_of(made.files, seed=1))
    with pytest.raises(RunError, match="v: changed, added or left out since that audit began"):
        audit(wanted, resume=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"embeddings": ("v.parquet", "w/v.parquet")}, "there is a reader 'v' already"),
        ({"embeddings": ("w/built-in.parquet",)}, "there is a reader 'built-in' already"),
        ({"embeddings": ("v.parquet",), "key": ("patient=who",)}, "none of the files of --embeddings has that column"),
        ({"embeddings": ("v.parquet",), "key": ("patiant=who",)}, "a column names one of path, image"),
        ({"key": ("patient=who",)}, "name them with --embeddings FILE"),
        ({"embeddings": ("nowhere.parquet",)}, "no such file"),
    ],
)
def test_what_is_wrong_with_the_options_is_said_before_a_folder_is_made(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").mkdir()
    for name in ("v", "w/v", "w/built-in"):
        parquet(tmp_path / f"{name}.parquet", made.files, ["image_id"], vectors_of(made.files))
    with pytest.raises(UsageError) as refused:
        audit(request(made.dataset.path, tmp_path / "audit", **options))
    assert words in str(refused.value)
    assert not (tmp_path / "audit").exists()
    assert json.dumps(options)  # what a request holds can be written
