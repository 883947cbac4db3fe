"""`docs/results.md`, written from the data of `torchstone reproduce`."""

import math
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from torchstone_export.reproduce import SeedResult
from torchstone_train.documents import DOCUMENTS, Document

_T_975: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145)
"""97.5% quantiles of Student's t distribution for 1 to 14 degrees of freedom (standard tables)."""
_COLUMNS: Final = (
    "recipe",
    "document",
    "dataset",
    "accuracy reported",
    "accuracy measured",
    "weighted precision, recall, F1",
    "seeds",
    "epochs run",
    "s an epoch",
)
_CPUINFO: Final = Path("/proc/cpuinfo")


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, standard deviation (n - 1) and the half width of the mean's 95% interval (Student's t).

    Of one value the last two are NaN; beyond 15 values the normal quantile is used.
    """
    mean = statistics.fmean(values)
    if len(values) < 2:  # noqa: PLR2004 - a deviation needs two
        return mean, math.nan, math.nan
    deviation = statistics.stdev(values)
    freedom = len(values) - 1
    quantile = _T_975[freedom - 1] if freedom <= len(_T_975) else 1.96
    return mean, deviation, quantile * deviation / math.sqrt(len(values))


def render_results(results: Sequence[SeedResult], command: str) -> str:
    """Return the page: reported beside measured, a row a recipe, and every seed below."""
    recipes = list(dict.fromkeys(result.recipe for result in results))
    groups = {recipe: [result for result in results if result.recipe == recipe] for recipe in recipes}
    rows = [_row(DOCUMENTS[recipe], group) for recipe, group in groups.items()]
    details = [_detail(result) for result in results]
    versions = results[0].versions
    trained_on = ", ".join(sorted({result.device for result in results}))
    software = f"Python {versions['python']}, PyTorch {versions['torch']}"
    machine = f"Machine: {_processor()}; trained on {trained_on}; {software}."
    return "\n".join(
        [
            "# Results",
            "",
            f"Written by `{command}`.",
            "Test figures are those of the exported ONNX file, run by ONNX Runtime on the whole test split.",
            "The best epoch was chosen on validation data alone.",
            "Mean ± standard deviation over the seeds; in brackets the 95% interval of the mean (Student's t).",
            "",
            _table_row(*_COLUMNS),
            _table_row(*("---" for _ in _COLUMNS)),
            *rows,
            "",
            "## Every training",
            "",
            "| recipe | seed | test accuracy | validation | train | epochs | best | why it stopped |",
            "|---|---|---|---|---|---|---|---|",
            *details,
            "",
            machine,
            "Seconds were measured on a shared machine: read them as orders of magnitude.",
            "",
        ]
    )


def _row(document: Document, group: Sequence[SeedResult]) -> str:
    mean, deviation, half = mean_interval([result.test["accuracy"] for result in group])
    reported = f"{document.reported['accuracy']:.4f}" if "accuracy" in document.reported else ""
    stated = "; ".join(part for part in (reported, document.remark) if part)
    weighted = [
        f"{statistics.fmean(result.test[name] for result in group):.4f}{_beside(document, name)}"
        for name in ("precision_weighted", "recall_weighted", "f1_weighted")
    ]
    epochs = ", ".join(str(result.epochs_run) for result in group)
    seconds = statistics.fmean(result.seconds_per_epoch for result in group)
    measured = f"**{mean:.4f}** ± {deviation:.4f} ({mean - half:.4f} to {mean + half:.4f})"
    return _table_row(
        *(f"`{document.recipe}`", document.number, document.dataset, stated, measured, ", ".join(weighted)),
        *(str(len(group)), epochs, f"{seconds:.0f}"),
    )


def _table_row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _beside(document: Document, name: str) -> str:
    return f" (reported {document.reported[name]:.4f})" if name in document.reported else ""


def _detail(result: SeedResult) -> str:
    return (
        f"| `{result.recipe}` | {result.seed} | {result.test['accuracy']:.4f} | {result.validation_accuracy:.4f} "
        f"| {result.train_accuracy:.4f} | {result.epochs_run} | {result.best_epoch} | {result.stop_reason} |"
    )


def _processor() -> str:
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
