"""What of a picture is resized, to what size, and which part of the result is wanted."""

from dataclasses import dataclass
from typing import Final

from PIL import Image

PILLOW_FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Filters by the name that a specification has for them."""

Box = tuple[float, float, float, float]
Part = tuple[int, int, int, int]
"""Left, upper, right and lower edge."""


@dataclass(frozen=True, slots=True)
class Resizing:
    """A part of a picture at another size.

    Attributes:
        height: rows that the picture, or the box of it, is resized to.
        width: columns that it is resized to.
        filter: name in `PILLOW_FILTERS`.
        box: left, upper, right and lower edge of what is resized, in pixels of the picture.
        rows: rows of the resized picture that are wanted.
        columns: columns of it that are wanted.
    """

    height: int
    width: int
    filter: str
    box: Box
    rows: range
    columns: range
