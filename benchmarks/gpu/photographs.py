"""Photographs for a fine-tuning: a folder that was carried along, or pictures that are drawn here."""

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.gpu.setting import Setting

CLASSES: Final = 8
_SIDES: Final = (320, 240)


def photographs(setting: Setting) -> Path:
    """Return a folder of pictures with a sub-folder for each class: `photos` in the data, else drawn ones."""
    carried = setting.data / "photos"
    if carried.is_dir() and not setting.dry_run:
        return carried
    folder = setting.work / "photos"
    if not folder.is_dir():
        unfinished = folder.with_name("photos.unfinished")
        for number in range(setting.size(1600, 48)):
            _draw(number % CLASSES, number, unfinished)
        unfinished.rename(folder)
    return folder


def _draw(kind: int, number: int, folder: Path) -> None:
    """Draw waves whose direction is the class, in colours and at a scale of their own, with noise."""
    draw = np.random.default_rng(number)
    x, y = np.meshgrid(np.arange(_SIDES[0]), np.arange(_SIDES[1]))
    angle = np.pi * kind / CLASSES
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) / draw.uniform(4, 9) + draw.uniform(0, 6))
    colours = draw.uniform(40, 215, (2, 3))
    share = (wave[:, :, None] + 1) / 2
    pixels = share * colours[0] + (1 - share) * colours[1] + draw.normal(0, 20, (*wave.shape, 3))
    target = folder / f"class-{kind}" / f"{number}.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(target, quality=85)
