"""Confounders: as strong as requested in the population, seen where stated, and independent of the leak."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phantom_reader import dicom_files, read, stored_words
from scipy import integrate, stats
from sklearn.metrics import roc_auc_score

from fastrace.phantom import PhantomSpec, images, make, truth, truth_path
from fastrace.phantom.confounders import normal_shift, vendor_shares
from fastrace.phantom.patients import patients, shots

SMALL = {"patients": 40, "images_per_patient": 1, "size": (96, 72), "band_cycles": (10.0, 20.0), "seed": 4}


def many(*confounders, prevalence=0.4):
    return PhantomSpec(**{**SMALL, "patients": 6000}, confounders=confounders, prevalence=prevalence)


def auc_of(values, drawn):
    return roc_auc_score([patient.group == "B" for patient in drawn], values)


@pytest.mark.parametrize("auc", [0.5, 0.6, 0.75, 0.9, 0.99])
def test_normal_shift_gives_the_auc(auc):
    shift = normal_shift(auc)
    value, _ = integrate.quad(lambda z: stats.norm.pdf(z - shift) * stats.norm.cdf(z), -10, 15)
    assert value == pytest.approx(auc, abs=1e-7)


@given(st.floats(0.5, 0.9999))
def test_vendor_shares_give_the_auc_and_mirror_each_other(auc):
    of_a, of_b = vendor_shares(auc)
    value = sum(of_b[j] * (of_a[:j].sum() + 0.5 * of_a[j]) for j in range(3))
    assert value == pytest.approx(auc, abs=1e-9)
    assert of_a.sum() == pytest.approx(1)
    np.testing.assert_allclose(of_a, of_b[::-1])
    assert (np.diff(of_b / of_a) >= -1e-9).all()  # vendor number is the order of the likelihood ratio


@pytest.mark.parametrize("auc", [0.5, 0.7, 0.9])
def test_density_separates_the_groups_with_the_requested_auc(auc):
    drawn = patients(many(("density", auc)))
    assert auc_of([patient.density for patient in drawn], drawn) == pytest.approx(auc, abs=0.03)  # four standard errors


@pytest.mark.parametrize("auc", [0.5, 0.7, 0.9])
def test_age_separates_the_groups_with_the_requested_auc(auc):
    spec = many(("age", auc))
    drawn = patients(spec)
    ages = [shots(spec, patient)[0].age_years for patient in drawn]
    assert auc_of(ages, drawn) == pytest.approx(auc, abs=0.03)
    assert (min(ages), max(ages)) >= (30, 40)
    assert max(ages) <= 89


@pytest.mark.parametrize("auc", [0.5, 0.7, 0.95])
def test_the_vendor_separates_the_groups_with_the_requested_auc_by_quota(auc):
    drawn = patients(many(("scanner", auc)))
    assert auc_of([int(patient.convention.vendor[-1]) for patient in drawn], drawn) == pytest.approx(auc, abs=1e-3)
    for group in "AB":  # conventions of a vendor alike, whatever the vendor's share
        for vendor in range(3):
            own = [p.convention for p in drawn if p.group == group and p.convention.vendor == f"Vendor {vendor + 1}"]
            counts = [sum(convention is other for other in own) for convention in set(own)]
            assert max(counts, default=0) - min(counts, default=0) <= 1


def test_confounders_do_not_depend_on_each_other_within_a_group():
    spec = many(("density", 0.8), ("age", 0.8), ("scanner", 0.8))
    drawn = [patient for patient in patients(spec) if patient.group == "A"]
    columns = [
        [patient.density for patient in drawn],
        [shots(spec, patient)[0].age_years for patient in drawn],
        [int(patient.convention.vendor[-1]) for patient in drawn],
    ]
    correlation = np.corrcoef(columns)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 4 / math.sqrt(len(drawn))


def test_no_confounder_no_column_and_density_one_column_more(tmp_path):
    for name, confounders in (("plain", ()), ("dense", (("density", 0.8),))):
        make(tmp_path / name, PhantomSpec(**{**SMALL, "patients": 6}, confounders=confounders))
    rows = {name: list(csv.DictReader((tmp_path / name / "labels.csv").open())) for name in ("plain", "dense")}
    assert list(rows["plain"][0]) == ["patient_id", "group"]
    assert list(rows["dense"][0]) == ["patient_id", "group", "density"]
    assert [row["group"] for row in rows["dense"]] == [row["group"] for row in rows["plain"]]
    assert all(10 < float(row["density"]) < 90 for row in rows["dense"])
    found = json.loads(truth_path(tmp_path / "dense").read_text())["confounders"]
    assert [(one["name"], one["auc"]) for one in found] == [("density", 0.8)]
    assert 0 <= found[0]["auc_in_archive"] <= 1


def test_age_shows_in_the_header_and_in_nothing_else(tmp_path):
    spec = {**SMALL, "patients": 8}
    make(tmp_path / "plain", PhantomSpec(**spec))
    make(tmp_path / "old", PhantomSpec(**spec, confounders=(("age", 0.95),)))
    changed = 0
    for path in dicom_files(tmp_path / "plain"):
        ds, other = read(path), read(tmp_path / "old" / path.relative_to(tmp_path / "plain"))
        changed += ds.PatientAge != other.PatientAge
        other.PatientAge = ds.PatientAge
        assert ds == other
    assert changed >= 6
    assert (tmp_path / "plain" / "labels.csv").read_bytes() == (tmp_path / "old" / "labels.csv").read_bytes()


@pytest.mark.parametrize("modality", ["mammo", "cxr"])
def test_density_makes_the_image_brighter_and_its_noise_no_different(modality):
    spec = PhantomSpec(**SMALL, modality=modality, strength=0, confounders=(("density", 0.5),))
    plain = images(PhantomSpec(**SMALL, modality=modality, strength=0))
    dense = images(spec)
    difference = dense.images - plain.images
    assert np.corrcoef(difference.mean(axis=(1, 2)), dense.densities)[0, 1] > 0.9
    power = (np.abs(np.fft.fft2(difference)) ** 2).mean(axis=0)
    ky, kx = np.fft.fftfreq(96)[:, None] * 96, np.fft.fftfreq(72)[None, :] * 96
    # What is left there is the rounding of the stored words and a few clipped pixels.
    assert power[np.hypot(ky, kx) > 24].sum() < 1e-3 * power.sum()


def test_scanner_changes_how_pixels_are_stored_and_not_what_they_show():
    spec = PhantomSpec(**SMALL, confounders=(("scanner", 0.9),))
    plain, tilted = images(PhantomSpec(**SMALL)), images(spec)
    assert np.abs(plain.images - tilted.images).max() < 0.01  # a stored step or two
    found = truth(spec, observe=False)["confounders"][0]
    assert found["auc_in_archive"] == pytest.approx(0.9, abs=0.05)  # 20 patients a group: quotas in whole patients
    in_images = roc_auc_score(tilted.groups == "B", [int(name[-1]) for name in tilted.vendors])
    assert in_images == pytest.approx(found["auc_in_archive"])


def test_the_leak_of_a_confounded_phantom_is_the_same_leak(tmp_path):
    spec = {**SMALL, "patients": 6}
    make(tmp_path / "a", PhantomSpec(**spec, confounders=(("age", 0.7),)))
    make(tmp_path / "b", PhantomSpec(**spec))
    for path in dicom_files(tmp_path / "a"):
        other = read(tmp_path / "b" / path.relative_to(tmp_path / "a"))
        np.testing.assert_array_equal(stored_words(read(path)), stored_words(other))
