"""Image folders: one sub-folder per class, in one tree or in parts (see `data.parts`)."""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.data.decoded_side_by_side import decoded_side_by_side
from torchstone_runtime.data.split import Split
from torchstone_runtime.data.split_folders import (
    LAYOUT_HELP,
    folder_layout,
    holds_images,
    require_no_hidden_parts,
    visible_folders,
)
from torchstone_runtime.data.windows_names import SEPARATOR, flat_files, flat_tree
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.bit_depth import SAMPLE_SIZE, narrow_warning
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.image_formats import IMAGE_SUFFIXES, OtherFiles, is_picture
from torchstone_runtime.images.input_spec import MAX_BITS, InputSpec
from torchstone_runtime.images.picture_header import sampled_depths
from torchstone_runtime.path_kinds.wanted import not_a_data_folder
from torchstone_runtime.text import is_showable, shortlist

_OTHER_PART: Final = "To use another part of the dataset alone, give its folder: folder:PART"


@dataclass(frozen=True, slots=True)
class FileStore:
    """Images decoded from files when they are read, several at once.

    Attributes:
        root: the folder that the names are relative to.
        names: names of the files.
        spec: input specification that they are decoded by.
        others: the files of the folder that are no pictures.
    """

    root: Path
    names: Sequence[str]
    spec: InputSpec
    others: OtherFiles = field(default_factory=OtherFiles)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image: (C, H, W)."""
        return self.spec.shape

    def __len__(self) -> int:
        return len(self.names)

    def read(self, indices: Int64Array) -> Uint8Array:
        """Return the images at `indices`, in that order, as uint8 of shape (n, C, H, W).

        Raises:
            ImageError: a file is not an image; the message names it.
        """
        return decoded_side_by_side(self._decode, indices, self.image_shape)

    def select(self, indices: Int64Array) -> "FileStore":
        """Return a store of the images at `indices`, in that order."""
        return FileStore(self.root, [self.names[index] for index in indices], self.spec, self.others)

    def narrow_warning(self) -> str | None:
        """Return what to say where the 16-bit pictures, by a sample of all, use fewer bits; None where nothing is.

        Nothing is said of a file that can't be read: reading it for good will.
        """
        if self.spec.bits != MAX_BITS:
            return None
        chosen = np.unique(np.linspace(0, len(self.names) - 1, SAMPLE_SIZE).astype(int))
        return narrow_warning(sampled_depths(self.root / self.names[index] for index in chosen))

    def _decode(self, index: int) -> Uint8Array:
        return decode_image(self.root / self.names[index], self.spec)


def folder_parts(root: Path) -> dict[str, Path]:
    """Return the parts that a dataset folder has: `whole`, or `train`, `test` and perhaps `validation`.

    Raises:
        DataError: as for `folder_layout`.
    """
    return folder_layout(root).parts


def load_folder(root: Path, part: str, spec: InputSpec, class_names: tuple[str, ...] | None = None) -> Split:
    """List the images of one tree of class folders; their pixels are read later.

    Args:
        root: the folder whose sub-folders are the classes.
        part: the name that the split gets.
        spec: input specification that the pictures are decoded by.
        class_names: the classes, in the order of the labels; a folder may then lack some of them. Without it they
            are the names of the sub-folders, sorted, and each must hold an image.

    Raises:
        DataError: no classes or just one, a class without images, an unknown class, or a link that leads outside.
    """
    listing = list_files(root)
    found = listing.images
    names = class_names or tuple(found)
    if not found and holds_images(root):
        raise DataError(
            f"{root} has images but no class folders: nothing says what is on them.",
            "\n".join((not_a_data_folder(root), *(() if part == "whole" else (_OTHER_PART,)))),
        )
    position = {unicodedata.normalize("NFC", name): label for label, name in enumerate(names)}
    unknown = sorted(set(found) - set(position))
    if unknown or class_names is None:
        require_no_hidden_parts(root)
    if unknown:
        hint = f"{found_here}\n" if (found_here := not_a_data_folder(root)) else ""
        raise DataError(
            f"{root} has classes that the model does not know: {shortlist(unknown)}.",
            f"{hint}The folder's classes: {shortlist(tuple(found))}.\nThe model's classes: {shortlist(names)}.\n"
            "Rename the folders as the model calls them; evaluate, compare and robustness also take --class-map FILE.",
        )
    if class_names is None:
        _require_usable_classes(root, found)
    files = [(file, label) for name, label in position.items() for file in found.get(name, ())]
    if not files:
        raise DataError(f"{root} holds no images.", _what_it_is(root))
    paths = [file for file, _ in files]
    labels = np.array([label for _, label in files], dtype=np.int64)
    # An id is written to reports: a file name that is not valid UTF-8 shows its odd bytes as escapes.
    place, prefix = flat_tree(root)
    tidy = [path.removeprefix(prefix).replace(SEPARATOR, "/") if "/" not in path else path for path in paths]
    ids = [path.encode("utf-8", "backslashreplace").decode() for path in tidy]
    return Split(part, FileStore(place, paths, spec, listing.others), labels, names, ids)


@dataclass(frozen=True, slots=True)
class ClassFiles:
    """What one tree of class folders holds.

    Attributes:
        images: image files by class, in the order of the names (in Unicode's normal form NFC), as sorted paths
            relative to the tree (to `flat_tree` of it, where names stand for folders).
        others: the files in class folders that are no pictures.
    """

    images: dict[str, list[str]]
    others: OtherFiles


def list_classes(root: Path) -> dict[str, list[str]]:
    """Return, for each class, its image files as sorted paths relative to `root`.

    Raises:
        DataError: as for `list_files`.
    """
    return list_files(root).images


def list_files(root: Path) -> ClassFiles:
    """List the files of a tree of class folders.

    Raises:
        DataError: a class's name can't be shown or stands for two folders, or a link leads outside.
    """
    folders: dict[str, str] = {}
    for name in visible_folders(root):
        if not is_showable(name):
            raise DataError(
                f"{root} has a class folder {name!r}: its name holds control characters or is not valid UTF-8.",
                "Rename it.",
            )
        # macOS writes é as e and an accent, others as one character: to a person both are the same name.
        if (normal := unicodedata.normalize("NFC", name)) in folders:
            raise DataError(
                f"{root} has two class folders called '{normal}', whose letters are written in two ways (Unicode's NFC "
                "and NFD).",
                "Put the images of both into one.",
            )
        folders[normal] = name
    others = OtherFiles()
    if not (root.is_dir() and all((root / folder).is_dir() for folder in folders.values())):
        return ClassFiles(_flat_images(root, folders, others), others)
    return ClassFiles({name: _list_images(root, folders[name], others) for name in sorted(folders)}, others)


def _flat_images(root: Path, folders: dict[str, str], others: OtherFiles) -> dict[str, list[str]]:
    place, _ = flat_tree(root)
    classes = {folder: normal for normal, folder in folders.items()}
    images: dict[str, list[str]] = {normal: [] for normal in sorted(folders)}
    for parts, name in flat_files(root):
        if len(parts) > 1 and not (place / name).is_symlink() and is_picture(str(place / name)):
            images[classes[parts[0]]].append(name)
        elif len(parts) > 1:
            others.add(parts[-1])
    return images


def _list_images(root: Path, class_folder: str, others: OtherFiles) -> list[str]:
    real_root = root.resolve()
    if not (root / class_folder).resolve().is_relative_to(real_root):
        raise DataError(
            f"{root / class_folder} is a link that leads outside of {root}.", "Copy the images into the folder."
        )
    names = []
    for folder, subfolders, files in os.walk(root / class_folder, onerror=_unreadable):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        if linked := next((name for name in subfolders if Path(folder, name).is_symlink()), None):
            # Not followed, since it may lead back here; passing over it would leave its pictures out without a word.
            raise DataError(
                f"{Path(folder, linked)} is a link to a folder inside of a class, which is not followed.",
                "Copy its images into the class folder, or remove the link.",
            )
        for file in sorted(name for name in files if not name.startswith(".")):
            path = Path(folder, file)
            leads_outside = path.is_symlink() and not path.resolve().is_relative_to(real_root)
            if leads_outside and path.suffix.lower() in IMAGE_SUFFIXES:
                raise DataError(f"{path} is a link that leads outside of {root}.", "Copy the file into the folder.")
            if leads_outside or not is_picture(str(path)):
                others.add(file)
            else:
                names.append(path.relative_to(root).as_posix())
    return sorted(names)


def _unreadable(error: OSError) -> NoReturn:
    # Passing over the folder, as `os.walk` does by itself, would leave its pictures out without a word.
    raise DataError(
        f"The folder {error.filename} cannot be read: {error.strerror or error}.",
        "Make it readable, or take it out of the class folder.",
    ) from error


def _what_it_is(root: Path) -> str:
    return not_a_data_folder(root) or LAYOUT_HELP


def _require_usable_classes(root: Path, found: dict[str, list[str]]) -> None:
    if not found:
        raise DataError(f"{root} is empty: it has no class folders.", _what_it_is(root))
    if empty := [name for name, files in found.items() if not files]:
        raise DataError(f"{root / empty[0]} holds no image files.", f"Add images or remove the folder. {LAYOUT_HELP}")
    if len(found) == 1:
        raise DataError(
            f"{root} has only one class ('{next(iter(found))}'); a classifier needs at least two.", LAYOUT_HELP
        )
