"""Least squares of a tensor against the planes of a picture."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array

_UNRELATED: Final = 128.0
"""Gray levels charged where a constant plane would have to explain values that vary."""


@dataclass(frozen=True, eq=False, slots=True)
class Moments:
    """Means, variances and covariances of tensor channels [T] and picture planes [P]; count is of pixels.

    `rounding` is the largest error that the tensor's precision causes.
    """

    tensor_mean: Float64Array
    tensor_variance: Float64Array
    plane_mean: Float64Array
    plane_variance: Float64Array
    covariance: Float64Array
    count: int
    rounding: float

    @classmethod
    def of(cls, tensor: Float64Array, planes: Float64Array, rounding: float) -> "Moments":
        """Compute those of [T, h, w] and [P, h, w]."""
        flat, picture = tensor.reshape(len(tensor), -1), planes.reshape(len(planes), -1)
        means, plane_means = flat.mean(axis=1), picture.mean(axis=1)
        flat, picture = flat - means[:, None], picture - plane_means[:, None]
        count = flat.shape[1]
        variance, plane_variance = (flat**2).mean(axis=1), (picture**2).mean(axis=1)
        # What is left of a constant channel's variance after rounding is none.
        variance[variance <= 1e-14 * (means**2)] = 0
        plane_variance[plane_variance <= 1e-14 * (plane_means**2)] = 0
        return cls(means, variance, plane_means, plane_variance, flat @ picture.T / count, count, rounding)


@dataclass(frozen=True, eq=False, slots=True)
class AffineFit:
    """tensor = gain * plane + offset, channel by channel.

    Attributes:
        gain, offset: [T].
        residual: root mean square of what is left, in gray levels of the picture.
        contrast: root mean square of the picture about its mean, in gray levels.
        plane_mean, plane_variance: [T], of the planes that the channels were fitted to.
        count: number of pixels per channel.
        rounding: largest error that the tensor's precision causes, in gray levels.
    """

    gain: Float64Array
    offset: Float64Array
    residual: float
    contrast: float
    plane_mean: Float64Array
    plane_variance: Float64Array
    count: int
    rounding: float

    @property
    def related(self) -> bool:
        """Whether the tensor clearly shows the picture: a correlation above one half."""
        return self.contrast > 0 and self.residual < 0.85 * self.contrast


def rounding_of(values: Float64Array, dtype: npt.DTypeLike) -> float:
    """Return the largest error that rounding to the precision of these values causes: float16, bfloat16 or float32.

    A tensor that was float16 or bfloat16 once is told by its values, whatever type it was saved as.
    """
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        return 0.0
    largest = float(np.abs(values).max())
    single = values.astype(np.float32)
    if (single.view(np.uint32) & 0xFFFF == 0).all():
        return largest * 2.0**-9  # bfloat16 keeps 8 bits
    with np.errstate(over="ignore"):
        is_half = (single.astype(np.float16) == single).all()
    return largest * (2.0**-11 if is_half else 2.0**-24)


def fit(moments: Moments, planes: tuple[int, ...], reference: float = 0.0) -> AffineFit:
    """Fit each channel of the tensor to the plane that `planes` gives it.

    `reference` is the contrast of the right picture: one of less contrast (chroma, or a gamma curve in the dark) must
    not fit better for that.
    """
    chosen: npt.NDArray[np.intp] = np.asarray(planes)
    means, variances = moments.plane_mean[chosen], moments.plane_variance[chosen]
    covariance = moments.covariance[np.arange(len(chosen)), chosen]
    product = variances * moments.tensor_variance
    # Correlation is symmetric: neither a constant tensor nor a constant picture passes as a perfect fit of the other.
    explained = np.divide(covariance**2, product, out=np.zeros_like(product), where=product > 0)
    left = np.clip(1 - explained, 0, None) * variances
    left[(variances == 0) & (moments.tensor_variance > 0)] = _UNRELATED**2
    gain = np.divide(covariance, variances, out=np.zeros_like(covariance), where=variances > 0)
    contrast = float(np.sqrt(variances.mean()))
    full = max(contrast, reference)
    return AffineFit(
        gain=gain,
        offset=moments.tensor_mean - gain * means,
        residual=float(np.sqrt(left.mean())) * (full / contrast if contrast else 1),
        contrast=full,
        plane_mean=means,
        plane_variance=variances,
        count=moments.count,
        rounding=moments.rounding / max(float(np.abs(gain).max()), 1e-300),
    )
