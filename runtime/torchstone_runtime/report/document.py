"""An evaluation with its circumstances: what was measured, of which file, on which data, where."""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime as ort

from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.evaluate import Evaluation
from torchstone_runtime.evaluation.occurring import f1_intervals_of
from torchstone_runtime.evaluation.slices import Slice
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.metrics.calibration import Reliability
from torchstone_runtime.metrics.f1_intervals import F1Intervals
from torchstone_runtime.metrics.gates import COVERAGE, Gate, Judgement
from torchstone_runtime.metrics.intervals import (
    CALIBRATION_ERROR,
    class_figures,
    coverage_figure,
    figures_json,
    overall_figures,
)
from torchstone_runtime.metrics.probability_scores import Measured
from torchstone_runtime.metrics.selective import SelectiveCurve
from torchstone_runtime.version import __version__


@dataclass(frozen=True, eq=False)
class EvaluationDocument:
    """Everything that the reports show.

    Attributes:
        model: name of the model; `bundle`: the path as it was given; `sha256`: of the model file, if known.
        dataset: as it was named; `split_reason`: why this split of it.
        certified: whether the split is the one whose fingerprint the bundle records.
        slices: metrics by group, where groups were given.
        judgements: of the gates, where any were set.
    """

    model: str
    bundle: str
    sha256: str | None
    plan: ExecutionPlan
    dataset: str
    split_reason: str
    certified: bool
    evaluation: Evaluation
    slices: Sequence[Slice] = ()
    judgements: Sequence[Judgement] = ()

    @property
    def split(self) -> Split:
        """The part of the dataset that was measured."""
        return self.evaluation.split

    @property
    def reliability(self) -> Reliability:
        """How well the model's confidence agrees with its accuracy."""
        return self.evaluation.reliability

    @cached_property
    def selective(self) -> SelectiveCurve:
        """Precision against coverage, where the model may abstain."""
        return SelectiveCurve(self.evaluation.confidence, self.evaluation.right())

    @cached_property
    def overall(self) -> dict[str, Measured]:
        """The figures of the whole split, by name, with their intervals."""
        return overall_figures(self.evaluation.metrics, self._f1, self.evaluation.scores)

    @cached_property
    def of_classes(self) -> dict[str, Measured]:
        """The figures of the classes, by name, with their intervals."""
        return class_figures(self.evaluation.metrics, self._f1)

    @cached_property
    def _f1(self) -> F1Intervals:
        return f1_intervals_of(self.evaluation.metrics)

    def figures_for(self, gates: Iterable[Gate]) -> dict[str, Measured]:
        """Return the figures that gates may name: overall, of the classes, calibration error, coverages asked for."""
        figures = {**self.overall, **self.of_classes}
        figures[CALIBRATION_ERROR] = Measured(self.reliability.error, None)
        for gate in gates:
            if gate.figure.startswith(COVERAGE):
                required = float(gate.figure.removeprefix(COVERAGE))
                figures[gate.figure] = coverage_figure(self.selective, required)
        return figures

    @property
    def unanswered_ids(self) -> list[str]:
        """Ids of the samples for which the model gives no answer, which count as wrong."""
        return self.evaluation.unanswered_ids

    @property
    def images_per_second(self) -> float:
        """Reading, decoding and inference together."""
        return len(self.split) / self.evaluation.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the document that `--json` writes."""
        return {
            "torchstone": __version__,
            "model": {
                "name": self.model,
                "bundle": self.bundle,
                "variant": self.plan.variant,
                "sha256": self.sha256,
            },
            "data": {
                "dataset": self.dataset,
                "split": self.split.name,
                "samples": len(self.split),
                "fingerprint": self.split.fingerprint,
                "same_as_certified": self.certified,
                "class_map": self.split.mapped.to_json() if self.split.mapped else None,
            },
            "unanswered": self.unanswered_ids,
            "metrics": self.evaluation.metrics.to_json(),
            "figures": figures_json(self.overall),
            "class_figures": figures_json(self.of_classes),
            "calibration": self.reliability.to_json(),
            "selective": self.selective.to_json(),
            "slices": [item.to_json() for item in self.slices],
            "gates": [item.to_json() for item in self.judgements],
            "decisions_sha256": self.evaluation.decisions_sha256,
            "execution": {
                "provider": self.plan.provider,
                "reason": self.plan.reason,
                "tf32": self.plan.tf32,
                "threads": self.plan.threads,
                "seconds": self.evaluation.seconds,
                "images_per_second": self.images_per_second,
                "onnxruntime": ort.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }
