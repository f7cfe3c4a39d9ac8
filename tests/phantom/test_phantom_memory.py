"""Phantoms in memory: the same images and the same truth as the archive's, without a file."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from phantom_reader import dicom_files, display, read

from fastrace.errors import UsageError
from fastrace.phantom import PhantomSpec, Record, images, make, render, sample, truth, truth_path

SPEC = PhantomSpec(
    patients=14,
    images_per_patient=2,
    size=(128, 96),
    kind="patch",
    confounders=(("density", 0.8), ("age", 0.7), ("scanner", 0.7)),
    seed=3,
)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory") / "archive"
    make(folder, SPEC)
    return folder


def test_images_in_memory_are_those_that_a_reader_of_the_archive_shows(out):
    made = images(SPEC)
    assert made.images.dtype == np.float32
    assert made.images.shape == (28, 128, 96)
    of_patient = {}
    for patient, image in zip(made.patients, made.images, strict=True):
        of_patient.setdefault(patient, []).append(image)
    for path in dicom_files(out):
        ds = read(path)
        if "WindowCenter" in ds or "VOILUTSequence" in ds:
            meant = of_patient[ds.PatientID][int(ds.InstanceNumber) - 1]
            assert np.abs(display(ds) - meant).max() < 1e-4


def test_facts_of_the_images_are_those_of_headers_and_labels(out):
    made = images(SPEC)
    rows = dict(line.split(",", 1) for line in (out / "labels.csv").read_text().splitlines())
    headers = {(ds.PatientID, int(ds.InstanceNumber)): ds for ds in map(read, dicom_files(out))}
    for n, patient in enumerate(made.patients):
        ds = headers[patient, n % 2 + 1]
        assert rows[patient] == f"{made.groups[n]},{made.densities[n]:.2f}"
        assert int(ds.PatientAge[:3]) == made.ages_years[n]
        assert ds.Manufacturer == made.vendors[n]
        assert (ds.ImageLaterality, ds.ViewPosition) == (made.lateralities[n], made.views[n])


def test_the_truth_in_memory_is_the_truth_of_the_archive(out):
    found = json.loads(truth_path(out).read_text())
    assert json.loads(json.dumps(truth(SPEC))) == found
    record = Record(SPEC)
    images(SPEC, on_image=record.add)
    assert json.loads(json.dumps(record.truth())) == found


def test_without_observing_only_the_detector_is_missing():
    full, quick = truth(SPEC), truth(SPEC, observe=False)
    assert quick["observer"]["auc_image"] is None
    assert quick["observer"]["auc_patient"] is None
    assert {key: value for key, value in full.items() if key != "observer"} == {
        key: value for key, value in quick.items() if key != "observer"
    }


def test_images_come_one_by_one():
    stream = render(dataclasses.replace(SPEC, patients=2000, size=(1024, 768)))
    first = next(stream)  # 6 GB if all were made
    assert first.words.shape == (1024, 768)
    assert first.shown.max() <= 1


@pytest.mark.parametrize("modality", ["mammo", "cxr", "ct"])
@pytest.mark.parametrize("size", [(256, 256), (320, 320), (224, 224), (128, 128), (224, 336), (96, 65)])
def test_a_sample_has_the_requested_size_and_shows_a_body(modality, size):
    image = sample(modality, size)
    assert image.shape == size
    assert image.dtype == np.float32
    assert 0 <= image.min() < 0.02
    assert 0.5 < image.max() <= 1
    np.testing.assert_array_equal(image, sample(modality, size))
    assert (image != sample(modality, size, seed=1)).any()


def test_a_sample_breast_has_its_chest_wall_at_the_left():
    for seed in range(5):
        image = sample("mammo", (128, 128), seed)
        assert image[:, :20].mean() > 5 * image[:, -20:].mean()


def test_a_sample_that_is_too_small_is_refused_in_one_line():
    with pytest.raises(UsageError, match="at least 64 pixels"):
        sample("mammo", (32, 32))
