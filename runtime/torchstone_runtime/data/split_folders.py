"""Which folders of a dataset are its training, validation and test parts, by the names that people give them."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torchstone_runtime.data.windows_names import SEPARATOR, flat_files, flat_folders, flat_tree, inner_tree, is_flat
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.image_formats import is_picture
from torchstone_runtime.path_kinds.wanted import not_a_data_folder
from torchstone_runtime.text import showable

LAYOUT_HELP: Final = (
    "Expected one sub-folder per class (or train/ and test/ with such sub-folders), with image files inside."
)
_WORDS: Final = {
    "train": ("training", "train"),
    "test": ("testing", "test"),
    "validation": ("validation", "valid", "val", "development", "dev", "evaluation", "eval"),
}
_PART_OF_WORD: Final = {word: part for part, words in _WORDS.items() for word in words}
_AFFIX: Final = r"(?:sets?|images?|imgs?|pictures?|photos?|data|datasets?|splits?|parts?|folders?|files?|samples?)"
_TOKEN: Final = re.compile(rf"{_AFFIX}?({'|'.join(_PART_OF_WORD)}){_AFFIX}?(?:\d{{4}})?")
_PLAIN: Final = re.compile(rf"{_AFFIX}|seg|\d{{4}}")
_SEPARATORS: Final = re.compile(r"[\s._-]+")
_FOREIGN: Final = frozenset({"__MACOSX"})
"""What other systems' archivers leave beside the data."""
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class FolderLayout:
    """What the sub-folders of a dataset folder are.

    Attributes:
        parts: `whole`, or `train`, `test` and perhaps `validation`, each with the folder that holds its class folders.
        unused: names of the folders beside the parts, which are not read.
    """

    parts: dict[str, Path]
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Named:
    part: str
    rest: tuple[str, ...]
    folder: str


def folder_layout(root: Path) -> FolderLayout:
    """Find the parts of a dataset folder.

    Parts are known by their names in any case: train, training, test, testing, val, valid, validation, dev, eval, also
    with what people add to them (`train_set`, `Test-Images`, `seg_train`). Where a part holds nothing but a folder of
    the same name, as archives have it, the inner one is taken; where `root` holds nothing but one folder that has
    parts, they are the parts.

    Raises:
        DataError: no such folder, one of train and test without the other, or several folders for one part.
    """
    if not flat_tree(root)[0].is_dir():
        hint = not_a_data_folder(root)
        raise DataError(
            f"{root} is not a folder.", f"{hint}\nGive an existing folder: folder:PATH. {LAYOUT_HELP}".lstrip()
        )
    folders = visible_folders(root)
    named = [found for folder in folders if (found := _recognise(root, folder))]
    chosen = _choose(root, named)
    if chosen is not None:
        unused = tuple(folder for folder in folders if folder not in chosen.values())
        return FolderLayout({part: _innermost(subtree(root, folder)) for part, folder in chosen.items()}, unused)
    for one in named:
        if one.part != "validation" and holds_class_folders(subtree(root, one.folder)):
            raise _lacking(root, one, [other.folder for other in named if other.part == "validation"])
    if len(folders) == 1 and not (inner := subtree(root, folders[0])).is_symlink() and not holds_images(inner):
        layout = folder_layout(inner)
        if "whole" not in layout.parts:
            return layout
    return FolderLayout({"whole": root})


def visible_folders(root: Path) -> list[str]:
    r"""Return the sub-folders' names, sorted, without hidden ones and those of other systems' archivers.

    Where `root` has none, those in the names of its files (`cat\1.png`, see `windows_names`).
    """
    folders: list[str] = []
    if root.is_dir():
        with os.scandir(root) as entries:
            folders = sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.name not in _FOREIGN and entry.is_dir()
            )
    return flat_folders(root) if is_flat(root, folders) else folders


def part_of_word(text: str) -> str | None:
    """Return the part that a name such as `train`, `val` or `test_set` alone says, in any case; None for others."""
    tokens = [token for token in _SEPARATORS.split(text.lower()) if token and not _PLAIN.fullmatch(token)]
    found = _TOKEN.fullmatch(tokens[0]) if len(tokens) == 1 else None
    return None if found is None else _PART_OF_WORD[found[1]]


def subtree(root: Path, folder: str) -> Path:
    """Return the tree of one of a tree's `visible_folders`."""
    return root / folder if (root / folder).is_dir() else inner_tree(root, folder)


def holds_images(folder: Path) -> bool:
    """Return whether a folder itself, not one inside of it, holds image files."""
    if not folder.is_dir():
        place, _ = flat_tree(folder)
        return any(len(parts) == 1 and is_picture(str(place / name)) for parts, name in flat_files(folder))
    with os.scandir(folder) as entries:
        return any(
            not entry.name.startswith(".") and SEPARATOR not in entry.name and is_picture(entry.path)
            for entry in entries
        )


def holds_class_folders(folder: Path) -> bool:
    """Return whether a folder holds folders but no images: a class may be called "train", and then it has images."""
    return bool(visible_folders(folder)) and not holds_images(folder)


def require_no_hidden_parts(root: Path) -> None:
    """Check that the sub-folders of a tree may be its classes.

    Raises:
        DataError: they hold the same sub-folders and no images of their own, so that those are the classes.
    """
    classes = visible_folders(root)
    if len(classes) < 2 or any(holds_images(subtree(root, name)) for name in classes):  # noqa: PLR2004 - nothing to compare
        return
    inside = [set(visible_folders(subtree(root, name))) for name in classes]
    common, together = set.intersection(*inside), set.union(*inside)
    if len(common) < 2 or 2 * len(common) < len(together):  # noqa: PLR2004 - one alone would be no classes
        return
    raise DataError(
        f"{root}: its folders {_listed(classes)} hold the same sub-folders ({_listed(sorted(common))}) and no images "
        "of their own. Those are likely the classes, and the folders parts of the data.",
        f"Call the parts train/ and test/ (and validation/), or give one of them: folder:{root / classes[0]}\n"
        f"If {_listed(classes)} are the classes, put their images into these folders themselves.",
    )


def _recognise(root: Path, folder: str) -> _Named | None:
    tokens = [token for token in _SEPARATORS.split(folder.lower()) if token]
    matches = [(match[1], position) for position, token in enumerate(tokens) if (match := _TOKEN.fullmatch(token))]
    if len(matches) != 1:
        return None
    word, position = matches[0]
    rest = tuple(token for token in tokens[:position] + tokens[position + 1 :] if not _PLAIN.fullmatch(token))
    if rest and not holds_class_folders(subtree(root, folder)):
        return None  # "steam train" is a class
    return _Named(_PART_OF_WORD[word], rest, folder)


def _choose(root: Path, named: Sequence[_Named]) -> dict[str, str] | None:
    """Return the folder of each part, or None where there are not both train and test."""
    # `train/` beside `train_masks/`: what else the names say has to be the same for the parts of one dataset.
    kinds = {rest: [one for one in named if one.rest == rest] for rest in sorted({one.rest for one in named})}
    whole = [some for some in kinds.values() if {"train", "test"} <= {one.part for one in some}]
    group = next((some for some in whole if not some[0].rest), None) or (whole[0] if len(whole) == 1 else None)
    if group is None:
        group = [one for one in named if whole or holds_class_folders(subtree(root, one.folder))]
    if not {"train", "test"} <= {one.part for one in group}:
        return None
    if "validation" not in {one.part for one in group}:
        group = [*group, *(one for one in named if one.part == "validation" and not one.rest)]
    chosen: dict[str, str] = {}
    for part in _WORDS:
        folders = [one.folder for one in group if one.part == part]
        if len(folders) > 1:
            raise DataError(
                f"{root} has several folders for its {part} part: {_listed(folders)}.",
                "Take all but one out, or put the data into train/ and test/ (and validation/).",
            )
        chosen |= {part: folders[0]} if folders else {}
    return chosen


def _innermost(folder: Path) -> Path:
    inside = visible_folders(folder)
    own_name = folder.name.rstrip(SEPARATOR).rpartition(SEPARATOR)[2]
    if len(inside) != 1 or inside[0].lower() != own_name.lower() or holds_images(folder):
        return folder
    inner = subtree(folder, inside[0])
    return folder if inner.is_symlink() else _innermost(inner)  # a link might lead back


def _lacking(root: Path, present: _Named, validation: Sequence[str]) -> DataError:
    lacking = {"train": "test", "test": "train"}[present.part]
    tree = _innermost(subtree(root, present.folder))
    remedy = f"Add {lacking}/, or give the one tree that is meant: folder:{tree}"
    if tree.name.endswith(SEPARATOR):
        remedy = f"Add {lacking}/, or unpack the archive with a program that knows paths of Windows."
    if validation and lacking == "test":
        remedy += (
            f"\nA model is chosen by {showable(validation[0])}/, so that it can't be the test as well; rename it to "
            "test/ if it is to be that."
        )
    return DataError(f"{root} has {showable(present.folder)}/ but no {lacking}/.", remedy)


def _listed(names: Iterable[str]) -> str:
    shown = [showable(name) for name in names]
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else "")
