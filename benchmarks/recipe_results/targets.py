"""What each recipe is trained on where no dataset is named, and what those of Torchstone's own are to reach."""

from dataclasses import dataclass
from typing import Final

from benchmarks.recipe_results.documents import DOCUMENTS

_OWN_DATASETS: Final = {
    "sprint": "fashion-mnist",
    "sprint-mnist": "mnist",
    "stone-s": "fashion-mnist",
    "stone-m": "fashion-mnist",
    "stone-m-mnist": "mnist",
    "stone-l": "fashion-mnist",
}
_ELSEWHERE: Final = "fashion-mnist"


@dataclass(frozen=True, slots=True)
class Target:
    """Mean test accuracy over the seeds, 0 to 1.

    Attributes:
        must: without it the recipe has failed.
        aim: what is hoped for, if more.
    """

    must: float
    aim: float | None = None


TARGETS: Final[dict[tuple[str, str], Target]] = {
    ("sprint", "fashion-mnist"): Target(0.916),
    ("sprint-mnist", "mnist"): Target(0.99),
    ("stone-s", "fashion-mnist"): Target(0.933, 0.94),
    ("stone-m", "fashion-mnist"): Target(0.945, 0.95),
    ("stone-l", "fashion-mnist"): Target(0.953, 0.958),
    ("stone-m-mnist", "mnist"): Target(0.996),
    ("stone-s+stone-l", "fashion-mnist"): Target(0.945, 0.95),
    ("stone-m+stone-l-mirror", "fashion-mnist"): Target(0.953, 0.958),
}
"""By recipe and dataset; a cascade is held to what is asked of the stone whose speed it reaches."""


def natural_dataset(recipe: str) -> str:
    """Return what a recipe is trained on where no dataset is named: a document's recipe on the document's."""
    document = DOCUMENTS.get(recipe)
    return document.dataset if document else _OWN_DATASETS.get(recipe, _ELSEWHERE)
