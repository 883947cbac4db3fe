"""Generated pictures by the thousand: some hundred JPEG files, under many names."""

import io
import os
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

_DISTINCT: Final = 500
"""Pictures that are encoded. The other files are hard links to these: a million of them then fit into memory's cache,
so that the disk is not what is measured."""
_PER_FOLDER: Final = 1000


def write_pictures(folder: Path, count: int, side: int) -> None:
    """Write JPEG files, 1,000 to a folder, each distinct one under many names.

    Those of 28 pixels are noise, larger ones smooth, as photographs are: noise would be as large as its pixels.
    """
    random = np.random.default_rng(0)
    firsts: list[Path] = []
    for number in range(count):
        place = folder / f"{number // _PER_FOLDER:06}" / f"{number % _PER_FOLDER:03}.jpg"
        if number % _PER_FOLDER == 0:
            place.parent.mkdir(parents=True)
        if number < _DISTINCT:
            place.write_bytes(_jpeg(random, side))
            firsts.append(place)
        else:
            os.link(firsts[number % _DISTINCT], place)


def _jpeg(random: np.random.Generator, side: int) -> bytes:
    grain = min(side, 28)
    shape = (grain, grain) if side == grain else (grain, grain, 3)
    small = Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
