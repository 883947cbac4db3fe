"""Write what `torchstone recipes` lists, recipes/measured.json of training, from docs/reference/results.json.

    python -m benchmarks.recipe_results.listed_results

Run it after `reproduce`; a test holds the two together.
"""

import json
import math
from dataclasses import asdict
from typing import Final

from benchmarks.places import DOCS
from benchmarks.recipe_results.results_file import RecipeResult, read_results
from benchmarks.recipe_results.results_page import mean_interval
from torchstone_train.recipes.measured import MEASURED_FILE, PublishedResult

RESULTS: Final = DOCS / "reference" / "results.json"


def listed(item: RecipeResult) -> PublishedResult:
    """Return a result as it is listed, with the page's four places."""
    mean, deviation, _ = mean_interval(item.accuracies)
    spread = None if math.isnan(deviation) else round(deviation, 4)
    return PublishedResult(item.recipe, item.dataset, round(mean, 4), spread, len(item.seeds))


if __name__ == "__main__":
    rows = [json.dumps(asdict(listed(item))) for item in read_results(RESULTS)]
    MEASURED_FILE.write_text("[\n  " + ",\n  ".join(rows) + "\n]\n" if rows else "[]\n", encoding="utf-8")
    print(f"wrote {MEASURED_FILE}: {len(rows)} results")
