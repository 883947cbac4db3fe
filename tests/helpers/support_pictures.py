"""Pictures that tests make: sharp edges and smooth parts, so that filters and crops show."""

import numpy as np
from PIL import Image


def blocks(height: int, width: int, seed: int = 0, side: int = 5) -> Image.Image:
    """Return an RGB picture of random blocks."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 256, (height // side + 1, width // side + 1, 3), dtype=np.uint8)
    return Image.fromarray(levels.repeat(side, axis=0).repeat(side, axis=1)[:height, :width].copy())
