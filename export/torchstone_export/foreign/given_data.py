"""Labelled data that a person names for a model of another origin."""

from pathlib import Path
from typing import Final

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.stated_fit import require_fit
from torchstone_runtime.data.catalog import MNIST_FAMILY, Dataset, DatasetRef
from torchstone_runtime.data.holdout import stratified_holdout
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.evaluation.choose_split import align_classes
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.download import ensure_downloaded
from torchstone_train.data.training_data import TrainingData

_VALIDATION_FRACTION: Final = 0.2
_SEED: Final = 0


def load_given_data(ref: DatasetRef, data_dir: Path, stated: ModelSpec) -> TrainingData:
    """Find and split a dataset by the runtime's rules, whatever the model was trained on.

    Args:
        ref: reference of the dataset.
        data_dir: directory of the downloaded datasets.
        stated: input of the model, and the names of its classes in the order of its outputs, which the data's classes
            are put into; a folder may lack some. Without names, the data's own.

    Raises:
        UsageError: it is not said how the data's pictures become the size of the input.
        DataError: the data is missing, too small to be split, of another shape, or of other classes.
    """
    if ref.kind == "shards":
        raise UsageError(
            f"{ref}: a model that was trained elsewhere is checked on picture files, not archives or tables of them.",
            "Unpack the validation and test pictures, and give folder:PATH.",
        )
    if ref.kind in MNIST_FAMILY:
        ensure_downloaded(ref.kind, data_dir)
    spec, class_names = stated.input_spec(), stated.classes
    dataset = Dataset(ref, data_dir, spec, class_names)
    pool, test = dataset.training(), dataset.test()
    validation = dataset.validation()
    train = pool
    if validation is None:
        kept, held_out = stratified_holdout(pool.labels, _VALIDATION_FRACTION, _SEED, pool.class_names)
        train, validation = pool.select(kept, "train"), pool.select(held_out, "validation")
    require_fit(stated, ref, (validation, test))
    names = class_names or pool.class_names
    train, validation, test = (_fitting(split, spec, names) for split in (train, validation, test))
    return TrainingData(ref, spec, train, validation, test)


def _fitting(split: Split, spec: InputSpec, names: tuple[str, ...]) -> Split:
    if split.image_shape != spec.shape:
        found, expected = (" x ".join(map(str, shape)) for shape in (split.image_shape, spec.shape))
        raise DataError(
            f"The images of the data are {found}; the spec's input is {expected} (channels x height x width).",
            "Use data of that size, or an image folder, whose pictures are converted.",
        )
    return align_classes(split, names)
