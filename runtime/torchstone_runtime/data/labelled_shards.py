"""Labelled pictures in WebDataset's tar archives and in Parquet files: `shards:PATTERN`."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from torchstone_runtime.class_names import MAX_CLASSES
from torchstone_runtime.data.shard_store import ShardStore
from torchstone_runtime.data.split import Split
from torchstone_runtime.data.split_folders import part_of_word
from torchstone_runtime.errors import DataError, ImageError, UsageError
from torchstone_runtime.images.image_formats import OtherFiles
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.picture_header import PictureHeader, picture_header
from torchstone_runtime.shards.find_inputs import FoundInput, find_inputs
from torchstone_runtime.shards.picture_index import IndexedPicture, PictureIndex, index_pictures
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.storage import is_address
from torchstone_runtime.text import is_showable, shortlist, showable

_KEYS: Final = {"label": "label_column", "image": "image_column", "id": "id_column"}
_OPTIONS: Final = re.compile(r"\?((?:label|image|id)=[^&?]+(?:&(?:label|image|id)=[^&?]+)*)$")
_USUAL_LABELS: Final = ("label", "labels", "cls", "class", "target", "category")
"""Names that a column of labels often has; the first one that there is is taken."""
_JSON_LABEL: Final = "label"
_HELP: Final = "Give WebDataset's tar archives or Parquet files: shards:'photos/train-{000..099}.tar', shards:FOLDER."


@dataclass(frozen=True, slots=True, eq=False)
class ShardPart:
    """The pictures of one part of a dataset, class by class.

    Attributes:
        index: index that reads them.
        by_class: pictures of each class in their order, the classes in the order of their names.
        numbered: whether the classes are numbers, and their names just these.
    """

    index: PictureIndex
    by_class: Mapping[str, Sequence[IndexedPicture]]
    numbered: bool

    def counts(self) -> dict[str, int]:
        """Return the number of pictures of each class that has some."""
        return {name: len(pictures) for name, pictures in self.by_class.items()}

    def headers(self) -> Iterator[PictureHeader]:
        """Yield what each picture file says of itself.

        Raises:
            ImageError: one is not a picture; the message names it.
        """
        for pictures in self.by_class.values():
            for picture in pictures:
                content = self.index.read(picture)
                try:
                    yield picture_header(content)
                except ImageError as error:
                    raise ImageError(f"{showable(picture.id)}: {error.problem}", error.remedy) from error

    def load(self, part: str, spec: InputSpec, class_names: tuple[str, ...] | None) -> Split:
        """Return the pictures as a split; their pixels are read later.

        Args:
            part: name that the split gets.
            spec: input specification that the pictures are decoded by.
            class_names: classes, in the order of the labels; those that occur if None.

        Raises:
            DataError: fewer than two classes, or one that is not among those.
        """
        shown = (
            showable(str(self.index.files[0]))
            if len(self.index.files) == 1
            else f"{showable(str(self.index.files[0].parent))}"
        )
        names = class_names or tuple(self.by_class)
        unknown = sorted(set(self.by_class) - {unicodedata.normalize("NFC", name) for name in names})
        # Numbers are names for a model whose classes are called by numbers, perhaps with gaps between them.
        if unknown and (not self.numbered or all(name.isdecimal() for name in names)):
            raise DataError(
                f"{shown} has classes that the model does not know: {shortlist(unknown)}.",
                f"The data's classes: {shortlist(tuple(self.by_class))}.\nThe model's classes: {shortlist(names)}.\n"
                "Call them as the model does; evaluate, compare and robustness also take --class-map FILE.",
            )
        if unknown:  # numbers are places among the model's classes, as they are in an npz file
            names = tuple(map(str, range(max(map(int, self.by_class)) + 1)))
        if class_names is None and len(names) < 2:  # noqa: PLR2004 - what a classifier tells apart
            raise DataError(f"{shown} has only one class ({shortlist(names)}); a classifier needs at least two.")
        by_name = [self.by_class.get(unicodedata.normalize("NFC", name), ()) for name in names]
        pictures = [picture for group in by_name for picture in group]
        labels = np.repeat(np.arange(len(names), dtype=np.int64), [len(group) for group in by_name])
        alike = Counter(picture.name for picture in pictures)
        ids = [one.name if one.name and alike[one.name] == 1 else one.id for one in pictures]
        return Split(part, ShardStore(self.index, pictures, spec), labels, names, ids, names_given=not unknown)


def shard_parts(path: Path) -> dict[str, ShardPart]:
    """Return the parts of a dataset in archives and tables: `whole`, or `train`, `test` and perhaps `validation`.

    A file's part is said by the folder that it lies in, or by what its name begins with (`train-000.tar`,
    `test-00000-of-00001.parquet`), as far as all files say one and there are both train and test.
    In each part the pictures are in the order of their classes' names; in each class in that of the names that they
    have in their archives (or of the column `?id=`), else in that of the files and rows.

    Args:
        path: file, folder or pattern, perhaps with `?label=NAME&image=NAME&id=NAME` behind it.

    Raises:
        DataError: there are no such files, one is damaged, or a picture has no label.
        UsageError: an address of another machine, or files of another kind.
        MissingComponentError: Parquet files, and pyarrow is not installed.
    """
    text = str(path)
    if is_address(text.replace(":/", "://", 1)) and not path.is_absolute():
        raise UsageError(
            f"shards:{text} is an address; a training reads its pictures again and again, and needs them at hand.",
            "Copy the files to a disk of this machine first, or mount the storage.",
        )
    pattern, options = split_options(text)
    found = tuple(find_inputs([pattern], OtherFiles()))
    other = [item.path for item in found if item.kind not in ("tar", "parquet")]
    if other:
        raise UsageError(f"{showable(other[0])} is neither a tar archive nor a Parquet file.", _HELP)
    return dict(_parts(found, tuple(options.items())))


def split_options(text: str) -> tuple[str, dict[str, str]]:
    """Return a pattern without what is said of columns behind it, and these as fields of `ReadOptions`."""
    found = _OPTIONS.search(text)
    if found is None:
        return text, {}
    pairs = (pair.partition("=") for pair in found[1].split("&"))
    return text[: found.start()], {_KEYS[key]: value for key, _, value in pairs}


@lru_cache(maxsize=2)  # a training asks for the parts a few times; sizes and times of the files are in the arguments
def _parts(found: tuple[FoundInput, ...], columns: tuple[tuple[str, str], ...]) -> dict[str, ShardPart]:
    files: dict[str, list[FoundInput]] = {}
    for item in found:
        files.setdefault(_part_of(item.path) or "", []).append(item)
    if "" in files or not {"train", "test"} <= set(files):
        files = {"whole": list(found)}
    order = [part for part in ("train", "validation", "test", "whole") if part in files]
    return {part: _by_class(_index(files[part], dict(columns))) for part in order}


def _part_of(path: str) -> str | None:
    *_, folder, name = ("", *Path(path).parts)
    beginning = re.split(r"[-_.0-9]", name, maxsplit=1)[0]
    return part_of_word(beginning) or part_of_word(folder)


def _index(found: Sequence[FoundInput], columns: dict[str, str]) -> PictureIndex:
    first = next((item.path for item in found if item.kind == "parquet"), None)
    if "label_column" not in columns:
        columns["label_column"] = _JSON_LABEL if first is None else _label_column(first)
    return index_pictures(found, ReadOptions(**columns))  # type: ignore[arg-type]  # the columns alone are texts


def _label_column(path: str) -> str:
    from torchstone_runtime.shards.parquet_reader import column_names  # noqa: PLC0415 - pyarrow, only where needed

    names = column_names(path)
    usual = [name for name in _USUAL_LABELS if name in names]
    if not usual:
        raise DataError(
            f"{showable(path)} has no column that is called as labels are: {', '.join(_USUAL_LABELS)}.",
            f"Name it: shards:PATTERN?label=NAME. Its columns: {shortlist(names)}.",
        )
    return usual[0]


def _by_class(index: PictureIndex) -> ShardPart:
    if not index.pictures:
        raise DataError(f"{showable(str(index.files[0]))} holds no pictures.", _HELP)
    numbered = all(isinstance(picture.label, int) for picture in index.pictures)
    classes: dict[str, list[IndexedPicture]] = {}
    for picture in index.pictures:
        classes.setdefault(_class_name(picture), []).append(picture)
    if numbered and (worst := max(map(int, classes), key=abs)) and not 0 <= worst < MAX_CLASSES:
        raise DataError(f"A label is {worst}; class numbers are 0 to {MAX_CLASSES - 1:,}.")
    ordered = {
        name: sorted(classes[name], key=lambda picture: picture.name)  # stable: without names as they come
        for name in sorted(classes, key=(lambda name: (int(name), name)) if numbered else None)
    }
    return ShardPart(index, ordered, numbered)


def _class_name(picture: IndexedPicture) -> str:
    name = unicodedata.normalize("NFC", str(picture.label))
    if not is_showable(name):
        raise DataError(f"{showable(picture.id)} has the label {name!r}, which holds control characters.", "Rename it.")
    return name
