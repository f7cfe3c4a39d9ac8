"""``package.module:function``: what the user's code gets, what is asked of it, and what is said when it fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from audit_archives import fewer_permutations, request

from fastrace.audit.model.function import is_function, load, source_digest
from fastrace.audit.partition import deal_at_random
from fastrace.audit.readers.function import FunctionReader
from fastrace.audit.run import audit
from fastrace.dataset import Dataset
from fastrace.degrade.grammar import CLEAN
from fastrace.errors import FastraceError, RunError, UsageError

FOLDS = deal_at_random(np.arange(40) % 2, np.random.default_rng(0))
GOOD = """
import torch
SEEN = []
def means(images):
    SEEN.append((images.shape[1:], images.dtype, float(images.min()), float(images.max())))
    images -= images.mean(dim=(1, 2, 3), keepdim=True)
    print('reading')
    return {"features": images.mean(dim=3).flatten(1), "score": images.amax(dim=(1, 2, 3))}
class Model:
    def embed(self, images):
        return {"features": images.numpy().std(axis=(2, 3))}
model = Model()
"""
BAD = """
import numpy, torch
number = 3
def raises(images):
    return {"features": images.reshape(-1, 7)}
def leaves(images):
    raise SystemExit(3)
def nothing(images):
    pass
def other(images):
    return {"embedding": images}
def fewer(images):
    return {"features": images[1:, 0, 0]}
def flat(images):
    return {"features": images[:, 0, 0, 0]}
def nan(images):
    return {"features": images[:, 0, 0] / 0}
def text(images):
    return {"features": ["a"] * len(images)}
def score(images):
    return {"features": images[:, 0, 0], "score": torch.zeros(3, 1)}
def changing(images):
    return {"features": torch.zeros(len(images), len(images))}
def growing(images):
    return {"features": torch.ones(len(images), 2 if len(images) < 9 else 32)}
dropout = torch.nn.Dropout(.1)
def training(images):
    return {"features": dropout(images[:, 0, 0] + 1)}
batch_norm = torch.nn.BatchNorm2d(1)
def batch(images):
    return {"features": batch_norm(images + torch.arange(len(images))[:, None, None, None])[:, 0, 0]}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a package of the user, in which fastrace was started."""
    (tmp_path / "my_models").mkdir()
    (tmp_path / "my_models" / "good.py").write_text(GOOD)
    (tmp_path / "my_models" / "bad.py").write_text(BAD)
    (tmp_path / "my_models" / "broken.py").write_text("import not_there_at_all\n")
    (tmp_path / "my_models" / "wrong.py").write_text("1 / 0\n")
    (tmp_path / "torch.py").write_text("raise RuntimeError('not this one')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("my_models")]:
        del sys.modules[name]


def test_an_audit_shows_it_unchanged_and_degraded_images(here: Path, tiny: Dataset) -> None:
    wanted = request(tiny.path, here / "audit", only=("C1b",), readers=("my_models.good:means",))
    with fewer_permutations(99):
        found = audit(wanted)
    cells = [cell for cell in found.cells if cell.features == "my_models.good:means"]
    assert {cell.experiment for cell in cells} == {"A1", "C1b"}
    assert next(one.dimensions for one in found.features if one.name == "my_models.good:means") == 24
    assert found.arguments["readers"] == ["my_models.good:means"]
    seen = sys.modules["my_models.good"].SEEN
    assert {(shape, dtype) for shape, dtype, *_ in seen} == {((1, 24, 24), torch.float32)}
    assert all(low >= 0 and high <= 1 for _, _, low, high in seen[:2])
    assert min(low for *_, low, _ in seen) < 0  # a high-pass is around zero


def test_it_cannot_change_the_images_of_others(here: Path) -> None:
    images = torch.rand(40, 24, 24)
    before = images.clone()
    reader = FunctionReader.tried(load("my_models.good:means"), FOLDS, images[:2])
    assert reader.embed(images, CLEAN).shape == (40, 24)
    assert torch.equal(images, before)


def test_methods_and_arrays_will_do(here: Path) -> None:
    images = torch.rand(3, 1, 8, 8)
    found = load("my_models.good:model.embed")(images)
    np.testing.assert_allclose(found.features, images.numpy().std(axis=(2, 3)))
    assert found.score is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("my_models.nowhere:means", "no module 'my_models.nowhere', neither installed"),
        ("nowhere.at.all:means", "no module 'nowhere', neither installed"),
        ("my_models.broken:means", "No module named 'not_there_at_all' (broken.py, line 1)"),
        ("my_models.wrong:means", "its import fails: ZeroDivisionError: division by zero (wrong.py, line 1)"),
        ("my_models.good:mean", "my_models.good has no 'mean'"),
        ("my_models.bad:number", "is int, not a function"),
    ],
)
def test_what_cannot_be_loaded_is_refused_before_a_folder_is_made(
    here: Path, tiny: Dataset, text: str, words: str
) -> None:
    with pytest.raises(UsageError) as refused:
        audit(request(tiny.path, here / "audit", readers=(text,)))
    assert words in str(refused.value)
    assert not (here / "audit").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "RuntimeError: shape '[-1, 7]' is invalid for input of size 128 (bad.py, line 5)"),
        ("leaves", "SystemExit: 3 (bad.py, line 7)"),
        ("nothing", "returned NoneType; expected a mapping with 'features' [N, D]"),
        ("other", "returned a mapping of 'embedding'"),
        ("fewer", "'features' has shape (1, 8) for 2 images"),
        ("flat", "'features' has shape (2,); expected [2, D]"),
        ("nan", "'features' holds NaN or infinite values"),
        ("text", "'features' is list; expected a tensor or an array of numbers"),
        ("score", "'score' has shape (3, 1) for 2 images"),
    ],
)
def test_what_breaks_the_contract_is_said_with_the_line_of_the_users_code(here: Path, name: str, words: str) -> None:
    with pytest.raises(RunError) as refused:
        load(f"my_models.bad:{name}")(torch.rand(2, 1, 8, 8))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("changing", "gives 1 feature of 1 image, and gave 2 before"),
        ("training", "call .eval() on the model"),
        ("batch", "when it was given again, without other images"),
    ],
)
def test_an_image_has_the_same_features_in_every_batch(here: Path, name: str, words: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(RunError) as refused:
        FunctionReader.tried(load(f"my_models.bad:{name}"), FOLDS, torch.rand(2, 64, 64))
    assert words in str(refused.value)


def test_the_number_of_features_must_not_change_later(here: Path) -> None:
    reader = FunctionReader.tried(load("my_models.bad:growing"), FOLDS, torch.rand(2, 8, 8))
    with pytest.raises(RunError, match="gives 32 features of 32 images, and gave 2 before"):
        reader.embed(torch.rand(40, 8, 8), CLEAN)


def test_what_a_function_prints_goes_to_stderr(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load("my_models.good:means")(torch.rand(2, 1, 8, 8))
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "reading\n")


def test_what_is_written_like_a_function_is_one_and_nothing_else() -> None:
    assert all(map(is_function, ("a:b", "my_models.good:model.embed")))
    assert not any(
        map(is_function, ("small", "resnet18=a:b.pt", "resnet18", "hf-hub:timm/x", "a:", ":b", "a:b c", "../a:b"))
    )


def test_its_source_is_part_of_what_is_resumed(here: Path) -> None:
    before = source_digest("my_models.good:means")
    (here / "my_models" / "good.py").write_text(GOOD + "\n")
    assert before
    assert source_digest("my_models.good:means") != before
    assert source_digest("nowhere.at.all:means") == ""


def test_nothing_but_fastraces_errors_leaves_the_loader(here: Path) -> None:
    for text in ("my_models:means", "os.path:nothing", "torch:nn"):
        with pytest.raises(FastraceError):
            load(text)
