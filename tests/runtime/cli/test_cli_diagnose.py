"""`torchstone diagnose` as a person meets it."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, run_torchstone


@pytest.fixture
def golden(digits_bundle: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """The first golden image of the digits bundle."""
    with np.load(digits_bundle / "golden.npz") as arrays:
        return np.array(arrays["images"][0], dtype=np.uint8)


def test_a_mistake_is_named_and_fails(
    digits_bundle: Path, golden: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", tmp_path: Path
) -> None:
    """With the constants that were used beside the right ones, and what the model makes of it."""
    np.save(tmp_path / "t.npy", (golden / 255 - 0.1307) / 0.3081)
    arguments: list[str | Path] = ["diagnose", digits_bundle, "--golden", "0", "--tensor", tmp_path / "t.npy"]
    result = run_in_process(*arguments)
    assert result.returncode == 1, result.stderr
    for text in ("wrong-mean-std", "0.1307", "0.3081", "0.5", "known from MNIST", "expected", "given"):
        assert text in result.stdout
    document = json.loads(run_in_process(*arguments, "--json").stdout)
    assert document["mistakes"][0]["code"] == "wrong-mean-std"
    assert document["estimated_mean"] == pytest.approx([0.1307], abs=1e-4)
    assert document["classes"]["expected"]["class"] in "0123456789"


def test_a_right_tensor_passes(
    digits_bundle: Path, golden: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", tmp_path: Path
) -> None:
    """Raw pixels are what the graph takes; normalised ones are right but would be normalised twice."""
    np.save(tmp_path / "raw.npy", golden)
    np.save(tmp_path / "normalised.npy", (golden / 255 - 0.5) / 0.5)
    for name, text in (("raw", "what the model expects"), ("normalised", "would be normalised twice")):
        result = run_torchstone("diagnose", digits_bundle, "--golden", "0", "--tensor", tmp_path / f"{name}.npy")
        assert result.returncode == 0, result.stderr
        assert text in result.stdout


def test_what_cannot_be_diagnosed_is_refused(digits_bundle: Path, tmp_path: Path) -> None:
    """A golden image that is not there, and a file that is no tensor."""
    np.save(tmp_path / "t.npy", np.zeros((28, 28)))
    (tmp_path / "no.npy").write_text("no tensor")
    assert_refused(
        run_in_process("diagnose", digits_bundle, "--golden", "99", "--tensor", tmp_path / "t.npy"),
        "no golden image 99",
    )
    assert_refused(
        run_in_process("diagnose", digits_bundle, "--golden", "0", "--tensor", tmp_path / "no.npy"),
        "no.npy",
        ".npy file",
    )
