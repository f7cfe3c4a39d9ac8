"""A small network that learned nothing is no evidence of absence, and the audit says so."""

from __future__ import annotations

import msgspec
import pytest
import torch
from audit_archives import Finished, finish
from planted import dataset_of_groups

from fastrace.audit import document
from fastrace.audit.marks import LEARNED_NOTHING, mark, silenced
from fastrace.audit.readers.small import EPOCHS, FEWEST_EPOCHS, NAME, epochs_for, training
from fastrace.report import write


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Labels without meaning; 31 patients of each class are scored by the small network."""
    torch.set_num_threads(1)  # before `one_thread`, which comes with the tests
    folder = tmp_path_factory.mktemp("noise")
    dataset = dataset_of_groups(folder / "data", groups={"A": 105, "B": 105}, size=(32, 32), strength=0)
    return finish(folder, dataset, readers=("small",), only=("Q1",))


def test_a_network_that_learned_nothing_is_not_shown_as_evidence_of_absence(noise: Finished) -> None:
    found = document.read(noise.out)
    facts = found.features[1]
    assert facts.training is not None
    assert not facts.training.learned
    sentence = facts.training.sentence
    assert sentence.startswith(f"the {NAME} learned nothing here (validation AUC .")
    assert sentence.endswith("): its cells are no evidence of absence")
    assert sentence in found.limits
    built_in, small = found.of("A1")
    assert (mark(built_in), mark(small)) == ("not shown", LEARNED_NOTHING)
    assert found.questions[0].sentence.endswith(f", {LEARNED_NOTHING}")


def test_its_report_says_it_where_the_number_stands(noise: Finished) -> None:
    page = write(noise.out).read_text()
    assert "<dt>training</dt><dd><strong>The small CNN learned nothing here" in page
    assert page.count("learned nothing") >= 4  # first page, table of Q1, features, limits


def test_a_finding_stands_whatever_the_validation_patients_said(noise: Finished) -> None:
    found = document.read(noise.out)
    small = msgspec.structs.replace(found.of("A1")[1], finding=True)
    small = msgspec.structs.replace(small, estimate=msgspec.structs.replace(small.estimate, status="ok"))
    assert silenced(small, found.features) is small


@pytest.mark.parametrize(("patients", "shown"), [(300, 300), (20, None)])
def test_few_validation_patients_are_not_counted(patients: int, shown: int | None) -> None:
    estimate = {
        "value": 0.7, "low": 0.6, "high": 0.8, "n_patients": patients, "n_positive": 9, "n_images": patients,
        "unit": "patient", "method": "logit DeLong", "status": "ok",
    }  # fmt: skip
    losses = {"validation_loss": 0.6, "training_loss": 0.5, "guessing_loss": 0.69}
    found = training({"anything": True, "validation": estimate, **losses})
    assert (found.validation.n_patients, found.validation.n_images) == (shown, shown)
    assert found.validation.n_positive is None
    assert found.learned


def test_large_archives_are_trained_on_for_fewer_epochs() -> None:
    assert [epochs_for(images) for images in (100, 2_000, 6_000, 1_000_000)] == [EPOCHS, EPOCHS, 5, FEWEST_EPOCHS]
