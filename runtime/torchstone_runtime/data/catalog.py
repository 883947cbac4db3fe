"""Datasets by name: `digits`, `fashion-mnist`, `mnist`, `folder:PATH`, `shards:PATTERN`, `npz:FILE`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torchstone_runtime.data.class_map import ClassMap
from torchstone_runtime.data.class_trees import ClassTree, trees_of
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.data.holdout import TEST_FRACTION, TEST_SEED, stratified_holdout
from torchstone_runtime.data.left_out import without_classes
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.data.mnist_family import FASHION_MNIST, MNIST, MnistLayout, load_mnist_part
from torchstone_runtime.data.npz import load_npz
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError, UsageError, suggestion
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.text import shortlist

MNIST_FAMILY: Final[dict[str, MnistLayout]] = {layout.name: layout for layout in (FASHION_MNIST, MNIST)}
_WITH_PATH: Final = ("folder", "shards", "npz")
_OF_PICTURES: Final = ("folder", "shards")
_KINDS: Final = ("digits", *MNIST_FAMILY, *(f"{kind}:" for kind in _WITH_PATH))


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """A dataset as the command line names it.

    Attributes:
        kind: `digits`, `fashion-mnist`, `mnist`, `folder`, `shards` or `npz`.
        path: the folder, pattern or file of `folder`, `shards` and `npz`, else None.
    """

    kind: str
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "DatasetRef":
        """Read `digits`, `fashion-mnist`, `mnist`, `folder:PATH`, `shards:PATTERN` or `npz:FILE`.

        Raises:
            UsageError: an unknown name, with the nearest known one.
        """
        kind, colon, path = text.partition(":")
        if kind in _WITH_PATH and path:
            return cls(kind, _expanded(path))
        if not colon and kind in ("digits", *MNIST_FAMILY):
            return cls(kind)
        if kind in _WITH_PATH:
            raise UsageError(f"Dataset '{text}' names no path.", f"Write {kind}:PATH.")
        from torchstone_runtime.path_kinds.wanted import not_a_dataset  # noqa: PLC0415 - only for a mistake

        if (other := not_a_dataset(text)) is not None:
            raise UsageError(f"There is no dataset '{text}'. {other[0]}", other[1])
        raise UsageError(f"There is no dataset '{text}'.", suggestion(kind + colon, _KINDS))

    @property
    def has_pictures(self) -> bool:
        """Whether it holds picture files of any size and colour, which are decoded as a model takes them."""
        return self.kind in _OF_PICTURES

    def trees(self) -> dict[str, ClassTree]:
        """Return the parts of a source of picture files: `whole`, or `train`, `test` and perhaps `validation`.

        Raises:
            DataError: there is no such data, or something is wrong with it.
        """
        if self.path is None or not self.has_pictures:
            raise ValueError(f"{self} has no picture files")
        return trees_of(self.kind, self.path)

    def __str__(self) -> str:
        return self.kind if self.path is None else f"{self.kind}:{self.path}"


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # "~somebody" without such a user
        raise UsageError(f"The path {path} leads to no home directory: {error}", "Write it out.") from error


@dataclass(frozen=True, slots=True)
class Dataset:
    """A labelled source of images whose parts are read when they are asked for.

    Attributes:
        ref: reference that names the dataset.
        data_dir: folder that holds downloaded datasets.
        spec: input specification that pictures are decoded by; needed for `folder` and `shards` only.
        class_names: the classes that a `folder` or `shards` are read with; without them those that there are. Another
            source that names just these is put into their order.
        class_map: map from the data's class names to `class_names`, which are then needed whatever the source is.
        left_out: names of classes whose images are skipped, as if they were not there.
    """

    ref: DatasetRef
    data_dir: Path
    spec: InputSpec | None = None
    class_names: tuple[str, ...] | None = None
    class_map: ClassMap | None = None
    left_out: tuple[str, ...] = ()

    @classmethod
    def for_model(
        cls,
        ref: DatasetRef,
        data_dir: Path | None,
        spec: InputSpec,
        class_names: tuple[str, ...],
        class_map: ClassMap | None = None,
        left_out: tuple[str, ...] = (),
    ) -> "Dataset":
        """Return a dataset as a model takes it: pictures of its size and colour, classes in its order by their names.

        Args:
            ref: name of the dataset.
            data_dir: folder that holds downloaded datasets; the default place if None.
            spec: input of the model.
            class_names: classes of the model.
            class_map: names that the model has for the data's classes.
            left_out: names of the classes that its training left out (`left_out.recorded_left_out`).
        """
        unknown = tuple(name for name in left_out if name not in class_names)
        return cls(ref, data_dir or default_data_dir(), spec, class_names, class_map, unknown)

    @property
    def has_test_part(self) -> bool:
        """Whether the source separates a test part itself; otherwise a fixed fifth is held out."""
        return self.ref.kind in MNIST_FAMILY or (self.ref.has_pictures and "test" in self.ref.trees())

    def training(self) -> Split:
        """Return everything that a model may be fitted and chosen on: all but the test split."""
        return self._load_part("train") if self.has_test_part else self._divide()[0]

    def validation(self) -> Split | None:
        """Return the validation part that the source separates itself, or None."""
        if self.ref.has_pictures and "validation" in self.ref.trees():
            return self._load_beside_training("validation")
        return None

    def test(self) -> Split:
        """Return the test split."""
        return self._load_part("test") if self.has_test_part else self._divide()[1]

    def whole(self) -> Split:
        """Return every image of a source without a test part of its own."""
        if self.has_test_part:
            raise UsageError(f"{self.ref} has a test part of its own.", "Choose the test or the train split.")
        if self.ref.kind == "digits":
            return self._renamed(load_digits())
        if self.ref.kind == "npz":
            return self._renamed(load_npz(self._path))
        return self._load_tree(self.ref.trees()["whole"], "whole", self.class_names)

    def _load_part(self, part: str) -> Split:
        if layout := MNIST_FAMILY.get(self.ref.kind):
            return self._renamed(load_mnist_part(layout, self.data_dir, part))
        if part != "train" and self.class_names is None:
            return self._load_beside_training(part)
        return self._load_tree(self.ref.trees()[part], part, self.class_names)

    def _load_beside_training(self, part: str) -> Split:
        """Load another part with the classes of the training part, whose places they have in the labels."""
        tree, names = self.ref.trees()[part], self.training().class_names
        if self.class_names is None and (lacking := sorted(set(tree.counts()) - {*names, *self.left_out})):
            raise DataError(
                f"{self.ref} has classes in its {part} part that its training part lacks: {shortlist(lacking)}.",
                f"The training part's classes: {shortlist(names)}.\n"
                "Call a class the same in both, also in upper and lower case, or take it out of the part.",
            )
        return self._load_tree(tree, part, names)

    def _divide(self) -> tuple[Split, Split]:
        whole = self.whole()
        kept, held_out = stratified_holdout(whole.labels, TEST_FRACTION, TEST_SEED, whole.class_names)
        return whole.select(kept, "train"), whole.select(held_out, "test")

    def _load_tree(self, tree: ClassTree, part: str, class_names: tuple[str, ...] | None) -> Split:
        if self.spec is None:
            raise DataError(f"{self.ref} needs an input specification before its images can be read.")
        if self.class_map is None:
            return self._without_left_out(tree.load(part, self.spec, self._with_left_out(tree, class_names)))
        # Every part is read with the names of all of them: one may lack a class.
        found = sorted({name for one in self.ref.trees().values() for name in one.counts()})
        return self._renamed(tree.load(part, self.spec, tuple(found)))

    def _with_left_out(self, tree: ClassTree, class_names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if not self.left_out:
            return class_names
        names = class_names or tuple(name for name in tree.counts() if name not in self.left_out)
        return (*names, *self.left_out)

    def _without_left_out(self, split: Split) -> Split:
        return without_classes(split, self.left_out)

    def _renamed(self, split: Split) -> Split:
        if self.class_map is None or self.class_names is None:
            return self._without_left_out(split).in_order(self.class_names)
        return self.class_map.leaving_out(self.left_out).apply(split, self.class_names, by_class=self.ref.has_pictures)

    @property
    def _path(self) -> Path:
        if self.ref.path is None:
            raise ValueError(f"dataset kind {self.ref.kind} has no path")
        return self.ref.path
