"""The part of `docs/reference/results.md` on robustness, calibration and abstention: means over the seeds."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Final

from benchmarks.recipe_results.results_file import RecipeResult, SeedResult
from benchmarks.template import table_rows
from torchstone_runtime.corruption import CORRUPTIONS, SEVERITIES
from torchstone_runtime.metrics.summary_metrics import SummaryMetrics

_UNKNOWN: Final = "—"


def robustness_tables(results: Sequence[RecipeResult]) -> dict[str, str | None]:
    """Return the section's tables, a row for each recipe all of whose seeds were measured; None where there is none."""
    tables = {
        "behaviour_table": _behaviour_table,
        "corruption_table": _corruption_table,
        "severity_table": _severity_table,
    }
    measured = [item for item in results if all(result.robustness for result in item.seeds)]
    return {name: make(measured) if measured else None for name, make in tables.items()}


def served_cell(item: RecipeResult) -> str:
    """Return which variants were measured, and what their certificates say of them."""
    files = [result.file for result in item.seeds if result.file]
    if not files:
        return _UNKNOWN
    variants = ", ".join(dict.fromkeys(file.variant for file in files))
    left_out = any("int8: not shipped" in line for file in files for line in file.verdict)
    verdict = "certified" if all(file.passed for file in files) else "**not certified**"
    return f"{variants} ({verdict}{'; int8 left out' if left_out else ''})"


def _behaviour_table(measured: Sequence[RecipeResult]) -> str:
    rows = []
    for item in measured:
        clean, corrupted = (_mean_behaviour(item, kind).figures() for kind in ("clean", "corrupted"))
        rows.append([*_head(item), served_cell(item), *(f"{clean[name]:.4f}, {corrupted[name]:.4f}" for name in clean)])
    names = list(_mean_behaviour(measured[0], "clean").figures())
    return _table(["recipe", "dataset", "file measured", *names], rows)


def _corruption_table(measured: Sequence[RecipeResult]) -> str:
    rows = []
    for item in measured:
        accuracy = _mean_accuracy(item)
        rows.append([*_head(item), *_with_mean([statistics.fmean(accuracy[name]) for name in CORRUPTIONS])])
    return _table(["recipe", "dataset", *CORRUPTIONS, "mean"], rows)


def _severity_table(measured: Sequence[RecipeResult]) -> str:
    rows = []
    for item in measured:
        accuracy = _mean_accuracy(item)
        rows.append(
            [*_head(item), *_with_mean([statistics.fmean(column) for column in zip(*accuracy.values(), strict=True)])]
        )
    return _table(["recipe", "dataset", *map(str, SEVERITIES), "mean"], rows)


def _mean_behaviour(item: RecipeResult, kind: str) -> SummaryMetrics:
    return SummaryMetrics.mean([SummaryMetrics.from_json(_record(result)[kind]) for result in item.seeds])


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


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table_rows([columns, ["---"] * len(columns), *rows])
