"""The sections that a run's report and an evaluation's have in common: all that decisions on a split show."""

from typing import Final

import numpy as np

from torchstone_runtime.evaluation.examples import confident_mistakes, linked_cells, samples_of_each_class
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.report import by_class, confidence, gallery, matrix
from torchstone_runtime.report.page import section

_FRAMES: Final = (
    '<p class="soft">The first images of {}, with the predicted class and its probability. '
    "Green frame, &#10003;: right; dashed red frame, &#10007;: wrong.</p>"
)
_MISTAKES: Final = 60
"""Among which a reader picks by class and confidence."""
_NO_MISTAKES: Final = "<p>No image was taken for another class.</p>"


def _confused(seen: LabelledPredictions) -> str:
    shown = gallery.confused_html(seen)
    return shown + matrix.pairs_html(seen.metrics) if shown else _NO_MISTAKES


def _samples(seen: LabelledPredictions) -> str:
    shown = samples_of_each_class(seen)
    classes, occurring = len(np.unique(seen.labels[shown])), len(np.unique(seen.labels))
    which = "each class" if classes == occurring else f"{classes} of {occurring:,} classes"
    return _FRAMES.format(which) + gallery.gallery_html(seen, shown)


def decision_sections(seen: LabelledPredictions) -> str:
    """Return confusion matrix, figures by class, confidence, samples, mistakes and confused pairs.

    Raises:
        ImageError: a picture that is shown can no longer be read.
    """
    wrong = confident_mistakes(seen, _MISTAKES)
    sections = {
        "Confusion matrix": matrix.matrix_html(seen.metrics, linked_cells(seen)),
        "By class": by_class.by_class_html(seen),
        "Confidence": confidence.confidence_html(seen),
        "Samples": _samples(seen),
        "Most confident mistakes": gallery.gallery_html(seen, wrong, "mistakes") if len(wrong) else _NO_MISTAKES,
        "Most often confused": _confused(seen),
    }
    return "\n".join(section(title, content) for title, content in sections.items())
