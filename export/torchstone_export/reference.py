"""What the PyTorch model itself says: in float32, as it was trained, and in float64, as exact as can be."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from torchstone_export.model import ExportableClassifier
from torchstone_runtime.data.split import Int64Array, Split
from torchstone_runtime.engine import Float32Array, Outputs
from torchstone_runtime.images import Uint8Array

Float64Array = npt.NDArray[np.float64]

_BATCH: Final = 256
_FLOAT32_EPSILON: Final = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False, slots=True)
class SplitReference:
    """The PyTorch model's outputs over one split.

    Attributes:
        split: images and labels.
        logits: float32 [N, K], in float32 arithmetic.
        exact: float64 [N, K], the same weights in float64 arithmetic.
    """

    split: Split
    logits: Float32Array
    exact: Float64Array

    @property
    def decisions(self) -> Int64Array:
        """Classes that the float32 model chooses, int64 [N]."""
        decisions: Int64Array = np.argmax(self.logits, axis=1)
        return decisions

    @property
    def error(self) -> float:
        """Largest absolute difference of a logit between float32 and float64."""
        return float(np.abs(self.logits - self.exact).max())


@dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """The PyTorch model's outputs over several splits, by name.

    Attributes:
        splits: by name.
        temperature: that the logits are divided by before the softmax.
    """

    splits: Mapping[str, SplitReference]
    temperature: float = 1.0

    @property
    def num_classes(self) -> int:
        """K, the number of columns of every output."""
        return int(next(iter(self.splits.values())).exact.shape[1])

    @property
    def noise_floor(self) -> float:
        """PyTorch float32's own largest logit error over all splits; at least one rounding of the largest logit."""
        largest = max(float(np.abs(split.exact).max()) for split in self.splits.values())
        return max(*(split.error for split in self.splits.values()), largest * _FLOAT32_EPSILON)

    def rms_floor(self, part: SplitReference) -> float:
        """Root mean square of PyTorch float32's logit errors over a split; at least a rounding of the logits' own.

        Rounding a value to float32 is off by epsilon / sqrt(48) to epsilon / sqrt(12) of it (root mean square of an
        error that is uniform within half a unit in the last place): 0.14 to 0.29 epsilon.
        """
        scale = float(np.sqrt(np.mean(part.exact**2)))
        error = float(np.sqrt(np.mean((part.logits - part.exact) ** 2)))
        return max(error, scale * _FLOAT32_EPSILON / 4)


def make_reference(model: ExportableClassifier, splits: Mapping[str, Split]) -> Reference:
    """Run a model, in float32 and float64 on the CPU, over whole splits."""
    exact = deepcopy(model).double()
    return Reference(
        {
            name: SplitReference(split, _logits(model, split), _logits(exact, split).astype(np.float64))
            for name, split in splits.items()
        },
        model.temperature,
    )


@torch.inference_mode()
def run_module(model: ExportableClassifier, images: Uint8Array) -> Outputs:
    """Return a PyTorch model's logits and probabilities (N, K), in its own precision, for uint8 images (N, C, H, W)."""
    logits, probabilities = model(torch.from_numpy(np.ascontiguousarray(images)))
    return logits.numpy(), probabilities.numpy()


def _logits(model: ExportableClassifier, split: Split) -> Float32Array:
    return np.concatenate([run_module(model, images)[0] for images in split.batches(_BATCH)])
