"""The input of a model that is trained on a folder or on shards, by what its pictures are like."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.images.input_spec import ColorMode, InputSpec
from torchstone_train.recipes.recipe import Recipe

DEFAULT_FOLDER_SIDE: Final = 64
_LARGEST_NATIVE_SIDE: Final = 128
_SAME_SHAPE: Final = 0.01
"""Relative difference of two aspect ratios that rounding to whole pixels explains."""


@dataclass(frozen=True, slots=True)
class FolderPictures:
    """What the headers of a folder's pictures say.

    Attributes:
        sizes: number of pictures by (height, width).
        all_gray: whether none of them has colour.
    """

    sizes: Mapping[tuple[int, int], int]
    all_gray: bool

    def input(self, recipe: Recipe, image_size: tuple[int, int] | None, color: ColorMode | None) -> InputSpec:
        """Return an input for a network of its own: the size that is asked for, or the pictures'; stretched."""
        height, width = image_size or self._native_size or (DEFAULT_FOLDER_SIDE, DEFAULT_FOLDER_SIDE)
        return recipe_input(color or ("L" if self.all_gray and self.sizes else "RGB"), height, width, recipe)

    def other_shapes(self, spec: InputSpec) -> int:
        """Return the number of pictures whose aspect ratio is not the input's."""
        return sum(
            count
            for (height, width), count in self.sizes.items()
            if abs(width * spec.height / (height * spec.width) - 1) > _SAME_SHAPE
        )

    @property
    def _native_size(self) -> tuple[int, int] | None:
        if len(self.sizes) != 1:
            return None
        (size,) = self.sizes
        return size if max(size) <= _LARGEST_NATIVE_SIDE else None


def survey_folder(ref: DatasetRef) -> FolderPictures:
    """Read the headers of all pictures of a folder or of shards.

    Raises:
        DataError: there are no labelled pictures, or something is wrong with them.
        ImageError: a picture can't be read.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    all_gray = True
    for tree in ref.trees().values():
        for header in tree.headers():
            sizes[header.height, header.width] += 1
            all_gray = all_gray and header.is_gray
    return FolderPictures(sizes, all_gray)


def recipe_input(color: ColorMode, height: int, width: int, recipe: Recipe) -> InputSpec:
    """Return an input of a colour and a size with the recipe's normalisation."""
    channels = 1 if color == "L" else 3
    return InputSpec(
        color=color, height=height, width=width, mean=(recipe.mean,) * channels, std=(recipe.std,) * channels
    )
