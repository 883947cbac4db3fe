"""Pictures that have structure as photographs do: smooth shapes with detail, and no two alike."""

from pathlib import Path

import numpy as np
from PIL import Image


def photograph(seed: int, size: tuple[int, int] = (128, 96)) -> Image.Image:
    """Return a picture in colour of its own for each seed."""
    generator = np.random.default_rng(seed)
    shapes = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    detail = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    large, fine = (Image.fromarray(layer).resize(size, Image.Resampling.BICUBIC) for layer in (shapes, detail))
    return Image.blend(large, fine, 0.25)


def photograph_tree(root: Path, classes: dict[str, int], *, first: int = 0) -> Path:
    """Write JPEG files, one sub-folder a class with the given number of pictures; return `root`."""
    seed = first
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for index in range(count):
            photograph(seed).save(root / name / f"{index}.jpg", quality=92)
            seed += 1
    return root
