"""The content of audit.json: complete, consistent, and nothing from which a small group or a patient could be inferred."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from audit_archives import HOSTILE, Finished, audited, fewer_permutations, finish, lasting, request, walk
from planted import AUDIT_SALT, BAND, dataset_of_groups
from scipy.special import logit
from scipy.stats import false_discovery_control
from statsmodels.stats.proportion import proportion_confint

from fastrace.audit.cells import Answer, score
from fastrace.audit.correction import correct, smallest_level
from fastrace.audit.document import Cell, Estimate
from fastrace.audit.engines.probe import Probe
from fastrace.audit.flow import flow as flow_of
from fastrace.audit.locate import overlap
from fastrace.audit.marks import mark
from fastrace.audit.partition import Fold, Partition
from fastrace.audit.questions import readable, where
from fastrace.audit.questions.findings import Findings, headline
from fastrace.audit.simultaneous import limits_of_several
from fastrace.audit.subjects import Subjects, select_subjects
from fastrace.console.words import number
from fastrace.dataset import Dataset
from fastrace.statistics import MIN_CELL

COUNTS = ("patients", "images", "n_patients", "n_positive", "n_images")


def cells_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(document["cells"])


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """32 patients and the small network, which is evaluated on ten of them."""
    folder = tmp_path_factory.mktemp("few")
    dataset = dataset_of_groups(folder / "data", groups={"A": 16, "B": 16}, size=(32, 32))
    return finish(folder, dataset, readers=("small",), only=("Q1",))


@pytest.fixture(params=["leak", "plain", "crowded", "few"])
def finished(request: pytest.FixtureRequest) -> Finished:
    found: Finished = request.getfixturevalue(request.param)
    return found


# ---- what it answers


def test_the_texture_is_found_where_it_is(leak: Finished) -> None:
    document = leak.document
    assert document["questions"][0]["mark"] in ("strong", "clear")
    assert document["questions"][1]["mark"] in ("strong", "clear")
    found = document["location"]["found"]
    assert found is not None
    assert overlap(tuple(found), BAND) >= 0.5
    assert document["location"]["aliased_share"] < 0.2
    assert document["location"]["found_lp_per_mm"] == pytest.approx([edge / 32 for edge in found])


def test_nothing_is_found_where_nothing_is(plain: Finished) -> None:
    document = plain.document
    assert [one["mark"] for one in document["questions"][:2]] == ["not shown", "not shown"]
    assert document["location"]["found"] is None
    assert not [cell["id"] for cell in cells_of(document) if cell["finding"]]
    assert not [one["id"] for one in document["controls"] if one["status"] == "failed"]


def test_all_seven_questions_are_there_and_those_not_built_are_marked(finished: Finished) -> None:
    questions = finished.document["questions"]
    assert [one["id"] for one in questions] == [f"Q{k}" for k in range(1, 8)]
    assert {one["mark"] for one in questions[2:]} == {"not run"}
    assert all(one["sentence"] and one["title"] for one in questions)
    assert [one["estimate"] for one in questions[1:]] == [None] * 6
    assert [one["id"] for one in finished.document["controls"]] == [
        "shuffled", "planted", "repeat", "acquisition", "covariates", "site"
    ]  # fmt: skip


def test_three_classes_have_their_classes_and_pairs_in_every_cell(crowded: Finished) -> None:
    names = [one["name"] for one in crowded.document["classes"]]
    assert names == sorted([HOSTILE, "B, of two words", "C"])  # as they are: escaping is the report's
    pairs = [f"{a} vs {b}" for k, a in enumerate(names) for b in names[k + 1 :]]
    for cell in cells_of(crowded.document):
        assert [one["name"] for one in cell["classes"]] == names
        assert [one["name"] for one in cell["pairs"]] == pairs
        values = [one["estimate"]["value"] for one in cell["classes"]]
        assert cell["estimate"]["value"] == pytest.approx(np.mean(values))


def test_race_is_called_self_reported(crowded: Finished, leak: Finished) -> None:
    assert leak.document["self_reported"] is False
    # "primary race" is a race as well: the column's name decides, and spaces are as good as underscores.
    assert crowded.document["self_reported"] is True


# ---- consistent


def test_every_cell_is_consistent_with_itself(finished: Finished) -> None:
    size, spacing = finished.document["dataset"]["size"], finished.document["dataset"]["mm_per_pixel"]
    ids = [cell["id"] for cell in cells_of(finished.document)]
    assert len(set(ids)) == len(ids)
    for cell in cells_of(finished.document):
        one = cell["estimate"]
        assert one["low"] <= one["value"] <= one["high"]
        if cell["family"] == "reference":
            assert cell["p"] is cell["p_adjusted"] is cell["finding"] is None
            continue
        assert 0 < cell["p"] <= 1
        if one["status"].startswith("not enough evidence"):
            assert cell["p_adjusted"] is None  # nothing is tested
            assert cell["finding"] is False
        else:
            assert cell["p_adjusted"] >= cell["p"]
            assert cell["finding"] == (cell["p_adjusted"] < 0.01)
        assert cell.get("spread", 1) >= 1
        if cell["band"] is not None:
            # The band of a curve holds the interval of each of its points.
            assert cell["band"][0] <= one["low"] + 1e-9
            assert cell["band"][1] >= one["high"] - 1e-9
        edges = [cell["x"]] if cell["x_low"] is None else [cell["x_low"], cell["x_high"]]
        if cell["lp_per_mm"] is not None:
            assert cell["lp_per_mm"] == pytest.approx([edge / (max(size) * spacing) for edge in edges])


def test_two_classes_are_one_question(leak: Finished) -> None:
    for cell in cells_of(leak.document):
        first, second = (one["estimate"] for one in cell["classes"])
        assert first["value"] == pytest.approx(second["value"]) == pytest.approx(cell["estimate"]["value"])
        assert cell["pairs"][0]["estimate"]["value"] == pytest.approx(first["value"])


@pytest.mark.parametrize("name", ["leak", "plain", "crowded"])
def test_every_question_that_was_corrected_for_is_shown(name: str, request: pytest.FixtureRequest) -> None:
    # A reader of the document must be able to repeat the correction: with questions missing, p_adjusted would be smaller.
    cells = [cell for cell in cells_of(request.getfixturevalue(name).document) if cell["family"] == "exploratory"]
    again = false_discovery_control([cell["p"] for cell in cells], method="by")
    np.testing.assert_allclose([cell["p_adjusted"] for cell in cells], again, rtol=1e-9)


def test_the_document_holds_no_undefined_number(finished: Finished) -> None:
    json.dumps(finished.document, allow_nan=False)


@pytest.mark.parametrize(("only", "exact"), [("C1a", True), ("C2b", True), ("C2a", False)])
def test_the_number_of_threads_does_not_matter(tmp_path: Path, tiny: Dataset, only: str, exact: bool) -> None:
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        with fewer_permutations(99):
            found.append(lasting(audited(request(tiny.path, tmp_path / str(threads), only=(only,)))))
    torch.set_num_threads(1)
    one, other = (dict(walk(document)) for document in found)
    assert one.keys() == other.keys()
    for path, value in one.items():
        # torch adds up a resize in another order with more threads: two patients may then change places.
        rounding = not exact and isinstance(value, float)
        assert other[path] == (pytest.approx(value, abs=0.01) if rounding else value), path


def cell(features: str = "built-in", value: float = 0.8, low: float = 0.7, **changes: Any) -> Cell:
    estimate = Estimate(
        value=value, low=low, high=0.9, n_patients=100, n_positive=50, n_images=100, unit="patient", method="", status="ok"
    )  # fmt: skip
    plain = Cell(
        id=features, experiment="A1", title="", question="Q1", features=features, parts=(), degradation="none", described="none",
        mode="train+test", family="primary", x=None, x_low=None, x_high=None, lp_per_mm=None, paper=None, released_code=None,
        estimate=estimate, classes=(), pairs=(), p=0.5, spread=1.0, null_deviation=0.05, d_prime=None,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def answer(p: float | None, status: str = "ok", again: float | None = None) -> Answer:
    one = cell(p=p)
    one = msgspec.structs.replace(one, estimate=msgspec.structs.replace(one.estimate, status=status))
    none = np.zeros((0, 2))
    return Answer(one, none, Partition((), np.zeros(0, dtype=np.int64)), None if again is None else lambda _: again)


def test_a_finding_needs_the_correction_and_thirty_patients_in_every_class() -> None:
    answers = [answer(0.002), answer(0.006), answer(0.0001, "not enough evidence"), answer(None)]
    found = correct(answers, 9999)
    # Holm with two answers: .002 x 2, .006 x 1. Without an answer, or without enough patients for any, there is no test.
    assert [one.cell.p_adjusted for one in found] == pytest.approx([0.004, 0.006, None, None])
    assert [one.cell.finding for one in found] == [True, True, False, None]
    assert [one.cell.finding for one in answers] == [None] * 4  # which are values, and stay as they were


def further(p: float | None, again: float | None = None) -> Answer:
    """Of an exploratory question: primary ones have permutations enough."""
    return answer(p, again=again).changed(family="exploratory")


def test_more_permutations_are_drawn_only_where_their_number_decides() -> None:
    found = correct([further(1 / 100, again=1 / 991), further(7 / 100, again=1e-9)], 99)
    assert [one.cell.p for one in found] == [1 / 991, 0.07]
    # Also where a few have reached the AUC: 99 permutations can make nothing a finding.
    found = correct([further(6 / 100, again=1 / 991), further(7 / 100, again=1e-9)], 99)
    assert [one.cell.p for one in found] == [1 / 991, 0.07]
    (enough,) = correct([further(1 / 10_000, again=1e-9)], 9999)
    assert enough.cell.p == 1 / 10_000
    # and the p of more permutations is used also where it is larger
    (worse,) = correct([further(1 / 100, again=0.03)], 99)
    assert worse.cell.finding is False
    # Where none of 999 would have made it a finding beside the others, it was looked at: a second look is a second chance.
    decided = correct([further(4 / 1000, again=1e-9), further(0.5), further(0.5)], 999)
    assert [one.cell.p for one in decided] == [4 / 1000, 0.5, 0.5]
    # One of twenty questions needs p < .00014, which 999 permutations cannot give.
    drawn = correct([further(4 / 1000, again=1e-4), *(further(0.5) for _ in range(19))], 999)
    assert drawn[0].cell.p == 1e-4


@pytest.mark.parametrize("tests", [1, 8, 20])
def test_drawing_again_keeps_the_level(tests: int) -> None:
    # Reached by binomial numbers of permutations, as labels that say nothing are; the others of the family find nothing.
    rng, threshold = np.random.default_rng(tests), smallest_level("exploratory", tests)
    archives, findings = 1_500, 0.0
    others = [further(0.9) for _ in range(tests - 1)]
    small = 8 * threshold  # only these can be findings; drawn from them alone, and weighed
    for u in small * rng.random(archives):
        reached = {999: int(rng.binomial(999, u))}

        def again(count: int, u: float = u, reached: dict[int, int] = reached) -> float:
            before = max(reached)
            reached[count] = reached[before] + int(rng.binomial(count - before, u))
            return (1 + reached[count]) / (1 + count)

        one = further((1 + reached[999]) / 1000)
        findings += bool(correct([replace(one, p_again=again), *others], 999)[0].cell.finding)
    level = findings / archives * small
    deviation = threshold * np.sqrt(8 / archives)
    assert level < threshold + 3 * deviation
    assert level > 0.5 * threshold - 3 * deviation  # permutations are doubled until none of them would be a finding


def test_the_answer_is_the_first_set_of_features_that_finds_not_the_largest_auc() -> None:
    built_in, small, large = (
        cell(name, value, value - 0.05, finding=True)
        for name, value in (("built-in", 0.6), ("small CNN", 0.9), ("x", 0.95))
    )
    assert headline([built_in, small, large]) is built_in
    missed = cell("built-in", 0.55, 0.5, finding=False)
    assert headline([missed, small, large]) is small
    assert headline([missed, cell("small CNN", 0.7, finding=False)]) is missed
    assert [mark(cell(low=low, finding=True)) for low in (0.76, 0.65, 0.55)] == ["strong", "clear", "weak"]
    assert mark(cell(low=0.85, finding=None)) == "not shown"
    # Of several readers the best would look too good by its own interval.
    assert mark(cell(low=0.76, finding=True, band=(0.74, 0.9))) == "clear"


def test_a_reader_that_gives_every_patient_the_same_score_is_not_evidence_of_absence() -> None:
    one = cell(finding=False, detectable=None)
    one = msgspec.structs.replace(one, estimate=msgspec.structs.replace(one.estimate, status="constant scores"))
    assert mark(one) == "gave nothing"
    said = readable.answer(Findings((one,), where.locate((), (64, 64), None)))
    assert said.mark == "gave nothing"
    assert "its numbers do not vary" in said.sentence
    assert "patients no AUC" not in said.sentence


def test_limits_of_several_are_bonferronis() -> None:
    one = Estimate(
        value=0.7, low=0.6, high=0.784, n_patients=100, n_positive=50, n_images=100, unit="patient", method="", status="ok"
    )  # fmt: skip
    assert limits_of_several(one, 1) == pytest.approx((0.6, 0.784))
    low, high = limits_of_several(one, 5)  # 2.576 standard errors, not 1.960
    assert logit(0.7) - logit(low) == pytest.approx(2.5758 / 1.95996 * (logit(0.7) - logit(0.6)), rel=1e-4)
    assert logit(high) - logit(0.7) == pytest.approx(2.5758 / 1.95996 * (logit(0.784) - logit(0.7)), rel=1e-4)
    # An AUC of 1 in 60 patients: Clopper and Pearson.
    sure = msgspec.structs.replace(one, value=1.0, low=0.025 ** (1 / 60), high=1.0)
    expected = proportion_confint(60, 60, alpha=0.05 / 4, method="beta")
    assert limits_of_several(sure, 4) == pytest.approx(expected)
    assert limits_of_several(msgspec.structs.replace(one, value=None), 2) is None


def test_where_is_answered_by_the_built_in_features_if_embeddings_answer_first() -> None:
    low = cell(
        "built-in",
        id="c",
        experiment="C1a",
        question="Q2",
        family="exploratory",
        x=25.0,
        finding=True,
        band=(0.62, 0.71),
    )
    better = msgspec.structs.replace(low, id="d", x=50.0, degradation="lowpass:50", band=(0.63, 0.73))
    cells = (cell("vectors", finding=True), cell("built-in", finding=False), low, better)
    found = where.answer(Findings(cells, where.locate(cells, (64, 64), None)))
    assert headline(cells).features == "vectors"
    assert (found.mark, found.sentence) == (
        "clear",
        f"still read after low-pass 25 at AUC {low.estimate}, most under lowpass:50 at AUC "
        f"{number(low.estimate.value)} (.630-.730, simultaneous for all filters), by built-in (vectors was shown no degraded "
        "image)",
    )


def test_a_band_that_may_be_as_strong_beside_it_is_named() -> None:
    """Its edges follow from which neighbours are findings: at middling power that is chance."""
    steps = [(8.0, 10.0, 0.2, (0.45, 0.6)), (10.0, 12.6, 1.2, (0.7, 0.85)), (12.6, 16.0, 0.5, (0.52, 0.72))]
    scan = [
        cell("built-in", id=f"s{low}", experiment="C1s", question="Q2", family="exploratory", x=low, x_low=low, x_high=high,
             d_prime=d, finding=d > 1, band=band)
        for low, high, d, band in steps
    ]  # fmt: skip
    found = where.locate(scan, (64, 64), None)
    assert found.found == (10, 12.6)
    assert found.sentence == "strongest in 10-12.6 cycles/image, not told apart from the neighbouring 12.6-16"
    scan[2] = msgspec.structs.replace(scan[2], band=(0.5, 0.69))
    assert where.locate(scan, (64, 64), None).sentence == "strongest in 10-12.6 cycles/image"


# ---- small groups and patients


def test_no_count_below_eleven_is_anywhere(finished: Finished) -> None:
    shown = [
        (path, value)
        for path, value in walk(finished.document)
        if (path.rsplit("/", 1)[-1] in COUNTS or "/window/" in path) and value is not None
    ]
    assert shown
    assert [(path, value) for path, value in shown if value < MIN_CELL] == []


def test_no_sentence_counts_fewer_than_eleven_patients(finished: Finished) -> None:
    sentences = [value for _, value in walk(finished.document) if isinstance(value, str)]
    counted = [
        (text, int(n))
        for text in sentences
        for n in re.findall(r"(\d+) (?:patients|others|images)", text)
        if "fewer than" not in text.lower()
    ]
    assert [(text, n) for text, n in counted if n < MIN_CELL] == []


def given_back(flow: list[dict[str, Any]], unit: str) -> list[tuple[str, float]]:
    """Hidden counts, and sums of all that a step hides, that follow from what is shown; with their value."""
    unknown: dict[tuple[int, int], int] = {}
    for i, step in enumerate(flow):
        for j, part in enumerate([step, *step["left_out"]]):
            if part[unit] is None:
                unknown[i, j] = len(unknown)
    rows, right = [], []
    for i, step in enumerate(flow[:-1]):
        row, known = np.zeros(len(unknown)), 0.0
        terms = [(1, step, (i, 0)), (-1, flow[i + 1], (i + 1, 0))]
        terms += [(-1, part, (i, j)) for j, part in enumerate(step["left_out"], 1)]
        for sign, part, place in terms:
            if part[unit] is None:
                row[unknown[place]] += sign
            else:
                known -= sign * part[unit]
        rows.append(row)
        right.append(known)
    if not unknown:
        return []
    a, b = np.array(rows), np.array(right)
    found = []
    for i, step in enumerate(flow[:-1]):
        places = [unknown[i, j] for j in range(1, len(step["left_out"]) + 1) if (i, j) in unknown]
        for wanted in [*[[place] for place in places], places]:
            e = np.zeros(len(unknown))
            e[wanted] = 1
            if wanted and np.linalg.matrix_rank(np.vstack([a, e])) == np.linalg.matrix_rank(a):
                combination = np.linalg.lstsq(a.T, e, rcond=None)[0]
                found.append((f"{step['label']}: {unit}", float(combination @ b)))
    return found


@pytest.mark.parametrize("rejected", [{}, {"color": 40}, {"color": 40, "truncated": 3}, {"color": 4, "truncated": 3}])
@pytest.mark.parametrize("rare", [{}, {"rare": 7}, {"rare": 7, "rarer": 6}])
def test_the_flow_does_not_give_back_what_it_hides(
    tmp_path: Path, rejected: dict[str, int], rare: dict[str, int]
) -> None:
    data = dataset_of_groups(
        tmp_path / "data", groups={"A": 30, "B": 30, **rare}, size=(8, 8), strength=0, rejected=rejected
    )
    flow = msgspec.to_builtins(flow_of(data, select_subjects(data, "group")))
    for unit in ("images", "patients"):
        assert [one for one in given_back(flow[unit == "patients" :], unit) if one[1] < MIN_CELL] == []


def test_windows_do_not_give_back_what_they_hide(crowded: Finished) -> None:
    # Four patients have another kind of window; each patient has one kind, so the kinds add up to the patients.
    dataset = crowded.document["dataset"]
    kinds = dataset["window"]
    assert set(kinds) == {"lut", "window"}
    known = [n for n in kinds.values() if n is not None]
    if len(known) < len(kinds):
        rest = dataset["patients"] - sum(known)
        assert not 0 < rest < MIN_CELL


def test_scanner_controls_do_not_give_back_a_small_site(crowded: Finished) -> None:
    # Five patients come from a site of their own. They are no class, but all patients less those of the classes are they.
    site = next(one for one in crowded.document["controls"] if one["id"] == "site")
    total = crowded.document["dataset"]
    for one in site["estimates"]:
        shown = one["estimate"]
        if shown["n_patients"] is not None:
            assert not 0 < total["patients"] - shown["n_patients"] < MIN_CELL, one["name"]
        if shown["n_images"] is not None:
            assert not 0 < total["images"] - shown["n_images"] < MIN_CELL, one["name"]


def test_classes_and_pairs_do_not_reveal_a_class_scored_on_few(crowded: Finished) -> None:
    # As for the small network: it is evaluated on some patients alone, here on 5 of one class and 20 of each of the others.
    subjects: Subjects = select_subjects(crowded.dataset, "primary race")
    scored = np.sort(np.concatenate([np.flatnonzero(subjects.labels == k)[:n] for k, n in enumerate((5, 20, 20))]))
    train = np.setdiff1d(np.arange(len(subjects)), scored)
    x = np.random.default_rng(0).standard_normal((len(subjects), 4))
    probe = Probe(x, np.full(4, "all"), Partition(((Fold(train, scored),),), scored, refit=False))
    _, summary = score(probe, subjects, seed=0, permutations=99)
    # The 5, and one of the others, so that all minus the others does not reveal them.
    assert [one.estimate.suppressed for one in summary.classes] == [True, True, False]
    assert [one.estimate.suppressed for one in summary.pairs] == [True, True, True]
    total = {summary.estimate.n_patients, *(one.estimate.n_patients for one in summary.classes)} - {None}
    others = [one.estimate.n_positive for one in summary.classes[1:]]
    both = summary.pairs[2].estimate.n_patients
    if total and None not in others:
        assert max(total) - sum(others) >= MIN_CELL, "5 = all - others"
    if total and both is not None:
        assert max(total) - both >= MIN_CELL, "5 = all - the pair of the others"


def test_nothing_names_a_patient(finished: Finished) -> None:
    everything = (finished.out / "audit.json").read_text() + (finished.out / "run.json").read_text()
    index = finished.dataset.index
    for column in ("patient_key", "image_key", "study_key", "pixel_hash"):
        assert not [key for key in index[column] if key in everything]
    assert AUDIT_SALT.hex() not in everything
    assert str(finished.dataset.path) not in (finished.out / "audit.json").read_text()


def test_there_is_no_list_of_scores(finished: Finished) -> None:
    def longest(value: Any) -> int:
        if isinstance(value, Mapping):
            return max(map(longest, value.values()), default=0)
        if isinstance(value, list):
            numbers = sum(isinstance(one, (int, float)) for one in value)
            return max([numbers, *map(longest, value)])
        return 0

    assert longest(finished.document) <= 2
