"""The pictures of npz files as class folders, for training scripts that read nothing else."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_pictures(data: Path, out: Path) -> Path:
    """Write `train.npz` and `test.npz` of a folder as PNG files below `train/` and `test/`, once.

    Returns:
        `out`.
    """
    finished = out / "finished"
    if not finished.exists():
        for part in ("train", "test"):
            with np.load(data / f"{part}.npz") as held:
                for number, (image, label) in enumerate(zip(held["images"], held["labels"], strict=True)):
                    place = out / part / f"{label:03d}" / f"{number:06d}.png"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(image.transpose(1, 2, 0)).save(place)
        finished.touch()
    return out
