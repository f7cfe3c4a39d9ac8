"""Training finds what was planted, nothing else, and gives the same run again: undisturbed, resumed or killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from planted import make_dataset, reseal

from fastrace.cohort.selection import labelled, select
from fastrace.console.progress import Progress
from fastrace.dataset import Dataset
from fastrace.degrade.parser import parse
from fastrace.errors import BackendMissing, RunError, UsageError
from fastrace.kernels.bandpass import backend
from fastrace.train import Options, train
from fastrace.train.augment import changes, draw
from fastrace.train.batches import Reader
from fastrace.train.checkpoint import Checkpoint
from fastrace.train.pipeline import Pipeline, choose_device, class_weights, predict

MakeOptions = Callable[..., Options]
CPU = torch.device("cpu")


class Record(Progress):
    """Keeps the lines; stops like Ctrl-C at a step of an epoch on request."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.lines: list[str] = []
        self.stop_at = stop_at
        self.what = ""

    def line(self, text: str) -> None:
        self.lines.append(text)

    def begin(self, what: str, total: int, unit: str = "") -> None:
        self.what = what

    def step(self) -> None:
        if self.what == f"epoch {self.stop_at}/4":
            raise KeyboardInterrupt


def files(run: Path) -> set[str]:
    return {path.name for path in run.iterdir()}


def test_a_planted_texture_is_found_in_patients_never_seen(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["patient"]["macro"]["value"] > 0.9
    assert metrics["patient"]["macro"]["low"] > 0.7
    assert metrics["image"]["macro"]["n_images"] == 60
    assert metrics["learned"]["anything"]
    assert metrics["best_epoch"] == metrics["epochs"]  # no validation patient has chosen it


def test_shuffled_labels_stay_at_chance_with_too_little_evidence(tmp_path: Path, make_options: MakeOptions) -> None:
    values = np.random.default_rng(3).permutation(["x", "y"] * 50).tolist()
    data = make_dataset(tmp_path / "data", labels={"shuffled": values})
    metrics = train(make_options(data=data.path, target="shuffled")).metrics
    macro = metrics["patient"]["macro"]
    # 30 test patients, 15 to 15: the standard error under chance is .11.
    assert 0.17 < macro["value"] < 0.83
    assert macro["low"] < 0.5 < macro["high"]
    assert macro["status"] == "not enough evidence"
    assert not metrics["learned"]["anything"]


def test_a_run_holds_the_files_of_the_design_readable_by_its_owner_alone(trained: Path) -> None:
    assert files(trained) >= {
        "run.json", "checkpoint.pt", "metrics.json", "predictions.parquet", "history.parquet", "split.parquet"
    }  # fmt: skip
    assert "state.pt" not in files(trained)
    assert trained.stat().st_mode & 0o777 == 0o700
    run = json.loads((trained / "run.json").read_text())
    assert run["arguments"]["target"] == "group"
    assert run["initial_weights"]["kind"] == "random"
    assert run["environment"]["torch"] == torch.__version__
    assert run["environment"]["bandpass"] == backend("cpu")
    assert run["split"]["counts"]["test"]["A"]["patients"] == 15
    history = pd.read_parquet(trained / "history.parquet")
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert (history["learning_rate"] > 0).all()


def test_predictions_are_of_the_test_patients_only(trained: Path, planted: Dataset) -> None:
    table = pd.read_parquet(trained / "predictions.parquet")
    split = pd.read_parquet(trained / "split.parquet").set_index("patient_key")["part"]
    assert set(split[table["patient_key"]]) == {"test"}
    assert table["patient_key"].nunique() == 30
    np.testing.assert_allclose(table[["score:A", "score:B"]].sum(axis=1), 1)
    truth = planted.index.set_index("image_key")["group"]
    assert (truth[table["image_key"]].to_numpy() == table["label"].to_numpy()).all()


def test_a_checkpoint_names_no_patient_and_is_read_without_running_code(trained: Path, planted: Dataset) -> None:
    raw = (trained / "checkpoint.pt").read_bytes()
    for column in ("patient_key", "image_key", "study_key"):
        assert not any(key.encode() in raw for key in planted.index[column])
    assert str(planted.path).encode() not in raw
    content = torch.load(trained / "checkpoint.pt", weights_only=True)
    assert content["classes"] == ["A", "B"]
    assert content["preprocessing"] == planted.meta["recipe"]
    assert content["restricted"] == ""


def test_a_checkpoint_alone_gives_the_same_scores(trained: Path, planted: Dataset) -> None:
    pipeline = Checkpoint.load(trained).pipeline(CPU)
    cohort = labelled(planted, "group")
    table = pd.read_parquet(trained / "predictions.parquet")
    positions = np.flatnonzero(cohort.frame["image_key"].isin(table["image_key"]))
    scores, _ = predict(pipeline, Reader(planted, cohort, CPU), positions, 16)
    np.testing.assert_allclose(scores, table[["score:A", "score:B"]].to_numpy(), atol=1e-6)


def test_a_restriction_of_the_data_travels_into_the_checkpoint(tmp_path: Path, make_options: MakeOptions) -> None:
    data = make_dataset(tmp_path / "data", patients=20, images_each=1)
    reseal(data.path, restricted="EMBED licence, clause 5")
    recipe = replace(make_options().recipe, epochs=1)
    assert (
        Checkpoint.load(train(make_options(data=data.path, recipe=recipe)).folder).restricted
        == "EMBED licence, clause 5"
    )


def test_the_same_seed_gives_the_same_metrics_twice(trained: Path, make_options: MakeOptions) -> None:
    again = train(make_options()).folder
    assert (again / "metrics.json").read_bytes() == (trained / "metrics.json").read_bytes()
    first, second = (torch.load(run / "checkpoint.pt", weights_only=True)["weights"] for run in (trained, again))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_another_seed_gives_another_split_and_another_model(trained: Path, make_options: MakeOptions) -> None:
    again = train(make_options(seed=1, recipe=replace(make_options().recipe, epochs=1))).folder
    assert not pd.read_parquet(again / "split.parquet").equals(pd.read_parquet(trained / "split.parquet"))


@pytest.mark.parametrize("stop_at", [1, 3])
def test_an_interrupted_run_resumed_equals_an_undisturbed_one(
    trained: Path, make_options: MakeOptions, stop_at: int
) -> None:
    options = make_options()
    progress = Record(stop_at)
    with pytest.raises(KeyboardInterrupt):
        train(options, progress=progress)
    assert "metrics.json" not in files(options.out)
    progress = Record()
    train(options, resume=True, progress=progress)
    assert any("resumed after epoch 2" in line for line in progress.lines) == (stop_at == 3)
    for name in ("metrics.json", "split.parquet", "predictions.parquet"):
        assert (options.out / name).read_bytes() == (trained / name).read_bytes()
    history, undisturbed = (pd.read_parquet(run / "history.parquet") for run in (options.out, trained))
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), undisturbed.drop(columns="seconds"))
    assert "state.pt" not in files(options.out)


KILLED_IN_EPOCH_3 = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from planted import options_for
from fastrace.train import train
from fastrace.console.progress import Progress

class Killer(Progress):
    def begin(self, what, total, unit=""):
        self.what = what
    def step(self):
        if self.what == "epoch 3/4":
            os.kill(os.getpid(), signal.SIGKILL)

train(options_for(Path(sys.argv[1]), Path(sys.argv[2])), progress=Killer())
"""


def test_a_killed_process_resumed_equals_an_undisturbed_one(trained: Path, make_options: MakeOptions) -> None:
    options = make_options()
    here = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", KILLED_IN_EPOCH_3, str(options.data), str(options.out), here]
    ended = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert "state.pt" in files(options.out)
    with pytest.raises(RunError, match=r"holds a run that was interrupted; go on with --resume"):
        train(options)
    progress = Record()
    train(options, resume=True, progress=progress)
    assert any("resumed after epoch 2" in line for line in progress.lines)
    assert (options.out / "metrics.json").read_bytes() == (trained / "metrics.json").read_bytes()


def test_a_finished_run_is_not_overwritten_but_read_again(trained: Path, make_options: MakeOptions) -> None:
    options = make_options(out=trained)
    with pytest.raises(RunError, match="holds a finished run; choose another --out"):
        train(options)
    progress = Record()
    assert train(options, resume=True, progress=progress).metrics["target"] == "group"
    assert progress.lines == [f"{trained}: already finished"]


def test_resume_with_other_options_is_refused_with_the_difference(
    trained: Path, make_options: MakeOptions, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="seed: 0 there, 5 requested"):
        train(make_options(out=trained, seed=5), resume=True)
    with pytest.raises(RunError, match="epochs: 4 there, 9 requested"):
        train(make_options(out=trained, recipe=replace(make_options().recipe, epochs=9)), resume=True)
    other = make_dataset(tmp_path / "other", patients=20)
    with pytest.raises(RunError, match="the dataset"):
        train(make_options(out=trained, data=other.path), resume=True)


def test_a_folder_with_something_else_is_not_touched(make_options: MakeOptions, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty and no run of fastrace"):
        train(make_options(out=tmp_path / "full"))
    assert files(tmp_path / "full") == {"thesis.txt"}
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        train(make_options(out=tmp_path / "file" / "run"))


def test_two_processes_cannot_train_into_one_folder(make_options: MakeOptions) -> None:
    from fastrace.run_folder import RunFolder

    folder = RunFolder(make_options().out)
    folder.create()
    with folder.locked(), pytest.raises(RunError, match="in use by another fastrace process"):
        train(make_options())


def test_a_full_disk_is_one_line_and_the_run_can_go_on(
    trained: Path, make_options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from fastrace import run_folder

    def full(path: Path, content: bytes, mode: int = 0o644) -> None:
        if path.name == "checkpoint.pt":
            path.with_name(path.name + ".part").write_bytes(content[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content, mode)

    write = run_folder.write_atomic
    monkeypatch.setattr(run_folder, "write_atomic", full)
    with pytest.raises(RunError, match=r"checkpoint.pt: cannot be written \(No space left on device\); make room"):
        train(make_options())
    assert not [name for name in files(make_options().out) if name.endswith(".part")]
    monkeypatch.setattr(run_folder, "write_atomic", write)
    train(make_options(), resume=True)
    assert (make_options().out / "metrics.json").read_bytes() == (trained / "metrics.json").read_bytes()


def test_a_loss_that_is_not_a_number_stops_with_advice(make_options: MakeOptions) -> None:
    recipe = replace(make_options().recipe, learning_rate=1e30, warmup=0.0)
    with pytest.raises(RunError, match=r"the loss is not a number .*lower --learning-rate"):
        train(make_options(recipe=recipe))


def test_a_run_folder_names_what_is_wrong_with_its_files(tmp_path: Path) -> None:
    from fastrace.run_folder import SCHEMA, RunFolder

    folder = RunFolder(tmp_path)
    (tmp_path / "run.json").write_text("[1]")
    with pytest.raises(RunError, match=r"run.json: not a document of fastrace"):
        folder.read_json("run.json")
    torch.save([1], tmp_path / "checkpoint.pt")
    with pytest.raises(RunError, match=r"checkpoint.pt: not a file of fastrace"):
        folder.read_tensors("checkpoint.pt")
    folder.write_tensors("checkpoint.pt", {"schema": 0})
    with pytest.raises(RunError, match=r"not a checkpoint of this version"):
        Checkpoint.load(tmp_path)
    folder.write_tensors("checkpoint.pt", {"schema": SCHEMA, "classes": ["a"]})
    with pytest.raises(RunError, match=r"incomplete"):
        Checkpoint.load(tmp_path)


def test_early_stopping_keeps_the_best_epoch(make_options: MakeOptions) -> None:
    recipe = replace(make_options().recipe, epochs=30, patience=1, watch="loss", learning_rate=1e-5)
    recipe = replace(recipe, schedule="plateau", learning_rate=0.05)
    metrics = train(make_options(recipe=recipe)).metrics
    assert metrics["epochs"] < 30
    assert metrics["best_epoch"] == metrics["epochs"] - 1
    history = pd.read_parquet(make_options().out / "history.parquet")
    assert history["validation_loss"].idxmin() + 1 == metrics["best_epoch"]


def test_the_plateau_lowers_the_rate_by_the_recipes_factor(make_options: MakeOptions) -> None:
    from fastrace.train.loop import TrainingState, _rate, _update

    recipe = replace(
        make_options().recipe, schedule="plateau", watch="loss", plateau_patience=2, least_learning_rate=1e-5
    )
    done = TrainingState(learning_rate=1e-3)
    rates = []
    for epoch in range(1, 11):
        _update(done, recipe, torch.nn.Linear(1, 1), epoch, 0.5, 1.0)
        rates.append(_rate(recipe, done, epoch))
    assert rates == pytest.approx([1e-3] * 3 + [1e-4] * 3 + [1e-5] * 4)


def test_the_cosine_warms_up_and_ends_near_zero(make_options: MakeOptions) -> None:
    from fastrace.train.loop import TrainingState, _rate

    recipe = replace(make_options().recipe, epochs=100, warmup=0.05, learning_rate=1.0)
    rates = [_rate(recipe, TrainingState(), epoch) for epoch in (0, 2.5, 5, 52.5, 100)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 0.5, 0.0], abs=1e-12)


def test_ties_in_auc_are_decided_by_the_loss(make_options: MakeOptions) -> None:
    from fastrace.train.loop import TrainingState, _update

    done = TrainingState()
    network = torch.nn.Linear(1, 1)
    for epoch, (auc, loss) in enumerate([(1.0, 0.5), (1.0, 0.4), (0.9, 0.1), (1.0, 0.45)], 1):
        _update(done, replace(make_options().recipe, watch="auc"), network, epoch, auc, loss)
    assert (done.best_epoch, done.best_auc, done.best_loss, done.stale) == (2, 1.0, 0.4, 2)


@pytest.mark.parametrize(
    ("degradation", "visible"), [("band:6:10", True), ("notch:6:10", False), ("lowpass:6+noise:gaussian:0.02", False)]
)
def test_the_texture_is_found_in_its_band_and_not_without_it(
    make_options: MakeOptions, degradation: str, visible: bool
) -> None:
    metrics = train(make_options(degradation=parse(degradation))).metrics
    assert (metrics["patient"]["macro"]["low"] > 0.5) == visible
    assert metrics["degradation"] == degradation


def test_nothing_left_of_an_image_gives_exactly_one_half(make_options: MakeOptions) -> None:
    recipe = replace(make_options().recipe, epochs=1)
    macro = train(make_options(degradation=parse("highpass:200"), recipe=recipe)).metrics["patient"]["macro"]
    assert macro["value"] == 0.5
    assert macro["status"] == "constant scores"


def test_what_the_images_cannot_give_is_refused_before_training(make_options: MakeOptions, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="resolution:64 is larger than the images"):
        train(make_options(degradation=parse("resolution:64")))
    data = make_dataset(tmp_path / "data", patients=20, columns={"mm_per_pixel": np.nan})
    with pytest.raises(UsageError, match="lp/mm needs the mm per pixel of every image, unknown for 40 of 40"):
        train(make_options(data=data.path, degradation=parse("lowpass:1lp/mm")))
    assert not make_options().out.exists()


def test_the_paper_recipe_stops_without_imagenet_weights(make_options: MakeOptions) -> None:
    recipe = replace(make_options().recipe, name="paper")
    with pytest.raises(BackendMissing, match="--init imagenet"):
        train(make_options(recipe=recipe))


def test_uint8_and_uint16_mean_the_same_image(tmp_path: Path) -> None:
    pixels = []
    for dtype in ("uint8", "uint16"):
        data = make_dataset(tmp_path / dtype, patients=4, dtype=dtype)
        batch = Reader(data, labelled(data, "group"), CPU).read(np.arange(4))
        pipeline = Pipeline(torch.nn.Identity(), parse("none"), 0)
        pixels.append(pipeline.degraded(batch.pixels, batch.ids, batch.mm_per_pixel))
    assert (pixels[0] - pixels[1]).abs().max() <= 0.5 / 255 + 0.5 / 65535 + 1e-6
    assert pixels[0].max() <= 1


def test_normalisation_is_of_the_degraded_training_images(make_options: MakeOptions, planted: Dataset) -> None:
    cohort = select(planted, "group")
    reader = Reader(planted, cohort, CPU)
    pipeline = Pipeline(torch.nn.Identity(), parse("highpass:6"), 0)
    pipeline.measure(reader, cohort.of("train"), 16)
    batch = reader.read(cohort.of("train"))
    images = pipeline.degraded(batch.pixels, batch.ids, batch.mm_per_pixel).double()
    assert pipeline.mean == pytest.approx(float(images.mean()), abs=1e-6)
    assert pipeline.std == pytest.approx(float(images.std()), rel=1e-4)


def test_class_weights_balance_the_classes() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    weights = class_weights(labels, ("a", "b"))
    assert float(weights[0]) * 90 == pytest.approx(float(weights[1]) * 10)
    assert float(weights[torch.from_numpy(labels)].mean()) == pytest.approx(1)


def test_cuda_without_a_device_is_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(BackendMissing, match="finds no CUDA device"):
        choose_device("cuda")
    assert choose_device("auto") == CPU


def test_degradation_and_network_compile_as_one_graph(planted: Dataset, make_options: MakeOptions) -> None:
    cohort = labelled(planted, "group")
    batch = Reader(planted, cohort, CPU).read(np.arange(6))
    text = "band:3:9+blur:1+noise:gaussian:0.1+resolution:16+clip:0.6+patch:remove:4"
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(3600, 2)
    )
    pipeline = Pipeline(network, parse(text), 1)
    whole = torch.compile(pipeline._logits, fullgraph=True)
    for epoch in (1, 2):  # another epoch, other noise, no new graph
        change = changes(make_options().recipe, draw(6, 1, epoch), CPU)
        inputs = (batch.pixels, batch.ids, batch.mm_per_pixel, epoch, make_options().recipe, change)
        torch.testing.assert_close(whole(*inputs), pipeline._logits(*inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("option", "used"), [(True, True), (False, False), (None, False)])
def test_a_cpu_run_is_compiled_only_on_request(
    make_options: MakeOptions, monkeypatch: pytest.MonkeyPatch, option: bool | None, used: bool
) -> None:
    calls = []
    monkeypatch.setattr(torch, "compile", lambda function: calls.append(function) or function)
    train(make_options(compile=option, recipe=replace(make_options().recipe, epochs=1)))
    assert bool(calls) == used


def test_threads_follow_what_the_process_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from fastrace.execute import cpus

    assert cpus.set_threads() == 1  # OMP_NUM_THREADS wins
    monkeypatch.delenv("OMP_NUM_THREADS")
    torch.set_num_threads(2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(cpus, "quota", lambda: 1)
    assert cpus.set_threads() == 1


def test_a_failed_compilation_is_an_error_with_a_remedy(planted: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> torch.Tensor:
        raise torch._dynamo.exc.TorchDynamoException("no C++ compiler\nmore")

    pipeline = Pipeline(torch.nn.Identity(), parse("none"), 1)
    monkeypatch.setattr(pipeline, "_forward", fail)
    batch = Reader(planted, labelled(planted, "group"), CPU).read(np.arange(1))
    with pytest.raises(BackendMissing, match=r"torch.compile failed \(no C\+\+ compiler\); train with --no-compile"):
        pipeline.logits(batch)
