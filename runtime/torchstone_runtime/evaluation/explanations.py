"""Where the model looked in the mistakes that it is surest of: for the class it answered, and for the right one."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float32Array, Int64Array, Uint8Array
from torchstone_runtime.evaluation.evaluate import Evaluation
from torchstone_runtime.evaluation.occlusion import Evidence, cover_count, explain_by_occlusion
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.metrics.answered import NO_ANSWER

DEFAULT_EXPLAINED: Final = 6
"""Mistakes that a report explains where nobody says how many."""


@dataclass(frozen=True, eq=False, slots=True)
class ExplainedMistake:
    """A mistake, and what the places of its picture say.

    Attributes:
        index: index of the sample in the evaluation.
        pixels: the picture as the model takes it, uint8 [C, H, W].
        answered: evidence for the class that the model answers.
        right: evidence for the true class.
    """

    index: int
    pixels: Uint8Array
    answered: Evidence
    right: Evidence


def explained_mistakes(evaluation: Evaluation, count: int) -> Int64Array:
    """Return the indices of the mistakes to be explained: most confident first, those without an answer left out."""
    wrong = evaluation.wrong()
    answered: Int64Array = wrong[evaluation.predicted[wrong] != NO_ANSWER]
    return answered[:count]


def describe_cost(evaluation: Evaluation, chosen: Int64Array) -> str:
    """Return a line that says what explaining some samples takes, by the speed of the evaluation."""
    runs = len(chosen) * cover_count(*evaluation.split.image_shape[1:])
    seconds = runs * evaluation.seconds / len(evaluation)
    return (
        f"looking into the {len(chosen)} most confident mistake{'s' * (len(chosen) != 1)}: the model runs on {runs:,} "
        f"covered copies, some {max(1, round(seconds)):,} s (--explain 0 leaves them out)"
    )


def explain(classifier: Classifier, evaluation: Evaluation, chosen: Int64Array) -> list[ExplainedMistake]:
    """Explain some samples of an evaluation by the model that was measured, in the order given.

    Args:
        classifier: the model.
        evaluation: its answers.
        chosen: indices of samples that have an answer, see `explained_mistakes`.

    Raises:
        ImageError: a picture can no longer be read.
    """

    def run(images: Uint8Array) -> Float32Array:
        logits = classifier.predict(np.ascontiguousarray(images), unanswered="keep").logits
        return logits / np.float32(classifier.temperature)

    explanations = []
    for index in chosen.tolist():
        pixels = evaluation.pictures(np.array([index], dtype=np.int64))[0]
        classes = [int(evaluation.predicted[index]), int(evaluation.labels[index])]
        answered, right = explain_by_occlusion(run, pixels, classes)
        explanations.append(ExplainedMistake(index, pixels, answered, right))
    return explanations
