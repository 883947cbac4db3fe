"""The part of `docs/results.md` on robustness, calibration and abstention: means over the seeds."""

import statistics
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.recipe_results.results_file import RecipeResult, SeedResult
from torchstone_export.bundle.markdown import table
from torchstone_runtime.corruption import CORRUPTIONS, SEVERITIES
from torchstone_runtime.metrics.summary import Behaviour

_UNKNOWN: Final = "—"


def robustness_section(results: Sequence[RecipeResult]) -> list[str]:
    """Return the section, a row for each recipe all of whose seeds were measured; nothing where there is none."""
    measured = [item for item in results if all(result.robustness for result in item.seeds)]
    if not measured:
        return []
    return [
        "## Robustness, calibration, abstention",
        "",
        "Each cell: clean images, then the mean over [ten corruptions at five severities](robustness.md).",
        "The calibration error is the expected one, over ten bins.",
        "Accuracy at 95% coverage is that of the 95% of the images of which the model is surest;",
        "coverage at 95% accuracy is the share of the images that can be answered with it.",
        "",
        *_behaviour_table(measured),
        "",
        "### Accuracy by corruption",
        "",
        "Mean over the five severities.",
        "",
        *_corruption_table(measured),
        "",
        "### Accuracy by severity",
        "",
        "Mean over the ten corruptions.",
        "",
        *_severity_table(measured),
        "",
    ]


def served_cell(item: RecipeResult) -> str:
    """Return which variants were measured, and what their certificates say of them."""
    files = [result.file for result in item.seeds if result.file]
    if not files:
        return _UNKNOWN
    variants = ", ".join(dict.fromkeys(file.variant for file in files))
    left_out = any("int8: not shipped" in line for file in files for line in file.verdict)
    verdict = "certified" if all(file.passed for file in files) else "**not certified**"
    return f"{variants} ({verdict}{'; int8 left out' if left_out else ''})"


def _behaviour_table(measured: Sequence[RecipeResult]) -> list[str]:
    rows = []
    for item in measured:
        clean, corrupted = (_mean_behaviour(item, kind).figures() for kind in ("clean", "corrupted"))
        rows.append([*_head(item), served_cell(item), *(f"{clean[name]:.4f}, {corrupted[name]:.4f}" for name in clean)])
    names = list(_mean_behaviour(measured[0], "clean").figures())
    return table(["recipe", "dataset", "file measured", *names], rows)


def _corruption_table(measured: Sequence[RecipeResult]) -> list[str]:
    rows = []
    for item in measured:
        accuracy = _mean_accuracy(item)
        rows.append([*_head(item), *_with_mean([statistics.fmean(accuracy[name]) for name in CORRUPTIONS])])
    return table(["recipe", "dataset", *CORRUPTIONS, "mean"], rows)


def _severity_table(measured: Sequence[RecipeResult]) -> list[str]:
    rows = []
    for item in measured:
        accuracy = _mean_accuracy(item)
        rows.append(
            [*_head(item), *_with_mean([statistics.fmean(column) for column in zip(*accuracy.values(), strict=True)])]
        )
    return table(["recipe", "dataset", *map(str, SEVERITIES), "mean"], rows)


def _mean_behaviour(item: RecipeResult, kind: str) -> Behaviour:
    return Behaviour.mean([Behaviour.from_json(_record(result)[kind]) for result in item.seeds])


def _mean_accuracy(item: RecipeResult) -> dict[str, list[float]]:
    """Return the mean over the seeds by corruption, for the severities 1 to 5."""
    of_seeds = [_record(result)["accuracy"] for result in item.seeds]
    return {
        name: [statistics.fmean(values) for values in zip(*(found[name] for found in of_seeds), strict=True)]
        for name in CORRUPTIONS
    }


def _record(result: SeedResult) -> dict[str, Any]:
    return dict(result.robustness or {})


def _head(item: RecipeResult) -> list[str]:
    return [f"`{item.recipe}`", item.dataset]


def _with_mean(values: Sequence[float]) -> list[str]:
    return [f"{value:.4f}" for value in (*values, statistics.fmean(values))]
