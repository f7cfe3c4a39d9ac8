"""docs/readers.md: its recipes run, with small packages in the place of the libraries that are not installed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from fastrace.audit.model.function import load
from fastrace.audit.readers.vector_files import open_vectors
from fastrace.dataset import Dataset

PAGE = (Path(__file__).parents[2] / "docs" / "readers.md").read_text()
RECIPES = dict(re.findall(r"<!-- recipe (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))

# What the recipes use of the libraries: names, arguments, shapes.
LIBRARIES = {
    "torchxrayvision": """
class models:
    class DenseNet:
        def __init__(self, weights): self.weights = weights
        def eval(self): return self
        def features2(self, x):
            assert x.shape[1:] == (1, 224, 224) and x.min() >= -1024 and 900 < x.max() <= 1024
            return x.mean(dim=(2, 3)).expand(-1, 1024)
        def __call__(self, x): return x.mean(dim=(2, 3)).expand(-1, 18)
""",
    "transformers": """
import types
class AutoModel:
    @classmethod
    def from_pretrained(cls, folder, local_files_only):
        assert local_files_only
        return cls()
    def eval(self): return self
    def __call__(self, x):
        assert x.shape[1:] == (3, 518, 518)
        return types.SimpleNamespace(pooler_output=x.mean(dim=(2, 3)).repeat(1, 256))
class AutoImageProcessor:
    @classmethod
    def from_pretrained(cls, folder, local_files_only):
        assert local_files_only
        return types.SimpleNamespace(image_mean=[0.53] * 3, image_std=[0.26] * 3)
""",
    "open_clip": """
OPENAI_DATASET_MEAN, OPENAI_DATASET_STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)
class Model:
    def eval(self): return self
    def encode_image(self, x):
        assert x.shape[1:] == (3, 224, 224)
        return x.mean(dim=(2, 3))
def create_model(name, pretrained):
    return Model()
""",
}
FUNCTIONS = {"torchxrayvision": ("densenet", 1024), "transformers": ("rad_dino", 768), "open_clip": ("clip", 3)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in LIBRARIES.items():
        (tmp_path / f"{name}.py").write_text(text)
        (tmp_path / f"recipe_{name}.py").write_text(RECIPES[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = {name: sys.modules.pop(name) for name in LIBRARIES if name in sys.modules}
    yield tmp_path
    for name in LIBRARIES:
        sys.modules.pop(name, None)
        sys.modules.pop(f"recipe_{name}", None)
    sys.modules.update(before)


@pytest.mark.parametrize("library", FUNCTIONS)
def test_a_recipe_keeps_the_contract(here: Path, library: str) -> None:
    function, dimensions = FUNCTIONS[library]
    images = torch.linspace(0, 1, 3 * 32 * 32).reshape(3, 1, 32, 32)
    assert load(f"recipe_{library}:{function}")(images).features.shape == (3, dimensions)


def test_the_images_of_a_dataset_are_embedded_by_their_keys(here: Path, tiny: Dataset) -> None:
    (here / "data").symlink_to(tiny.path)
    exec(compile(RECIPES["dataset"], "recipe", "exec"), {})
    found = open_vectors("mine.parquet")
    assert (found.kind, found.dimensions) == ("image_key", 64)
    assert list(found.ids) == pd.Series(tiny.index["image_key"]).tolist()


def test_every_recipe_is_run() -> None:
    assert set(RECIPES) == {*FUNCTIONS, "dataset"}
