"""Weights of another origin: found in what training scripts write, fitted strictly, and never unpickled."""

import pickle
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from torchstone_export.foreign.weights import fit_weights, read_weights
from torchstone_runtime.errors import DataError


def make(seed: int = 0) -> nn.Module:
    """A small module with parameters and buffers."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(4, 3))


def equal(first: nn.Module, second: nn.Module) -> bool:
    """Whether two modules have the same weights."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "module._orig_mod."])
@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model"])
def test_what_training_scripts_write_is_found(prefix: str, key: str | None, tmp_path: Path) -> None:
    """Nested under a usual key, with the prefixes of DataParallel, torch.compile and Lightning."""
    trained, fresh = make(1), make(2)
    saved: dict[str, Any] = {prefix + name: value for name, value in trained.state_dict().items()}
    torch.save(saved if key is None else {"epoch": 3, key: saved}, tmp_path / "w.pt")
    fit_weights(fresh, read_weights(tmp_path / "w.pt"), tmp_path / "w.pt")

    assert equal(trained, fresh)


def test_safetensors_are_read(tmp_path: Path) -> None:
    """By their suffix."""
    trained, fresh = make(1), make(2)
    safetensors.torch.save_file(trained.state_dict(), tmp_path / "w.safetensors")
    fit_weights(fresh, read_weights(tmp_path / "w.safetensors"), tmp_path / "w.safetensors")

    assert equal(trained, fresh)


class Trap:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


@pytest.mark.parametrize("whole", ["module", "trap in a state dict", "trap in the arguments", "path beside"])
def test_a_pickle_of_objects_is_refused_and_not_run(whole: str, tmp_path: Path) -> None:
    """The message says how to save a state dict."""
    trap, state = Trap(tmp_path / "sprung"), make().state_dict()
    saved = {
        "module": make(),
        "trap in a state dict": {"state_dict": state, "trap": trap},
        "trap in the arguments": {"state_dict": state, "args": Namespace(lr=trap)},
        "path beside": {"state_dict": state, "path": tmp_path},
    }[whole]
    torch.save(saved, tmp_path / "w.pt")
    with pytest.raises(DataError, match=r"(?s)could run any code.*torch\.save\(model\.state_dict\(\)"):
        read_weights(tmp_path / "w.pt")

    assert not (tmp_path / "sprung").exists()


def test_settings_beside_the_weights_are_no_hindrance(tmp_path: Path) -> None:
    """A Namespace of argparse, as timm and torchvision save it: it has no code that loading could run."""
    trained, fresh = make(1), make(2)
    torch.save({"state_dict": trained.state_dict(), "args": Namespace(lr=0.1, name="x")}, tmp_path / "w.pt")
    fit_weights(fresh, read_weights(tmp_path / "w.pt"), tmp_path / "w.pt")

    assert equal(trained, fresh)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.pt", b""),
        ("w.pt", b"hello world"),
        ("w.pt", pickle.dumps({"a": 1})),
        ("w.safetensors", b"hello world"),
        ("w.safetensors", b"\xff" * 64),
    ],
)
def test_what_is_no_file_of_weights_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    """With one message that names the file."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        read_weights(tmp_path / name)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    """Cut in the middle."""
    torch.save(make().state_dict(), tmp_path / "whole.pt")
    (tmp_path / "w.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:900])
    with pytest.raises(DataError, match="damaged"):
        read_weights(tmp_path / "w.pt")


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """Missing, left over and of another shape, in one message; nothing is loaded."""
    state, fresh = make().state_dict(), make(2)
    state["0.weight"] = torch.zeros(2, 1, 5, 5)
    state["extra"] = state.pop("2.bias")
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(DataError) as refused:
        fit_weights(fresh, read_weights(tmp_path / "w.pt"), tmp_path / "w.pt")

    for fragment in ("1 missing: 2.bias", "1 not in the module: extra", "0.weight 2x1x5x5, the module's is 2x1x3x3"):
        assert fragment in str(refused.value)
    assert equal(fresh, make(2))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """A diverged training."""
    state = make().state_dict()
    state["2.bias"][1] = float("nan")
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(DataError, match="not finite"):
        fit_weights(make(), read_weights(tmp_path / "w.pt"), tmp_path / "w.pt")
