"""The last look at the validation split: what the kept weights decide for each of its images, and how surely."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from torchstone_runtime.data.split import Int64Array, Split
from torchstone_train.batches import Batches
from torchstone_train.measure import Measured, Tally

Float32Array = npt.NDArray[np.float32]
_BATCH = 512


@dataclass(frozen=True, eq=False, slots=True)
class ValidationPass:
    """The decisions of a trained network on a labelled split.

    Attributes:
        split: the images and their true classes.
        measured: loss and metrics.
        predicted: int64 [N], in the split's order.
        confidence: float32 [N], the probability (0 to 1) of each predicted class.
    """

    split: Split
    measured: Measured
    predicted: Int64Array
    confidence: Float32Array

    def wrong(self) -> Int64Array:
        """Return the indices of the samples that are not their predicted class, the most confident first."""
        indices = np.flatnonzero(self.predicted != self.split.labels)
        return indices[np.argsort(-self.confidence[indices], kind="stable")]


@torch.inference_mode()
def pass_over(model: nn.Module, batches: Batches, split: Split, device: torch.device) -> ValidationPass:
    """Let a network decide every image of `batches`, which hold the images of `split` in its order."""
    model.eval()
    tally = Tally(split.class_names, device)
    predicted, confidence = [], []
    for images, labels in batches.walk(torch.arange(len(batches)), _BATCH):
        logits = model(images).float()
        tally.add(logits, labels, nn.functional.cross_entropy(logits, labels))
        best = torch.softmax(logits, dim=1).max(dim=1)
        predicted.append(best.indices.cpu().numpy())
        confidence.append(best.values.cpu().numpy())
    return ValidationPass(split, tally.result(), np.concatenate(predicted), np.concatenate(confidence))
