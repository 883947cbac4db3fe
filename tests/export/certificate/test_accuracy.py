"""The accuracy of every export: printed with its number of images, and held to what was expected."""

from pathlib import Path

import pytest

import torchstone
from helpers.in_process import run_in_process
from torchstone_export.certificate.accuracy import require_accuracy
from torchstone_export.certificate.certify import VariantCertificate
from torchstone_runtime.errors import CheckFailedError, UsageError


def certificate(correct: int, samples: int) -> VariantCertificate:
    """A certificate of so many right answers on the test split."""
    share = correct / samples
    figures = {
        "accuracy": share,
        "correct": correct,
        "samples": samples,
        "metrics": {"accuracy_interval_95": [share - 0.03, share + 0.03]},
    }
    return VariantCertificate(splits={"test": figures})


def test_an_export_prints_accuracy_and_number_of_images(small_run: Path, tmp_path: Path) -> None:
    """Of both splits."""
    result = run_in_process("export", small_run, "--out", tmp_path / "bundle", "--no-torchscript")

    line = next(line for line in result.stdout.splitlines() if line.startswith("accuracy"))
    assert line.startswith("accuracy of fp32: validation 0.")
    assert line.count(" images)") == 2


def test_an_accuracy_that_is_not_reached_writes_nothing(small_run: Path, tmp_path: Path) -> None:
    """Exit code 1, the figure that was found, and where to look."""
    arguments = ("export", small_run, "--out", tmp_path / "bundle", "--no-torchscript")
    result = run_in_process(*arguments, "--expect-accuracy", "1")

    assert result.returncode == 1
    assert "accuracy on the test split is 0." in result.stderr
    assert "lower than the 1 that was expected" in result.stderr
    assert "Likely causes" in result.stderr
    assert not (tmp_path / "bundle").exists()


def test_an_accuracy_that_is_reached_passes() -> None:
    """Equal is enough."""
    require_accuracy(certificate(761, 1000), 0.761, Path("bundle"))
    require_accuracy(certificate(1, 1000), None, Path("bundle"))


def test_causes_that_were_found_take_the_place_of_the_usual_ones() -> None:
    """And few images are named as such."""
    with pytest.raises(CheckFailedError) as failed:
        require_accuracy(certificate(760, 1000), 0.761, Path("bundle"), ["--color BGR is better."])

    assert failed.value.details == ("--color BGR is better.",)
    assert "Likely causes" not in str(failed.value)
    assert "So few images can't tell the two apart" in str(failed.value)


def test_python_takes_an_expectation(small_run: Path, tmp_path: Path) -> None:
    """As the command does; what is no share is refused before any work."""
    with pytest.raises(UsageError, match=r"0\.761"):
        torchstone.export(small_run, out=tmp_path / "bundle", expect_accuracy=76.1)
    with pytest.raises(CheckFailedError):
        torchstone.export(small_run, out=tmp_path / "bundle", torchscript=False, expect_accuracy=1)
