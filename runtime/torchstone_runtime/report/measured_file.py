"""What every report of a measurement states: which model file was run, how, and on which data."""

import platform
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnxruntime as ort

from torchstone_runtime.data.certified_sample import recorded_limit
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.choose_split import certified_fingerprint
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.plan import Plan
from torchstone_runtime.text import counted
from torchstone_runtime.version import __version__


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasuredFile:
    """A model file and the data that it was measured on.

    Attributes:
        model: name of the model.
        bundle: path of the bundle or model file, as it was given.
        sha256: SHA-256 (hex) of the model file; None where it is not known.
        plan: variant and provider that were run.
        dataset: name of the data, as it was given.
        split: part of the data that was measured.
        split_reason: reason for this part.
        certified: whether the split is the one whose fingerprint the bundle records.
        sampled: number of its images that the certificate was made over; None: all of them.
    """

    model: str
    bundle: str
    sha256: str | None
    plan: Plan
    dataset: str
    split: Split
    split_reason: str
    certified: bool
    sampled: int | None = None

    @classmethod
    def of(cls, classifier: Classifier, split: Split, reason: str, *, bundle: str, dataset: str) -> Self:
        """Return what a classifier says of itself, and how a split of the named data relates to its certificate."""
        certified = split.fingerprint == certified_fingerprint(classifier.provenance)
        return cls(
            model=classifier.name,
            bundle=bundle,
            sha256=classifier.sha256,
            plan=classifier.plan,
            dataset=dataset,
            split=split,
            split_reason=reason,
            certified=certified,
            sampled=_sampled(classifier, split) if certified else None,
        )

    @property
    def sample_text(self) -> str:
        """What follows on `the data of the certificate`: how much of it was run, where that was not all."""
        return f", of which {self.sampled:,} images were run for it" if self.sampled else ""

    def to_json(self) -> dict[str, Any]:
        """Return version, model and data as JSON data."""
        split, sha256 = self.split, self.sha256
        return {
            "torchstone": __version__,
            "model": {"name": self.model, "bundle": self.bundle, "variant": self.plan.variant, "sha256": sha256},
            "data": {
                "dataset": self.dataset,
                "split": split.name,
                "samples": len(split),
                "fingerprint": split.fingerprint,
                "same_as_certified": self.certified,
                **({"certified_sample": self.sampled} if self.sampled else {}),
                "class_map": split.mapped.to_json() if split.mapped else None,
            },
        }

    def execution(self, seconds: float, images_per_second: float) -> dict[str, Any]:
        """Return how the model was run, and how fast, as JSON data."""
        return {
            "provider": self.plan.provider,
            "reason": self.plan.reason,
            "tf32": self.plan.tf32,
            "threads": self.plan.threads,
            "seconds": seconds,
            "images_per_second": images_per_second,
            "onnxruntime": ort.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        }

    def lines(self, width: int) -> list[str]:
        """Return model, data and class map (where there is one) as lines, their first word in a column of a width."""
        split, why = (
            self.split,
            self.split_reason + (f", the certified data{self.sample_text}" if self.certified else ""),
        )
        lines = [
            f"{'model':<{width}}{self.model}: {self.plan}",
            f"{'data':<{width}}{self.dataset}, {split.name}: {counted(len(split), 'image')} ({why})",
        ]
        return [*lines, f"{'classes':<{width}}{split.mapped.summary()}"] if split.mapped else lines


def _sampled(classifier: Classifier, split: Split) -> int | None:
    limit = None if classifier.bundle is None else recorded_limit(classifier.bundle.manifest.certificate)
    return limit if limit is not None and limit < len(split) else None
