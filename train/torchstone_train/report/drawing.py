"""What the figures of a run have in common: colours, letters, titles, and how they become PNG and SVG files.

The same figure gives the same bytes. Colours are Okabe and Ito's, which people with any colour vision tell apart.
"""

import io
import warnings
from typing import Any, Final

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
_LETTERS_AN_INCH: Final = 9
"""Of a title: a few less than there is room for on average."""
_TITLE_GAP: Final = 0.06
"""Inches above the title."""
_COMPRESSION: Final = 4
"""Of PNG files: half the time of the usual 6, for files that are hardly larger."""


def set_titles(figure: Figure, title: str, subtitle: str, split: str = "validation") -> None:
    """Head a figure of a split, named in one word, with the run's title and what the figure shows."""
    of_split = f", {split} split"
    room = int(figure.get_figwidth() * _LETTERS_AN_INCH) - len(of_split)
    text = f"{shorten(title, min(room, LONGEST_TITLE))}{of_split}\n{subtitle}"
    if figure.get_layout_engine() is None:
        figure.suptitle(text, x=0.012, y=1 - _TITLE_GAP / figure.get_figheight(), ha="left")
    else:
        figure.suptitle(text, x=0.012, ha="left")


def shorten(text: str, longest: int) -> str:
    """Return a text on one line of at most `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def encode(figure: Figure) -> dict[str, bytes]:
    """Return a figure as the bytes of its files by suffix, `png` and `svg`; its title is their alternative text."""
    # No date and no version: the same figure gives the same bytes.
    return {"png": encode_png(figure), "svg": _save(figure, "svg", {"Date": None, "Creator": None})}


def encode_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file that bears its title as alternative text."""
    return _save(figure, "png", {"Software": None})


def _lay_out(figure: Figure) -> None:
    # Once for both files, the first time; matplotlib would do so twice for each, longer than the drawing takes.
    engine = figure.get_layout_engine()
    if engine:
        figure.set_dpi(_DPI)
        engine.execute(figure)
        figure.set_layout_engine(None)


def _save(figure: Figure, kind: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    named = {"Title": shorten(figure.get_suptitle(), _LONGEST_ALTERNATIVE), **metadata}
    options: dict[str, Any] = {"pil_kwargs": {"compress_level": _COMPRESSION}} if kind == "png" else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # such a letter is drawn as a box
        _lay_out(figure)
        figure.savefig(buffer, format=kind, dpi=_DPI, facecolor="white", metadata=named, **options)
    return buffer.getvalue()
