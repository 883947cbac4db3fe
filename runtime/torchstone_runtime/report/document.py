"""An evaluation with its circumstances: what was measured, of which file, on which data, where."""

import platform
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort

from torchstone_runtime import __version__
from torchstone_runtime.classifier import Plan
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation import Evaluation
from torchstone_runtime.reliability import Reliability, reliability_of


@dataclass(frozen=True, eq=False, slots=True)
class EvaluationDocument:
    """Everything that the reports show.

    Attributes:
        model: name of the model; `bundle`: the path as it was given; `sha256`: of the model file, if known.
        dataset: as it was named; `split_reason`: why this split of it.
        certified: whether the split is the one whose fingerprint the bundle records.
    """

    model: str
    bundle: str
    sha256: str | None
    plan: Plan
    dataset: str
    split_reason: str
    certified: bool
    evaluation: Evaluation

    @property
    def split(self) -> Split:
        """The part of the dataset that was measured."""
        return self.evaluation.split

    @property
    def reliability(self) -> Reliability:
        """How well the model's confidence agrees with its accuracy."""
        return reliability_of(self.evaluation)

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
            },
            "metrics": self.evaluation.metrics.to_json(),
            "calibration": self.reliability.to_json(),
            "decisions_sha256": self.evaluation.decisions_sha256,
            "execution": {
                "provider": self.plan.provider,
                "reason": self.plan.reason,
                "threads": self.plan.threads,
                "seconds": self.evaluation.seconds,
                "images_per_second": self.images_per_second,
                "onnxruntime": ort.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }
