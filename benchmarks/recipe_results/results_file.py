"""The data behind docs/reference/results.md: each recipe on each dataset, kept from one time to the next.

A figure that was never measured is null, not a guess: the starting documents' trainings were measured before a record
was kept of each, and what their page did not say is not known.
"""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.recipe_results.documents import DOCUMENTS
from torchstone_runtime.errors import DataError
from torchstone_runtime.files import write_atomic
from torchstone_runtime.strict_json import strict_json
from torchstone_train.recipes.catalog import RECIPES

FORMAT: Final = "torchstone-results"
FORMAT_VERSION: Final = 1
_MEANS: Final = ("precision_weighted", "recall_weighted", "f1_weighted")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedFile:
    """The file that was measured: the one that the bundle serves where no variant is named.

    Attributes:
        variant: of the bundle.
        size: in bytes; sha256: of the file.
        passed: whether its bundle's certificate did.
        verdict: the certificate's lines on this variant, and on one that was asked for and left out.
    """

    variant: str
    size: int
    sha256: str
    passed: bool
    verdict: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedResult:
    """One training, as its exported ONNX file did on the test split. What is None was not recorded.

    Attributes:
        seed: of the training.
        test: accuracy, and precision, recall and F1 (macro and weighted), each 0 to 1.
        train_accuracy, validation_accuracy: of the best epoch; of a cascade, the latter is the whole cascade's, and
            what follows on the training is that of its accurate model.
        epochs_run, best_epoch, stop_reason: of the training.
        seconds_per_epoch: mean, training and validation together.
        device: that it was trained on, a name for people; processor: of the machine that measured it.
        versions: of the packages that decide the result.
        parameters: numbers that were fitted.
        file: what was measured.
        robustness: as `robustness_record` gives it.
    """

    seed: int
    test: Mapping[str, float]
    train_accuracy: float | None
    validation_accuracy: float
    epochs_run: int
    best_epoch: int
    stop_reason: str
    seconds_per_epoch: float | None = None
    device: str | None = None
    processor: str | None = None
    versions: Mapping[str, str] | None = None
    parameters: int | None = None
    file: ServedFile | None = None
    robustness: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `asdict` and JSON made of one."""
        file = data.get("file")
        served = ServedFile(**{**file, "verdict": tuple(file["verdict"])}) if file else None
        return cls(**{**data, "file": served})


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeResult:
    """The trainings of a recipe on a dataset.

    Attributes:
        recipe, dataset: what was trained on what; of a cascade, its name (`BenchmarkModel`).
        settings: as `BenchmarkModel.settings` gives them, None where they were not recorded.
        means: over the seeds of weighted precision, recall and F1 (0 to 1) and of the seconds an epoch.
        environment: `processor`, `devices`, `python` and `torch` of several recipes that were measured together, where
            the seeds have no record of their own.
        seeds: in ascending order.
    """

    recipe: str
    dataset: str
    settings: Mapping[str, Any] | None = None
    means: Mapping[str, float]
    environment: Mapping[str, Any] | None = None
    seeds: tuple[SeedResult, ...]

    @classmethod
    def of(cls, recipe: str, dataset: str, settings: Mapping[str, Any], seeds: Sequence[SeedResult]) -> Self:
        """Return the result of trainings that were measured with all their figures."""
        means = {name: statistics.fmean(result.test[name] for result in seeds) for name in _MEANS}
        seconds = [result.seconds_per_epoch for result in seeds if result.seconds_per_epoch is not None]
        if len(seconds) == len(seeds):
            means["seconds_per_epoch"] = statistics.fmean(seconds)
        return cls(recipe=recipe, dataset=dataset, settings=settings, means=means, seeds=tuple(seeds))

    @property
    def key(self) -> tuple[str, str]:
        """The recipe and the dataset."""
        return self.recipe, self.dataset

    @property
    def is_documents(self) -> bool:
        """Whether a starting document trained this on this dataset."""
        document = DOCUMENTS.get(self.recipe)
        return document is not None and document.dataset == self.dataset

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy by seed."""
        return [result.test["accuracy"] for result in self.seeds]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `asdict` and JSON made of one."""
        return cls(**{**data, "seeds": tuple(SeedResult.from_json(item) for item in data["seeds"])})


def read_results(path: Path) -> list[RecipeResult]:
    """Return what the file holds, nothing where there is none.

    Raises:
        DataError: it is no such file, or of another version.
    """
    if not path.exists():
        return []
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if (data["format"], data["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise ValueError("another format or version")
        return [RecipeResult.from_json(item) for item in data["results"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} holds no results of recipes: {error}.", "Move it away, or name another --results."
        ) from error


def write_results(path: Path, results: Iterable[RecipeResult]) -> None:
    """Write the file whole."""
    data = {"format": FORMAT, "format_version": FORMAT_VERSION, "results": [asdict(item) for item in results]}
    write_atomic(path, strict_json(data, indent=1) + "\n")


def merge_results(kept: Iterable[RecipeResult], measured: Iterable[RecipeResult]) -> list[RecipeResult]:
    """Return all results, the documents' first, then by the order of the recipes, cascades last.

    What was measured takes the place of an earlier result of the same recipe and dataset, with all its seeds.
    """
    found = {item.key: item for item in (*kept, *measured)}
    order = list(RECIPES)

    def rank(item: RecipeResult) -> tuple[bool, int, str, str]:
        place = order.index(item.recipe) if item.recipe in order else len(order)
        return not item.is_documents, place, item.recipe, item.dataset

    return sorted(found.values(), key=rank)
