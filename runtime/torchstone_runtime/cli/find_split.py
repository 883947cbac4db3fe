"""The data that a command measures a model on."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from torchstone_runtime.cli.output import tell, tell_detail, warn
from torchstone_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from torchstone_runtime.data.catalog import Dataset
    from torchstone_runtime.data.split import Split
    from torchstone_runtime.data.split_choice import SplitChoice
    from torchstone_runtime.inference.classifier import Classifier


def find_split(
    classifier: "Classifier",
    dataset: str,
    data_dir: Path | None,
    wanted: "SplitChoice",
    class_map: Path | None = None,
    bits: int | None = None,
) -> tuple["Split", str]:
    """Return the split of a dataset that a model is to be measured on, with the model's classes, and why this one.

    Args:
        classifier: the model.
        dataset: reference of the dataset, as it was named on the command line.
        data_dir: directory of the downloaded datasets; the default place if None.
        wanted: `auto`, `test`, `train` or `all`, see `choose_split`.
        class_map: file that maps the data's class names to the model's, see `ClassMap`; None for no mapping.
        bits: number of bits that the values of the folder's 16-bit pictures use, 8 to 16; the model's if None.

    Raises:
        UsageError: no such dataset or part.
        DataError: the data or the map is missing or damaged, or its classes are not the model's.
    """
    from torchstone_runtime.evaluation.choose_split import align_classes, choose_split

    tell_detail(f"plan: {classifier.plan}")
    source = open_dataset(classifier, dataset, data_dir, class_map, bits)
    chosen, reason = choose_split(source, wanted, classifier.provenance)
    return align_classes(chosen, classifier.class_names), reason


def warn_of_missing_classes(labels: "npt.NDArray[np.int64]", class_names: "Sequence[str]") -> None:
    """Say on stderr, on one line, which classes have no images; nothing where all have.

    Args:
        labels: int64 [N].
        class_names: K names.
    """
    from torchstone_runtime.evaluation.occurring import classes_without_images, describe_missing

    if missing := classes_without_images(labels, class_names):
        warn(f"Warning: {describe_missing(missing, len(class_names), 'this data')}")


def warn_of_data(split: "Split", *, bits_stated: bool = False) -> None:
    """Say on stderr, once each, what was left out of a split, which classes have no images, and of too dark pictures.

    Args:
        split: split that a model is measured on.
        bits_stated: whether a person said how many bits 16-bit pictures use.
    """
    from torchstone_runtime.data.folder import FileStore

    if isinstance(split.store, FileStore):
        for line in split.store.others.lines(str(split.store.root)):
            tell(line)
        if not bits_stated and (warning := split.store.narrow_warning()):
            warn(warning)
    for line in split.mapped.lines() if split.mapped else ():
        tell(line)
    warn_of_missing_classes(split.labels, split.class_names)


def open_dataset(
    classifier: "Classifier",
    dataset: str,
    data_dir: Path | None,
    class_map: Path | None = None,
    bits: int | None = None,
) -> "Dataset":
    """Return a dataset as a model takes it: pictures of its size and colour, and classes in its order, by their names.

    Raises:
        UsageError: no such dataset, or bits for one that is not a folder.
    """
    from torchstone_runtime.data.catalog import Dataset, DatasetRef
    from torchstone_runtime.data.class_map import ClassMap
    from torchstone_runtime.data.left_out import recorded_left_out

    ref = DatasetRef.parse(dataset)
    if bits is not None and not ref.has_pictures:
        raise UsageError(
            f"--bits is for folders and shards; the images of {ref} are taken as they are.", "Leave it out."
        )
    spec = classifier.input_spec if bits is None else replace(classifier.input_spec, bits=bits)
    mapping = ClassMap.read(class_map) if class_map is not None else None
    left_out = recorded_left_out(classifier.provenance.get("dataset", {}))
    return Dataset.for_model(ref, data_dir, spec, classifier.class_names, mapping, left_out)
