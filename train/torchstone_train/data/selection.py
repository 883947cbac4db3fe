"""Which of a dataset's images a training takes: classes that are large enough, and perhaps one fold."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np

from torchstone_runtime.data.catalog import Dataset
from torchstone_runtime.data.left_out import recorded_left_out
from torchstone_runtime.errors import DataError
from torchstone_runtime.text import shortlist, showable
from torchstone_train.data.folds import Fold

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Selection:
    """The images that a training takes of its data.

    Attributes:
        min_class_size: images that a class must have among the training images; 0: any number.
        left_out: number of training images of each class that has fewer, by name.
        fold: the fold that is held out in the place of the test part; None: the data's own parts.
    """

    min_class_size: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    fold: Fold | None = None

    @classmethod
    def recorded(cls, dataset: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote into `dataset` of a `run.json`."""
        counts = dataset.get("left_out", {})
        left_out = {name: int(counts[name]) for name in recorded_left_out(dataset)}
        fold = dataset.get("fold")
        given = None if fold is None else Fold(int(fold["number"]), int(fold["of"]))
        return cls(int(dataset.get("min_class_size", 0)), left_out, given)

    def of(self, dataset: Dataset) -> "Selection":
        """Return the selection with the classes of some data that are too small for it; counted once."""
        if not self.min_class_size or self.left_out:
            return self
        counts = class_sizes(dataset)
        return replace(self, left_out={name: n for name, n in counts.items() if n < self.min_class_size})

    def to_json(self) -> dict[str, Any]:
        """Return what `run.json` records in `dataset`: nothing where all classes and parts are taken."""
        found: dict[str, Any] = {}
        if self.min_class_size:
            found |= {"min_class_size": self.min_class_size, "left_out": dict(self.left_out)}
        return found | ({"fold": self.fold.to_json()} if self.fold else {})

    def line(self) -> str | None:
        """Return what a person reads of the classes that are left out; None where none is."""
        if not self.left_out:
            return None
        classes = [f"{showable(name)} ({count:,})" for name, count in self.left_out.items()]
        noun = "class" if len(classes) == 1 else "classes"
        return f"left out {len(classes):,} {noun} with fewer than {self.min_class_size} images: {_listed(classes)}"


def class_sizes(dataset: Dataset) -> dict[str, int]:
    """Return the number of images of each class that may be trained on, those of a source without parts all.

    A class that only another part of a folder or of shards has counts 0.
    """
    if dataset.ref.has_pictures:
        listed = {part: tree.counts() for part, tree in dataset.ref.trees().items()}
        own = listed.get("train", listed.get("whole", {}))
        return {name: own.get(name, 0) for name in sorted({name for part in listed.values() for name in part})}
    split = dataset.training() if dataset.has_test_part else dataset.whole()
    counts = np.bincount(split.labels, minlength=len(split.class_names)).tolist()
    return dict(zip(split.class_names, counts, strict=True))


def require_divisible(dataset: Dataset, selection: Selection, *, own_validation: bool) -> None:
    """Check that each class has an image for every part of a training.

    Raises:
        DataError: some have not; they are named with their numbers of images.
    """
    has_test = dataset.has_test_part and selection.fold is None
    parts = ["training", *([] if own_validation else ["validation"]), *([] if has_test else ["test"])]
    if selection.fold and not dataset.has_test_part:
        parts.append("held-out fold")
    least = len(parts)
    if selection.fold and selection.fold.count == 2 and not own_validation:  # noqa: PLR2004
        least += 1  # the larger half of three is held out, and the one that is left is not divided
    small = {
        name: count
        for name, count in class_sizes(dataset).items()
        if name not in selection.left_out and 0 < count < least
    }
    if small:
        noun, verb = ("class", "has") if len(small) == 1 else ("classes", "have")
        parts_text = f"{', '.join(parts[:-1])} and {parts[-1]}"
        raise DataError(
            f"{len(small):,} {noun} {verb} too few images to be split into {parts_text}: "
            f"{_listed([f'{showable(name)} ({count})' for name, count in small.items()])}.",
            f"Give every class at least {least} images, or leave such classes out: --min-class-size {least}.",
        )


def _listed(texts: list[str]) -> str:
    return shortlist(texts, _SHOWN)
