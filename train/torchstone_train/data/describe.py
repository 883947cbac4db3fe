"""What a person reads of the data before a training begins."""

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Final

from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.data.overlap import balance_line, overlap_lines
from torchstone_runtime.data.split_folders import folder_layout
from torchstone_runtime.data.windows_names import SEPARATOR
from torchstone_runtime.evaluation.occurring import missing_by_split
from torchstone_runtime.text import showable
from torchstone_train.data.picture_geometry import describe_fit
from torchstone_train.data.training_data import TrainingData

_WIDTH: Final = 71
"""Characters of the line of class names; the first and the last one are always shown."""
_HIDDEN: Final = 13
"""Characters of the words on those that are left out."""


def describe_data(data: TrainingData, *, bits_stated: bool = False, fit_stated: bool = False) -> Iterator[str]:
    """Yield lines on the parts, sizes and classes of a training's data, and warnings of what is odd about it.

    Args:
        data: data of the training.
        bits_stated: whether a person said how many bits 16-bit pictures use.
        fit_stated: whether a person said what becomes of pictures of another shape.
    """
    measured = "held-out" if data.selection.fold else "test"
    yield (
        f"data     {data.ref}: {len(data.train):,} train, {len(data.validation):,} validation, "
        f"{len(data.test):,} {measured} images"
    )
    yield f"images   {' x '.join(map(str, data.spec.shape))}, {len(data.train.class_names):,} classes"
    if (line := describe_fit(data.spec, data.other_shapes, stated=fit_stated)) is not None:
        yield line
    yield from _parts(data.ref)
    yield f"classes  {shortened(data.train.class_names)}"
    yield f"balance  {balance_line(data.train)}"
    if (line := data.selection.line()) is not None:
        yield line
    stores = [split.store for split in (data.train, data.validation, data.test)]
    # One tree that was split is told of once.
    trees = [store for store in stores if isinstance(store, FileStore)]
    yield from dict.fromkeys(line for store in trees for line in store.others.lines(str(store.root)))
    if not bits_stated and isinstance(stores[0], FileStore) and (warning := stores[0].narrow_warning()):
        yield warning
    for line in missing_by_split({split.name: split for split in (data.train, data.validation, data.test)}):
        yield f"Warning: {line}"
    for line in overlap_lines((data.train, data.validation, data.test)):
        yield f"Warning: {line} To list them: torchstone data {quote(str(data.ref))}"


def shortened(names: Sequence[str]) -> str:
    """Return names on one line, those in the middle left out where it would be long."""
    if len(", ".join(names)) <= _WIDTH:
        return ", ".join(names)
    shown: list[str] = []
    for name in names[:-1]:
        if shown and sum(len(one) + 2 for one in (*shown, name, names[-1])) + _HIDDEN > _WIDTH:
            break
        shown.append(name)
    hidden = len(names) - len(shown) - 1
    return ", ".join([*shown, *([f"… ({hidden:,} more)"] if hidden else []), names[-1]])


def _parts(ref: DatasetRef) -> Iterator[str]:
    if ref.kind != "folder" or ref.path is None:
        return
    layout = folder_layout(ref.path)
    if "whole" in layout.parts:
        return
    named = [
        f"{part} is {showable(str(tree.relative_to(ref.path)).rstrip(SEPARATOR))}/"
        for part, tree in layout.parts.items()
    ]
    yield f"parts    {', '.join(named)}"
    if layout.unused:
        yield f"not used {', '.join(showable(folder) + '/' for folder in layout.unused[:5])}" + (
            f" and {len(layout.unused) - 5:,} more" if len(layout.unused) > 5 else ""  # noqa: PLR2004
        )
