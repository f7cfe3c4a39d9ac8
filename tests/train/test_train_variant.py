"""``--variant released-code`` stays with a run: in what the network gets, in run.json, the checkpoint and each evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import make_dataset

from fastrace.cli.main import main
from fastrace.cohort.selection import labelled
from fastrace.dataset import Dataset
from fastrace.degrade.parser import parse
from fastrace.errors import RunError, UsageError
from fastrace.evaluate import Evaluation, evaluate
from fastrace.train import Options, train
from fastrace.train.batches import Reader
from fastrace.train.checkpoint import Checkpoint
from fastrace.train.options import options_for
from fastrace.train.pipeline import Pipeline

MakeOptions = Callable[..., Options]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(planted_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as typed; do not write into it, but for evaluations."""
    out = tmp_path_factory.mktemp("released") / "run"
    arguments = ["train", str(planted_path), "--out", str(out), "--model", "small", "--epochs", "1", "--device", "cpu"]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--variant", "released-code", "--degrade", "highpass:5"])
    assert not stop.value.code
    return out


class Keep(torch.nn.Module):
    """A network that keeps what it is given."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.given = images
        return images.flatten(1)[:, :2]


def test_the_network_gets_what_the_released_code_gave_its_own(planted: Dataset) -> None:
    reader = Reader(planted, labelled(planted, "group"), CPU)
    batch = reader.read(np.arange(4))
    pipeline = Pipeline(Keep(), parse("highpass:5", "released-code"), 0)
    pipeline.measure(reader, np.arange(40), 16)
    pipeline.logits(batch)
    display = batch.pixels.numpy() / 65535
    spectrum = np.fft.fftshift(np.fft.fft2((display - 0.485) / 0.229), axes=(1, 2))
    row, column = np.ogrid[:32, :32]
    outside = (row - 16) ** 2 + (column - 16) ** 2 >= 5**2
    expected = np.fft.ifft2(np.fft.ifftshift(spectrum * outside, axes=(1, 2))).real
    np.testing.assert_allclose(pipeline.model.given[:, 0], np.minimum(expected, 1), atol=5e-6)


def test_run_checkpoint_and_metrics_hold_the_variant(run: Path) -> None:
    described = json.loads((run / "run.json").read_text())
    assert described["arguments"]["variant"] == "released-code"
    assert "as in the released code" in described["degradation"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["degradation"], metrics["variant"]) == ("highpass:5", "released-code")
    checkpoint = Checkpoint.load(run)
    assert checkpoint.degrades == parse("highpass:5", "released-code")
    assert (checkpoint.mean, checkpoint.std) == (0, 1)


def test_an_evaluation_repeats_the_variant(run: Path, planted: Dataset) -> None:
    found = evaluate(Evaluation(run, planted.path, device="cpu"))
    assert found["variant"] == "released-code"
    assert found["patient"] == json.loads((run / "metrics.json").read_text())["patient"]
    for text in ("noise:gaussian:0.1", "lowpass:9"):  # not in the released code; a second filter
        with pytest.raises(UsageError, match="released code has one filter"):
            evaluate(Evaluation(run, planted.path, parse(text), device="cpu"))


def test_a_degradation_of_the_test_images_alone_is_of_the_runs_variant(
    make_options: MakeOptions, planted: Dataset
) -> None:
    done = train(
        make_options(degradation=parse("none", "released-code"), recipe=replace(make_options().recipe, epochs=1))
    ).folder
    found = evaluate(Evaluation(done, planted.path, parse("highpass:200"), device="cpu"))
    assert "as in the released code" in found["described"]
    assert found["patient"]["macro"]["value"] == 0.5  # nothing is left of an image


def test_resume_with_the_other_variant_is_refused(make_options: MakeOptions, run: Path) -> None:
    other = make_options(out=run, recipe=replace(make_options().recipe, epochs=1), degradation=parse("highpass:5"))
    with pytest.raises(RunError, match=r"variant: released-code there, corrected requested"):
        train(other, resume=True)


def test_checkpoints_from_before_the_variant_have_no_digest_and_are_refused(
    trained: Path, make_options: MakeOptions, tmp_path: Path
) -> None:
    before = json.loads((trained / "run.json").read_text())["arguments"]
    del before["variant"]
    assert make_options().differences(before) == []
    content = torch.load(trained / "checkpoint.pt", weights_only=True)
    del content["variant"], content["digest"]
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(RunError, match=r"checkpoint.pt: has no digest: made by an earlier version of fastrace"):
        Checkpoint.load(tmp_path)


def test_two_variants_of_one_degradation_have_their_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_dataset(Path("fastrace-work/any/data"), patients=40)
    quick = ["--modality", "any", "--model", "small", "--epochs", "1", "--device", "cpu"]
    for variant in ("corrected", "released-code"):
        with pytest.raises(SystemExit) as stop:
            main(["train", *quick, "--variant", variant])
        assert not stop.value.code
    assert {path.name for path in Path("fastrace-work/any/runs").iterdir()} == {"group", "group-released-code-none"}
    assert "degradation none (released-code)" in capsys.readouterr().out


def test_what_the_released_code_cannot_do_is_refused_before_training(make_options: MakeOptions, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="released code has one filter"):
        train(make_options(degradation=parse("blur:2", "released-code")))
    data = make_dataset(tmp_path / "data", patients=20, size=(31, 31))
    with pytest.raises(UsageError, match="images of 31x31, but the released code takes 224x224"):
        train(make_options(data=data.path, degradation=parse("lowpass:5", "released-code")))
    assert not make_options().out.exists()


def test_a_degradation_keeps_its_variant_unless_another_is_named(planted: Dataset, tmp_path: Path) -> None:
    code = parse("highpass:10", "released-code")
    given = {"target": None, "modality": None, "recipe": "current", "model": "small"}
    assert options_for(planted, tmp_path, degrade=code, **given).degradation == code
    assert options_for(planted, tmp_path, degrade=code, variant="corrected", **given).degradation == parse(
        "highpass:10"
    )
    assert options_for(planted, tmp_path, degrade="highpass:10", **given).degradation == parse("highpass:10")
