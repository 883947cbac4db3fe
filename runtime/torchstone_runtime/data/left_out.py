"""Classes of some data that a training left out: their images are skipped, and the record of it says how many."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from torchstone_runtime.data.mapped_classes import MappedClasses
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError

SOURCE: Final = "the training (--min-class-size)"


def without_classes(split: Split, left_out: Collection[str]) -> Split:
    """Return a split without the images of some classes, and without these classes.

    Where images are left out, `Split.mapped` says so.

    Args:
        split: labelled images.
        left_out: names of the classes; those that the split doesn't have count for nothing.

    Raises:
        DataError: no image is left.
    """
    gone = [index for index, name in enumerate(split.class_names) if name in left_out]
    if not gone:
        return split
    names = tuple(name for name in split.class_names if name not in left_out)
    kept = np.flatnonzero(~np.isin(split.labels, gone))
    if not len(kept):
        raise DataError(
            f"All images of the {split.name} split are of classes that {SOURCE} left out.", "Give images of the others."
        )
    places = np.cumsum([name not in left_out for name in split.class_names]) - 1
    counts = np.bincount(split.labels, minlength=len(split.class_names)).tolist()
    skipped = {split.class_names[index]: counts[index] for index in gone if counts[index]}
    mapping = {name: None if name in left_out else name for name in split.class_names}
    mapped = MappedClasses(SOURCE, mapping, skipped, ()) if skipped else split.mapped
    ids = [split.ids[index] for index in kept.tolist()]
    labels = places[split.labels[kept]].astype(np.int64)
    return Split(split.name, split.store.select(kept), labels, names, ids, split.names_given, mapped)


def recorded_left_out(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes that a training left out, of `dataset` in its `run.json` or provenance."""
    found = dataset.get("left_out", {})
    return tuple(map(str, found)) if isinstance(found, Mapping | Sequence) else ()
