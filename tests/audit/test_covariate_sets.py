"""Which columns are covariates, in which set, and which are kept apart and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import dataset_of_groups

from fastrace import api
from fastrace.audit.covariates.sets import Role, roles
from fastrace.audit.document import Audit
from fastrace.audit.subjects import select_subjects
from fastrace.dataset import Dataset
from fastrace.errors import UsageError

PATIENTS = 80
GROUPS = ["AB"[k % 2] for k in range(PATIENTS)]
RNG = np.random.default_rng(0)
LABELS = {
    "bmi": RNG.normal(27, 4, PATIENTS),
    "BreastDensity": list("aabbccdd" * 10),
    "effusion": ["yes", "no"] * 20 + ["no", "yes"] * 20,
    "insurance": ["private", "public", "none", "public"] * 20,
    "Marital_Status": ["single", "married", "married", "single"] * 20,
    "copy": ["east" if group == "A" else "west" for group in GROUPS],
    "seldom": [1.5 * k if k % 3 == 0 else np.nan for k in range(PATIENTS)],
    "same": ["x"] * PATIENTS,
    "site": ["s1"] * 40 + ["s2"] * 40,
}


def made(folder: Path, labels: Mapping[str, Sequence[Any]]) -> Dataset:
    columns = {
        "kvp": RNG.normal(30, 2, PATIENTS),
        "age_years": RNG.normal(50, 9, PATIENTS),
    }
    return dataset_of_groups(folder, groups=GROUPS, size=(8, 8), strength=0.0, columns=columns, labels=labels)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return made(tmp_path_factory.mktemp("sets") / "data", LABELS)


def found(dataset: Dataset, named: Sequence[str] = (), without: Sequence[str] = ()) -> dict[str, Role]:
    return {one.name: one for one in roles(select_subjects(dataset, "group"), dataset, named, without)}


def test_columns_are_known_by_their_names(dataset: Dataset) -> None:
    own = found(dataset)
    sets = {
        name: [one.name for one in own.values() if one.set == name and not one.apart]
        for name in ("acquisition", "body", "clinical")
    }
    assert set(sets["acquisition"]) >= {"kvp", "site"}
    assert set(sets["body"]) == {"age_years", "sex", "bmi", "BreastDensity"}
    assert sets["clinical"] == ["effusion"]
    assert "group" not in own
    assert "same" not in own
    assert [one.set for one in own.values()] == sorted(one.set for one in own.values())


def test_what_explains_nothing_is_kept_apart(dataset: Dataset) -> None:
    apart = {name: one.apart for name, one in found(dataset).items() if one.apart}
    assert apart.pop("copy") == "almost the attribute itself: its levels have one group alone"
    assert apart.pop("insurance") == apart.pop("Marital_Status") == "an attribute of persons, no cause of an image"
    assert apart.pop("seldom") == "known for less than 70 % of the patients of a group"
    assert not apart


def test_the_user_says_what_counts(dataset: Dataset) -> None:
    own = found(dataset, ["insurance:social", "seldom", "effusion:body"], ["bmi"])
    assert (own["insurance"].set, own["insurance"].apart) == ("social", "")
    assert (own["seldom"].set, own["seldom"].apart) == ("clinical", "")
    assert own["effusion"].set == "body"
    assert "bmi" not in own
    assert list(own)[-1] == "insurance"  # other sets come last


@pytest.mark.parametrize(
    ("named", "without", "words"),
    [
        (["weight"], [], "--covariate weight: no such column that may be a covariate; there are BreastDensity, "),
        ([], ["weight"], "--no-covariate weight: no such column that may be"),
        (["pixel_hash"], [], "--covariate pixel_hash: no such column that may be"),
        (["group"], [], "--covariate group: is the attribute that is audited"),
        (["same:body"], [], "has the same value for all patients"),
        (["bmi", "bmi:body"], [], "bmi is named twice"),
        (["bmi"], ["bmi"], "bmi is named twice"),
        (["bmi:"], [], "names no set"),
    ],
)
def test_what_cannot_be_is_refused(dataset: Dataset, named: list[str], without: list[str], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        found(dataset, named, without)
    assert words in str(refused.value)


@pytest.fixture(scope="module")
def audited(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder = tmp_path_factory.mktemp("audited") / "audit"
    return api.audit(
        dataset.path, folder, target="group", readers=(), only=("A1",), permutations=99, covariates=("seldom:lab",),
        no_covariate=("bmi",),
    )  # fmt: skip


def test_the_controls_name_sets_and_what_is_kept_apart(audited: Audit) -> None:
    control = {one.id: one for one in audited.controls}["covariates"]
    assert (
        "from body: age_years, sex, BreastDensity; clinical: effusion; lab: seldom (known for 27 of 80 patients)"
        in control.sentence
    )
    assert ". Kept apart: insurance (an attribute of persons, no cause of an image)" in control.sentence
    named = {one.name: one.estimate for one in control.estimates}
    assert next(iter(named)) == "all together"
    assert named["copy (kept apart)"].value == 1
    assert named["all together"].value is not None
    assert named["all together"].value < 0.8  # the copy is not among them
    assert "bmi" not in named


def test_the_command_and_the_document_have_them(audited: Audit) -> None:
    assert "--covariate seldom:lab --no-covariate bmi" in audited.repeat
    assert json.loads(audited.to_json())["arguments"]["covariates"] == ["seldom:lab"]


def test_a_table_of_nothing_but_attributes_is_no_covariate(tmp_path: Path) -> None:
    dataset = made(tmp_path / "data", {"language": ["en", "fr", "en", "de"] * 20})
    kept = {
        one.name for one in roles(select_subjects(dataset, "group"), dataset) if one.set == "clinical" and not one.apart
    }
    assert kept == set()
