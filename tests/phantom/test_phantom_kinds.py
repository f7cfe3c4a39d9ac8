"""Kinds of leak: each differs between the groups where stated and nowhere else, and is as readable as its formula gives."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastrace.phantom import KINDS, PhantomSpec, ideal_auc, images, leaks, render, texture, truth
from fastrace.phantom.detector import auc, band_score, kurtosis_score
from fastrace.phantom.observer import ideal_auc_intensity, ideal_auc_patch, ideal_auc_phase, phase_log_ratio
from fastrace.phantom.patients import patients, shots
from fastrace.phantom.place import region_of
from fastrace.phantom.render import display_image

SIZE, BAND = (192, 144), (20.0, 40.0)


def small(kind, **changes):
    base = {"kind": kind, "patients": 12, "images_per_patient": 1, "size": SIZE, "seed": 7}
    return PhantomSpec(**{**base, **changes})


def pairs(spec):
    """Anatomy and display of each image of group B, with the leak and without, before storing."""
    control = replace(spec, strength=0.0)
    for patient in patients(spec):
        for shot in shots(spec, patient):
            if patient.group == "B":
                shown, anatomy = display_image(spec, patient, shot)
                yield patient, shot, anatomy, shown, display_image(control, patient, shot)[0]


def phase_fields(count, *, of_b):
    power = texture.leak_power(SIZE, BAND, 1.0)
    return np.stack(
        [
            leaks.phase_field(power, SIZE, np.random.default_rng(i), np.random.default_rng((1, i)) if of_b else None)
            for i in range(count)
        ]
    ).astype(np.float64)


def spectrum_features(shown):
    """Log power in rings and quarter turns of the whole image, as an outsider would compute it."""
    window = np.hanning(shown.shape[1])[:, None] * np.hanning(shown.shape[2])
    power = np.abs(np.fft.fft2((shown - shown.mean(axis=(1, 2), keepdims=True)) * window)) ** 2
    ky = np.fft.fftfreq(shown.shape[1])[:, None] * max(shown.shape[1:])
    kx = np.fft.fftfreq(shown.shape[2])[None, :] * max(shown.shape[1:])
    radius, turn = np.hypot(ky, kx), np.floor(np.mod(np.arctan2(ky, kx) + math.pi / 8, math.pi) / (math.pi / 4))
    edges = [2, 4, 8, 14, 20, 27, 33, 40, 50, 65, 90]
    rings = [(radius >= low) & (radius < high) for low, high in itertools.pairwise(edges)]
    return np.stack([np.log(power[:, ring & (turn == k)].mean(axis=1)) for ring in rings for k in range(4)], axis=1)


def probe_auc(features, groups):
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    return roc_auc_score(groups == "B", cross_val_predict(probe, features, groups, cv=5, method="decision_function"))


# --- phase


def test_the_power_of_a_phase_field_is_the_same_in_both_groups_coefficient_by_coefficient():
    a, b = (np.abs(np.fft.fft2(phase_fields(5, of_b=of_b))) ** 2 for of_b in (False, True))
    assert np.abs(a - b).max() < 1e-5 * a.max()  # float32 transforms
    assert np.abs(phase_fields(1, of_b=True) - phase_fields(1, of_b=False)).max() > 1e-3


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (81, 65)])
def test_a_phase_field_of_group_b_has_the_phases_of_its_dots_and_rayleigh_amplitudes(size):
    power = texture.leak_power(size, (8.0, 16.0), 1.0)
    ratios = []
    for seed in range(60):
        field = leaks.phase_field(power, size, np.random.default_rng(seed), np.random.default_rng((1, seed)))
        spectrum = np.fft.rfft2(field.astype(np.float64)) / field.size
        dots = np.fft.rfft2(leaks.dot_image(size, np.random.default_rng((1, seed))))
        # Inner columns are no conjugates of themselves; where the dots nearly cancel float32 has no phase.
        inside = (power > 0) & (np.abs(dots) > 0.1)
        inside[:, 0] = inside[:, -1] = False
        turned = spectrum[inside] * np.conj(dots[inside])
        assert np.abs(np.angle(turned)).max() < 1e-2
        ratios.append(np.abs(spectrum[inside]) ** 2 / power[inside])
    ratio = np.concatenate(ratios)
    assert ratio.mean() == pytest.approx(1.0, abs=5 / math.sqrt(ratio.size))
    assert stats.kstest(ratio, "expon").statistic < 2.5 / math.sqrt(ratio.size)


@pytest.mark.parametrize("size", [(512, 384), (64, 64), (81, 65), (64, 128)])
def test_dots_are_few_and_one_in_each_cell(size):
    image = leaks.dot_image(size, np.random.default_rng(0))
    rows, columns = leaks.dot_grid(size)
    assert image.sum() == rows * columns
    assert rows * columns == pytest.approx(leaks.DOTS_PER_SQUARE * size[0] * size[1] / max(size) ** 2, rel=0.25)


def test_group_b_is_spiky_and_group_a_is_gaussian():
    a, b = (stats.kurtosis(phase_fields(20, of_b=of_b), axis=(1, 2)) for of_b in (False, True))
    assert np.abs(a).max() < 0.5
    assert b.min() > 1.0


def test_power_cannot_separate_phases_that_kurtosis_separates():
    spec = small("phase", patients=200, size=(256, 192), seed=3)
    made = images(spec)
    of_power = probe_auc(spectrum_features(made.images), made.groups)
    of_band = auc([band_score(image, BAND) for image in made.images], made.groups == "B")
    of_peaks = auc([kurtosis_score(image, BAND) for image in made.images], made.groups == "B")
    assert of_power == pytest.approx(0.5, abs=0.125)  # three standard errors of 100 against 100
    assert of_band == pytest.approx(0.5, abs=0.125)
    assert of_peaks > 0.95


def test_the_same_probe_reads_texture_so_it_is_not_blind():
    made = images(small("texture", patients=100, size=(256, 192), strength=1.0, seed=3))
    assert probe_auc(spectrum_features(made.images), made.groups) > 0.9


@pytest.mark.parametrize("strength", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("point", [(-3.0, 0.5), (-0.2, 0.0), (0.0, 1.0), (0.7, -0.4), (2.5, 1.0)])
def test_the_log_ratio_of_a_phase_coefficient_is_that_of_the_integrated_densities(strength, point):
    x = complex(*point) * math.sqrt(1 + strength**2) / strength  # back from the units of the formula

    def joint(a):
        return 2 * a / strength**2 * math.exp(-((a / strength) ** 2)) * math.exp(-(abs(x - a) ** 2)) / math.pi

    of_b, _ = integrate.quad(joint, 0, math.inf, epsabs=0, epsrel=1e-9)
    of_a = math.exp(-(abs(x) ** 2) / (1 + strength**2)) / (math.pi * (1 + strength**2))
    value = phase_log_ratio(np.array(point[0]), np.array(point[1]))
    assert value == pytest.approx(math.log(of_b / of_a), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(("strength", "coefficients"), [(0.15, 200), (0.3, 100), (0.6, 40)])
def test_the_observer_of_phases_with_known_dots_is_what_drawing_the_coefficients_gives(strength, coefficients):
    rng = np.random.default_rng(5)
    shape = (8000, coefficients // 2)
    noise, amplitude = ((rng.normal(size=shape) + 1j * rng.normal(size=shape)) / math.sqrt(2) for _ in range(2))
    scores = []
    for field in (strength * amplitude, strength * np.abs(amplitude)):
        x = (field + noise) * strength / math.sqrt(1 + strength**2)
        scores.append(phase_log_ratio(x.real, x.imag).sum(axis=1))
    drawn = roc_auc_score(np.repeat([0, 1], shape[0]), np.concatenate(scores))
    known = ideal_auc_phase(strength, coefficients)
    assert 0.6 < known < 0.999
    assert known == pytest.approx(drawn, abs=0.018)  # four standard errors, and the sum of a few is not quite normal


# --- patch


@pytest.mark.parametrize("modality", ["mammo", "cxr"])
def test_a_patch_changes_its_region_and_nothing_else(modality):
    spec = small("patch", modality=modality, images_per_patient=2)
    top, bottom, left, right = spec.patch
    sides = set()
    for _, shot, _, shown, control in pairs(spec):
        changed = np.abs(shown - control) > 0
        if shot.laterality == "R":
            changed = changed[:, ::-1]
        sides.add(shot.laterality)
        rows, columns = np.nonzero(changed)
        assert (rows + 0.5).min() >= top * SIZE[0]
        assert (rows + 0.5).max() <= bottom * SIZE[0]
        assert (columns + 0.5).min() >= left * SIZE[1]
        assert (columns + 0.5).max() <= right * SIZE[1]
        assert changed.sum() > 0.5 * (bottom - top) * (right - left) * changed.size
    assert sides == ({"L", "R"} if modality == "mammo" else {"U"})


def test_a_patch_lies_in_its_band_but_for_what_its_edges_widen():
    ky, kx = np.fft.fftfreq(SIZE[0])[:, None] * SIZE[0], np.fft.fftfreq(SIZE[1])[None, :] * SIZE[0]
    radius = np.hypot(ky, kx)
    power = sum(
        np.abs(np.fft.fft2((shown - control).astype(float))) ** 2 for *_, shown, control in pairs(small("patch"))
    )
    widened = (radius >= BAND[0] - 8) & (radius < BAND[1] + 8)  # two waves of a region a quarter of the image wide
    assert power[widened].sum() > 0.97 * power.sum()


def test_a_patch_of_weight_one_is_as_readable_as_texture_and_none_not_at_all():
    for strength, coefficients in ((0.3, 400), (0.8, 20)):
        value = ideal_auc_patch(strength, np.array([coefficients / 4, 0.75 * coefficients]), np.ones(2))
        assert value == pytest.approx(ideal_auc(strength, coefficients), abs=0.007)  # four standard errors
    assert ideal_auc_patch(1.0, np.array([50.0]), np.zeros(1)) == 0.5
    assert ideal_auc_patch(0.0, np.array([50.0]), np.ones(1)) == 0.5


def test_a_weak_patch_is_read_in_its_place_nearly_as_well_as_possible_and_less_well_from_the_whole():
    spec = small("patch", patients=150, size=(256, 192), strength=0.7, seed=2)
    made = images(spec)
    found = truth(spec)
    whole = auc([band_score(image, BAND) for image in made.images], made.groups == "B")
    assert 0.85 < found["ideal_auc"] <= 1
    assert found["ideal_auc"] - 0.1 < found["observer"]["auc_image"] < found["ideal_auc"] + 0.03
    assert whole < found["observer"]["auc_image"]


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.floats(0, 0.6), st.floats(0.2, 0.4), st.floats(0, 0.6), st.floats(0.2, 0.4)),
    st.sampled_from(["mammo", "cxr"]),
    st.sampled_from([(96, 64), (64, 96), (65, 65)]),
)
def test_tiles_share_out_the_whole_patch_and_the_canvas_keeps_its_shape(place, modality, size):
    top, height, left, width = place
    patch = (top, top + height, left, left + width)
    region = region_of(size, patch, modality)
    assert np.sum(region["tile_share_3x3"]) == pytest.approx(1, abs=1e-3)
    canvas = region["canvas"]
    assert (canvas["bottom"] - canvas["top"]) * max(size) == pytest.approx(height * size[0], abs=1e-3)
    assert (canvas["right"] - canvas["left"]) * max(size) == pytest.approx(width * size[1], abs=1e-3)
    centre = [int(3 * (canvas[a] + canvas[b]) / 2) for a, b in (("top", "bottom"), ("left", "right"))]
    assert centre in region["tiles_3x3"]


# --- intensity


@pytest.mark.parametrize("modality", ["mammo", "cxr"])
def test_intensity_changes_brightness_by_the_stated_amount_of_a_smooth_feature_only(modality):
    spec = small("intensity", modality=modality)
    amount = leaks.intensity_amount(modality, spec.strength)
    assert (amount < 0) == (modality == "mammo")
    for _, _, anatomy, shown, control in pairs(spec):
        free = anatomy.exposed & (np.minimum(shown, control) > 0) & (np.maximum(shown, control) < 1)
        np.testing.assert_allclose((shown - control)[free], (amount * anatomy.feature)[free], atol=1e-6)
        assert free[anatomy.feature > 0.5].mean() > 0.97  # hardly a pixel is clipped
        assert 0 <= anatomy.feature.min() <= anatomy.feature.max() <= 1


@pytest.mark.parametrize("modality", ["mammo", "cxr"])
def test_intensity_is_not_seen_well_above_its_band(modality):
    spec = small("intensity", modality=modality, patients=150, seed=5)
    made = images(spec)
    # The edges of the lungs reach up to 20 cycles; 25:50 is compared with what lies between 10 and 24 and above 52.
    scores = [band_score(image, (25.0, 50.0)) for image in made.images]
    assert auc(scores, made.groups == "B") == pytest.approx(0.5, abs=0.145)  # three standard errors of 75 against 75


def test_the_band_of_intensity_holds_95_percent_of_the_energy_of_the_difference():
    spec = small("intensity")
    ky, kx = np.fft.fftfreq(SIZE[0])[:, None] * SIZE[0], np.fft.fftfreq(SIZE[1])[None, :] * SIZE[0]
    radius = np.hypot(ky, kx)
    energy = np.zeros(SIZE)
    for image in render(spec):
        energy += np.abs(np.fft.fft2(np.where(image.anatomy.exposed, image.anatomy.feature, 0).astype(float))) ** 2
    band = truth(spec, observe=False)["band"]
    assert band["low"] == 0
    held = energy[radius < band["high"]].sum() / energy.sum()
    less = energy[radius < band["high"] - 1].sum() / energy.sum()
    assert less < 0.95 <= held
    assert truth(replace(spec, strength=0.0), observe=False)["band"] == band


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0, 3.0, 4.0])
def test_ideal_auc_of_intensity_is_that_of_two_shifted_uniform_features(strength):
    rng = np.random.default_rng(1)
    a, b = rng.random(20_000), rng.random(20_000) + strength / math.sqrt(12)
    drawn = roc_auc_score(np.repeat([0, 1], 20_000), np.concatenate([a, b]))
    assert ideal_auc_intensity(strength) == pytest.approx(drawn, abs=0.012)  # four standard errors


# --- all kinds


@pytest.mark.parametrize("modality", ["mammo", "cxr"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_truth_and_is_read_at_its_default_strength(kind, modality):
    found = truth(small(kind, modality=modality, patients=60, size=(256, 192), seed=1))
    assert found["spec"]["kind"] == kind
    assert found["ideal_auc"] > 0.98
    assert 0.85 < found["observer"]["auc_patient"] <= 1
    assert found["observer"]["auc_image"] < found["ideal_auc"] + 0.02
    assert 0 <= found["band"]["low"] < found["band"]["high"] < 64  # seen at 128x128
    assert (found["region"] is None) == (kind != "patch")


@pytest.mark.parametrize("kind", KINDS)
def test_strength_0_is_the_same_control_for_every_kind(kind):
    spec = small(kind, strength=0.0, patients=8)
    np.testing.assert_array_equal(images(spec).images, images(replace(spec, kind="texture", patch=None)).images)
    found = truth(spec, observe=False)
    assert found["ideal_auc"] == pytest.approx(0.5, abs=1e-6)
    assert found["observer"]["auc_image"] is None


@pytest.mark.parametrize("kind", ["patch", "intensity"])
def test_group_a_is_left_alone_by(kind):
    spec = small(kind)
    made, control = images(spec), images(replace(spec, strength=0.0))
    changed = (made.images != control.images).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, made.groups == "B")
