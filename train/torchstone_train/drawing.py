"""What the figures of a run have in common: colours, letters, titles, and how they become PNG and SVG files.

The same figure gives the same bytes. Colours are Okabe and Ito's, which people with any colour vision tell apart.
"""

import io
import warnings
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
INK: Final = "#1d2430"
SOFT: Final = "#5c6675"
GRID: Final = "#dfe3e8"
STYLE: Final[dict[Any, Any]] = {
    "axes.edgecolor": GRID,
    "axes.labelcolor": SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 9,
    "grid.color": GRID,
    "svg.hashsalt": "torchstone",
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$"
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}
MOST_NAMES: Final = 60
"""Classes up to which each is named."""
LONGEST_NAME: Final = 22
LONGEST_TITLE: Final = 70
_DPI: Final = 144


def set_titles(figure: Figure, title: str, subtitle: str) -> None:
    """Head a figure of the validation split with the run's title and what the figure shows."""
    figure.suptitle(f"{shorten(title, LONGEST_TITLE)}, validation split\n{subtitle}", x=0.012, ha="left")


def plain_bars(axis: Axes, names: list[str]) -> None:
    """Leave of an axis of horizontal bars, the first on top, the names and the vertical grid."""
    axis.set_yticks(range(len(names)), [shorten(name, LONGEST_NAME) for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="x")
    axis.set_axisbelow(True)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def shorten(text: str, longest: int) -> str:
    """Return a text on one line of at most `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def encode(figure: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of a file, `png` or `svg`; its title is the file's alternative text."""
    # No date and no version: the same figure gives the same bytes.
    dropped: dict[str, None] = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    metadata: dict[str, str | None] = {"Title": shorten(figure.get_suptitle(), 1000), **dropped}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # such a letter is drawn as a box
        figure.savefig(buffer, format=kind, dpi=_DPI, facecolor="white", metadata=metadata)
    return buffer.getvalue()
