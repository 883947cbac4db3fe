import json
import os
from pathlib import Path

from helpers.support import Mount, assert_refused, run_torchstone


def disk_usage(path: Path) -> int:
    """Return the bytes that a file takes on a disk of 4 KiB pages."""
    return -(-path.stat().st_size // 4096) * 4096


def test_disk_too_small_for_the_weights_leaves_no_run(small_disk: Mount, tiny_npz: Path) -> None:
    """One message, exit code 2, and nothing half-written."""
    disk = small_disk(200 << 10)
    result = run_torchstone("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", disk / "run")
    assert_refused(result, "No space left on device", "best.safetensors")
    assert os.listdir(disk) == []  # noqa: PTH208 - names are enough


def test_disk_too_small_for_the_pictures_keeps_the_run(small_disk: Mount, tiny_npz: Path, tiny_run: Path) -> None:
    """What was learnt is complete and says so; the pictures that had no room are one message, exit code 2."""
    needed = sum(disk_usage(tiny_run / name) for name in ("best.safetensors", "last/checkpoint.pt"))
    disk = small_disk(needed + (120 << 10))
    arguments = ("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--epochs", "1", "--out", disk / "run")
    result = run_torchstone(*arguments, pictures=True)
    assert_refused(result, "No space left on device", "figures")
    assert json.loads((disk / "run" / "run.json").read_text())["stop_reason"] == "max_epochs"
    assert (disk / "run" / "best.safetensors").stat().st_size == (tiny_run / "best.safetensors").stat().st_size
    assert not list((disk / "run").rglob("*.partial"))
