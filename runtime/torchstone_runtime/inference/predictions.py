"""What a classifier answers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float32Array
from torchstone_runtime.errors import NoAnswerError
from torchstone_runtime.metrics.answered import NO_ANSWER, all_answered, answered, decide


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """What the model says of N images, in their order.

    An image has no answer where the model's outputs for it are not numbers (NaN, infinities) or no probabilities.
    `Classifier.predict` raises then, unless it was asked to keep such rows.

    Attributes:
        class_names: the K classes in the order of the columns below.
        logits: float32 [N, K].
        probabilities: float32 [N, K]; each row sums to 1 where there is an answer.
    """

    class_names: tuple[str, ...]
    logits: Float32Array
    probabilities: Float32Array

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Whether each image has an answer, [N]."""
        return answered(self.logits, self.probabilities)

    @property
    def indices(self) -> npt.NDArray[np.int64]:
        """Most probable class of each image as its index, int64 [N]; the first one of equals.

        Raises:
            NoAnswerError: an image has none.
        """
        self.require_answers()
        indices: npt.NDArray[np.int64] = np.argmax(self.logits, axis=1)
        return indices

    @property
    def indices_or_none(self) -> npt.NDArray[np.int64]:
        """The same, int64 [N], with `NO_ANSWER` (-1) for an image that has none."""
        return decide(self.logits, self.probabilities)

    @property
    def labels(self) -> list[str]:
        """Most probable class of each image by name.

        Raises:
            NoAnswerError: an image has none.
        """
        return [self.class_names[index] for index in self.indices]

    @property
    def labels_or_none(self) -> list[str | None]:
        """Most probable class of each image by name; None for an image that has none."""
        return [None if index == NO_ANSWER else self.class_names[index] for index in self.indices_or_none]

    @property
    def confidences(self) -> Float32Array:
        """Probability of the most probable class of each image, float32 [N]; NaN for an image that has no answer."""
        confidences: Float32Array = np.max(self.probabilities, axis=1)
        if not all_answered(self.logits, self.probabilities):
            confidences[~self.answered] = np.nan
        return confidences

    def top(self, count: int) -> list[list[tuple[str, float]]]:
        """Return for each image its `count` most probable classes with their probabilities, best first.

        The list of an image that has no answer is empty.
        """
        # By the logits, as `indices` is: several probabilities may round to the same number.
        order = np.argsort(-self.logits, axis=1, kind="stable")[:, :count]
        return [
            [(self.class_names[column], float(row[column])) for column in columns] if given else []
            for row, columns, given in zip(self.probabilities, order, self.answered, strict=True)
        ]

    def require_answers(self, first: int = 0) -> None:
        """Check that every image has an answer.

        Args:
            first: place of the first image in what the caller was given; the error counts from there.

        Raises:
            NoAnswerError: some have none.
        """
        if not all_answered(self.logits, self.probabilities):
            raise NoAnswerError.at([first + int(index) for index in np.flatnonzero(~self.answered)], len(self))

    def __len__(self) -> int:
        return len(self.logits)
