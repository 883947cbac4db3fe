"""What a classifier answers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchstone_runtime.engine import Float32Array


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """What the model says of N images, in their order.

    Attributes:
        class_names: the K classes in the order of the columns below.
        logits: float32 [N, K].
        probabilities: float32 [N, K]; each row sums to 1.
    """

    class_names: tuple[str, ...]
    logits: Float32Array
    probabilities: Float32Array

    @property
    def indices(self) -> npt.NDArray[np.int64]:
        """Most probable class of each image as its index, int64 [N]; the first one of equals."""
        indices: npt.NDArray[np.int64] = np.argmax(self.logits, axis=1)
        return indices

    @property
    def labels(self) -> list[str]:
        """Most probable class of each image by name."""
        return [self.class_names[index] for index in self.indices]

    @property
    def confidences(self) -> Float32Array:
        """Probability of the most probable class of each image, float32 [N]."""
        confidences: Float32Array = np.max(self.probabilities, axis=1)
        return confidences

    def top(self, count: int) -> list[list[tuple[str, float]]]:
        """Return for each image its `count` most probable classes with their probabilities, best first."""
        # By the logits, as `indices` is: several probabilities may round to the same number.
        order = np.argsort(-self.logits, axis=1, kind="stable")[:, :count]
        return [
            [(self.class_names[column], float(row[column])) for column in columns]
            for row, columns in zip(self.probabilities, order, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.logits)
