"""What a person sees of a training: a bar on a terminal, plain lines in a log."""

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TextIO

from tqdm import tqdm

from torchstone_runtime.cli.colour import coloured, shows_colour
from torchstone_runtime.cli.wrapped_lines import folded
from torchstone_train.training.epoch_table import HEADER, epoch_row

_REFRESH_SECONDS: Final = 0.2
COLUMNS: Final = 80
"""No line of a training is wider, in a log or on a wide terminal; only paths and commands to be copied are."""
_HANGING: Final = " " * 4
LABEL: Final = 9
"""Characters of a label and what stands behind it: `device   `, `not used `."""


class Progress:
    """Reports epochs on stderr.

    Args:
        epochs: largest number of epochs.
        stream: stream to write to; a bar is drawn only on a terminal.
        silent: whether nothing is written at all.
        detailed: whether an epoch has lines with all its figures, in place of a row of a table.

    Attributes:
        later_runs: number of trainings that follow this one, such as a cross-validation's folds; counts for the time
            left.
    """

    def __init__(
        self, epochs: int, stream: TextIO | None = None, *, silent: bool = False, detailed: bool = False
    ) -> None:
        self._epochs = epochs
        self._stream = stream or sys.stderr
        self._silent = silent
        self._detailed = detailed
        self.later_runs = 0
        self._announced: set[str] = set()
        self._last = 0
        self._seconds: list[float] = []
        self._bar: Any = None
        self._due = 0.0

    def announce(self, line: str) -> None:
        """Print what a training is about to be; of a cross-validation's later folds only what differs."""
        if line not in self._announced:
            self._announced.add(line)
            self.say(line)

    def start_epoch(self, epoch: int, samples: int) -> None:
        """Begin an epoch (from 1) over `samples` images."""
        self._bar = tqdm(
            total=samples,
            desc=f"epoch {epoch}/{self._epochs}",
            unit=" images",
            unit_scale=True,
            leave=False,
            file=self._stream,
            disable=self._silent or not self._stream.isatty(),
            dynamic_ncols=True,
        )

    @property
    def wants_loss(self) -> bool:
        """Whether a loss would be shown now; asking the GPU for it more often would slow training down."""
        return not self._bar.disable and time.monotonic() >= self._due

    def step(self, images: int, loss: float | None) -> None:
        """Count images, and show the loss where it is given."""
        if loss is not None:
            self._due = time.monotonic() + _REFRESH_SECONDS
            self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self._bar.update(images)

    def end_epoch(self, record: Mapping[str, Any]) -> None:
        """Print the epoch's row, or its lines, in place of the bar; a training's first row has the header above it."""
        if self._detailed:
            self.say(epoch_lines(record, self._epochs, self._detail_columns()))
            return
        if record["epoch"] <= self._last or not self._last:  # of a cross-validation each fold begins anew
            self._seconds.clear()
            self.say(HEADER, "bold")
        self._last = record["epoch"]
        self._seconds.append(record.get("seconds", 0.0))
        epochs_left = max(0, self._epochs - self._last) + self.later_runs * self._epochs
        row = epoch_row(record, self._epochs, epochs_left * sum(self._seconds) / len(self._seconds))
        self.say(row, "good" if record["best"] else None)

    def say(self, message: str, style: str | None = None) -> None:
        """Print a line, on a terminal in a style; a bar that is still there goes, finished or not."""
        if self._bar is not None:
            self._bar.close()
        if not self._silent:
            # A warning in a log stays one line, which a search finds.
            as_is = self._detailed or (message.startswith("Warning") and not self._stream.isatty())
            # The signs of a style have no width, so they come on last.
            text = message if as_is else folded(message, self._columns(), LABEL)
            styled = coloured(text, style) if style and shows_colour(self._stream) else text
            print(styled, file=self._stream, flush=True)

    def _detail_columns(self) -> int | None:
        """Return the width of an epoch's lines; None for as wide as they are."""
        return self._columns()

    def _columns(self) -> int:
        return min(COLUMNS, shutil.get_terminal_size().columns) if self._stream.isatty() else COLUMNS


class _Calls(Progress):
    """Gives each line to a function; no bar."""

    def __init__(self, epochs: int, tell: Callable[[str], None]) -> None:
        super().__init__(epochs, silent=True, detailed=True)
        self._tell = tell

    def _detail_columns(self) -> None:
        """A line is a message: a log's reader finds all of an epoch's training in one."""

    def say(self, message: str, style: str | None = None) -> None:
        super().say(message, style)
        self._tell(message)


def make_progress(epochs: int, wanted: bool | Callable[[str], None]) -> Progress:
    """Return what reports a training: True for stderr, False for nothing, or a function that is given each line."""
    return _Calls(epochs, wanted) if callable(wanted) else Progress(epochs, silent=not wanted)


def epoch_lines(record: Mapping[str, Any], epochs: int, columns: int | None = None) -> str:
    """Return the figures of an epoch of `history.jsonl`: training, then validation; averages are macro / weighted.

    Each of the two is one line, or as many as `columns` make of it; no figure is cut.
    """
    epoch = f"epoch {record['epoch']:>{len(str(epochs))}}/{epochs}"
    speed = [f"lr {record['learning_rate']:.3g}", f"{record['images_per_second']:,.0f} images/s"]
    best = ["best so far"] if record["best"] else []
    train = _packed(f"{epoch}  train     ", [*_figures(record["train"]), *speed], columns)
    validation = _packed(f"{'':{len(epoch)}}  validation", [*_figures(record["validation"]), *best], columns)
    return f"{train}\n{validation}"


def _packed(first: str, figures: Sequence[str], columns: int | None) -> str:
    lines = [first]
    for figure in figures:
        longer = f"{lines[-1]}  {figure}"
        if columns is None or len(longer) <= columns:
            lines[-1] = longer
        else:
            lines.append(f"{_HANGING}{figure}")
    return "\n".join(lines)


def _figures(part: Mapping[str, float]) -> list[str]:
    averages = [
        f"{shown} {part[f'{name}_macro']:.4f} / {part[f'{name}_weighted']:.4f}"
        for shown, name in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
    ]
    return [f"loss {part['loss']:.4f}", f"accuracy {part['accuracy']:.4f}", *averages]
