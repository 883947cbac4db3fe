"""`docs/reference/results.md`, written from its data alone."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import Final

from benchmarks.recipe_results.documents import DOCUMENTS, Document
from benchmarks.recipe_results.results_file import RecipeResult, SeedResult
from benchmarks.recipe_results.robustness_tables import robustness_tables, served_cell
from benchmarks.recipe_results.targets import TARGETS, natural_dataset
from benchmarks.template import render, table_rows
from torchstone_export.bundle.markdown import escape_markdown

_T_975: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145)
"""97.5% quantiles of Student's t distribution for 1 to 14 degrees of freedom (standard tables)."""
_TEMPLATE: Final = Path(__file__).with_name("page.md.in")
_UNKNOWN: Final = "—"


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, standard deviation (n - 1) and the half width of the mean's 95% interval (Student's t).

    Of one value the last two are NaN; beyond 15 values the normal quantile is used.
    """
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.nan, math.nan
    deviation = statistics.stdev(values)
    freedom = len(values) - 1
    quantile = _T_975[freedom - 1] if freedom <= len(_T_975) else 1.96
    return mean, deviation, quantile * deviation / math.sqrt(len(values))


def render_results(results: Sequence[RecipeResult]) -> str:
    """Return the page: the documents' recipes, Torchstone's own, their robustness, and every training."""
    documents = [(DOCUMENTS[item.recipe], item) for item in results if item.is_documents]
    own = [item for item in results if not item.is_documents]
    return render(
        _TEMPLATE,
        {
            "documents": table_rows(starmap(_document_cells, documents)) or None,
            "own": table_rows(map(_own_cells, own)) or None,
            **robustness_tables(results),
            "trainings": table_rows(_seed_cells(item, result) for item in results for result in item.seeds),
            "machines": "\n".join(machine_lines(results)),
        },
    )


def machine_lines(results: Iterable[RecipeResult]) -> list[str]:
    """Return a line for each machine with its versions, and the recipes whose trainings it holds for."""
    places: dict[str, list[str]] = {}
    for item in results:
        label = _label(item)
        for text in _machines(item):
            labels = places.setdefault(text, [])
            labels.extend([label] if label not in labels else [])
    return [f"- {', '.join(labels)}: {text}." for text, labels in places.items()]


def _machines(item: RecipeResult) -> list[str]:
    if item.environment is not None:
        place = item.environment
        return [_machine(place["processor"], place["devices"], place)]
    devices: dict[tuple[str, str, str], list[str]] = {}
    for result in item.seeds:
        versions = result.versions or {}
        key = (result.processor or _UNKNOWN, versions.get("python", _UNKNOWN), versions.get("torch", _UNKNOWN))
        devices.setdefault(key, []).append(result.device or _UNKNOWN)
    return [
        _machine(processor, sorted(set(names)), {"python": python, "torch": torch})
        for (processor, python, torch), names in devices.items()
    ]


def _machine(processor: str, devices: Sequence[str], versions: Mapping[str, str]) -> str:
    software = f"Python {versions['python']}, PyTorch {versions['torch']}"
    return escape_markdown(f"{processor}; trained on {', '.join(devices)}; {software}")


def _document_cells(document: Document, item: RecipeResult) -> list[str]:
    reported = f"{document.reported['accuracy']:.4f}" if "accuracy" in document.reported else ""
    stated = "; ".join(part for part in (reported, document.remark) if part)
    weighted = [
        f"{item.means[name]:.4f}{_beside(document, name)}"
        for name in ("precision_weighted", "recall_weighted", "f1_weighted")
    ]
    return [
        *(f"`{item.recipe}`", document.number, item.dataset, stated, _accuracy(item), ", ".join(weighted)),
        *_training_cells(item),
    ]


def _own_cells(item: RecipeResult) -> list[str]:
    target = TARGETS.get(item.key)
    mean = statistics.fmean(item.accuracies)
    must = _met(mean, target.must) if target else ""
    aim = _met(mean, target.aim) if target and target.aim is not None else ""
    parameters = {f"{result.parameters:,}" for result in item.seeds if result.parameters is not None}
    sizes = sorted({result.file.size for result in item.seeds if result.file})
    return [
        *(f"`{item.recipe}`", item.dataset, _accuracy(item), must, aim, *_training_cells(item)),
        *(", ".join(sorted(parameters)) or _UNKNOWN, served_cell(item)),
        " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1]))) if sizes else _UNKNOWN,
    ]


def _met(mean: float, bound: float) -> str:
    # 0.9333333 for 0.933 is met; what is compared is not rounded.
    return f"{bound:.3f}: {'met' if mean >= bound else '**not met**'}"


def _accuracy(item: RecipeResult) -> str:
    mean, deviation, half = mean_interval(item.accuracies)
    if math.isnan(deviation):
        return f"**{mean:.4f}**"
    return f"**{mean:.4f}** ± {deviation:.4f} ({mean - half:.4f} to {mean + half:.4f})"


def _training_cells(item: RecipeResult) -> list[str]:
    epochs = ", ".join(str(result.epochs_run) for result in item.seeds)
    seconds = item.means.get("seconds_per_epoch")
    return [str(len(item.seeds)), epochs, _UNKNOWN if seconds is None else f"{seconds:.0f}"]


def _beside(document: Document, name: str) -> str:
    return f" (reported {document.reported[name]:.4f})" if name in document.reported else ""


def _seed_cells(item: RecipeResult, result: SeedResult) -> list[str]:
    return [
        *(_label(item), str(result.seed), f"{result.test['accuracy']:.4f}", f"{result.validation_accuracy:.4f}"),
        *(
            _UNKNOWN if result.train_accuracy is None else f"{result.train_accuracy:.4f}",
            str(result.epochs_run),
            str(result.best_epoch),
            result.stop_reason,
        ),
    ]


def _label(item: RecipeResult) -> str:
    own = natural_dataset(item.recipe.rpartition("+")[2].removesuffix("-mirror"))
    return f"`{item.recipe}`" if item.dataset == own else f"`{item.recipe}` on {item.dataset}"
