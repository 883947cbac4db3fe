"""What a process has set in PyTorch changes no byte of a bundle, and is still set afterwards."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

import torchstone

FLAGS: dict[str, tuple[Any, str, object]] = {
    "no cuDNN": (torch.backends.cudnn, "enabled", False),
    "fastest convolutions": (torch.backends.cudnn, "benchmark", True),
    "deterministic convolutions": (torch.backends.cudnn, "deterministic", True),
    "no TF32": (torch.backends.cudnn, "allow_tf32", False),
    "no oneDNN": (torch.backends.mkldnn, "enabled", False),
    "bfloat16 by default": (torch.backends, "fp32_precision", "bf16"),
}
CALLS: dict[str, tuple[Callable[[Any], object], object, object]] = {
    "bfloat16 for matrices": (torch.set_float32_matmul_precision, "medium", "highest"),
    "deterministic algorithms": (torch.use_deterministic_algorithms, True, False),
    "float64 by default": (torch.set_default_dtype, torch.float64, torch.float32),
}
BLOCKS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "another device by default": lambda: torch.device("meta"),
    "no gradients": torch.inference_mode,
}


@pytest.fixture
def exported(small_run: Path, tmp_path: Path) -> Callable[[], Path]:
    """Function that exports the run in this process."""
    return lambda: torchstone.export(small_run, out=tmp_path / "bundle").path


def changed_files(bundle: Path, other: Path) -> list[str]:
    """Names of the files whose bytes differ."""
    return [path.name for path in bundle.iterdir() if path.read_bytes() != (other / path.name).read_bytes()]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_changes_no_file(
    small_bundle: Path, exported: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    """A trace would write cuDNN's down, and oneDNN's would change the reference."""
    owner, name, value = FLAGS[flag]
    monkeypatch.setattr(owner, name, value)
    assert changed_files(exported(), small_bundle) == []
    assert getattr(owner, name) == value


@pytest.mark.parametrize("setting", CALLS)
def test_a_setting_changes_no_file(small_bundle: Path, exported: Callable[[], Path], setting: str) -> None:
    """bfloat16 would make the certificate one of another computation, float64 would end in a traceback."""
    choose, chosen, usual = CALLS[setting]
    choose(chosen)
    try:
        assert changed_files(exported(), small_bundle) == []
    finally:
        choose(usual)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_around_the_export_changes_no_file(
    small_bundle: Path, exported: Callable[[], Path], block: str
) -> None:
    """Each of them would end in a traceback, or be traced."""
    with BLOCKS[block]():
        bundle = exported()
    assert changed_files(bundle, small_bundle) == []


def test_an_export_leaves_the_precision_of_the_process(exported: Callable[[], Path]) -> None:
    """Whoever trains on in the same notebook keeps the speed that was chosen."""
    torch.set_float32_matmul_precision("medium")
    try:
        exported()
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
