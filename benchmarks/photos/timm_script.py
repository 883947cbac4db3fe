"""timm's own training script, begun with the weights that the other sides begin with.

The script lies in timm's repository, not in its package; its path is an option of `benchmarks.photos.accuracy`.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.photos.lite0_backbone import INPUT, weights_file

_NETWORK = "tf_efficientnet_lite0"


def _fitted(own: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give the weights of one to the names of the other: both list the same layers in the order of the computation."""
    pairs = list(zip(own.items(), other.values(), strict=True))
    body, head = pairs[:-2], pairs[-2:]
    if any(mine.shape != theirs.shape for (_, mine), theirs in body):
        raise ValueError("the networks differ in their layers")
    return {name: theirs for (name, _), theirs in body} | {name: mine for (name, mine), _ in head}


def write_checkpoint(path: Path, classes: int, seed: int) -> None:
    """Write timm's network with the package's ImageNet weights and a fresh last layer."""
    timm: Any = __import__("timm")
    torch.manual_seed(seed)
    network: nn.Module = timm.create_model(_NETWORK, num_classes=classes)
    weights = torch.load(weights_file(), weights_only=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(_fitted(network.state_dict(), weights), path)


def timm_command(script: Path, photos: Path, epochs: int, seed: int, out: Path) -> list[str]:
    """Return the command of a training with AdamW, the script's other settings as they are.

    A twentieth of the steps of the default rate's warm-up would be longer than a short training: there is none.
    """
    checkpoint = out / "start.pth"
    write_checkpoint(checkpoint, sum(1 for item in (photos / "train").iterdir() if item.is_dir()), seed)
    given = dict(zip(INPUT[::2], INPUT[1::2], strict=True))
    return [
        *(sys.executable, str(script), "--data-dir", str(photos), "--train-split", "train", "--val-split", "test"),
        *("--model", _NETWORK, "--num-classes", str(sum(1 for _ in (photos / "train").iterdir()))),
        *("--initial-checkpoint", str(checkpoint), "--opt", "adamw", "--lr", "1e-3", "--weight-decay", "0.01"),
        *("--epochs", str(epochs), "--warmup-epochs", "0", "--batch-size", "32", "--seed", str(seed)),
        *("--mean", *[given["--mean"]] * 3, "--std", *[given["--std"]] * 3, "--crop-pct", "0.875"),
        *("--workers", "2", "--device", "cpu", "--output", str(out / "timm"), "--experiment", "run"),
        *("--cooldown-epochs", "0", "--sched-on-updates"),
    ]


def timm_accuracy(_printed: str, folder: Path) -> float:
    """Return the accuracy after the last epoch, which the script measures itself."""
    lines = next((folder / "timm").glob("**/summary.csv")).read_text(encoding="utf-8").splitlines()
    row = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    return float(row["eval_top1"]) / 100
