"""What was measured of the recipes, for people who choose one. Free of PyTorch and NumPy, so that listing is quick."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MEASURED_FILE: Final = Path(__file__).with_name("measured.json")
"""Written from docs/reference/results.json by benchmarks/recipe_results/listed_results.py; a test compares the two."""


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """Test accuracy of a recipe's exported file over several seeds; docs/reference/results.md says how it was measured.

    Attributes:
        recipe: name of the recipe; dataset: name of the one that it was trained and tested on.
        mean, deviation: mean accuracy, 0 to 1, and its standard deviation with n - 1, None of one seed.
        seeds: number of trainings, each with its own seed.
    """

    recipe: str
    dataset: str
    mean: float
    deviation: float | None
    seeds: int

    def __str__(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.deviation:.4f}"
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        return f"measured: test accuracy {self.mean:.4f}{spread} on {self.dataset}, {seeds}"


def load_measured(path: Path = MEASURED_FILE) -> list[PublishedResult]:
    """Return what was measured, in the order of docs/reference/results.md."""
    return [PublishedResult(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
