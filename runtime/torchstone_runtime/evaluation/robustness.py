"""How well a classifier does on pictures that are not as clean as those it was trained on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, Final, Self

import numpy as np

from torchstone_runtime.corruption import CORRUPTIONS, SEVERITIES, corrupt
from torchstone_runtime.corruption.catalog import check_severity, find_corruption
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.choose_split import align_classes
from torchstone_runtime.evaluation.evaluate import check_shape
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.summary_metrics import SummaryMetrics

_BATCH: Final = 2048
_FEWEST: Final = 64
_BATCH_BYTES: Final = 16 << 20

Setting = tuple[str, int]
"""A corruption's name and a severity."""


@dataclass(frozen=True, eq=False)
class Robustness:
    """A classifier measured on a split as it is, and under corruptions.

    Attributes:
        seed: seed of the corruptions.
        clean: figures on the split as it is.
        settings: figures on the corrupted split, by corruption and severity.
        unanswered: ids of the images for which the model gives no answer and which so count as wrong: by corruption
            and severity, None for the split as it is. Only where there are any.
    """

    seed: int
    clean: SummaryMetrics
    settings: Mapping[Setting, SummaryMetrics]
    unanswered: Mapping[Setting | None, Sequence[str]] = field(default_factory=dict)

    @property
    def corruptions(self) -> list[str]:
        """The corruptions that were measured, in the order of the catalog."""
        measured = {name for name, _ in self.settings}
        return [name for name in CORRUPTIONS if name in measured]

    @property
    def severities(self) -> list[int]:
        """The severities that were measured, the mildest first."""
        return sorted({severity for _, severity in self.settings})

    @cached_property
    def corrupted(self) -> SummaryMetrics:
        """The mean over all corruptions and severities, each counting alike."""
        return SummaryMetrics.mean(list(self.settings.values()))

    def by_corruption(self, name: str) -> SummaryMetrics:
        """Return the mean over the severities of a corruption."""
        return SummaryMetrics.mean([self.settings[name, severity] for severity in self.severities])

    def by_severity(self, severity: int) -> SummaryMetrics:
        """Return the mean over the corruptions at a severity."""
        return SummaryMetrics.mean([self.settings[name, severity] for name in self.corruptions])

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        return {
            "seed": self.seed,
            "severities": self.severities,
            "clean": self.clean.to_json(),
            "corrupted": self.corrupted.to_json(),
            "unanswered": [
                {"corruption": setting and setting[0], "severity": setting and setting[1], "ids": list(ids)}
                for setting, ids in self.unanswered.items()
            ],
            "corruptions": {
                name: {
                    "mean": self.by_corruption(name).to_json(),
                    "severities": {str(level): self.settings[name, level].to_json() for level in self.severities},
                }
                for name in self.corruptions
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; the means are computed again."""
        settings = {
            (name, int(severity)): SummaryMetrics.from_json(figures)
            for name, entry in data["corruptions"].items()
            for severity, figures in entry["severities"].items()
        }
        unanswered = {
            (item["corruption"], item["severity"]) if item["corruption"] else None: item["ids"]
            for item in data.get("unanswered", ())  # a record of an earlier version has none
        }
        return cls(data["seed"], SummaryMetrics.from_json(data["clean"]), settings, unanswered)


def measure_robustness(
    classifier: Classifier,
    split: Split,
    corruptions: Iterable[str] = tuple(CORRUPTIONS),
    severities: Iterable[int] = SEVERITIES,
    *,
    seed: int = 0,
    on_images: Callable[[int], None] | None = None,
) -> Robustness:
    """Classify every sample of a split, as it is and under every corruption at every severity.

    The pictures are read once. Beside a batch of them, five bytes per image and setting are held.

    Args:
        classifier: the model.
        split: labelled pictures.
        corruptions: names of `CORRUPTIONS`, at least one.
        severities: severities, from 1 to 5, at least one.
        seed: seed of the corruptions.
        on_images: function that is given the number of newly classified images, now and then.

    Images for which the model gives no answer count as wrong, with confidence 0.

    Raises:
        UsageError: no such corruption or severity.
        DataError: the split's classes or image shape are not the model's.
        ImageError: a file of the split cannot be decoded.
    """
    settings = [find_setting(*setting) for setting in product(dict.fromkeys(corruptions), sorted(set(severities)))]
    split = align_classes(split, classifier.class_names)
    check_shape(classifier, split)
    shown = [None, *settings]
    confidence = np.empty((len(shown), len(split)), dtype=np.float32)
    right = np.empty(confidence.shape, dtype=np.bool_)
    unanswered: dict[Setting | None, list[str]] = {}
    start = 0
    for images in split.batches(_batch_size(split)):
        part = slice(start, start + len(images))
        for row, setting in enumerate(shown):
            pictures = corrupt(images, *setting, seed=seed, first=start) if setting else images
            predictions = classifier.predict(pictures, unanswered="keep")
            predicted = predictions.indices_or_none
            confidence[row, part] = np.nan_to_num(predictions.confidences)
            right[row, part] = predicted == split.labels[part]
            lost = [split.ids[start + int(index)] for index in np.flatnonzero(predicted == NO_ANSWER)]
            if lost:
                unanswered.setdefault(setting, []).extend(lost)
            if on_images:
                on_images(len(images))
        start = part.stop
    clean, *corrupted = map(SummaryMetrics.of, confidence, right)
    return Robustness(seed, clean, dict(zip(settings, corrupted, strict=True)), unanswered)


def find_setting(name: str, severity: int) -> Setting:
    """Return a corruption and a severity if they exist.

    Raises:
        UsageError: they don't.
    """
    find_corruption(name)
    check_severity(severity)
    return name, severity


def _batch_size(split: Split) -> int:
    return max(_FEWEST, min(_BATCH, _BATCH_BYTES // int(np.prod(split.image_shape))))
