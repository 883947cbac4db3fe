"""A confidence cascade: a fast model answers when it is confident, an accurate one answers the rest.

The answer is continuous in the pictures: just below the threshold the fast model's logits pass over into the accurate
one's. With a sharp switch the last bits of a confidence would decide which model's logits come out, and no exported
file could be proven to give those of the trained model.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor

from torchstone_runtime.arrays import Float32Array, Int64Array
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.image_classifier import ImageClassifier

BLEND: Final = 0.05
"""Width of the passage. Narrower, rounding is amplified more (by its inverse); wider, more answers are mixtures."""
SLACK: Final = 0.002
"""Share of the validation images that a cascade chosen for its speed may get right less than its accurate model."""
_CANDIDATES: Final = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Routing:
    """Who answers which picture.

    Attributes:
        threshold: the fast model alone answers where its largest probability (softmax of its logits, no temperature)
            is at least this, 0 to 1.
        blend: below it the share of the accurate model grows from 0 to 1 over this width.
        mirror: whether the accurate model's logits are the mean of those for the picture and its mirror image.
    """

    threshold: float
    blend: float = BLEND
    mirror: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold must be between 0 and 1, not {self.threshold:g}.")

    def share(self, confidence: Tensor) -> Tensor:
        """Return the share of the accurate model in each answer, 0 to 1, by the fast one's confidences."""
        return ((self.threshold - confidence) / self.blend).clamp(0, 1)

    def to_json(self) -> dict[str, Any]:
        """Return all attributes as JSON data."""
        return asdict(self)


class CascadeClassifier(ImageClassifier):
    """An accurate classifier that a fast one goes before; in evaluation mode only.

    Args:
        fast: looks at every picture.
        accurate: looks at those of which `fast` is not sure.
        spec: input specification of the accurate classifier.
        routing: rule that says which model answers which image.
    """

    def __init__(self, fast: ImageClassifier, accurate: ImageClassifier, spec: InputSpec, routing: Routing) -> None:
        super().__init__(accurate.network, spec, accurate.channels)
        self.fast = fast
        self.routing = routing

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of uint8 images (N, C, H, W)."""
        quick = cast("Tensor", self.fast(images))
        confidence = quick.softmax(1).amax(1)
        rows = torch.nonzero(confidence < self.routing.threshold).squeeze(1)
        slow = look(super().forward, images[rows], mirror=self.routing.mirror)
        share = self.routing.share(confidence[rows]).unsqueeze(1)
        unsure = quick[rows]
        return quick.index_copy(0, rows, unsure + share * (slow - unsure))


def look(classifier: Callable[[Tensor], Tensor], images: Tensor, *, mirror: bool) -> Tensor:
    """Return a classifier's logits (N, K), with `mirror` the mean of those for the images and for their mirror images.

    Args:
        classifier: uint8 images (N, C, H, W) to logits.
        images: such images.
        mirror: whether the mirror images are looked at too.
    """
    if not mirror:
        return classifier(images)
    both = classifier(torch.cat([images, images.flip(3)]))
    return both.reshape(2, images.shape[0], both.shape[1]).mean(0)


def choose_threshold(fast: Float32Array, accurate: Float32Array, labels: Int64Array, *, mirror: bool) -> Routing:
    """Return the routing with the lowest threshold that is about as often right as the accurate model is by itself.

    Without mirror images it may be right on `SLACK` of the images less: the last of them would cost most of the time
    that a cascade saves. Mirror images gain about as much as that (docs/reference/training-speed.md), so they are only
    worth their time where none of it is given away. Where no threshold is right as often (in the passage below it
    answers are mixtures, below 1 too), it is the lowest of those that are right most often.

    Args:
        fast: logits [N, K] of the fast model for validation images.
        accurate: logits [N, K] of the accurate one, with `mirror` the means already.
        labels: int64 [N].
        mirror: whether the accurate model also looks at mirror images.
    """
    slack = 0 if mirror else int(SLACK * len(labels))
    target = int((accurate.argmax(axis=1) == labels).sum()) - slack
    quick, slow = torch.from_numpy(fast), torch.from_numpy(accurate)
    confidence = quick.softmax(1).amax(1)

    def right(routing: Routing) -> int:
        mixed = quick + routing.share(confidence).unsqueeze(1) * (slow - quick)
        return int((mixed.argmax(1).numpy() == labels).sum())

    # Rounded up, so that the file's number is one that people can read, and never below what was tried.
    steps = np.unique(np.ceil(np.quantile(confidence.numpy(), np.linspace(0, 1, _CANDIDATES)) * 1000) / 1000)
    routings = [Routing(threshold=float(threshold), mirror=mirror) for threshold in (*np.minimum(steps, 1.0), 1.0)]
    counts = [right(routing) for routing in routings]
    return next(one for one, count in zip(routings, counts, strict=True) if count >= min(target, max(counts)))
