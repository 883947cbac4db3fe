"""The labelled pictures that an audit looks at, as they are found: whatever would stop a training is listed too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.folder import list_files
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.data.shard_store import ShardStore
from torchstone_runtime.data.split import ImageStore, Split
from torchstone_runtime.data.split_folders import LAYOUT_HELP, folder_layout, require_no_hidden_parts
from torchstone_runtime.data.windows_names import SEPARATOR, flat_tree
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.path_kinds.wanted import not_a_data_folder
from torchstone_runtime.text import showable

_NO_INPUT: Final = InputSpec(color="L", height=1, width=1, mean=(0.0,), std=(1.0,))


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """A part of a dataset: `train`, `validation`, `test`, or the `whole` of one without parts.

    Attributes:
        name: name of the part.
        ids: N identifiers of the pictures, as a `Split` of this part has them.
        names: N names of the pictures for people: paths from the dataset's folder, or positions.
        labels: class of each picture as its index into the source's class names, int64 [N].
        class_names: names of the classes that have a folder in this part, or that the file names.
        paths: N paths of the files; empty for arrays.
        store: the arrays; None for files.
        contents: store of files inside archives and tables; None where each is a file of its own, and for arrays.
        left_out: lines on the files that are no pictures.
    """

    name: str
    ids: Sequence[str]
    names: Sequence[str]
    labels: Int64Array
    class_names: tuple[str, ...]
    paths: Sequence[Path] = ()
    store: ImageStore | None = None
    contents: ShardStore | None = None
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False, slots=True)
class AuditSource:
    """A dataset as an audit looks at it.

    Attributes:
        ref: reference that names it.
        parts: its parts, in the order train, validation, test.
        class_names: names of the classes of all parts, sorted; of arrays in their own order.
        data_dir: folder that holds downloaded datasets.
        names_given: whether the data names its classes; else they are label numbers.
    """

    ref: DatasetRef
    parts: tuple[Part, ...]
    class_names: tuple[str, ...]
    data_dir: Path
    names_given: bool = True

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def from_files(self) -> bool:
        """Whether the pictures are files, which can be damaged, and removed."""
        return self.ref.has_pictures


def open_source(ref: DatasetRef, data_dir: Path | None = None) -> AuditSource:
    """List the pictures of a dataset.

    Args:
        ref: reference that names the dataset.
        data_dir: folder that holds downloaded datasets; the default place if None.

    Raises:
        DataError: there is no such data, or nothing says what its classes are.
    """
    place = data_dir or default_data_dir()
    if ref.kind == "shards" and ref.path is not None:
        return _of_shards(ref, ref.path, place)
    if ref.kind != "folder" or ref.path is None:
        return _of_arrays(ref, place)
    layout = folder_layout(ref.path)
    if "whole" in layout.parts:
        require_no_hidden_parts(ref.path)
    listings = {part: list_files(tree) for part, tree in layout.parts.items()}
    class_names = tuple(sorted({name for listing in listings.values() for name in listing.images}))
    position = {name: index for index, name in enumerate(class_names)}
    parts = []
    for part in ("train", "validation", "test", "whole"):
        if part not in listings:
            continue
        tree, listing = layout.parts[part], listings[part]
        files = [(file, position[name]) for name, found in listing.images.items() for file in found]
        folder, prefix = flat_tree(tree)
        paths = [folder / file for file, _ in files]
        ids = [_id_of(file, prefix) for file, _ in files]
        names = [showable(str(path.relative_to(ref.path))) for path in paths]
        labels = np.array([label for _, label in files], dtype=np.int64)
        left_out = tuple(listing.others.lines(str(tree)))
        parts.append(Part(part, ids, names, labels, tuple(listing.images), paths, left_out=left_out))
    source = AuditSource(ref, tuple(parts), class_names, place)
    if not len(source):
        raise DataError(f"{ref.path} holds no pictures in class folders.", not_a_data_folder(ref.path) or LAYOUT_HELP)
    return source


def _id_of(file: str, prefix: str) -> str:
    tidy = file if "/" in file else file.removeprefix(prefix).replace(SEPARATOR, "/")
    return tidy.encode("utf-8", "backslashreplace").decode()


def _of_shards(ref: DatasetRef, path: Path, data_dir: Path) -> AuditSource:
    from torchstone_runtime.data.labelled_shards import shard_parts  # noqa: PLC0415 - only where there are some

    found = shard_parts(path)
    numbered = all(part.numbered for part in found.values())
    names = {name for part in found.values() for name in part.by_class}
    class_names = tuple(sorted(names, key=(lambda name: (int(name), name)) if numbered else None))
    parts = []
    for name, part in found.items():
        # The size is never asked for: what is looked at are the files.
        split = part.load(name, _NO_INPUT, class_names)
        if not isinstance(split.store, ShardStore):
            raise TypeError("pictures of shards are in a ShardStore")
        shown = [showable(picture.id) for picture in split.store.pictures]
        parts.append(Part(name, split.ids, shown, split.labels, tuple(part.by_class), contents=split.store))
    return AuditSource(ref, tuple(parts), class_names, data_dir, not numbered)


def _of_arrays(ref: DatasetRef, data_dir: Path) -> AuditSource:
    dataset = Dataset(ref, data_dir)
    splits = [dataset.training(), dataset.test()] if dataset.has_test_part else [dataset.whole()]
    parts = tuple(_part_of(split, several=len(splits) > 1) for split in splits)
    return AuditSource(ref, parts, splits[0].class_names, data_dir, splits[0].names_given)


def _part_of(split: Split, *, several: bool) -> Part:
    names = [f"{split.name} {identifier}" if several else identifier for identifier in split.ids]
    return Part(split.name, split.ids, names, split.labels, split.class_names, store=split.store)


def part_of_each(source: AuditSource) -> Iterator[tuple[str, int, int]]:
    """Yield name, first index and end of each part, counted over all parts in their order."""
    start = 0
    for part in source.parts:
        yield part.name, start, start + len(part)
        start += len(part)
