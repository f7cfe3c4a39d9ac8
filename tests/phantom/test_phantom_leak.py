"""The leak: in its band and nowhere else, as strong as stated, and as readable as the formula gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom_reader import dicom_files, display, read
from sklearn.metrics import roc_auc_score

from fastrace.phantom import PhantomSpec, ideal_auc, images, observer_auc, render, texture
from fastrace.phantom.detector import auc, band_score, interior
from fastrace.phantom.observer import coefficients_in_band, effective_share


def radius_by_hand(size):
    """Radius in cycles along the long side, full DFT, without the module's own grid."""
    height, width = size
    ky = np.round(np.fft.fftfreq(height) * height)[:, None]
    kx = np.round(np.fft.fftfreq(width) * width)[None, :]
    return np.hypot(ky / height, kx / width) * max(size)


def spectrum_through(weight, image):
    values = image - np.average(image, weights=weight)
    return np.abs(np.fft.fft2(values * weight)) ** 2


def display_images(spec):
    """Images as shown and their groups, without the detour over files."""
    made = images(spec)
    return made.images, made.groups


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (81, 65), (64, 64)])
def test_texture_has_the_power_law_and_the_rms_it_names(size):
    rng = np.random.default_rng(0)
    fields = np.stack([texture.gaussian_field(texture.tissue_power(size), size, rng) for _ in range(200)])
    assert fields.std() == pytest.approx(texture.TEXTURE_RMS, rel=0.02)
    assert abs(fields.mean()) < 1e-6
    power = (np.abs(np.fft.fft2(fields)) ** 2).mean(axis=0)
    radius = radius_by_hand(size)
    shells = [power[(radius >= low) & (radius < 1.2 * low)].mean() for low in (8, 16, 24)]
    slope = np.polyfit(np.log([8, 16, 24]), np.log(shells), 1)[0]
    assert slope == pytest.approx(-3, abs=0.25)  # the corner at 3 cycles flattens the low end


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (81, 65)])
def test_leak_field_is_zero_outside_its_ring(size):
    field = texture.gaussian_field(texture.leak_power(size, (10.0, 20.0), 1.0), size, np.random.default_rng(1)).astype(
        np.float64
    )
    power = np.abs(np.fft.fft2(field)) ** 2
    radius = radius_by_hand(size)
    inside = (radius >= 10) & (radius < 20)
    assert power[inside].sum() > (1 - 1e-9) * power.sum()
    assert (power[inside] > 0).all()


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (81, 65), (64, 64)])
def test_coefficients_are_those_of_the_full_transform(size):
    radius = radius_by_hand(size)
    assert coefficients_in_band(size, (7.5, 15.5)) == int(((radius >= 7.5) & (radius < 15.5)).sum())


def test_what_is_added_to_group_b_lies_in_the_band(archive, control):
    """Same seed with and without: the difference of the two displays is the leak through mask, rounding and clipping."""
    low, high = archive.spec.band_cycles
    radius = radius_by_hand(archive.spec.size)
    with_leak = np.zeros(archive.spec.size)
    for path in dicom_files(archive.out):
        ds = read(path)
        if "VOILUTSequence" not in ds and "WindowCenter" not in ds:
            continue
        difference = display(ds) - display(read(control.out / path.relative_to(archive.out)))
        with_leak += np.abs(np.fft.fft2(difference)) ** 2
    # The tissue mask is as wide as the breast, so it spreads each wave over a few cycles.
    widened = (radius >= low - 4) & (radius < high + 4)
    assert with_leak[widened].sum() > 0.97 * with_leak.sum()
    assert with_leak[(radius < low / 2) | (radius > 1.5 * high)].sum() < 0.01 * with_leak.sum()


@pytest.mark.parametrize("modality", ["mammo", "cxr"])
def test_group_b_has_one_plus_strength_squared_the_power_in_the_band_and_the_same_beside_it(modality):
    spec = PhantomSpec(modality=modality, patients=80, images_per_patient=1, size=(256, 192), strength=1.0, seed=4)
    shown, groups = display_images(spec)
    low, high = spec.band_cycles
    radius = radius_by_hand(spec.size)
    # Away from the edges of the ring by what the window of the measurement smears.
    rings = {"inside": (low + 3, high - 3), "below": (low - 12, low - 5), "above": (high + 5, high + 30)}
    mean = {}
    for group in "AB":
        total = {name: [] for name in rings}
        for image in (image for image, of in zip(shown, groups, strict=True) if of == group):
            power = spectrum_through(interior(image), image)
            reference = power[(radius >= high + 10) & (radius < 80)].mean()  # takes out area and contrast
            for name, (first, last) in rings.items():
                total[name].append(power[(radius >= first) & (radius < last)].mean() / reference)
        mean[group] = {name: np.exp(np.mean(np.log(values))) for name, values in total.items()}
    ratio = {name: mean["B"][name] / mean["A"][name] for name in rings}
    assert ratio["inside"] == pytest.approx(2.0, rel=0.08)
    assert ratio["below"] == pytest.approx(1.0, abs=0.12)
    assert ratio["above"] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("strength", "coefficients"), [(0.0, 50), (0.3, 50), (0.3, 400), (0.8, 20)])
def test_ideal_auc_is_what_drawing_the_coefficients_gives(strength, coefficients):
    rng = np.random.default_rng(3)
    draws = 20_000
    energy_a = rng.chisquare(coefficients, draws)
    energy_b = (1 + strength**2) * rng.chisquare(coefficients, draws)
    drawn = roc_auc_score(np.repeat([0, 1], draws), np.concatenate([energy_a, energy_b]))
    assert ideal_auc(strength, coefficients) == pytest.approx(drawn, abs=0.012)  # four standard errors


def test_ideal_auc_is_what_the_whitened_band_energy_of_drawn_fields_gives():
    size, band, strength = (64, 64), (8.0, 12.0), 0.35
    background = texture.tissue_power(size)
    quantum = 0.5 * texture.quantum_rms(size) ** 2 / (size[0] * size[1])
    radius = radius_by_hand(size)
    inside = (radius >= band[0]) & (radius < band[1])
    expected = np.interp(radius[inside], *_power_by_radius(size, background + quantum))
    rng = np.random.default_rng(8)
    scores = {"A": [], "B": []}
    for group, values in scores.items():
        for _ in range(600):
            field = texture.gaussian_field(background + quantum, size, rng)
            if group == "B":
                field = field + texture.gaussian_field(texture.leak_power(size, band, strength), size, rng)
            values.append(float((np.abs(np.fft.fft2(field))[inside] ** 2 / expected).sum()))
    drawn = roc_auc_score([0] * 600 + [1] * 600, scores["A"] + scores["B"])
    known = ideal_auc(strength, coefficients_in_band(size, band))
    assert 0.75 < known < 0.9
    assert known == pytest.approx(drawn, abs=0.045)  # four standard errors of 600 + 600 scores


def _power_by_radius(size, power):
    radius = texture.radius_cycles(size).ravel()
    order = np.argsort(radius)
    return radius[order], power.ravel()[order]


@settings(deadline=None)
@given(st.floats(0, 5), st.floats(1, 5000))
def test_ideal_auc_lies_between_chance_and_certainty_and_grows_with_strength(strength, coefficients):
    value = ideal_auc(strength, coefficients)
    assert 0.5 - 1e-9 <= value <= 1
    assert ideal_auc(strength + 0.1, coefficients) >= value - 1e-9
    assert ideal_auc(0.0, coefficients) == pytest.approx(0.5, abs=1e-6)


def test_a_mask_of_ones_keeps_all_coefficients_and_half_a_mask_half():
    assert effective_share(np.ones((8, 8), np.float32)) == pytest.approx(1.0)
    half = np.ones((8, 8), np.float32)
    half[:, 4:] = 0
    assert effective_share(half) == pytest.approx(0.5)


@pytest.mark.parametrize("modality", ["mammo", "cxr"])
def test_a_weak_leak_is_read_after_display_almost_as_well_as_the_ideal_observer_reads_it(modality):
    spec = PhantomSpec(modality=modality, patients=150, images_per_patient=1, size=(192, 144), strength=0.3, seed=2)
    shown, groups = display_images(spec)
    mask = next(render(spec)).anatomy.mask
    known = ideal_auc(spec.strength, coefficients_in_band(spec.size, spec.band_cycles) * effective_share(mask))
    found = observer_auc(shown, groups, spec.band_cycles)
    assert 0.88 < known < 0.995
    assert 0.78 < found < known + 0.03


@pytest.mark.parametrize("modality", ["mammo", "cxr"])
def test_a_control_phantom_cannot_be_read(modality):
    spec = PhantomSpec(modality=modality, patients=200, images_per_patient=1, size=(128, 96), strength=0.0, seed=9)
    shown, groups = display_images(spec)
    assert observer_auc(shown, groups, spec.band_cycles) == pytest.approx(0.5, abs=0.125)  # three standard errors
    assert ideal_auc(spec.strength, 1000) == pytest.approx(0.5)


def test_the_default_leak_is_found_in_its_band_and_not_in_others():
    spec = replace(PhantomSpec(patients=60, images_per_patient=1, size=(256, 192), seed=3), strength=1.5)
    shown, groups = display_images(spec)
    assert observer_auc(shown, groups, spec.band_cycles) > 0.99
    # 105:115 is compared with what lies between 42 and 100 and above 121, clear of the planted 20:40.
    assert observer_auc(shown, groups, (105.0, 115.0)) == pytest.approx(0.5, abs=0.2)


def test_auc_agrees_with_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(0, 6, 200), rng.integers(0, 2, 200)
    assert auc(scores, truth == 1) == pytest.approx(roc_auc_score(truth, scores))


def test_auc_of_one_group_is_refused():
    with pytest.raises(ValueError, match="both groups"):
        auc([1.0, 2.0], [True, True])


def test_an_image_without_tissue_is_refused():
    with pytest.raises(ValueError, match="no tissue"):
        band_score(np.zeros((96, 96), np.float32), (8, 16))
