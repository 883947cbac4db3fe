"""Whether another preprocessing than the stated one gives clearly more right answers.

The method, and why its level holds: another spec is looked for on validation images, one factor at a time and the best
one kept, as long as that helps. The one that is found so is then tested on images that the search has not seen (the
other validation images, and the test split), against the stated spec on the same images, by McNemar's exact test (Q.
McNemar, Psychometrika 12, 1947: of the images that one of the two alone answers right, each is as likely the one's as
the other's). The search chooses, it doesn't test: however many specs it tried, one test at `LEVEL` decides, and each
factor that is named is tested on its own, at the level divided by their number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from torchstone_export.certificate.reference import SplitReference
from torchstone_export.foreign.class_order import LEVEL, at_least
from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.spec_candidates import Numbers, SpecCandidate, candidates_beside, changed_options
from torchstone_export.foreign.spec_screening import Answer, Sample, Score, mark, screen
from torchstone_export.foreign.stated_fit import upright_size
from torchstone_runtime.data.split import Split
from torchstone_runtime.images.decode import read_picture
from torchstone_runtime.progress import stage

_SEARCHED: Final = 256
"""Most images of the search."""
_TESTED: Final = 1000
"""Most images of the test."""
_ROUNDS: Final = 4
_LEAST_NET: Final = 2
"""Images that a candidate must answer right beyond the one before, to be kept in the search."""
_LEAST_GAIN: Final = 0.01
"""Of the accuracy: less is not clearly better, however sure."""
_AS_MUCH: Final = 1.0
"""Of the gain, in images: less doesn't tell two candidates apart."""
_HOPELESS_AFTER: Final = 256
_LOOKED_AT: Final = 64
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class BetterSpec:
    """A spec that gives clearly more right answers than the stated one.

    Attributes:
        spec: the spec; factors: names of what differs, as in `SpecCandidate`.
        options: options that state it.
        accuracy: accuracy with it; stated_accuracy: that of the stated one, on the same images.
        images: number of these; probability: of so clear a result where neither is better.
    """

    spec: ModelSpec
    factors: tuple[str, ...]
    options: str
    accuracy: float
    stated_accuracy: float
    images: int
    probability: float

    def describe(self) -> str:
        """Return the warning."""
        return (
            f"The accuracy is clearly higher if the images are prepared differently: {self.accuracy:.3f} on "
            f"{self.images:,} images with {self.options}, {self.stated_accuracy:.3f} as stated (McNemar's exact test: "
            f"p = {self.probability:.1g}, level {LEVEL:g}). If the model was trained that way, export it again with "
            f"{self.options}."
        )


def find_better_spec(
    spec: ModelSpec,
    splits: Mapping[str, SplitReference],
    answer: Answer,
    tell: Callable[[str], None] = lambda _: None,
) -> BetterSpec | None:
    """Look for a spec that gives clearly more right answers than the stated one; None where there is none.

    Args:
        spec: spec that is stated.
        splits: answers of the model with it: `validation`, where another is looked for, and `test`.
        answer: function that answers images that were read, and are to be normalised, by another spec.
        tell: function that is called with a sentence on what is done.
    """
    spec = replace(spec, decode="full")  # as all specs are tried on one decoding of each picture
    searched, tested = _samples({name: part.split for name, part in splits.items()})
    wrong = sum(int((splits[item.split.name].decisions[item.indices] != item.labels).sum()) for item in tested)
    images = sum(len(item.indices) for item in tested)
    # Even if another spec answered all of them right, the test would not tell.
    if at_least(wrong, wrong, 0.5) > LEVEL or wrong < _LEAST_GAIN * images:
        return None
    pictures = spec.fit is not None and _has_other_sizes(searched, spec)
    own = _own_numbers(searched, spec)
    count = len(candidates_beside(spec, pictures=pictures, own=own))
    if not count:
        return None
    tell(
        f"checking the spec: {count} other preprocessings on {len(searched.indices):,} validation images "
        "(--no-check-spec skips it)"
    )
    found = _search(spec, searched, answer, pictures=pictures, own=own)
    if found == spec:
        return None
    tell(f"checking {changed_options(spec, found)} on up to {images:,} other images")
    return _confirmed(spec, found, tested, answer)


def _samples(splits: Mapping[str, Split]) -> tuple[Sample, list[Sample]]:
    rng = np.random.default_rng(_SEED)
    validation, test = (rng.permutation(len(splits[name])) for name in ("validation", "test"))
    searched = np.sort(validation[:_SEARCHED])
    rest = {"validation": validation[_SEARCHED:], "test": test}
    total = sum(map(len, rest.values()))
    share = min(1.0, _TESTED / total)
    kept = {name: rng.permutation(indices[: int(np.ceil(share * len(indices)))]) for name, indices in rest.items()}
    tested = [Sample(splits[name], indices) for name, indices in kept.items() if len(indices)]
    return Sample(splits["validation"], searched), tested


def _has_other_sizes(sample: Sample, spec: ModelSpec) -> bool:
    paths = Sample(sample.split, sample.indices[:_LOOKED_AT]).files
    return any(read_picture(path, lambda image, _: upright_size(image))[::-1] != spec.input[1:] for path in paths)


def _own_numbers(sample: Sample, spec: ModelSpec) -> Numbers | None:
    """Return mean and standard deviation of some images, rounded as people write them; None where one is flat."""
    read = spec.input_spec()
    pixels = Sample(sample.split, sample.indices[:_LOOKED_AT]).read([read])[read] / 255
    mean, std = (np.round(found, 3) for found in (pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))))
    return (tuple(map(float, mean)), tuple(map(float, std))) if std.min() > 0 else None


def _search(spec: ModelSpec, sample: Sample, answer: Answer, *, pictures: bool, own: Numbers | None) -> ModelSpec:
    """Change one factor after the other, each time the one that helps most, until none does."""
    current = spec
    for _ in range(_ROUNDS):
        candidates = candidates_beside(current, pictures=pictures, own=own)
        with stage("checking the spec", len(candidates) * len(sample.chunks()), "steps") as done:
            scores = screen(current, [item.spec for item in candidates], sample, answer, done)
        best = _best(candidates, scores)
        if best is None:
            break
        current = best.spec
    return current


def _best(candidates: list[SpecCandidate], scores: list[Score]) -> SpecCandidate | None:
    """Return the candidate that helps most; of those of its factor that help as much, the most usual one."""
    pairs = list(zip(candidates, scores, strict=True))
    ahead = [
        (item, score.gain) for item, score in pairs if score.net >= _LEAST_NET and score.gain > 0 and not score.is_lost
    ]
    if not ahead:
        return None
    best, most = max(ahead, key=lambda pair: pair[1])
    return next(item for item, gain in ahead if item.factor == best.factor and gain >= most - _AS_MUCH)


def _confirmed(stated: ModelSpec, found: ModelSpec, tested: list[Sample], answer: Answer) -> BetterSpec | None:
    score, right = _compare(stated, found, tested, answer)
    if not _is_clear(score, LEVEL):
        return None
    for factor in _factors(stated, found):
        shorter = _without(stated, found, factor, tested, answer)
        if shorter is not None:
            found, score, right = shorter
    return BetterSpec(
        spec=found,
        factors=tuple(_factors(stated, found)),
        options=changed_options(stated, found),
        accuracy=right / score.images,
        stated_accuracy=(right - score.net) / score.images,
        images=score.images,
        probability=at_least(score.wins, score.wins + score.losses, 0.5),
    )


def _without(
    stated: ModelSpec, found: ModelSpec, factor: str, tested: list[Sample], answer: Answer
) -> tuple[ModelSpec, Score, int] | None:
    """Return the spec without the change of a factor, and how it does, where that change is not shown to help."""
    factors = _factors(stated, found)
    if len(factors) == 1:
        return None
    changes: dict[str, Any] = {name: getattr(stated, name) for name in _FACTORS[factor]}
    other = replace(found, **changes)
    gained, _ = _compare(other, found, tested, answer)
    if _is_clear(gained, LEVEL / len(factors)):
        return None
    score, right = _compare(stated, other, tested, answer)
    return (other, score, right) if _is_clear(score, LEVEL) else None


def _compare(base: ModelSpec, other: ModelSpec, tested: list[Sample], answer: Answer) -> tuple[Score, int]:
    """Return how a spec does beside another on the images of the test, and how many it answers right.

    Where it isn't ahead after some of them, the rest is left out: the result can only be that it is not better.
    """
    score, right = Score(), 0
    chunks = [chunk for sample in tested for chunk in sample.chunks()]
    with stage("checking the better spec", 2 * len(chunks), "steps") as done:
        for chunk in chunks:
            own, others = mark(chunk, [other, base], answer)
            score.add(own, others)
            right += int(own.right.sum())
            done(2)
            if score.images >= _HOPELESS_AFTER and score.net <= 0:
                break
    return score, right


def _is_clear(score: Score, level: float) -> bool:
    surely = at_least(score.wins, score.wins + score.losses, 0.5) <= level
    return surely and score.net >= _LEAST_GAIN * score.images


_FACTORS: Final = {
    "color": ("color",),
    "normalisation": ("pixel_range", "mean", "std"),
    "fit": ("fit", "resize", "fill"),
    "filter": ("resize_filter", "antialias"),
}


def _factors(old: ModelSpec, new: ModelSpec) -> list[str]:
    return [
        factor for factor, names in _FACTORS.items() if any(getattr(old, name) != getattr(new, name) for name in names)
    ]
