"""What several tests need: the command line in a process of its own, and small datasets."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Int64Array

Mount = Callable[[int], Path]
"""Makes a disk of some bytes and returns where it is."""

RUNTIME_HEAVY = ("torch", "torchvision", "onnx", "onnxscript", "sklearn", "scipy", "matplotlib")


def run_torchstone(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-m", "torchstone_runtime", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=timeout,
        check=False,
    )


def assert_refused(result: "subprocess.CompletedProcess[str]", *fragments: str) -> None:
    """Check for exit code 2, one message with all fragments, no traceback, and nothing on stdout."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("Error:") == 1, result.stderr
    assert result.stdout == ""
    for fragment in fragments:
        assert fragment in result.stderr


def write_image_tree(root: Path, classes: Mapping[str, int], *, side: int = 12, mode: str = "L", seed: int = 0) -> Path:
    """Write random PNG files, one sub-folder a class with the given number of images; return `root`."""
    generator = np.random.default_rng(seed)
    shape = (side, side) if mode == "L" else (side, side, 3)
    for position, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            # Classes differ in brightness, so that a model can learn something.
            pixels = generator.integers(0, 100, shape) + 150 * position // max(1, len(classes) - 1)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index:03}.png")
    return root


def half_right(classes: int, samples: int) -> tuple[Int64Array, Int64Array, tuple[str, ...]]:
    """Return true and predicted classes, int64 [N] each, of which half are equal, and the classes' names."""
    generator = np.random.default_rng(0)
    true = generator.integers(0, classes, samples)
    other = generator.integers(0, classes, samples)
    return true, np.where(generator.random(samples) < 0.5, true, other), tuple(f"class {k}" for k in range(classes))
