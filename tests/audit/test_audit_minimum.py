"""`fastrace audit --plan`: what the patients that there are would let an audit find."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from planted import dataset_of_groups

from fastrace import api
from fastrace.audit.minimum import CROSS_FITTED, Scored, _noise, minima, patients_needed
from fastrace.audit.readers import sample
from fastrace.audit.subjects import select_subjects
from fastrace.cli.main import main

SMALL = {"size": (8, 8), "strength": 0.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dataset_of_groups(
        tmp_path_factory.mktemp("plan") / "data", groups={"A": 240, "B": 120, "rare": 4}, **SMALL
    ).path


def test_the_plan_names_patients_and_auc_and_makes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "audit"
    with pytest.raises(SystemExit) as stop:
        main(["audit", str(data), "--target", "group", "--out", str(out), "--plan"])
    assert not stop.value.code
    printed = capsys.readouterr().out
    assert "360 patients would be audited for group: A 240, B 120" in printed
    assert "fewer than 11 patients: a group of fewer than 11 patients" in printed
    assert not out.exists()
    shown = [float(text) for text in re.findall(r"from AUC (\.\d\d) on", printed)]
    assert len(shown) == 4  # either family, by cross-fitted readers and by the small network
    primary, small, exploratory, exploratory_small = shown
    assert 0.5 < primary < min(small, exploratory) < max(small, exploratory) < exploratory_small < 1
    assert printed.strip() == api.plan_audit(data, target="group").strip()


@pytest.mark.parametrize(
    ("sizes", "refitted"),
    [((850, 50, 50, 50), 0.0312), ((900, 50, 50), 0.0390), ((600, 300, 100), 0.0226)],
)
def test_noise_deviates_as_the_aucs_of_refitted_permutations_do(sizes: tuple[int, ...], refitted: float) -> None:
    """The second is the deviation of 600 refitted permutations, 20 features: its own error is 3 %."""
    assert CROSS_FITTED * _noise(np.array(sizes, dtype=float)) == pytest.approx(refitted, rel=0.05)


def test_the_plan_says_that_the_network_would_not_be_trained(tmp_path: Path) -> None:
    few = dataset_of_groups(tmp_path / "data", groups={"A": 60, "B": 39}, **SMALL).path
    planned = api.plan_audit(few, target="group")
    assert "The small network is not trained: the smallest class has 39 patients, and 40 are needed" in planned
    assert "the small network (" not in planned
    audit = api.audit(few, tmp_path / "audit", target="group", readers=("small",), only=("A1",), permutations=99)
    assert audit.limits[0].startswith("The small network is not trained")


def test_what_is_read_of_some_patients_alone_is_planned_with_them(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> dict[str, float]:
        lines = api.plan_audit(data, target="group").splitlines()
        found = (re.fullmatch(r"  (.+): from AUC (\.\d\d) on", line) for line in lines)
        return {one[1].split(", ", 1)[1]: float(one[2]) for one in found if one and "further" in one[1]}

    every = shown()
    monkeypatch.setattr(sample, "OTHER", 100)
    monkeypatch.setattr(sample, "NETWORKS", 100)
    some = shown()
    assert some["cross-fitted readers"] == every["cross-fitted readers"]
    assert some["coarser and noisy images of 200 patients, built-in features"] > every["cross-fitted readers"]
    assert some["the small network (60 patients)"] > every["the small network (30 % of the patients)"]


def test_fewer_questions_need_less(data: Path) -> None:
    scored = [Scored("readers", np.array([240.0, 120.0]), 1.4)]
    one, many = (minima("", "primary", tests, scored)[0] for tests in (1, 20))
    assert one.auc < many.auc
    assert one.alpha == pytest.approx(0.01)
    assert many.alpha == pytest.approx(0.0005)


def test_the_patients_needed_are_those_that_would_find_it(data: Path) -> None:
    subjects = select_subjects(api.Dataset.open(data), "group")
    (here,) = minima("", "primary", 2, [Scored("readers", np.array([240.0, 120.0]), 1.4)])
    assert patients_needed(subjects, here, here.auc) == pytest.approx(360, abs=4)
    more, most = (patients_needed(subjects, here, auc) for auc in (0.6, 0.55))
    assert more is not None
    assert most is not None
    assert 3 < most / more < 5  # half of the distance to one half: four times the patients
    assert patients_needed(subjects, here, 0.5) is None


def test_too_few_patients_are_said_before_an_audit(tmp_path: Path) -> None:
    data = dataset_of_groups(tmp_path / "data", groups={"A": 40, "B": 20}, **SMALL).path
    assert "not enough evidence: 20 patients of the smallest class, 30 are needed" in api.plan_audit(data)
