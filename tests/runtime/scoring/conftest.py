"""What the tests of several engines score, and what they compare with."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import run_in_process
from helpers.ray_jobs import MANY
from torchstone_runtime.bundle.builtin import locate_bundle


@pytest.fixture(scope="session")
def many_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 300 many_pictures, and one that is none."""
    folder = tmp_path_factory.mktemp("engines") / "pictures"
    folder.mkdir()
    golden = np.load(locate_bundle("fashion") / "golden.npz")["images"][:, 0]
    random = np.random.default_rng(0)
    for index in range(300):
        noisy = golden[index % len(golden)] + random.integers(-20, 20, golden.shape[1:])
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{index:04}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="session")
def scored_locally(many_pictures: Path) -> Path:
    """What the local engine writes of them."""
    result = run_in_process(
        "score", "fashion", many_pictures, "--out", many_pictures.parent / "local", "--format", "jsonl", *MANY
    )
    assert result.returncode == 0, result.stderr
    return many_pictures.parent / "local"
