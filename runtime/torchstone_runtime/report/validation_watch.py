"""Sets of classes and drift, as lines for the terminal and as sections of the page."""

from collections.abc import Sequence
from typing import Final

from torchstone_runtime.drift.drift_report import DriftReport, p_text
from torchstone_runtime.evaluation.conformal_sets import ClassSets, SetFigures
from torchstone_runtime.report.page import escape, table, tag

_MOST_CLASSES: Final = 40
_UNKNOWN: Final = "not known: the bundle keeps nothing of its validation images"


def headline(sets: SetFigures | None, drift: DriftReport | None) -> list[str]:
    """Return a line on the sets, where there are any, and one on drift."""
    lines = [f"{f'sets at {sets.asked:.6g}':<18}{_in_words(sets)}"] if sets else []
    return [*lines, f"{'drift':<18}{drift.in_words() if drift else _UNKNOWN}"]


def sets_table(sets: SetFigures) -> list[str]:
    """Return coverage and mean size of the sets of each class, a line each; of many classes the least covered ones."""
    shown = _shown(sets)
    width = max(len("all classes"), *(len(item.name) for item in shown))
    left = len(sets.classes) - len(shown)
    rows = [_row(item.name, width, item) for item in shown]
    more = [f"{left:,} more classes: --json FILE and --report FILE hold them all"] if left else []
    whole = f"{'all classes':<{width}}  {sets.coverage:>8.4f}  {sets.mean_size:>9.2f}  {sets.images:>7,}"
    return [f"{'class':<{width}}  coverage  set size   images", *rows, *more, "", whole]


def sets_html(sets: SetFigures | None) -> str:
    """Return coverage and set sizes, overall and by class; nothing where there are none."""
    if sets is None:
        return ""
    note = (
        f"The sets hold the right class with a probability of {sets.asked:.6g}"
        f"{', for the images of each class' if sets.by_class else ''}, by {sets.calibration_images:,} validation "
        f"images. Here {_in_words(sets)}.{_expectation(sets)}"
    )
    sizes = [(str(size), f"{count:,}", f"{count / sets.images:.1%}") for size, count in sets.sizes.items()]
    by_size = table(("classes in the set", "images", "share"), sizes, name="Sizes of the sets")
    return f'<p class="soft">{escape(note)}</p>{by_size}{_by_class_html(sets)}'


def _expectation(sets: SetFigures) -> str:
    if (expected := sets.expected) is None:
        return ""
    low, high = expected
    return (
        f" For images drawn as the validation images were, theory expects {low:.1%} to {high:.1%}, or more where the "
        "model is right more often than was asked for."
    )


def _by_class_html(sets: SetFigures) -> str:
    """Return coverage and mean size by class; of many classes the least covered ones, and all folded up."""
    shown, title = _shown(sets), "Sets by class"
    if len(shown) == len(sets.classes):
        return _class_table(sets.classes, title)
    note = f"The {len(shown)} of {len(sets.classes):,} classes whose sets hold the right class least often."
    every = _class_table(sets.classes, "Sets of all classes")
    return (
        tag("p", note, class_="soft")
        + _class_table(shown, title)
        + f"<details><summary>All {len(sets.classes):,} classes</summary>{every}</details>"
    )


def _class_table(classes: Sequence[ClassSets], name: str) -> str:
    rows = [(item.name, _figure(item.coverage, 4), _figure(item.mean_size, 2), f"{item.images:,}") for item in classes]
    return table(("class", "coverage", "mean size", "images"), rows, name=name)


def drift_html(drift: DriftReport | None) -> str:
    """Return how far the images lie from the validation images, number by number; nothing where it is not known."""
    if drift is None:
        return ""
    rows = [(item.name, f"{item.distance:.3f}", p_text(item.p_value), item.change) for item in drift.features]
    found = table(("of each image", "distance", "p", "most different"), rows, text=(0, 3))
    return f'<p class="soft">{escape(drift.in_words())}.</p>{found}'


def _in_words(sets: SetFigures) -> str:
    low, high = sets.interval
    return (
        f"{sets.coverage:.4f} hold the right class  ({sets.covered:,} of {sets.images:,}; 95% interval {low:.4f} to "
        f"{high:.4f}); {sets.mean_size:.2f} classes on average"
    )


def _shown(sets: SetFigures) -> list[ClassSets]:
    if len(sets.classes) <= _MOST_CLASSES:
        return list(sets.classes)
    occurring = [item for item in sets.classes if item.images]
    return sorted(occurring, key=lambda item: (item.covered / item.images, -item.images))[:_MOST_CLASSES]


def _row(name: str, width: int, item: ClassSets) -> str:
    return f"{name:<{width}}  {_figure(item.coverage, 4):>8}  {_figure(item.mean_size, 2):>9}  {item.images:>7,}"


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
