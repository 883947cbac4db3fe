"""What a request is answered with."""

from dataclasses import dataclass

from torchstone_runtime.arrays import Float32Array, Int64Array
from torchstone_runtime.metrics.answered import decide


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a request went, in seconds.

    Attributes:
        queue: time between the last picture decoded and a worker taking the request.
        decode: time until all pictures were decoded, their own waiting included; 0 where they came as pixels.
        compute: time of the batch that it ran in.
        batch_images: number of images in that batch.
    """

    queue: float
    decode: float
    compute: float
    batch_images: int


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """Outputs for N images, in their order.

    Attributes:
        logits: float32 [N, K].
        probabilities: float32 [N, K]; a row without an answer (see `Predictions`) holds what the model gave.
        timings: parts of the time that it took.
    """

    logits: Float32Array
    probabilities: Float32Array
    timings: Timings

    @property
    def decisions(self) -> Int64Array:
        """Most probable class of each image as its index, int64 [N]; `NO_ANSWER` (-1) where there is none."""
        return decide(self.logits, self.probabilities)
