"""The search: which simplest combination of known mistakes turns the right pixels into this tensor."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array, Uint8Array
from torchstone_runtime.diagnosis.affine import AffineFit, Moments, fit, rounding_of
from torchstone_runtime.diagnosis.channels import pairings, planes_of
from torchstone_runtime.diagnosis.geometry import View, cropped, shifted, turned
from torchstone_runtime.diagnosis.layouts import Reading, readings
from torchstone_runtime.diagnosis.likely_mistakes import Explanation, choose, none_found, unusable, with_values
from torchstone_runtime.diagnosis.original_picture import check_same_picture, decodings, picture_views
from torchstone_runtime.diagnosis.result import Diagnosis, Mistake
from torchstone_runtime.diagnosis.rounding import bent, lossy
from torchstone_runtime.diagnosis.values import Chains
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec

EXACT: Final = 0.75
"""Residual in gray levels that rounding explains: to uint8 0.29, to bfloat16 up to about 0.5."""

_AS_GOOD: Final = 1.15
_AS_GOOD_LEVELS: Final = 0.05
_MAX_MISTAKES: Final = 3
_USUAL_PLANES: Final = frozenset({(0,), (0, 0, 0), (0, 1, 2), (2, 1, 0)})
_LIKELIEST: Final = 6
"""Best candidates of the plain comparison whose turns and channel orders are tried with everything else."""


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """A reading of the tensor against a view of the picture: what they leave unexplained."""

    fit: AffineFit
    mistakes: tuple[Mistake, ...]
    planes: tuple[int, ...]
    pixels: Float64Array
    turn: int


def diagnose_preprocessing(
    tensor: npt.NDArray[Any], golden: Uint8Array, spec: InputSpec, picture: Path | None = None
) -> Diagnosis:
    """Name what a preprocessing did wrong.

    Args:
        tensor: tensor that the other program made of one image: numbers of any dtype, layout and stage.
        golden: uint8 [C, H, W], the right pixels of the same image.
        spec: input specification of the model.
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
    search = _Search(found, rounding_of(found[0].values, tensor.dtype), _contrast(right))
    search.compare(turned(right))
    if search.best.fit.residual > EXACT:
        ways = search.narrow()
        search.compare(_distorted(found, right, spec, ways))
        if picture is not None:
            search.compare(one for view in picture_views(picture, spec) for one in turned(view, ways))
    elif picture is not None and search.best.mistakes:
        # On a square image an EXIF rotation that was ignored looks like any other rotation.
        search.compare(decodings(picture, spec))
    best = search.best
    explanations = _explanations(search.candidates, best.fit.residual, spec, tensor.dtype)
    if best.fit.residual > EXACT and (exact := list(_lossy(found, right, spec, tensor.dtype))):
        explanations = exact
    if not explanations:
        return none_found(best.fit, picture_given=picture is not None)
    return choose(explanations, picture_given=picture is not None)


class _Search:
    """Collects what readings of the tensor and views of the picture leave unexplained."""

    def __init__(self, found: list[Reading], rounding: float, contrast: float) -> None:
        self.candidates: list[Candidate] = []
        self._readings = found
        self._rounding = rounding
        self._contrast = contrast
        self._planes: set[tuple[int, ...]] | None = None

    @property
    def best(self) -> Candidate:
        """The candidate that leaves least, with the fewest mistakes among equals."""
        return min(self.candidates, key=lambda candidate: (candidate.fit.residual, len(candidate.mistakes)))

    def narrow(self) -> set[int]:
        """Compare only the likeliest pairings of channels from here on, and return the likeliest turns."""
        likeliest = sorted(self.candidates, key=lambda candidate: candidate.fit.residual)[:_LIKELIEST]
        self._planes = {*_USUAL_PLANES, *(candidate.planes for candidate in likeliest)}
        return {0, *(candidate.turn for candidate in likeliest)}

    def compare(self, views: Iterable[View]) -> None:
        """Fit every reading to every view, in every pairing of channels."""
        for view in views:
            # The planes of other colour spaces cost more than all else: not again where none of them is likely.
            usual = self._planes is not None and max(map(max, self._planes)) < len(view.pixels)
            planes = view.pixels if usual else planes_of(view.pixels)
            for reading in self._readings:
                values = reading.values[:, *view.window]
                if values.shape[1:] == planes.shape[1:]:
                    self._fit(view, reading, values, planes)

    def _fit(self, view: View, reading: Reading, values: Float64Array, planes: Float64Array) -> None:
        moments = Moments.of(values, planes, self._rounding)
        for pairing in pairings(len(view.pixels), len(values)):
            mistakes = (*reading.mistakes, *view.mistakes, *pairing.mistakes)
            same_kind = self._planes is None or pairing.planes in self._planes
            if len(mistakes) <= _MAX_MISTAKES and same_kind:
                fitted = fit(moments, pairing.planes, self._contrast)
                self.candidates.append(Candidate(fitted, mistakes, pairing.planes, planes, view.turn))


def _contrast(view: View) -> float:
    return float(np.sqrt(view.pixels.var(axis=(1, 2)).mean()))


def _distorted(found: list[Reading], right: View, spec: InputSpec, ways: set[int]) -> Iterator[View]:
    yield from (one for view in bent(right) for one in turned(view, ways))
    for view in turned(right):
        for reading in found:
            if view.pixels.shape[1:] == reading.values.shape[1:]:
                yield from shifted(reading.values, view)
    for view in cropped(right.pixels, spec):
        yield from turned(view, ways)


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
    # 0.3 of the contrast is a correlation of 0.95; a picture without any contrast must fit exactly.
    return fitted.residual <= max(EXACT, 0.3 * fitted.contrast) if fitted.contrast else fitted.residual == 0


def _lossy(found: list[Reading], right: View, spec: InputSpec, dtype: np.dtype[Any]) -> Iterator[Explanation]:
    for view in turned(right):
        planes = planes_of(view.pixels)
        for reading in found:
            if reading.values.shape[1:] != planes.shape[1:]:
                continue
            for pairing in pairings(len(view.pixels), len(reading.values)):
                if pairing.planes not in _USUAL_PLANES and len(reading.values) > 1:
                    continue
                pixels = planes[list(pairing.planes)]
                known = Chains.of(spec, len(pixels), dtype)
                fitted = fit(Moments.of(reading.values, planes, 0.0), pairing.planes)
                for chain, mistake in lossy(reading.values, pixels, known.all):
                    mistakes = (*reading.mistakes, *view.mistakes, *pairing.mistakes, *chain.mistakes, mistake)
                    yield Explanation(mistakes, chain.stage, fitted, exact=True)
