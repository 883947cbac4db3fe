"""How alike two pictures are once one is laid over the other: what tells a near-duplicate from a similar picture.

A picture that was cut by a few percent is shifted and stretched against the original; pixel by pixel the two then
differ more than two photographs of the same kind of thing. So shift and scale of both axes are found first (by
Gauss-Newton steps on the correlation; B. Lucas and T. Kanade, "An iterative image registration technique", 1981, with
gain and bias left free, as in G. Evangelidis and E. Psarakis, "Parametric image alignment using enhanced correlation
coefficient maximization", 2008), and the correlation is that of the pictures as they then lie.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.audit.perceptual_hash import SIDE

_MARGIN: Final = 2
"""Pixels at each edge that are not compared: the other picture may lack what is there."""
_STEPS: Final = 6
_LARGEST_STEP: Final = 1.5
_MOST: Final = 0.09
"""Largest stretch, and largest shift as a share of the side, that is still the same picture."""
_HOPELESS: Final = 0.8
"""Correlation before any step below which a pair is not aligned: none such was seen to become a near-duplicate."""
_LOOK: Final = 2
_NEAR: Final = 0.95
"""Correlation after three steps below which a pair is given up; likewise."""
_TINY: Final = 1e-9

_CENTRE: Final = (SIDE - 1) / 2
_AXIS: Final = (np.arange(SIDE) - _CENTRE).astype(np.float32)
_DOWN, _ACROSS = np.meshgrid(_AXIS, _AXIS, indexing="ij")
_INNER: Final = np.s_[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]

Floats = npt.NDArray[np.floating]


def aligned_correlation(first: Uint8Array, second: Uint8Array) -> Float32Array:
    """Return the correlation of each pair of pictures as they lie best, -1 to 1, float32 [N].

    Brightness and contrast don't count. Pairs that differ too much from the beginning are not aligned.

    Args:
        first: gray pictures, uint8 [N, 32, 32].
        second: the others, uint8 [N, 32, 32].
    """
    fixed, moving = _unit(_smoothed(first)[_INNER])[0], _smoothed(second)
    best: Float32Array = (fixed * _unit(moving[_INNER])[0]).sum(axis=(1, 2)).astype(np.float32)
    alive = np.flatnonzero(best >= _HOPELESS)
    if not len(alive):
        return best
    # Stretch and shift down, stretch and shift across.
    warp = np.zeros((len(alive), 4), dtype=np.float32)
    _, step = _score_and_step(fixed[alive], moving[alive], warp)
    for number in range(_STEPS):
        warp = warp + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        score, step = _score_and_step(fixed[alive], moving[alive], warp)
        plausible = (np.abs(warp) <= _MOST * np.array([1, SIDE, 1, SIDE])).all(axis=1)
        best[alive] = np.maximum(best[alive], np.where(plausible, score, -1))
        if number == _LOOK:
            hopeful = best[alive] >= _NEAR
            alive, warp, step = alive[hopeful], warp[hopeful], step[hopeful]
            if not len(alive):
                break
    return best


def _score_and_step(fixed: Floats, moving: Floats, warp: Floats) -> tuple[Float32Array, Float32Array]:
    """Return the correlation under a warp, [N], and the Gauss-Newton step that would improve it, [N, 4]."""
    down, across = (warp[:, index, None, None] for index in (0, 2))
    laid = _sampled(
        moving,
        _DOWN * (1 + down) + warp[:, 1, None, None] + _CENTRE,
        _ACROSS * (1 + across) + warp[:, 3, None, None] + _CENTRE,
    )
    unit, norm = _unit(laid[_INNER])
    score = (fixed * unit).sum(axis=(1, 2))
    gradients: list[Floats] = [np.gradient(laid, axis=axis) for axis in (1, 2)]
    slope_down, slope_across = (slope[_INNER] / norm for slope in gradients)
    slopes = [slope_down * _DOWN[_INNER[1:]], slope_down, slope_across * _ACROSS[_INNER[1:]], slope_across]
    jacobian = np.stack([slope.reshape(len(unit), -1) for slope in slopes], axis=-1)
    jacobian -= jacobian.mean(axis=1, keepdims=True)
    flat = unit.reshape(len(unit), -1, 1)
    jacobian -= flat * (flat * jacobian).sum(axis=1, keepdims=True)  # along itself is contrast, which is free
    rest = (fixed - unit * score[:, None, None]).reshape(len(unit), 1, -1)
    normal = jacobian.transpose(0, 2, 1) @ jacobian + 1e-6 * np.eye(4, dtype=np.float32)
    right = (rest @ jacobian)[:, 0] / np.maximum(score, 0.3)[:, None]
    return score.astype(np.float32), np.linalg.solve(normal, right[..., None])[..., 0].astype(np.float32)


def _smoothed(pictures: Uint8Array) -> Floats:
    """Return pictures through the binomial filter 1-2-1: pixels of other places, as a cut moves them, then compare."""
    padded = np.pad(pictures.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
    result: Floats = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 4
    return result


def _unit(pictures: Floats) -> tuple[Floats, Floats]:
    """Return pictures of mean 0 and norm 1, and their norms, [N, 1, 1]."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    norm = np.maximum(np.sqrt((centred * centred).sum(axis=(1, 2), keepdims=True)), _TINY)
    return centred / norm, norm


def _sampled(pictures: Floats, down: Floats, across: Floats) -> Floats:
    """Return pictures at places between the pixels, bilinearly; beyond an edge is what is at the edge."""
    down, across = np.clip(down, 0, SIDE - 1), np.clip(across, 0, SIDE - 1)
    top = np.minimum(down.astype(np.int64), SIDE - 2)
    left = np.minimum(across.astype(np.int64), SIDE - 2)
    lower, righter = down - top, across - left
    each = np.arange(len(pictures))[:, None, None]
    upper_row = pictures[each, top, left] * (1 - righter) + pictures[each, top, left + 1] * righter
    lower_row = pictures[each, top + 1, left] * (1 - righter) + pictures[each, top + 1, left + 1] * righter
    result: Floats = upper_row * (1 - lower) + lower_row * lower
    return result
