"""`ScoredRows`: pictures with the answers to them, as columns; what parts, the library and other engines are given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.scoring.job import OutputOptions
from torchstone_runtime.shards.item import ShardItem


@dataclass(frozen=True, eq=False, slots=True)
class ScoredRows:
    """N pictures with what the model says of them, in the order in which they were given.

    Attributes:
        ids: N ids.
        labels: N right classes by name; None where it isn't known, or is no class of the model.
        errors: N reasons why there is no answer; None where there is one.
        kinds: the same without what differs from picture to picture, for counting.
        predictions: predictions of the pictures that could be decoded, M of them.
        places: place of each of the M among the N.
    """

    ids: Sequence[str]
    labels: Sequence[str | None]
    errors: Sequence[str | None]
    kinds: Sequence[str | None]
    predictions: Predictions
    places: Sequence[int]

    def columns(self, output: OutputOptions) -> dict[str, list[Any]]:
        """Return N values for each column, by its name, in the order of the columns of a part.

        `id`, `label`, `class`, `probability`, then as asked for `top_classes` and `top_probabilities` (lists),
        `probabilities` (a list of K), `set` (a list), and `error`. Without an answer all but id, label and error
        are None.
        """
        raise NotImplementedError


def score_items(classifier: Classifier, items: Sequence[ShardItem], output: OutputOptions) -> ScoredRows:
    """Decode and classify some hundred pictures, in this thread.

    Raises:
        DataError: pixels of another shape than the model takes, or a storage that cannot be read.
    """
    raise NotImplementedError
