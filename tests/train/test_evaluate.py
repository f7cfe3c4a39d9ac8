"""Evaluation: only patients who did not train the model, groups only, and scores made elsewhere by the same statistics."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import make_dataset, reseal
from sklearn.metrics import roc_auc_score

from fastrace.console.tables import result_rows
from fastrace.console.words import number
from fastrace.dataset import Dataset
from fastrace.degrade.parser import parse
from fastrace.errors import RunError, UsageError
from fastrace.evaluate import Evaluation, ScoreTable, _hidden, evaluate, evaluate_table, strata
from fastrace.run_folder import RunFolder, single_run
from fastrace.train import Options, train
from fastrace.train.run import FILES

MakeOptions = Callable[..., Options]


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that may be written into."""
    import shutil

    return Path(shutil.copytree(trained, tmp_path / "copied"))


def test_on_the_training_data_only_the_test_part_is_scored(run: Path, planted: Dataset) -> None:
    found = evaluate(Evaluation(run, planted.path, device="cpu"))
    metrics = json.loads((run / "metrics.json").read_text())
    assert found["part"] == "test part of the training data"
    assert found["patient"] == metrics["patient"]
    assert found["left_out"] == {"not in the test part": {"patients": 70, "images": 140}}
    assert found["mode"] == "train+test"


def test_the_result_is_kept_in_the_run(run: Path, planted: Dataset) -> None:
    found = evaluate(Evaluation(run, planted.path, device="cpu"))
    (kept,) = (run / "evaluations").iterdir()
    assert RunFolder(run).read_json(f"evaluations/{kept.name}") == found
    assert kept.stat().st_mode & 0o777 == 0o600


def test_noise_at_test_time_is_another_evaluation_and_is_named(run: Path, planted: Dataset) -> None:
    clean = evaluate(Evaluation(run, planted.path, device="cpu"))
    noisy = evaluate(Evaluation(run, planted.path, parse("noise:gaussian:0.5"), device="cpu"))
    assert noisy["mode"] == "test"
    assert noisy["patient"]["macro"]["value"] < clean["patient"]["macro"]["value"]
    assert len(list((run / "evaluations").iterdir())) == 2


def test_other_patients_of_the_same_archive_are_all_scored(run: Path, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", patients=40, first_patient=1000, seed=9)
    found = evaluate(Evaluation(run, other.path, device="cpu"))
    assert found["part"] == "other data"
    assert found["overlap"] == "checked; none"
    assert found["patient"]["macro"]["n_patients"] == 40
    assert found["patient"]["macro"]["value"] > 0.9


def test_patients_who_trained_the_model_are_left_out_of_a_grown_archive(run: Path, tmp_path: Path) -> None:
    grown = make_dataset(tmp_path / "grown", patients=140, seed=9)
    found = evaluate(Evaluation(run, grown.path, device="cpu"))
    assert found["overlap"] == "checked; 70 patients trained the model and were left out"
    assert found["patient"]["macro"]["n_patients"] == 70


def test_an_archive_of_training_patients_alone_is_refused(run: Path, tmp_path: Path) -> None:
    same = make_dataset(tmp_path / "same", seed=9)
    split = pd.read_parquet(run / "split.parquet").assign(part="train")
    split.to_parquet(run / "split.parquet")
    RunFolder(run).seal(FILES, "metrics.json", (run / "metrics.json").read_bytes())  # as if it had been trained so
    with pytest.raises(RunError, match="all its labelled patients trained the model"):
        evaluate(Evaluation(run, same.path, device="cpu"))


def test_another_salt_leaves_the_overlap_unknown_and_is_reported(run: Path, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", patients=40, salt=bytes(32))
    assert evaluate(Evaluation(run, other.path, device="cpu"))["overlap"].startswith("patient overlap not checkable")


def test_another_recipe_is_refused_with_every_difference(run: Path, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", patients=40, size=(16, 16), band=(2, 4), recipe={"voi": ["robust"]})
    with pytest.raises(
        RunError, match=r"size: \[16, 16\] there, \[32, 32\] in training; voi: \['robust'\] there, \['auto'\]"
    ):
        evaluate(Evaluation(run, other.path, device="cpu"))


def test_the_stored_type_and_the_presets_name_do_not_matter(run: Path, tmp_path: Path) -> None:
    other = make_dataset(
        tmp_path / "other", patients=40, dtype="uint8", recipe={"modality": "cxr", "body_parts": ["CHEST"]}
    )
    assert evaluate(Evaluation(run, other.path, device="cpu"))["patient"]["macro"]["value"] > 0.9


def test_fewer_than_thirty_patients_are_refused(run: Path, tmp_path: Path) -> None:
    few = make_dataset(tmp_path / "few", patients=29, first_patient=1000)
    with pytest.raises(RunError, match=r"29 patients .* at least 30 are needed.*never about persons"):
        evaluate(Evaluation(run, few.path, device="cpu"))


def test_data_without_the_label_are_refused(run: Path, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", patients=40)
    index = pd.read_parquet(other.path / "index.parquet").drop(columns="group")
    reseal(other.path, index)
    with pytest.raises(UsageError, match="has no column 'group', which the model predicts"):
        evaluate(Evaluation(run, other.path, device="cpu"))


def test_a_class_that_the_model_lacks_is_left_out_and_one_that_the_data_lack_is_named(
    run: Path, tmp_path: Path
) -> None:
    other = make_dataset(tmp_path / "other", patients=90, first_patient=1000, classes=("A", "B", "C"))
    found = evaluate(Evaluation(run, other.path, device="cpu"))
    assert found["left_out"]["another group than the classes used"] == {"patients": 30, "images": 60}
    only = make_dataset(tmp_path / "only", patients=40, first_patient=1000, classes=("A",))
    macro = evaluate(Evaluation(run, only.path, device="cpu"))["patient"]["macro"]
    assert macro["value"] is None
    assert macro["status"].startswith("undefined")


def test_no_run_and_a_damaged_checkpoint_are_different_errors(run: Path, planted: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no finished run here"):
        evaluate(Evaluation(tmp_path / "nothing", planted.path))
    (run / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(RunError, match=r"checkpoint.pt: changed after the run was finished"):
        evaluate(Evaluation(run, planted.path))
    (run / "checkpoint.pt").unlink()
    with pytest.raises(RunError, match=r"checkpoint.pt: cannot be read \(No such file"):
        evaluate(Evaluation(run, planted.path))
    (run / "metrics.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        evaluate(Evaluation(run, planted.path))


def test_a_run_trained_on_degraded_images_keeps_its_degradation(make_options: MakeOptions, planted: Dataset) -> None:
    folder = train(make_options(degradation=parse("band:6:10"))).folder
    found = evaluate(Evaluation(folder, planted.path, device="cpu"))
    assert found["trained_on"] == "band:6:10"
    assert found["patient"] == json.loads((folder / "metrics.json").read_text())["patient"]


def frame(**columns: list) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    base = {"patient_key": [f"p{k}" for k in range(n)], "study_key": [None] * n, "age_years": [50.0] * n}
    base |= {name: ["x"] * n for name in ("sex", "view", "manufacturer")}
    return pd.DataFrame(base | columns)


def test_small_strata_are_hidden_and_so_is_the_one_subtraction_would_give_back() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.random((100, 2)), rng.integers(0, 2, 100)
    cells = list(strata(scores, labels, frame(sex=["F"] * 50 + ["M"] * 40 + ["O"] * 10)))
    assert {cell["value"]: cell["suppressed"] for cell in cells} == {"F": False, "M": True, "O": True}
    for cell in cells:
        if cell["suppressed"]:
            assert set(cell) == {"variable", "value", "suppressed"}
        else:
            assert "n_positive" not in cell["auc"]


def test_the_target_is_no_stratum_of_itself() -> None:
    labels = np.arange(80) % 2
    table = frame(sex=["F", "M"] * 40)
    assert not list(strata(np.eye(2)[labels], labels, table, "sex"))


@pytest.mark.parametrize(
    ("patients", "hidden"),
    [
        ({"a": 50, "b": 40}, set()),
        ({"a": 50, "b": 40, "c": 10}, {"b", "c"}),
        ({"a": 50, "b": 40, "c": 8, "d": 8}, {"c", "d"}),
        ({"a": 50, "b": 40, "c": 5, "d": 5}, {"b", "c", "d"}),  # together 10: a small cell again
        ({"a": 50, "b": 3}, {"a", "b"}),
    ],
)
def test_what_is_hidden_is_neither_one_cell_nor_few_patients(patients: dict[str, int], hidden: set[str]) -> None:
    assert _hidden(patients) == hidden


def test_a_stratum_is_the_auc_of_its_images() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(80) % 2
    scores = rng.random((80, 2))
    ages = [15.0] * 20 + [30.0] * 20 + [85.0] * 20 + [float("nan")] * 20
    cells = {cell["value"]: cell for cell in strata(scores, labels, frame(age_years=ages))}
    assert set(cells) == {"0-20", "20-40", "80+", "not recorded"}
    expected = np.mean([roc_auc_score(labels[:20] == k, scores[:20, k]) for k in range(2)])
    assert cells["0-20"]["value"] == "0-20"
    assert cells["0-20"]["auc"]["value"] == pytest.approx(expected)


def write_scores(path: Path, n: int = 80, **columns: list) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    race = np.array(["Black", "White"])[np.arange(n) // 2 % 2]
    table = pd.DataFrame({"patient_id": [f"{k // 2:03d}" for k in range(n)], "race": race})
    table["p_black"] = rng.normal(race == "Black", 1)
    table["p_white"] = -table["p_black"]
    table = table.assign(**columns)
    (table.to_parquet if path.suffix == ".parquet" else table.to_csv)(path, index=False)
    return table


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_scores_made_elsewhere_get_the_same_statistics(tmp_path: Path, name: str) -> None:
    table = write_scores(tmp_path / name)
    found = evaluate_table(ScoreTable(tmp_path / name, "race", {"Black": "p_black"}, patient="patient_id"))
    by_patient = table.groupby("patient_id").agg({"race": "first", "p_black": "mean"})
    one = found["patient"]["classes"]["Black"]
    assert one["value"] == pytest.approx(roc_auc_score(by_patient["race"] == "Black", by_patient["p_black"]))
    assert found["image"]["classes"]["Black"]["value"] == pytest.approx(
        roc_auc_score(table["race"] == "Black", table["p_black"])
    )
    assert (one["n_patients"], one["n_positive"], one["n_images"]) == (40, 20, 80)


def test_semicolons_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    write_scores(tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text().replace(",", ";")
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    first, second = (
        evaluate_table(ScoreTable(tmp_path / name, "race", {"Black": "p_black"}, "patient_id"))
        for name in ("a.csv", "b.csv")
    )
    assert first["patient"] == second["patient"]


def test_without_patients_every_row_is_its_own(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.csv")
    found = evaluate_table(ScoreTable(tmp_path / "s.csv", "race", {"Black": "p_black", "White": "p_white"}))
    assert found["patient"]["macro"]["n_patients"] == 80
    assert not found["patients_known"]


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    table = write_scores(tmp_path / "s.csv", n=100)
    race = table["race"].tolist()
    race[0], race[2], race[4] = None, "Asian", "White"  # row 5: the same patient, Black
    race[3] = "Asian"
    score = table["p_black"].tolist()
    score[10] = None
    write_scores(tmp_path / "s.csv", n=100, race=race, p_black=score)
    found = evaluate_table(
        ScoreTable(tmp_path / "s.csv", "race", {"Black": "p_black", "White": "p_white"}, "patient_id")
    )
    assert found["left_out"] == {
        "no label": {"images": 1},
        "no score": {"images": 1},
        "a label without a score": {"images": 2},
        "more than one label in a patient": {"images": 2},
    }
    alone = evaluate_table(ScoreTable(tmp_path / "s.csv", "race", {"Black": "p_black"}, "patient_id"))
    assert "a label without a score" not in alone["left_out"]  # with one class the others are the rest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "ethnicity"}, "no column 'ethnicity'; it has patient_id, race"),
        ({"scores": {"Black": "score"}}, "no column 'score'"),
        ({"scores": {}}, "--score CLASS=COLUMN is needed"),
        ({"scores": {"Blue": "p_black"}}, "no usable row has race = 'Blue'; it holds Black, White"),
        ({"scores": {"Black": "race"}}, "80 values are no finite numbers, the first in row 2"),
        (
            {"scores": {"Black": "empty"}},
            "--score Black=empty: the column is empty; name the one that holds the scores",
        ),
        ({"scores": {"Black": "half"}}, "no usable row has race = 'Black'; of its 40 rows: 40 have no score"),
        ({"patient": "mrn"}, "no column 'mrn'"),
        ({"file": "missing.csv"}, "cannot be read"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    white = [None if n // 2 % 2 == 0 else 0.5 for n in range(80)]
    write_scores(tmp_path / "s.csv", empty=[None] * 80, half=white)
    options = {"file": "s.csv", "label": "race", "scores": {"Black": "p_black"}, "patient": "patient_id"} | change
    options["file"] = tmp_path / options["file"]
    with pytest.raises(UsageError, match=message):
        evaluate_table(ScoreTable(**options))


def test_a_table_of_few_patients_is_refused(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.csv", n=40)
    with pytest.raises(RunError, match=r"20 usable patients; at least 30 are needed$"):
        evaluate_table(ScoreTable(tmp_path / "s.csv", "race", {"Black": "p_black"}, "patient_id"))


def test_labels_in_another_case_are_the_class_and_lost_rows_are_counted(tmp_path: Path) -> None:
    """Compared with all others, "black" counted as another class than Black."""
    write_scores(tmp_path / "s.csv")
    source = ScoreTable(tmp_path / "s.csv", "race", {"Black": "p_black"}, "patient_id")
    before = evaluate_table(source)
    text = (tmp_path / "s.csv").read_text()
    (tmp_path / "s.csv").write_text(text.replace(",Black", ", black ", 20))
    after = evaluate_table(source)
    assert {**after, "file_blake2b": ""} == {**before, "file_blake2b": ""}
    (tmp_path / "s.csv").write_text(text.replace("White", "Blue"))
    with pytest.raises(UsageError, match="no usable row has race = 'White'"):
        evaluate_table(ScoreTable(source.file, "race", {"Black": "p_black", "White": "p_white"}, "patient_id"))


def test_the_only_run_of_a_workspace_is_found(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished run here"):
        single_run(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text("{}")
        if name == "a":
            assert single_run(tmp_path) == tmp_path / "a"
    with pytest.raises(UsageError, match=r"several runs; name one: .*a, .*b"):
        single_run(tmp_path)


def test_numbers_are_printed_as_in_the_literature() -> None:
    assert [number(value) for value in (0.8124, 1.0, 0.9999, 0.0, None)] == [".812", "1.000", "1.000", ".000", "-"]


def test_a_two_class_result_is_one_row_and_three_classes_are_four(tmp_path: Path) -> None:
    def estimate() -> dict:
        return {
            "value": 0.8,
            "low": 0.7,
            "high": 0.9,
            "n_positive": 40,
            "n_patients": 90,
            "n_images": 99,
            "status": "ok",
        }

    def found(*names: str) -> dict:
        level = {"macro": estimate(), "classes": {name: estimate() for name in names}}
        return {"patient": level, "image": level}

    assert [row[0] for row in result_rows(found("A", "B"))] == ["A vs B, by patient", "A vs B, by image"]
    assert [row[0] for row in result_rows(found("A"))] == ["A vs rest, by patient", "A vs rest, by image"]
    assert len(result_rows(found("A", "B", "C"))) == 5
    assert result_rows(found("A"))[0][1:4] == (".800 (.700-.900)", "40 of 90", "99")
