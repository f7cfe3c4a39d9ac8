"""The studies of archives without a signal with few draws: what they count, what they keep, and that they can fail."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import dataset_of_groups

from fastrace.audit.readers.rings import FAMILIES
from fastrace.audit.request import LEAST_OF_A_CLASS, AuditRequest
from fastrace.bench.studies import blocks, null_archives, null_features, null_tables
from fastrace.bench.studies.level import SHARES
from fastrace.bench.studies.null_features import Images, draw, images_of
from fastrace.bench.studies.null_tables import most_expected, row_of, verdict
from fastrace.bench.studies.uniform import sequential_steps, steps, uniformity
from fastrace.dataset import Dataset
from fastrace.phantom import PhantomSpec
from fastrace.statistics import MIN_CLASS_PATIENTS, sequential_p
from fastrace.statistics.permutation import ENOUGH

SEED = 3
DRAWS = 199  # permutations: 1 / 200 is below .01


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small archives, one a block, and few permutations."""
    monkeypatch.setattr(null_features, "MOST", 300)
    monkeypatch.setattr(null_features, "WIDEST", 128)
    monkeypatch.setattr(null_tables, "BLOCK", 1)
    monkeypatch.setattr(null_tables, "PERMUTATIONS", DRAWS)
    monkeypatch.setattr(null_archives, "PERMUTATIONS", 99)
    monkeypatch.setattr(null_archives, "WITH_NETWORK", 0)


def never(*_: object, **__: object) -> Any:
    raise AssertionError("simulated again")


def built_in(rng: np.random.Generator, n: int = 320) -> Images:
    """Features with the families of the built-in ones."""
    group = np.repeat(np.array(FAMILIES), 6)
    table = rng.standard_normal((n, len(group))).astype(np.float32)
    return Images("drawn", table, group, table[:, :36], group[:36], rng.integers(1, 3, n))


@pytest.mark.usefixtures("few")
def test_a_study_of_tables_is_shared_by_processes_and_keeps_what_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pages(*arguments: str) -> str:
        null_tables.main(["--tables", "3", "--keep", str(tmp_path), *arguments])
        return capsys.readouterr().out

    null_tables.main(["--tables", "3", "--keep", str(tmp_path), "--first", "1", "--step", "2", "--write"])
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith("1 of 3 tables are finished: no page yet\n")
    assert "\n1 archives whose features know nothing" in pages("--first", "1", "--step", "2")
    assert "\n3 archives whose features know nothing" in pages("--first", "0", "--step", "2")
    monkeypatch.setattr(null_tables, "draw", never)
    found = pages()
    assert "A primary finding: **0** of 3 (at most" in found
    assert len(list(tmp_path.glob(f"null_tables-drawn-{DRAWS}-*.json"))) == 3
    monkeypatch.setattr(null_tables, "PERMUTATIONS", DRAWS + 1)
    with pytest.raises(AssertionError, match="simulated again"):
        pages()  # other permutations are another study


@pytest.mark.usefixtures("few")
def test_the_same_block_gives_the_same_rows() -> None:
    assert null_tables.tables([], DRAWS, 4) == null_tables.tables([], DRAWS, 4)


@pytest.mark.usefixtures("few")
def test_a_leak_in_a_table_is_a_primary_finding_by_the_same_path() -> None:
    archive = draw(np.random.default_rng(SEED), [])
    assert row_of(archive, SEED, DRAWS)["primary"] == 0
    found = row_of(archive.leaking(3.0), SEED, DRAWS)
    assert found["primary"] == 1
    assert found["p"][0] == 1 / (DRAWS + 1)
    assert found["holds"] is False
    assert found["control"] > null_tables.FAILS_BELOW


@pytest.mark.usefixtures("few")
def test_families_of_built_in_features_are_exploratory_and_a_leak_in_one_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(null_features, "FROM_IMAGES", 1.0)
    monkeypatch.setattr(null_features, "MORE_READERS", 1.0)
    archive = draw(np.random.default_rng(SEED), [built_in(np.random.default_rng(1))])
    assert archive.kind == "drawn"
    assert archive.shuffled.table.shape[1] == 36
    found = null_tables.audited(archive.leaking(3.0), SEED, DRAWS)
    primary = [one.cell for one in found if one.cell.family == "primary"]
    assert [cell.features for cell in primary] == [one.name for one in archive.readers]
    assert [bool(cell.finding) for cell in primary] == [True] + [False] * (len(primary) - 1)
    assert [one.cell.parts for one in found if one.cell.finding and one.cell.family == "exploratory"] == [
        (FAMILIES[0],)
    ]
    # Holm: a cell of several has its p times what is left to test.
    assert primary[0].p is not None
    assert primary[0].p_adjusted == pytest.approx(len(primary) * primary[0].p)


@pytest.mark.parametrize("kind", null_features.KINDS)
def test_features_have_the_shape_asked_for_and_no_undefined_number(kind: str) -> None:
    table = null_features.KINDS[kind](np.random.default_rng(0), 210, 130)
    assert table.shape == (210, 130)
    assert table.dtype == np.float32
    assert np.isfinite(table).all()


def test_an_archive_could_be_a_finding_in_every_reader() -> None:
    rng = np.random.default_rng(SEED)
    source = built_in(rng)
    for _ in range(15):
        archive = draw(rng, [source])
        assert len(archive.readers[0].patients) == len(archive.labels) >= null_features.LEAST
        for reader in archive.readers:
            assert len(reader.table) == len(reader.patients)
            of_class = np.bincount(archive.labels[reader.patients], minlength=len(SHARES[archive.shares]))
            assert of_class.min() >= MIN_CLASS_PATIENTS
        subjects = archive.subjects(archive.readers[-1].patients)
        assert (np.diff(subjects.owner) >= 0).all()
        assert np.bincount(subjects.owner, subjects.weight) == pytest.approx(np.ones(len(subjects)))


@pytest.mark.parametrize(("total", "level", "most"), [(1000, 0.01, 18), (100, 0.01, 4), (10_000, 0.001, 18)])
def test_what_may_be_found_is_the_exact_binomial_region(total: int, level: float, most: int) -> None:
    assert most_expected(total, level) == most
    assert "kept" in verdict(most, total, level)
    assert "NOT KEPT" in verdict(most + 1, total, level)


def test_the_page_counts_archives_with_a_finding_and_not_findings() -> None:
    plain = {"kind": "normal", "groups": "two equal", "n": 300, "d": [128], "several": False, "primary": 0, "exploratory": 0,
             "questions": 1, "p": [0.5], "auc": 0.5, "holds": True, "control": 0.4}  # fmt: skip
    two = plain | {"primary": 2, "p": [0.001, 0.002], "questions": 2, "holds": False, "n": 2000}
    failed = plain | {"control": 0.0001}
    built = plain | {"kind": "hands", "questions": 8, "exploratory": 3}
    page = null_tables.page([plain] * 7 + [two, failed, built], 1.5, ["hands"], 999)
    assert "A primary finding: **1** of 10 " in page
    assert "by a family of built-in features alone: **1** of 1 " in page
    assert "The first 100 shuffles of the control failed: **1** of 10 " in page
    assert "holds .5 in 90.0%" in page
    assert "| normal | two equal | 0 of 8 |  | 1 of 1 |" in page
    assert "hands:TARGET --tables 10 " in page


def test_steps_are_the_values_a_p_can_take() -> None:
    rng = np.random.default_rng(0)
    seen = {sequential_p(float(rng.random()), rng.random(120))[0] for _ in range(400)}
    support = sequential_steps(120)
    assert (np.diff(support) > 0).all()
    assert max(np.abs(support - p).min() for p in seen) < 1e-12
    assert support[-1] == 1
    assert support[ENOUGH - 1] == pytest.approx(ENOUGH / 121)
    assert steps(3).tolist() == [0.25, 0.5, 0.75, 1.0]


def test_uniform_p_are_called_uniform_and_small_ones_are_not() -> None:
    rng = np.random.default_rng(1)
    p = [sequential_p(float(rng.random()), rng.random(199))[0] for _ in range(500)]
    assert uniformity(p, sequential_steps(199)) > 0.01
    smaller = [sequential_p(float(rng.random() ** 0.7), rng.random(199))[0] for _ in range(500)]
    assert uniformity(smaller, sequential_steps(199)) < 0.001


def test_tables_of_a_dataset_are_extracted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset_of_groups(tmp_path / "data", groups={"A": 24, "B": 24}, size=(32, 32), images_each=2)
    first = images_of(f"{data.path}:group", tmp_path / "keep")
    assert first.name == "data"
    assert len(first.table) == len(first.reduced) == 48
    assert set(first.group) == set(FAMILIES)
    assert first.table.shape[1] == len(first.group) > first.reduced.shape[1] == len(first.reduced_group)
    assert first.images.tolist() == [2] * 48
    monkeypatch.setattr(null_features, "_extract", never)
    again = images_of(f"{data.path}:group", tmp_path / "keep")
    assert (again.table == first.table).all()
    assert null_features.digest([again]) == null_features.digest([first]) != null_features.digest([])


def test_a_sample_has_the_pixels_of_its_source_and_groups_of_its_own(tmp_path: Path) -> None:
    source = dataset_of_groups(tmp_path / "data", groups={"A": 60, "B": 70}, size=(16, 16), images_each=2, strength=0.0)
    path = null_archives.sample(source, "group", np.random.default_rng(0), (90, 100), tmp_path / "sample")
    found = Dataset.open(path)
    assert found.labels == ["group"]
    groups = found.index.groupby("patient_key")["group"]
    assert (groups.nunique() == 1).all()
    assert 90 <= len(groups) <= 100
    assert (groups.size() == 2).all()
    of_patients = groups.first()
    assert (
        of_patients.value_counts().max() - of_patients.value_counts().min() <= 1
    )  # two equal: none else fits 130 patients
    at = source.index.set_index("image_key").index.get_indexer(found.index["image_key"])
    assert (found.images(np.arange(len(found))) == source.images(at)).all()
    before = source.index["group"].to_numpy()[at]
    assert 0.3 < np.mean(before == found.index["group"].to_numpy()) < 0.7


def test_half_of_the_archives_are_computed_and_their_groups_dealt_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def phantom(spec: PhantomSpec, folder: Path, size: tuple[int, int]) -> Path:
        made.append(spec)
        half = spec.patients // 2
        return dataset_of_groups(folder / "data", groups={"A": spec.patients - half, "B": half}, size=(16, 16)).path

    monkeypatch.setattr(null_archives, "archive_of", phantom)
    source = dataset_of_groups(tmp_path / "real", groups={"A": 60, "B": 60}, size=(16, 16))
    found = [null_archives.archive(k, [f"{source.path}:group"], tmp_path / str(k)) for k in range(5)]
    assert [name for name, _ in found] == ["computed mammo", "real", "computed cxr", "real", "computed mammo"]
    assert [spec.modality for spec in made] == ["mammo", "cxr", "mammo"]
    for spec, (_, path) in zip(made, found[::2], strict=True):
        assert spec.strength == 0
        assert spec.patients >= null_archives.READ_BY_NETWORK
        groups = Dataset.open(path).index["group"]
        assert len(groups) == spec.patients
        assert groups.value_counts().min() >= LEAST_OF_A_CLASS  # a network is trained
        before = Dataset.open(path.parent / "phantom" / "data").index["group"]
        assert (groups.to_numpy() == before.to_numpy()).mean() < 0.7


@pytest.mark.usefixtures("few")
def test_a_study_of_archives_audits_them_in_full_and_a_leak_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = dataset_of_groups(tmp_path / "data", groups={"A": 40, "B": 40}, size=(32, 32), strength=0.3)
    arguments = [f"{source.path}:group", "--archives", "2", "--keep", str(tmp_path / "keep")]
    null_archives.main([*arguments, "--first", "1", "--step", "2"])  # number 1 is a sample
    found = capsys.readouterr().out
    assert "A primary finding: **0** of 1 " in found
    assert "| data | 1 | 0 |" in found
    monkeypatch.setattr(null_archives, "archive", lambda *_: ("leak", source.path))
    # 99 permutations are too few for the many questions, and each that nothing reaches would have as many more as it needs.
    monkeypatch.setattr(null_archives, "AuditRequest", partial(AuditRequest, only=("A1",)))
    null_archives.main(arguments)
    found = capsys.readouterr().out
    assert "A primary finding: **1** of 2 " in found
    assert "| leak | 1 | 1 | 1 |" in found
    assert "- leak, 80 patients: A1/none/built-in" in found
    monkeypatch.setattr(null_archives, "study", never)
    null_archives.main(arguments)
    assert capsys.readouterr().out == found


def test_the_page_of_archives_says_what_networks_say_of_themselves() -> None:
    row = {"kind": "computed cxr", "patients": 220, "images": 220, "primary": [], "exploratory": [], "possible": 2,
           "questions": 100, "failed": ["planted"], "p": {"built-in": 0.5, "small CNN": 0.2},
           "auc": {"built-in": 0.5}, "learned": [False], "said": [""], "seconds": {"cells": 9.0}}  # fmt: skip
    page = null_archives.page([row, row | {"learned": [True], "failed": []}, row | {"learned": []}], 0.1, [], 999)
    assert "trained in 2 archives and learned nothing, by its own words, in 1." in page
    assert "A control failed: planted in 2." in page
    assert "Of 6 primary tests 6 had enough patients" in page


def test_a_block_of_another_process_is_read_and_not_simulated(tmp_path: Path) -> None:
    rows, _ = blocks.run_blocks(tmp_path, "s", 3, lambda block: [{"block": block}], range(0, 3, 2))
    assert rows == [{"block": 0}, {"block": 2}]
    rows, _ = blocks.run_blocks(tmp_path, "s", 3, lambda block: [{"block": -block}])
    assert rows == [{"block": 0}, {"block": -1}, {"block": 2}]


def test_a_page_is_written_to_docs_only_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    blocks.publish("page", "text\n", write=False)
    assert not (tmp_path / "docs" / "page.md").exists()
    blocks.publish("page", "text\n", write=True)
    assert (tmp_path / "docs" / "page.md").read_text() == "text\n"
