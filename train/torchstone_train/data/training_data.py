"""From a dataset's name to the splits that a training needs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.class_names import require_describable
from torchstone_runtime.data.catalog import MNIST_FAMILY, Dataset, DatasetRef
from torchstone_runtime.data.holdout import stratified_holdout
from torchstone_runtime.data.known_fingerprints import known_fingerprint
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.images.input_spec import MAX_BITS, ColorMode, InputSpec
from torchstone_train.data.download import ensure_downloaded
from torchstone_train.data.folder_input import recipe_input, survey_folder
from torchstone_train.data.folds import Fold, divide_fold
from torchstone_train.data.picture_geometry import PictureGeometry
from torchstone_train.data.pretrained_input import like_template, normalised, of_channels
from torchstone_train.data.selection import Selection, class_sizes, require_divisible
from torchstone_train.recipes.recipe import Recipe

_EVERYTHING: Final = Selection()


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The three splits of a training and what their images look like.

    Classes that no bundle could hold raise DataError, see `require_describable`.

    Attributes:
        ref: the dataset as it was named.
        spec: input specification of the trained model.
        train: fitted on; validation: chosen by; test: never looked at in training (the fold of a cross-validation).
        selection: choice of the images that were taken.
        other_shapes: number of a folder's pictures whose aspect ratio is not the input's; 0 where none was looked at.
    """

    ref: DatasetRef
    spec: InputSpec
    train: Split
    validation: Split
    test: Split
    selection: Selection = _EVERYTHING
    other_shapes: int = 0

    def __post_init__(self) -> None:
        """Refuse classes that no bundle could hold, before anything is trained or measured on them."""
        require_describable(self.train.class_names, str(self.ref))

    def to_json(self) -> dict[str, Any]:
        """Return kind, and each split's size and fingerprint, as JSON data (no paths)."""
        splits = (self.train, self.validation, self.test)
        return {
            "kind": self.ref.kind,
            **self.selection.to_json(),
            **{split.name: {"samples": len(split), "fingerprint": known_fingerprint(split)} for split in splits},
        }


def load_training_data(
    ref: DatasetRef,
    data_dir: Path,
    recipe: Recipe,
    seed: int,
    *,
    image_size: tuple[int, int] | None = None,
    color: ColorMode | None = None,
    bits: int | None = None,
    geometry: PictureGeometry | None = None,
    spec: InputSpec | None = None,
    selection: Selection = _EVERYTHING,
    template: InputSpec | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> TrainingData:
    """Find, download where needed, and split a dataset.

    Args:
        ref: the dataset.
        data_dir: folder that holds downloaded datasets.
        recipe: its normalisation and its validation fraction.
        seed: seed of the validation split.
        image_size: height and width for a folder; chosen from its pictures if None.
        color: `L` or `RGB` for a folder; chosen from its pictures if None.
        bits: number of bits that a folder's 16-bit pictures use; all if None.
        template: input of a pretrained network, which holds where nothing else is said.
        mean: mean of the pixels, one value for all channels or one each, in place of the recipe's or the template's.
        std: their standard deviation, likewise.
        geometry: fit and filter of a folder's pictures; the template's, else stretched, if None.
        spec: the input specification of a run that exists already; image_size, color, bits and geometry are then
            ignored.
        selection: choice of the images that are taken.

    Raises:
        DataError: the data is missing, damaged, or too small to be split.
        UsageError: a size, colour, bits or geometry for data that is neither a folder nor shards, or a geometry that
            there isn't.
    """
    geometry = geometry or PictureGeometry()
    if not ref.has_pictures and (image_size or color or bits or geometry.stated):
        raise UsageError(
            "--image-size, --color, --bits, --fit, --resize, --fill, --resize-filter, --antialias and --decode are for "
            f"folders and shards; the images of {ref} are taken as they are."
        )
    if ref.kind in MNIST_FAMILY:
        ensure_downloaded(ref.kind, data_dir)
    other_shapes = 0
    if spec is None and ref.has_pictures:
        pictures = survey_folder(ref)
        base = template or pictures.input(recipe, image_size, color)
        shaped = geometry.apply(like_template(base, image_size, color))
        spec = normalised(replace(shaped, bits=bits or MAX_BITS), mean, std)
        other_shapes = pictures.other_shapes(spec)
    dataset = Dataset(ref, data_dir, spec)
    selection = selection.of(dataset)
    train, validation, test = _parts(dataset, selection, recipe, seed)
    if spec is None:
        spec = normalised(_array_spec(train, recipe), mean or _levels(template, train), std or _spread(template, train))
    return TrainingData(ref, spec, train, validation, test, selection, other_shapes)


def _parts(dataset: Dataset, selection: Selection, recipe: Recipe, seed: int) -> tuple[Split, Split, Split]:
    """Return the images to train on, to validate on, and to test on: of the selected classes, and of a fold's."""
    _require_two_classes(dataset, selection)
    dataset = replace(dataset, left_out=tuple(selection.left_out))
    own = dataset.validation()
    require_divisible(dataset, selection, own_validation=own is not None)
    pool, test = _pool_and_test(dataset, selection.fold, seed)
    if pool.image_shape != test.image_shape:
        raise DataError(f"The training images are {pool.image_shape}, the test images {test.image_shape}.")
    return (pool, own, test) if own is not None else (*_divide(pool, recipe, seed), test)


def _require_two_classes(dataset: Dataset, selection: Selection) -> None:
    if dataset.ref.has_pictures and not selection.left_out:
        return  # listing the folder says it, with what is wrong about it
    remaining = [name for name in class_sizes(dataset) if name not in selection.left_out]
    if len(remaining) >= 2:  # noqa: PLR2004 - what a classifier tells apart
        return
    count = {0: "no class", 1: "only one class"}[len(remaining)]
    if selection.left_out:
        raise DataError(
            f"{dataset.ref} has {count} with {selection.min_class_size} images or more; a classifier needs at least "
            "two.",
            "Give a smaller --min-class-size, or more images.",
        )
    raise DataError(f"{dataset.ref} has {count}; a classifier needs at least two.", "Add images of another class.")


def _pool_and_test(dataset: Dataset, fold: Fold | None, seed: int) -> tuple[Split, Split]:
    pool = dataset.training()
    if fold is None:
        return pool, dataset.test()
    kept, held_out = divide_fold(pool.labels, fold, seed)
    return pool.select(kept, "train"), pool.select(held_out, "test")


def _divide(pool: Split, recipe: Recipe, seed: int) -> tuple[Split, Split]:
    kept, held_out = stratified_holdout(pool.labels, recipe.val_fraction, seed, pool.class_names)
    return pool.select(kept, "train"), pool.select(held_out, "validation")


def _array_spec(pool: Split, recipe: Recipe) -> InputSpec:
    channels, height, width = pool.image_shape
    return recipe_input("L" if channels == 1 else "RGB", height, width, recipe)


def _levels(template: InputSpec | None, pool: Split) -> tuple[float, ...] | None:
    return None if template is None else of_channels(template.mean, pool.image_shape[0])


def _spread(template: InputSpec | None, pool: Split) -> tuple[float, ...] | None:
    return None if template is None else of_channels(template.std, pool.image_shape[0])
