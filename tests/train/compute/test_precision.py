"""Mixed precision: what is chosen, what falls back and why."""

from pathlib import Path

import pytest
import torch

from helpers.support import run_torchstone
from torchstone_runtime.system.cpu import cpu_features
from torchstone_train.compute import precision
from torchstone_train.compute.precision import Precision, choose_precision
from torchstone_train.recipes.recipe import AmpName

CPU = torch.device("cpu")
ARM_WITH_BF16 = "Features\t: fp asimd asimddp i8mm bf16\n"
WITH_BF16 = "flags\t\t: fpu avx2 avx512f avx512_bf16\n"
WITHOUT_BF16 = "flags\t\t: fpu avx2 avx512f\n"


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place of /proc/cpuinfo."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(precision, "cpu_features", lambda: cpu_features(path))
    return path


@pytest.mark.parametrize("wanted", ["auto", "bf16"])
@pytest.mark.parametrize("cpuinfo", [WITH_BF16, ARM_WITH_BF16])
def test_a_processor_with_bfloat16_uses_it(processor: Path, cpuinfo: str, wanted: AmpName) -> None:
    """Both `auto` and `bf16` give bfloat16 where the hardware has it, by the same names that `doctor` knows."""
    processor.write_text(cpuinfo)

    assert choose_precision(wanted, CPU).dtype is torch.bfloat16


@pytest.mark.parametrize("wanted", ["auto", "bf16"])
def test_a_processor_without_bfloat16_falls_back_and_says_why(processor: Path, wanted: AmpName) -> None:
    """float32 is used, and the reason names what is missing."""
    processor.write_text(WITHOUT_BF16)
    chosen = choose_precision(wanted, CPU)

    assert chosen.dtype is None
    assert "no bfloat16" in chosen.reason


def test_fp16_on_a_cpu_falls_back_and_says_why() -> None:
    """Half precision needs a GPU."""
    chosen = choose_precision("fp16", CPU)

    assert chosen.dtype is None
    assert "needs a GPU" in chosen.reason


def test_off_is_float32() -> None:
    """The forward pass then computes in float32."""
    chosen = choose_precision("off", CPU)
    with chosen.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)

    assert chosen.name == "off"
    assert product.dtype is torch.float32


def test_bf16_reaches_the_matrix_products(processor: Path) -> None:
    """Inside autocast they come out in bfloat16."""
    processor.write_text(WITH_BF16)
    with choose_precision("bf16", CPU).autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)

    assert product.dtype is torch.bfloat16


def test_weights_that_changed_are_cast_anew_inside_another_autocast() -> None:
    """PyTorch keeps cast weights until the outermost block ends: a training inside one would not see its own steps."""
    layer, images = torch.nn.Linear(3, 2, bias=False), torch.ones(1, 3)
    with torch.autocast("cpu", enabled=False):
        for value in (1.0, 2.0):
            torch.nn.init.constant_(layer.weight, value)
            with Precision("cpu", torch.bfloat16, "asked for").autocast():
                logits = layer(images)
            assert logits.tolist() == [[3 * value, 3 * value]]


def test_what_was_chosen_is_said_and_recorded(tmp_path: Path) -> None:
    """The log has a line, and run.json what was used in fact."""
    arguments = ("train", "cnn3", "--dataset", "digits", "--epochs", "1", "--amp", "fp16", "--out", tmp_path / "run")
    result = run_torchstone(*arguments)

    assert result.returncode == 0, result.stderr
    assert "amp      off (fp16 needs a GPU: float32 instead)" in result.stderr
    assert '"amp": "off"' in (tmp_path / "run" / "run.json").read_text()
