"""Populations with a known truth, for `coverage.py`: test sets are drawn from them and their intervals taken.

A situation is a function of a random generator that draws one test set and returns, by figure, the truth, the plain
estimate and the interval.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchstone_runtime.metrics.binomial import Interval, share_interval
from torchstone_runtime.metrics.classification import metrics_from_confusion
from torchstone_runtime.metrics.f1_intervals import f1_intervals
from torchstone_runtime.metrics.paired import score_interval
from torchstone_runtime.metrics.probability_scores import ScoreTally
from torchstone_runtime.metrics.selective import SelectiveCurve

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    """One interval with the truth that it should hold and the estimate that it goes with."""

    truth: float
    estimate: float
    interval: Interval


Draw = Callable[[np.random.Generator], Mapping[str, Seen]]


def shares() -> Iterator[tuple[str, Draw]]:
    """Yield shares of few and many images, ordinary and nearly perfect: accuracy, recall, precision, a bin, a group."""
    for samples in (5, 20, 100, 1000, 10_000):
        for share in (0.6, 0.9, 0.99, 0.999, 1.0):

            def draw(generator: np.random.Generator, samples: int = samples, share: float = share) -> dict[str, Seen]:
                right = int(generator.binomial(samples, share))
                return {"share": Seen(share, right / samples, share_interval(right, samples))}

            yield f"{samples:,} images, {share:.1%} right", draw


def confusions() -> Iterator[tuple[str, Draw]]:
    """Yield confusion matrices of 2, 10 and 100 classes, even and rare ones, good and bad."""
    recalls = {"60%": (0.6, 0.6), "90%": (0.9, 0.9), "99%": (0.99, 0.99), "30 to 99%": (0.3, 0.99)}
    for classes, samples in ((2, 50), (10, 100), (10, 1000), (10, 10_000), (100, 300), (100, 1000), (100, 10_000)):
        for words, ends in recalls.items():
            for kind in ("even", "rare", "fixed"):
                if kind == "fixed" and words != "90%":
                    continue
                frequency = np.ones(classes) if kind != "rare" else 1 / np.arange(1, classes + 1)
                cells = _cells(frequency / frequency.sum(), np.linspace(*ends, classes))
                yield (
                    f"{classes} classes ({kind}), {samples:,} images, recall {words}",
                    _confusion(cells, samples, fixed=kind == "fixed"),
                )


def _cells(frequency: Floats, recall: Floats) -> Floats:
    # Mistakes go to the other classes unevenly, and to frequent ones more often.
    mistakes = np.random.default_rng(0).dirichlet(np.ones(len(recall)), len(recall)) * np.sqrt(frequency)
    np.fill_diagonal(mistakes, 0)
    mistakes *= (1 - recall)[:, np.newaxis] / mistakes.sum(axis=1, keepdims=True)
    found: Floats = (mistakes + np.diag(recall)) * frequency[:, np.newaxis]
    return found


def _confusion(cells: Floats, samples: int, *, fixed: bool) -> Draw:
    true = 2 * np.diagonal(cells) / (cells.sum(axis=0) + cells.sum(axis=1))
    support = cells.sum(axis=1)
    names = [str(index) for index in range(len(cells))]

    def draw(generator: np.random.Generator) -> dict[str, Seen]:
        if fixed:
            counts = np.round(samples * support).astype(int)
            matrix = np.array([generator.multinomial(n, row / row.sum()) for n, row in zip(counts, cells, strict=True)])
        else:
            matrix = generator.multinomial(samples, cells.ravel()).reshape(cells.shape)
        metrics, found = metrics_from_confusion(matrix, names), f1_intervals(matrix)
        occurs = ~np.isnan([item.f1 for item in metrics.per_class])
        rarest = int(np.flatnonzero(occurs)[-1])
        middle = int(np.flatnonzero(occurs)[len(names) // 2 if len(names) // 2 < occurs.sum() else 0])
        return {
            "macro F1": Seen(float(true[occurs].mean()), metrics.macro.f1, found.macro),
            "weighted F1": Seen(float(support @ true), metrics.weighted.f1, found.weighted),
            "F1 of a class": Seen(true[middle], metrics.per_class[middle].f1, found.per_class[middle]),
            "F1 of the rarest class": Seen(true[rarest], metrics.per_class[rarest].f1, found.per_class[rarest]),
        }

    return draw


def probabilities() -> Iterator[tuple[str, Draw]]:
    """Yield classifiers whose log loss is ordinary, skewed, or nearly all in a few overconfident mistakes."""
    kinds = {
        "calibrated, 90% right": (10, 4.0, 1.0, 0.0),
        "overconfident, 90% right": (10, 4.0, 4.0, 0.0),
        "nearly perfect, 0.5% wrong labels": (10, 14.0, 1.0, 0.005),
        "nearly perfect, 0.05% wrong labels": (10, 14.0, 1.0, 0.0005),
        "100 classes, overconfident": (100, 6.0, 3.0, 0.02),
    }
    for words, (classes, signal, sharpened, mislabelled) in kinds.items():
        pool = _pool(classes, signal, sharpened, mislabelled)
        for samples in (30, 300, 2000, 10_000):
            yield f"{words}; {samples:,} images", _probability(pool, samples)


def _pool(
    classes: int, signal: float, sharpened: float, mislabelled: float, size: int = 100_000
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, size)
    logits = generator.normal(0, 1.5, (size, classes))
    logits[np.arange(size), labels] += signal
    wrong = generator.random(size) < mislabelled
    labels[wrong] = generator.integers(0, classes, int(wrong.sum()))
    return (logits * sharpened).astype(np.float32), labels


def _probability(pool: tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]], samples: int) -> Draw:
    logits, labels = pool
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    values = (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
    whole = ScoreTally(len(labels))
    whole.add(logits, values, labels)
    truth = whole.scores()

    def draw(generator: np.random.Generator) -> dict[str, Seen]:
        chosen = generator.integers(0, len(labels), samples)
        tally = ScoreTally(samples)
        tally.add(logits[chosen], values[chosen], labels[chosen])
        found = tally.scores()
        return {
            "log loss": Seen(truth.log_loss.value, found.log_loss.value, found.log_loss.interval or (0, 0)),
            "Brier score": Seen(truth.brier.value, found.brier.value, found.brier.interval or (0, 0)),
        }

    return draw


def selections() -> Iterator[tuple[str, Draw]]:
    """Yield models that abstain: the precision falls with the place in the order of confidence, or not at all."""
    place = np.linspace(0, 1, 100_001)[1:]
    kinds = {
        "90% right, falling": 1 - 0.4 * place**3,
        "60% right, falling": 1 - 0.72 * place**1.5,
        "97.9% everywhere": np.full_like(place, 0.979),
        "95% everywhere": np.full_like(place, 0.95),
        "surest tenth 97%": 1 - 0.03 * (place < 0.1) - 0.25 * place**4,
        "99.8% right": 1 - 0.01 * place**4,
    }
    for words, precise in kinds.items():
        for samples in (200, 2000, 10_000):
            for required in (0.95, 0.98, 0.99):
                yield (
                    f"{words}; {samples:,} images, precision {required:.0%}",
                    _selection(place, precise, samples, required),
                )


def _selection(place: Floats, precise: Floats, samples: int, required: float) -> Draw:
    cumulative = np.cumsum(precise) / np.arange(1, len(place) + 1)
    reached = np.flatnonzero(cumulative >= required - 1e-9)
    largest = float(place[reached[-1]]) if len(reached) else 0.0

    def draw(generator: np.random.Generator) -> dict[str, Seen]:
        where = generator.random(samples)
        curve = SelectiveCurve(1 - where, generator.random(samples) < np.interp(where, place, precise))
        point, given = curve.at_precision(required), curve.at_coverage(0.9)
        found = {"coverage at a precision": Seen(largest, point.coverage, curve.coverage_interval(required))}
        for name, item in (("precision at the threshold it chose", point), ("precision at a coverage", given)):
            if item.threshold is not None:
                truth = float(np.interp(1 - item.threshold, place, cumulative))
                found[name] = Seen(truth, item.precision, item.interval)
        return found

    return draw


def pairs() -> Iterator[tuple[str, Draw]]:
    """Yield two models that differ on a share of the images, alike or not."""
    for samples in (100, 1000, 10_000):
        for discordant in (0.003, 0.03, 0.2):
            for lean in (0.0, 0.5, 1.0):
                gained, lost = discordant * (1 + lean) / 2, discordant * (1 - lean) / 2

                def draw(
                    generator: np.random.Generator, samples: int = samples, gained: float = gained, lost: float = lost
                ) -> dict[str, Seen]:
                    up, down, _ = generator.multinomial(samples, [gained, lost, 1 - gained - lost]).tolist()
                    interval = score_interval(up, down, samples)
                    return {"difference of two models": Seen(gained - lost, (up - down) / samples, interval)}

                yield f"{samples:,} images, {discordant:.1%} discordant, difference {gained - lost:+.2%}", draw
