"""Networks and their first weights: found on this machine or not at all, and read without running code."""

from __future__ import annotations

import pickle
import socket
from pathlib import Path
from typing import NoReturn

import huggingface_hub.constants
import pytest
import safetensors.torch
import timm
import torch

from fastrace.errors import BackendMissing, UsageError
from fastrace.models.build import build
from fastrace.models.small import SmallNet
from fastrace.models.weights import Initial, choose_initial, find_imagenet, read_weights

TINY = "test_resnet"  # timm's own test model


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Empty caches, and a network that fails loudly."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))


def color_weights(classes: int = 1000) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return timm.create_model(TINY, pretrained=False, num_classes=classes).state_dict()


def put_in_hub_cache(folder: Path) -> None:
    """Lay weights out as huggingface_hub does."""
    repository = timm.get_pretrained_cfg(TINY).hf_hub_id
    base = folder / "hub" / ("models--" + repository.replace("/", "--"))
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text("abc")
    (base / "snapshots" / "abc").mkdir(parents=True)
    safetensors.torch.save_file(color_weights(), base / "snapshots" / "abc" / "model.safetensors")


@pytest.mark.parametrize("name", [TINY, "small"])
def test_a_network_has_one_input_channel_and_a_logit_per_class(name: str) -> None:
    assert build(name, 4)(torch.rand(2, 1, 64, 64)).shape == (2, 4)


def test_an_unknown_model_is_refused_with_near_names() -> None:
    with pytest.raises(UsageError, match=r"--model resnt34: unknown.*resnet34"):
        choose_initial("resnt34", "auto")


def test_auto_without_local_weights_is_random_and_reported() -> None:
    assert choose_initial(TINY, "auto") == Initial(
        "random", f"{TINY}: random initial weights (no ImageNet weights on this machine)"
    )
    assert "it has no ImageNet weights" in choose_initial("small", "auto").sentence


@pytest.mark.parametrize("name", [TINY, "small"])
def test_imagenet_without_local_weights_is_an_error_with_a_remedy(name: str) -> None:
    with pytest.raises(BackendMissing, match=r"--init imagenet: .*--init random"):
        choose_initial(name, "imagenet")


def test_weights_in_the_hub_cache_are_found_and_summed_over_colours(tmp_path: Path) -> None:
    put_in_hub_cache(tmp_path)
    initial = choose_initial(TINY, "auto")
    assert initial.kind == "imagenet"
    network = build(TINY, 2, initial)
    weights = color_weights()
    first = timm.get_pretrained_cfg(TINY).first_conv + ".weight"
    torch.testing.assert_close(network.state_dict()[first], weights[first].sum(dim=1, keepdim=True))
    same = [key for key in weights if key != first and weights[key].shape == network.state_dict()[key].shape]
    assert len(same) > 10
    assert all(torch.equal(network.state_dict()[key], weights[key]) for key in same)


def test_weights_in_torch_hubs_folder_are_found(tmp_path: Path) -> None:
    name = "resnet34"
    file = tmp_path / "torch" / "checkpoints" / Path(timm.get_pretrained_cfg(name).url).name
    file.parent.mkdir(parents=True)
    assert find_imagenet(name) is None
    file.write_bytes(b"")
    assert find_imagenet(name) == file


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_file_of_weights_is_used_but_not_its_classifier(tmp_path: Path, suffix: str, wrapped: bool) -> None:
    weights = {f"module.{key}" if wrapped else key: value for key, value in color_weights(2).items()}
    file = tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        safetensors.torch.save_file(weights, file)
    else:
        torch.save({"state_dict": weights} if wrapped else weights, file)
    torch.manual_seed(1)
    network = build(TINY, 2, choose_initial(TINY, str(file)))
    head = timm.get_pretrained_cfg(TINY).classifier + ".weight"
    deep = next(key for key in network.state_dict() if key.startswith("layer") and key.endswith(".weight"))
    prefix = "module." if wrapped else ""
    assert torch.equal(network.state_dict()[deep], weights[prefix + deep])
    assert not torch.equal(network.state_dict()[head], weights[prefix + head])


def test_a_checkpoint_of_a_run_can_start_another(trained: Path) -> None:
    network = build("small", 3, choose_initial("small", str(trained / "checkpoint.pt")))
    weights = torch.load(trained / "checkpoint.pt", weights_only=True)["weights"]
    assert torch.equal(network.state_dict()["coarse.0.weight"], weights["coarse.0.weight"])


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("/nonexistent/executed"),)


def test_a_file_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    Hostile.__reduce__ = lambda self: (Path.touch, (marker,))  # type: ignore[method-assign]
    torch.save({"weights": Hostile()}, tmp_path / "bad.pt")
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Hostile(), protocol=2))
    for name in ("bad.pt", "bad.pkl"):
        with pytest.raises(UsageError, match="cannot be read as weights"):
            read_weights(tmp_path / name)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.pt", b"", "cannot be read as weights"),
        ("text.pt", b"not a checkpoint", "cannot be read as weights"),
        ("text.safetensors", b"not a checkpoint either", "cannot be read as weights"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_weights(tmp_path / name)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pt"
    torch.save(SmallNet(2).state_dict(), file)
    with pytest.raises(UsageError, match=r"lacks .* of .* weights of the model"):
        build(TINY, 2, Initial("file", "", file))
    wide = {key: torch.zeros(*value.shape, 2) for key, value in SmallNet(2).state_dict().items()}
    torch.save(wide, file)
    with pytest.raises(UsageError, match=r"has shape .* the model needs"):
        build("small", 2, Initial("file", "", file))
    torch.save([1, 2], file)
    with pytest.raises(UsageError, match="holds no tensors by name"):
        read_weights(file)
    with pytest.raises(UsageError, match="not a file; use auto"):
        choose_initial(TINY, str(tmp_path / "missing.pt"))


def test_cached_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.safetensors"
    safetensors.torch.save_file({"conv1.weight": torch.zeros(1)}, file)
    with pytest.raises(UsageError, match=r"lacks .* of .* weights of the model"):
        build(TINY, 2, Initial("imagenet", "", file))
