"""What happens to a job around it: the model is exchanged, the disk is full. Nothing that was written is lost."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.bundle.builtin import locate_bundle

PER_SHARD = ("--format", "csv", "--per-shard", "20")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write an npz file of 4,000 pictures."""
    pixels = np.random.default_rng(0).integers(0, 256, (4_000, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels)
    return tmp_path / "images.npz"


@pytest.fixture
def bundles(tmp_path: Path, digits_bundle: Path) -> Path:
    """A folder with one model as `bundle`, and another as `another`."""
    shutil.copytree(locate_bundle("fashion"), tmp_path / "bundle")
    shutil.copytree(digits_bundle, tmp_path / "another")
    return tmp_path


def exchange(folder: Path) -> None:
    """Put the other model in the place of the one that is there."""
    (folder / "bundle").rename(folder / "aside")
    (folder / "another").rename(folder / "bundle")
    (folder / "aside").rename(folder / "another")


def parts(out: Path) -> dict[str, bytes]:
    """Return the parts of a job by name."""
    return {path.name: path.read_bytes() for path in out.glob("part-*")}


def test_another_model_at_the_same_path_is_refused_and_the_first_one_goes_on(bundles: Path, images: Path) -> None:
    """One message says that the model is another; put back, it ends the job as if nothing had been."""
    given = ("score", bundles / "bundle", images, *PER_SHARD)
    assert run_in_process(*given, "--out", bundles / "whole").returncode == 0
    assert run_in_process(*given, "--out", bundles / "out", "--share", "1/2").returncode == 0
    before = parts(bundles / "out")
    exchange(bundles)
    refused = run_in_process(*given, "--out", bundles / "out")
    assert (refused.returncode, refused.stderr.count("Error:")) == (2, 1)
    assert "model, sha256" in refused.stderr
    assert parts(bundles / "out") == before
    exchange(bundles)
    assert run_in_process(*given, "--out", bundles / "out").returncode == 0
    assert parts(bundles / "out") == parts(bundles / "whole")


def test_a_model_that_is_exchanged_while_it_scores_scores_to_the_end(bundles: Path, images: Path) -> None:
    """It was read and checked at the start; no row is the other model's."""
    given = ["score", str(bundles / "bundle"), str(images), *PER_SHARD]
    assert run_in_process(*given, "--out", bundles / "whole", "--summary").returncode == 0
    out = bundles / "out"
    command = [sys.executable, "-m", "torchstone_runtime", *given, "--out", str(out), "--summary"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not parts(out) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)
    assert len(parts(out)) < len(parts(bundles / "whole"))
    exchange(bundles)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert parts(out) == parts(bundles / "whole")
    assert (out / "summary.json").read_bytes() == (bundles / "whole" / "summary.json").read_bytes()


def test_a_disk_that_is_full_is_one_message_and_with_room_the_job_goes_on(
    images: Path, tmp_path: Path, small_disk: Callable[[int], Path]
) -> None:
    """On a disk of 8 MB, nearly all of which something else has taken."""
    given = ("score", "fashion", images, *PER_SHARD, "--probabilities")
    assert run_in_process(*given, "--out", tmp_path / "whole").returncode == 0
    disk = small_disk(8 << 20)
    out = disk / "out"
    out.mkdir()
    with (disk / "filler").open("wb") as file:
        file.write(bytes((8 << 20) - (400 << 10)))
    full = run_in_process(*given, "--out", out)
    assert (full.returncode, full.stderr.count("Error:")) == (2, 1)
    assert "No space left on device" in full.stderr
    written = parts(out)
    assert written
    assert written.items() < parts(tmp_path / "whole").items()
    (disk / "filler").unlink()
    assert run_in_process(*given, "--out", out).returncode == 0
    assert parts(out) == parts(tmp_path / "whole")
    assert not list(out.glob(".*"))
