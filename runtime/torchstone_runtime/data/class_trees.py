"""Picture files sorted by class, whether each is a file of its own or inside of an archive or a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torchstone_runtime.data.folder import folder_parts, list_classes, load_folder
from torchstone_runtime.data.split import Split
from torchstone_runtime.data.windows_names import flat_tree
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.picture_header import PictureHeader, picture_header


class ClassTree(Protocol):
    """The picture files of one part of a dataset, by class."""

    def counts(self) -> dict[str, int]:
        """Return the number of pictures of each class, in the order of the classes."""

    def headers(self) -> Iterator[PictureHeader]:
        """Yield what each picture file says of itself.

        Raises:
            ImageError: one can't be read.
        """

    def load(self, part: str, spec: InputSpec, class_names: tuple[str, ...] | None) -> Split:
        """Return the pictures as a split called `part`; see `load_folder`."""


@dataclass(frozen=True, slots=True)
class FolderTree:
    """A folder with a sub-folder for each class."""

    root: Path

    def counts(self) -> dict[str, int]:
        """See `ClassTree`."""
        return {name: len(files) for name, files in list_classes(self.root).items()}

    def headers(self) -> Iterator[PictureHeader]:
        """See `ClassTree`."""
        place = flat_tree(self.root)[0]
        for files in list_classes(self.root).values():
            for file in files:
                yield picture_header(place / file)

    def load(self, part: str, spec: InputSpec, class_names: tuple[str, ...] | None) -> Split:
        """See `ClassTree`."""
        return load_folder(self.root, part, spec, class_names)


def trees_of(kind: str, path: Path) -> dict[str, ClassTree]:
    """Return the parts of a `folder` or of `shards`: `whole`, or `train`, `test` and perhaps `validation`.

    Raises:
        DataError: as for `folder_parts` and `shard_parts`.
    """
    if kind == "folder":
        return {part: FolderTree(root) for part, root in folder_parts(path).items()}
    from torchstone_runtime.data.labelled_shards import shard_parts  # noqa: PLC0415 - only where there are some

    return dict(shard_parts(path))
