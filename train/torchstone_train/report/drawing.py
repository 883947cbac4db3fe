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
_LONGEST_ALTERNATIVE: Final = 1000
_DPI: Final = 144
_SPLIT: Final = ", validation split"
_LETTERS_AN_INCH: Final = 9
"""Of a title: a few less than there is room for on average."""
_TITLE_GAP: Final = 0.06
"""Inches above the title."""
_COMPRESSION: Final = 4
"""Of PNG files: half the time of the usual 6, for files that are hardly larger."""


def set_titles(figure: Figure, title: str, subtitle: str) -> None:
    """Head a figure of the validation split with the run's title and what the figure shows."""
    room = int(figure.get_figwidth() * _LETTERS_AN_INCH) - len(_SPLIT)
    text = f"{shorten(title, min(room, LONGEST_TITLE))}{_SPLIT}\n{subtitle}"
    if figure.get_layout_engine() is None:
        figure.suptitle(text, x=0.012, y=1 - _TITLE_GAP / figure.get_figheight(), ha="left")
    else:
        figure.suptitle(text, x=0.012, ha="left")


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


def encode(figure: Figure) -> dict[str, bytes]:
    """Return a figure as the bytes of its files by suffix, `png` and `svg`; its title is their alternative text."""
    title = shorten(figure.get_suptitle(), _LONGEST_ALTERNATIVE)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # such a letter is drawn as a box
        _lay_out(figure)
        # No date and no version: the same figure gives the same bytes.
        png = _save(figure, "png", {"Title": title, "Software": None})
        return {"png": png, "svg": _save(figure, "svg", {"Title": title, "Date": None, "Creator": None})}


def _lay_out(figure: Figure) -> None:
    # Once for both files; matplotlib would do so twice for each, which takes longer than the drawing.
    engine = figure.get_layout_engine()
    if engine:
        figure.set_dpi(_DPI)
        engine.execute(figure)
        figure.set_layout_engine(None)


def _save(figure: Figure, kind: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"pil_kwargs": {"compress_level": _COMPRESSION}} if kind == "png" else {}
    figure.savefig(buffer, format=kind, dpi=_DPI, facecolor="white", metadata=metadata, **options)
    return buffer.getvalue()
