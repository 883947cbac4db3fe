"""What the PyTorch model itself says: in float32, as it was trained, and in float64, as exact as can be."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch

from torchstone_export.certificate.long_sums import SumsInARow
from torchstone_export.model import ExportableClassifier
from torchstone_export.run_over import run_over_split
from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array, Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.inference.engine import Outputs
from torchstone_runtime.progress import watched
from torchstone_train.compute.allocator import freed_memory_kept

_BATCH: Final = 256
BATCH_VALUES: Final = 4 << 20
"""Of all images of one call of PyTorch: bounds the memory of a float64 evaluation to some GiB with usual networks."""
_IN_A_ROW: Final = "PyTorch with long sums in a row"
_IDS_SHOWN: Final = 3
_FLOAT32_EPSILON: Final = float(np.finfo(np.float32).eps)
_SMALLEST: Final = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False, slots=True)
class SplitReference:
    """The PyTorch model's outputs over one split.

    Attributes:
        split: images and labels.
        logits: float32 [N, K], in float32 arithmetic.
        exact: float64 [N, K], the same weights in float64 arithmetic.
        in_a_row: float32 [N, K], in float32 with long sums added in a row, as inference engines do; None where no sum
            is long.
    """

    split: Split
    logits: Float32Array
    exact: Float64Array
    in_a_row: Float32Array | None = None

    @property
    def decisions(self) -> Int64Array:
        """Classes that the float32 model chooses, int64 [N]."""
        decisions: Int64Array = np.argmax(self.logits, axis=1)
        return decisions

    @property
    def error(self) -> float:
        """Largest absolute difference of a logit between PyTorch's float32 and float64."""
        return float(np.abs(self.logits - self.exact).max())

    @property
    def noise(self) -> float:
        """Largest absolute logit error of float32, its long sums added by halves or in a row."""
        return max(float(np.abs(logits - self.exact).max()) for logits in self._orders())

    @property
    def rms_noise(self) -> float:
        """Root mean square of the logit errors of float32, in the worse of the two orders."""
        return max(float(np.sqrt(np.mean((logits - self.exact) ** 2))) for logits in self._orders())

    def _orders(self) -> list[Float32Array]:
        return [self.logits] if self.in_a_row is None else [self.logits, self.in_a_row]


@dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """The PyTorch model's outputs over several splits, by name.

    Attributes:
        splits: outputs of each split, by its name.
        temperature: temperature that the exported files divide the logits by before the softmax.
        longest_sum: values of the longest sum that was added in a row too; 0 where none is long.
        origin: one sentence on what the errors refer to.
        owner: name of the model whose decisions they are, in the genitive.
        caveat: limits of what this reference proves, where it is weaker than float64 arithmetic; else empty.
        sample: record of the draw (`data.certified_sample.sample_json`) where the splits hold only a sample
            of the images; else empty.
    """

    splits: Mapping[str, SplitReference]
    temperature: float = 1.0
    longest_sum: int = 0
    origin: str = (
        "the PyTorch model in float64 arithmetic; noise_floor is the largest logit error of float32, its "
        "long sums added as PyTorch does or in a row"
    )
    owner: str = "PyTorch's"
    caveat: str = ""
    sample: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """K, the number of columns of every output."""
        return int(next(iter(self.splits.values())).exact.shape[1])

    @property
    def noise_floor(self) -> float:
        """Float32's own largest logit error over all splits; at least one rounding of the largest logit.

        Never 0, not even where all logits are: errors are given as multiples of it.
        """
        largest = max(float(np.abs(split.exact).max()) for split in self.splits.values())
        return max(*(split.noise for split in self.splits.values()), largest * _FLOAT32_EPSILON, _SMALLEST)

    def require_finite(self) -> None:
        """Check that the model gives numbers for every image.

        Raises:
            CheckFailedError: NaN or an infinity among the logits of a split; the first images are named.
        """
        for name, part in self.splits.items():
            lost = np.flatnonzero(~np.isfinite(part.logits + part.exact).all(axis=1))
            if len(lost):
                ids = ", ".join(part.split.ids[index] for index in lost[:_IDS_SHOWN].tolist())
                raise CheckFailedError(
                    f"The model gives no answer for {len(lost):,} of {len(part.split):,} {name} images: its logits are "
                    f"not finite numbers. The first: {ids}.",
                    "Fix the model (a logarithm or root of a negative number, a division by 0), or the pictures.",
                )

    def rms_floor(self, part: SplitReference) -> float:
        """Root mean square of float32's own logit errors over a split; at least a rounding of the logits' own.

        Rounding a value to float32 is off by epsilon / sqrt(48) to epsilon / sqrt(12) of it (root mean square of an
        error that is uniform within half a unit in the last place): 0.14 to 0.29 epsilon.
        """
        scale = float(np.sqrt(np.mean(part.exact**2)))
        return max(part.rms_noise, scale * _FLOAT32_EPSILON / 4, _SMALLEST)


@freed_memory_kept()
def make_reference(model: ExportableClassifier, splits: Mapping[str, Split]) -> Reference:
    """Run a model, in float32 and float64 on the CPU, over whole splits."""
    exact = deepcopy(model).double()
    rows, longest = sums_in_a_row(model, splits, _logits)
    return Reference(
        {
            name: SplitReference(
                split,
                _logits(model, split, "PyTorch in float32"),
                _logits(exact, split, "PyTorch in float64").astype(np.float64),
                rows.get(name),
            )
            for name, split in splits.items()
        },
        model.temperature,
        longest,
    )


def sums_in_a_row(
    model: ExportableClassifier,
    splits: Mapping[str, Split],
    run: Callable[[ExportableClassifier, Split, str], Float32Array],
) -> tuple[dict[str, Float32Array], int]:
    """Run a model with its long sums added in a row.

    Args:
        model: model in float32.
        splits: splits by name.
        run: function that computes the logits of a split, float32 [N, K], and is told what to call that.

    Returns:
        Logits by split, and the values of the longest sum; nothing and 0 where the first image meets no long sum.
    """
    mode = SumsInARow()
    with mode:
        with watched(None):
            run(model, next(iter(splits.values())).select(np.arange(1), "first"), _IN_A_ROW)
        rows = {name: run(model, split, _IN_A_ROW) for name, split in splits.items()} if mode.longest else {}
    return rows, mode.longest


@torch.inference_mode()
def run_module(model: ExportableClassifier, images: Uint8Array) -> Outputs:
    """Return a PyTorch model's logits and probabilities (N, K), in its own precision, for uint8 images (N, C, H, W)."""
    logits, probabilities = model(torch.from_numpy(np.ascontiguousarray(images)))
    return logits.numpy(), probabilities.numpy()


def _logits(model: ExportableClassifier, split: Split, task: str) -> Float32Array:
    return run_over_split(split, _BATCH, lambda images: run_module(model, images)[0], task, most=BATCH_VALUES)
