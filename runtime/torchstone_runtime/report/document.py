"""An evaluation with its circumstances: what was measured, of which file, on which data, where."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from torchstone_runtime.audit.label_errors import LabelError
from torchstone_runtime.evaluation.evaluate import Evaluation
from torchstone_runtime.evaluation.explanations import ExplainedMistake
from torchstone_runtime.evaluation.occurring import f1_intervals_of
from torchstone_runtime.evaluation.slices import Slice
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
from torchstone_runtime.metrics.probability_scores import Estimate
from torchstone_runtime.metrics.selective import SelectiveCurve
from torchstone_runtime.report.measured_file import MeasuredFile

_LABEL_ERRORS_LISTED: Final = 200
"""A weak model contradicts a large share of the labels: the document must not grow with the data."""


@dataclass(frozen=True, eq=False)
class EvaluationDocument:
    """Everything that the reports show.

    Attributes:
        file: model file and data.
        evaluation: figures that were measured.
        slices: metrics by group, where groups were given.
        judgements: outcome of each gate, where any were set.
        explanations: mistakes with what the model looked at; in the page alone.
        label_errors: images whose labels are likely wrong, most confident first; None where they were not looked for.
        sets_by_class: whether the sets of each class are shown on the terminal too.
    """

    file: MeasuredFile
    evaluation: Evaluation
    slices: Sequence[Slice] = ()
    judgements: Sequence[Judgement] = ()
    explanations: Sequence[ExplainedMistake] = ()
    label_errors: Sequence[LabelError] | None = None
    sets_by_class: bool = False

    @property
    def reliability(self) -> Reliability:
        """How well the model's confidence agrees with its accuracy."""
        return self.evaluation.reliability

    @cached_property
    def selective(self) -> SelectiveCurve:
        """Precision against coverage, where the model may abstain."""
        return SelectiveCurve(self.evaluation.confidence, self.evaluation.right())

    @cached_property
    def overall(self) -> dict[str, Estimate]:
        """The figures of the whole split, by name, with their intervals."""
        return overall_figures(self.evaluation.metrics, self._f1, self.evaluation.scores)

    @cached_property
    def of_classes(self) -> dict[str, Estimate]:
        """The figures of the classes, by name, with their intervals."""
        return class_figures(self.evaluation.metrics, self._f1)

    @cached_property
    def _f1(self) -> F1Intervals:
        return f1_intervals_of(self.evaluation.metrics)

    def figures_for(self, gates: Iterable[Gate]) -> dict[str, Estimate]:
        """Return the figures that gates may name: overall, of the classes, calibration error, coverages asked for."""
        figures = {**self.overall, **self.of_classes}
        figures[CALIBRATION_ERROR] = Estimate(self.reliability.error, None)
        for gate in gates:
            if gate.figure.startswith(COVERAGE):
                required = float(gate.figure.removeprefix(COVERAGE))
                figures[gate.figure] = coverage_figure(self.selective, required)
        return figures

    @property
    def images_per_second(self) -> float:
        """Reading, decoding and inference together."""
        return len(self.evaluation) / self.evaluation.seconds

    def measured_json(self) -> dict[str, Any]:
        """Return what was measured: metrics, figures, calibration, and accuracy by confidence."""
        return {
            "unanswered": self.evaluation.unanswered_ids,
            "metrics": self.evaluation.metrics.to_json(),
            "figures": figures_json(self.overall),
            "class_figures": figures_json(self.of_classes),
            "calibration": self.reliability.to_json(),
            "selective": self.selective.to_json(),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the document that `--json` writes."""
        return {
            **self.file.to_json(),
            **self.measured_json(),
            "conformal": self.evaluation.sets.to_json() if self.evaluation.sets else None,
            "drift": self.evaluation.drift.to_json() if self.evaluation.drift else None,
            "slices": [item.to_json() for item in self.slices],
            "gates": [item.to_json() for item in self.judgements],
            "label_errors": self._label_errors_json(),
            "decisions_sha256": self.evaluation.decisions_sha256,
            "execution": self.file.execution(self.evaluation.seconds, self.images_per_second),
        }

    def _label_errors_json(self) -> dict[str, Any] | None:
        if self.label_errors is None:
            return None
        first = self.label_errors[:_LABEL_ERRORS_LISTED]
        return {"count": len(self.label_errors), "listed": [self._label_error_json(error) for error in first]}

    def _label_error_json(self, error: LabelError) -> dict[str, Any]:
        names, ids = self.evaluation.class_names, self.evaluation.ids
        return {
            "id": ids[error.index],
            "label": names[error.label],
            "probability": error.probability,
            "likely": names[error.likely],
            "likely_probability": error.likely_probability,
            "margin": error.margin,
        }
