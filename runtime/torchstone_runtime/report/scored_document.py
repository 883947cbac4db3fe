"""An evaluation of parts that were scored before: what it says on the terminal and as JSON."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.metrics.intervals import ACCURACY, MACRO_F1, WEIGHTED_F1, overall_figures
from torchstone_runtime.metrics.probability_scores import Estimate, ProbabilityScores
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.scoring.scored_parts import ScoredParts
from torchstone_runtime.version import __version__

_WITHOUT_PROBABILITIES = (ACCURACY, MACRO_F1, WEIGHTED_F1)


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """What the report states of the model and the data.

    Attributes:
        bundle: path of the bundle, as it was given.
        out: folder or address of the parts.
        parts: the parts.
    """

    bundle: str
    out: str
    parts: ScoredParts

    def lines(self, width: int) -> list[str]:
        """Return model and data as lines, their first word in a column of a width."""
        model, count = self.parts.record["model"], len(self.parts.predictions)
        return [
            f"{'model':<{width}}{model['name']}: {model['variant']} on {model['provider']}",
            f"{'data':<{width}}{self.out}: {count:,} rows that were scored before",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return version, model and data as JSON data."""
        model = {key: self.parts.record["model"][key] for key in ("name", "variant", "sha256")}
        data = {"scored": self.out, "samples": len(self.parts.predictions), "input": self.parts.record["input"]}
        return {"torchstone": __version__, "model": {**model, "bundle": self.bundle}, "data": data}


@dataclass(frozen=True, eq=False)
class _Measured(LabelledPredictions):
    scores: Any = None
    sets: None = None
    drift: None = None


class ScoredDocument(EvaluationDocument):
    """The figures of scored parts; without probabilities of all classes those that need none."""

    @cached_property
    def overall(self) -> dict[str, Estimate]:
        """The figures of all rows, by name, with their intervals."""
        nothing = Estimate(0.0, None)
        given: ProbabilityScores | None = self.evaluation.scores
        scores = given or ProbabilityScores(nothing, nothing, {})
        figures = overall_figures(self.evaluation.metrics, self._f1, scores)
        return figures if given else {name: figures[name] for name in _WITHOUT_PROBABILITIES}

    def to_json(self) -> dict[str, Any]:
        """Return the document that `--json` writes."""
        return {
            **self.file.to_json(),
            **self.measured_json(),
            "gates": [item.to_json() for item in self.judgements],
        }


def scored_document(bundle: str, out: str, parts: ScoredParts) -> ScoredDocument:
    """Return the document of parts."""
    found = parts.predictions
    measured = _Measured(
        found.ids, found.class_names, found.labels, found.predicted, found.confidence, scores=parts.scores
    )
    file: Any = ScoredFile(bundle, out, parts)
    evaluation: Any = measured
    return ScoredDocument(file, evaluation)
