"""A measurement of robustness, as JSON and as plain text."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.robustness import Robustness
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.metrics.gates import Gate, Judgement, judge
from torchstone_runtime.metrics.probability_scores import Measured
from torchstone_runtime.report.terminal import mapping_lines
from torchstone_runtime.text import showable_lines
from torchstone_runtime.version import __version__

FORMAT: Final = "torchstone-robustness"
FORMAT_VERSION: Final = 1
MEAN_ACCURACY: Final = "mean accuracy on corrupted images"


@dataclass(frozen=True, eq=False, kw_only=True)
class RobustnessDocument:
    """Everything that the reports show.

    Attributes:
        model: name of the model; `bundle`: the path as it was given; `sha256`: of the model file, if known.
        dataset: as it was named; `split_reason`: why this split of it.
        certified: whether the split is the one whose fingerprint the bundle records.
        robustness: what was measured.
        seconds: that it took, reading included.
        min_accuracy: the least accepted mean accuracy on corrupted images, if one is required.
    """

    model: str
    bundle: str
    sha256: str | None
    plan: ExecutionPlan
    dataset: str
    split: Split
    split_reason: str
    certified: bool
    robustness: Robustness
    seconds: float
    min_accuracy: float | None

    @property
    def judgements(self) -> list[Judgement]:
        """Of the gate, where one was set."""
        gates = [] if self.min_accuracy is None else [Gate(MEAN_ACCURACY, self.min_accuracy)]
        figures = {MEAN_ACCURACY: Measured(self.robustness.corrupted.accuracy, None)}
        return judge(gates, figures, on_interval=False)

    @property
    def unanswered(self) -> tuple[list[str], int]:
        """The pictures for which the model gives no answer, by id and corruption, and the number of all pictures."""
        names = [
            sample if setting is None else f"{sample} ({setting[0]} {setting[1]})"
            for setting, ids in self.robustness.unanswered.items()
            for sample in ids
        ]
        return names, len(self.split) * (1 + len(self.robustness.settings))

    @property
    def images_per_second(self) -> float:
        """Reading, corrupting and inference together, every corrupted copy counted."""
        return len(self.split) * (1 + len(self.robustness.settings)) / self.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the document that `--json` writes."""
        plan = self.plan
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "torchstone": __version__,
            "model": {"name": self.model, "bundle": self.bundle, "variant": plan.variant, "sha256": self.sha256},
            "data": {
                "dataset": self.dataset,
                "split": self.split.name,
                "samples": len(self.split),
                "fingerprint": self.split.fingerprint,
                "same_as_certified": self.certified,
                "class_map": self.split.mapped.to_json() if self.split.mapped else None,
            },
            "robustness": self.robustness.to_json(),
            "gates": [item.to_json() for item in self.judgements],
            "execution": {
                "provider": plan.provider,
                "reason": plan.reason,
                "tf32": plan.tf32,
                "threads": plan.threads,
                "seconds": self.seconds,
                "images_per_second": self.images_per_second,
                "onnxruntime": ort.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }

    def to_text(self) -> str:
        """Return the report for the terminal."""
        found = self.robustness
        why = self.split_reason + (", the certified data" if self.certified else "")
        levels = f"severity {found.severities[0]}" if len(found.severities) == 1 else "severities"
        if len(found.severities) > 1:
            levels += f" {', '.join(map(str, found.severities))}"
        kinds = "1 corruption" if len(found.corruptions) == 1 else f"{len(found.corruptions)} corruptions"
        return showable_lines(
            [
                f"model      {self.model}: {self.plan}",
                f"data       {self.dataset}, {self.split.name}: {len(self.split):,} images ({why})",
                *mapping_lines(self.split, 11),
                f"corrupted  {kinds}, {levels}, seed {found.seed}; in {self.seconds:.1f} s",
                "",
                *accuracy_table(found),
                "",
                *behaviour_table(found),
                *_gate_lines(self.judgements),
            ]
        )


def accuracy_table(found: Robustness) -> list[str]:
    """Return the accuracy by corruption and severity with the means, a line a corruption."""
    width = max(len("all corruptions"), *map(len, found.corruptions))
    levels = "".join(f"{level:>8}" for level in found.severities)
    rows = [
        _row(name, width, [found.settings[name, level].accuracy for level in found.severities])
        for name in found.corruptions
    ]
    means = [found.by_severity(level).accuracy for level in found.severities]
    return [
        f"{'accuracy':<{width}}{levels}    mean",
        f"{'clean':<{width}}{'':>{8 * len(found.severities)}}{found.clean.accuracy:>8.4f}",
        *rows,
        _row("all corruptions", width, means),
    ]


def behaviour_table(found: Robustness) -> list[str]:
    """Return every figure on the clean pictures beside its mean over the corruptions, a line a figure."""
    clean, corrupted = found.clean.figures(), found.corrupted.figures()
    width = max(map(len, clean))
    rows = [f"{name:<{width}}{clean[name]:>8.4f}{corrupted[name]:>11.4f}" for name in clean]
    return [f"{'':<{width}}{'clean':>8}{'corrupted':>11}", *rows]


def _row(name: str, width: int, values: Sequence[float]) -> str:
    return f"{name:<{width}}{''.join(f'{value:>8.4f}' for value in [*values, sum(values) / len(values)])}"


def _gate_lines(judgements: Sequence[Judgement]) -> list[str]:
    lines = [f"gate {'passed' if item.passed else 'FAILED'}: {item}" for item in judgements]
    return ["", *lines] if lines else []
