"""From fits to an answer: the simplest explanation, what is as likely, and what can't be seen on this image."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.diagnosis.affine import AffineFit
from torchstone_runtime.diagnosis.constants import NormalizationEstimate, estimate
from torchstone_runtime.diagnosis.layouts import Reading
from torchstone_runtime.diagnosis.result import Diagnosis, Mistake, Stage
from torchstone_runtime.diagnosis.values import Chains, agrees
from torchstone_runtime.images.input_spec import InputSpec

_EXACT: Final = 0.75
_FREE_COST: Final = 0.6
"""What free constants cost beside one mistake: any gain has a mean and std, so a named chain goes first."""


@dataclass(frozen=True, eq=False, slots=True)
class Explanation:
    """Mistakes that together give the tensor, and how well."""

    mistakes: tuple[Mistake, ...]
    stage: Stage
    fit: AffineFit
    estimate: NormalizationEstimate | None = None
    exact: bool = False
    codes: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        by_code = {mistake.code: mistake for mistake in reversed(self.mistakes)}
        object.__setattr__(self, "mistakes", tuple(reversed(by_code.values())))
        object.__setattr__(self, "codes", frozenset(by_code))

    @property
    def cost(self) -> float:
        """Number of mistakes; free constants cost more, and absurd ones most."""
        if self.estimate is None:
            return len(self.mistakes)
        return len(self.mistakes) + (_FREE_COST if self.estimate.plausible else 3)


def with_values(
    fitted: AffineFit, mistakes: tuple[Mistake, ...], planes: tuple[int, ...], pixels: Float64Array, known: Chains
) -> list[Explanation]:
    """Return what explains the gains and offsets of a fit whose geometry and colours make `mistakes`."""
    found = []
    orders = [known]
    if sorted(planes) == [0, 1, 2] and planes != (0, 1, 2):
        # Channels may have been swapped before or after the normalisation.
        order = list(planes)
        orders.append(replace(known, mean=known.mean[order], std=known.std[order]))
    for chains in orders:
        matching = [chain for chain in chains.all if agrees(fitted, chain)]
        if matching:
            least = len(matching[0].mistakes)
            found += [
                Explanation((*mistakes, *chain.mistakes), chain.stage, fitted)
                for chain in matching
                if len(chain.mistakes) == least
            ]
    free = estimate(fitted, known.mean, known.std, pixels[list(planes)])
    if free is not None:
        found.append(Explanation((*mistakes, *free.mistakes), "normalised", fitted, free))
    return found


def choose(explanations: list[Explanation], *, picture_given: bool) -> Diagnosis:
    """Return the simplest explanation, with those as simple and the mistakes that would not show."""
    ordered = sorted(explanations, key=lambda one: (one.cost, one.fit.residual))
    best = ordered[0]
    equal: dict[frozenset[str], Explanation] = {}
    for one in ordered[1:]:
        if one.cost == best.cost and one.codes != best.codes:
            equal.setdefault(one.codes, one)
    unseen = {
        next(iter(one.codes - best.codes))
        for one in ordered
        if one.estimate is None and len(one.codes - best.codes) == 1 and best.codes < one.codes
    }
    mistakes, note = best.mistakes, ""
    if best.fit.residual > _EXACT and not best.exact:
        note = _noise_note(best.fit.residual, picture_given=picture_given)
    shown = best.estimate
    if shown is not None:
        note = " ".join(filter(None, (shown.note, note)))
    return Diagnosis(
        explained=True,
        mistakes=mistakes,
        stage=best.stage,
        residual=0.0 if best.exact else best.fit.residual,
        alternatives=tuple(one.mistakes for one in equal.values()),
        invisible=tuple(sorted(unseen)),
        estimated_mean=_rounded(shown.mean) if shown else (),
        estimated_std=_rounded(shown.std) if shown else (),
        note=note,
    )


def unusable(tensor: npt.NDArray[Any], found: list[Reading], spec: InputSpec) -> Diagnosis | None:
    """Return the answer for a tensor of another size or without finite values, else None."""
    if not found:
        wrong = Mistake("size", f"The shape is {tensor.shape}; the model takes {('N', *spec.shape)}.")
        return Diagnosis(explained=True, mistakes=(wrong,), stage="unknown", residual=0.0)
    if not np.isfinite(found[0].values).all():
        count = int((~np.isfinite(found[0].values)).sum())
        wrong = Mistake("not-finite", f"{count:,} of {tensor.size:,} values are NaN or infinite.")
        return Diagnosis(explained=True, mistakes=(wrong,), stage="unknown", residual=0.0)
    return None


def none_found(best: AffineFit, *, picture_given: bool) -> Diagnosis:
    """Return that nothing known explains the tensor; whether it shows the picture at all is said."""
    note = "It does not show this image: is it really that of golden image K?"
    if best.related:
        note = "It shows this image, but the geometry differs (resized, cropped, rotated or distorted in another way)."
    if not picture_given:
        note += " Give the original picture with --image to have resize filters and crops tried."
    return Diagnosis(explained=False, mistakes=(), stage="unknown", residual=best.residual, note=note)


def _noise_note(residual: float, *, picture_given: bool) -> str:
    left = f"The pixels differ by {residual:.1f} gray levels (root mean square), more than rounding does"
    if picture_given:
        return f"{left}: compression in between, or another decoder."
    return f"{left}: another resize filter, a slight crop, another decoder, or compression. Give --image to tell which."


def _rounded(values: Float64Array) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
