"""The search: which simplest combination of known mistakes turns the right pixels into this tensor."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.diagnosis.affine import AffineFit, Moments, fit
from torchstone_runtime.diagnosis.answer import Explanation, choose, none_found, unusable, with_values
from torchstone_runtime.diagnosis.colours import pairings, planes_of
from torchstone_runtime.diagnosis.geometry import View, cropped, shifted, turned
from torchstone_runtime.diagnosis.layouts import Reading, readings
from torchstone_runtime.diagnosis.picture import check_same_picture, picture_views
from torchstone_runtime.diagnosis.result import Diagnosis, Float64Array, Mistake
from torchstone_runtime.diagnosis.rounding import bent, lossy
from torchstone_runtime.diagnosis.values import Chains
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images import Uint8Array
from torchstone_runtime.input_spec import InputSpec

EXACT: Final = 0.75
"""Residual in gray levels that rounding explains: to uint8 0.29, to bfloat16 up to about 0.5."""

_AS_GOOD: Final = 1.15
_AS_GOOD_LEVELS: Final = 0.05
_MAX_MISTAKES: Final = 3


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """A reading of the tensor against a view of the picture: what they leave unexplained."""

    fit: AffineFit
    mistakes: tuple[Mistake, ...]
    planes: tuple[int, ...]
    pixels: Float64Array
    values: Float64Array


def diagnose(tensor: npt.NDArray[Any], golden: Uint8Array, spec: InputSpec, picture: Path | None = None) -> Diagnosis:
    """Name what a preprocessing did wrong.

    Args:
        tensor: what it made of one image: numbers of any dtype, layout and stage.
        golden: uint8 [C, H, W], the right pixels of the same image.
        spec: what the model takes.
        picture: the file that both started from; needed to tell other resize filters, crops and decodings.

    Raises:
        UsageError: the tensor holds several images, or the picture is another one.
        ImageError: the picture cannot be decoded.
    """
    if golden.shape != spec.shape:
        raise UsageError(f"The golden image has the shape {golden.shape}, the model takes {spec.shape}.")
    if picture is not None:
        check_same_picture(picture, golden, spec)
    found = readings(tensor, spec)
    if (diagnosis := unusable(tensor, found, spec)) is not None:
        return diagnosis
    right = View(golden.astype(np.float64))
    candidates = list(_compare(found, [right, *turned(right)]))
    if _best(candidates).fit.residual > EXACT:
        candidates += _compare(found, _further(found, right, spec, picture))
    if (best := _best(candidates)).fit.residual > EXACT and picture is not None:
        views = [one for view in picture_views(picture, spec) for one in turned(view)]
        candidates += _compare(found, views)
        best = _best(candidates)
    explanations = _explanations(candidates, best.fit.residual, spec, tensor.dtype)
    if best.fit.residual > EXACT and (exact := list(_lossy(found, right, spec, tensor.dtype))):
        explanations = exact
    if not explanations:
        return none_found(best.fit)
    return choose(explanations, spec, picture_given=picture is not None)


def _further(found: list[Reading], right: View, spec: InputSpec, picture: Path | None) -> Iterator[View]:
    yield from bent(right)
    flipped = [right, *turned(right)]
    for reading in found:
        for view in flipped:
            if view.pixels.shape[1:] == reading.values.shape[1:]:
                yield from shifted(reading.values, view)
    for view in cropped(right.pixels, spec):
        yield from (view, *turned(view)) if max(spec.height, spec.width) <= 64 else (view,)  # noqa: PLR2004
    if picture is not None:
        yield from picture_views(picture, spec)


def _compare(found: list[Reading], views: Iterable[View]) -> Iterator[Candidate]:
    for view in views:
        planes = planes_of(view.pixels)
        for reading in found:
            values = reading.values[:, *view.window]
            if values.shape[1:] != planes.shape[1:]:
                continue
            moments = Moments.of(values, planes)
            for pairing in pairings(len(view.pixels), len(values)):
                mistakes = (*reading.mistakes, *view.mistakes, *pairing.mistakes)
                if len(mistakes) <= _MAX_MISTAKES:
                    yield Candidate(fit(moments, pairing.planes), mistakes, pairing.planes, planes, values)


def _best(candidates: list[Candidate]) -> Candidate:
    return min(candidates, key=lambda candidate: (candidate.fit.residual, len(candidate.mistakes)))


def _explanations(
    candidates: list[Candidate], least: float, spec: InputSpec, dtype: np.dtype[Any]
) -> list[Explanation]:
    accepted = _AS_GOOD * least + _AS_GOOD_LEVELS
    close = [one for one in candidates if one.fit.residual <= accepted and _is_shown(one.fit)]
    chains: dict[int, Chains] = {}
    found = []
    for candidate in close:
        channels = len(candidate.planes)
        known = chains.setdefault(channels, Chains.of(spec, channels, dtype))
        found += with_values(candidate.fit, candidate.mistakes, candidate.planes, candidate.pixels, known)
    return found


def _is_shown(fitted: AffineFit) -> bool:
    # 0.2 of the contrast is a correlation of 0.98; a picture without any contrast must fit exactly.
    return fitted.residual <= max(EXACT, 0.2 * fitted.contrast) if fitted.contrast else fitted.residual == 0


def _lossy(found: list[Reading], right: View, spec: InputSpec, dtype: np.dtype[Any]) -> Iterator[Explanation]:
    for view in (right, *turned(right)):
        planes = planes_of(view.pixels)
        for reading in found:
            if reading.values.shape[1:] != planes.shape[1:]:
                continue
            for pairing in pairings(len(view.pixels), len(reading.values)):
                pixels = planes[list(pairing.planes)]
                known = Chains.of(spec, len(pixels), dtype)
                fitted = fit(Moments.of(reading.values, planes), pairing.planes)
                for chain, mistake in lossy(reading.values, pixels, known.all):
                    mistakes = (*reading.mistakes, *view.mistakes, *pairing.mistakes, *chain.mistakes, mistake)
                    yield Explanation(mistakes, chain.stage, fitted, exact=True)
