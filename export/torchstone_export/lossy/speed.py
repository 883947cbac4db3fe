"""How much faster a file runs than another, as production runs them, on this machine at this hour."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import interleave, quantile
from torchstone_runtime.inference.engine import Engine
from torchstone_runtime.progress import stage

ROUNDS: Final = 31
_SECONDS_A_CALL: Final = 0.025
"""Long against a scheduler's time slice, short against other people's bursts of work."""
_CALLS_A_TURN: Final = 2
_FEWEST_MICRO_BATCHES: Final = 4
"""A worker: with one, the slower of two would be all that is seen."""
_QUIET: Final = 0.05
_EXTENSIONS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedComparison:
    """Times of a base and a variant, taken in turns.

    Attributes:
        rounds: number of rounds; in each, base, variant and the base once more run over the same images, in an order
            drawn anew, each after the pause and the untimed call of `benchmark.timing.interleave`.
        images: images per call.
        workers: calls at once; tile: images per call, the micro-batch.
        base_rate, variant_rate: images per second, medians over the rounds.
        ratio: median over the rounds of the base's time by the variant's: above 1 the variant is faster.
        interval_95: 95% interval of that median, from order statistics (it assumes only that rounds are alike).
        self_ratio, self_interval_95: ratio and interval of the base against itself, which the machine's noise gives.
    """

    rounds: int
    images: int
    workers: int
    tile: int
    base_rate: float
    variant_rate: float
    ratio: float
    interval_95: tuple[float, float]
    self_ratio: float
    self_interval_95: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        data = asdict(self)
        return data | {key: list(data[key]) for key in ("interval_95", "self_interval_95")}


def compare_speed(
    base: Engine, again: Engine, variant: Engine, images: Uint8Array, rounds: int = ROUNDS
) -> SpeedComparison:
    """Time a variant against a base in one interleaved run.

    While the machine is so busy that the base against itself is not known to within 5%, the rounds go on, up to four
    times as many: what decides on more rounds is the noise alone, never the variant's own figures.

    Args:
        base: an engine of the base file.
        again: another one of the same file.
        variant: an engine of the variant.
        images: uint8 (N, C, H, W), N at least 1; repeated or cut to a fitting number.
        rounds: number of rounds, at least 6, or there is no 95% interval.
    """
    batch = _fitting(base, images)
    arms = [partial(engine.run, batch) for engine in (base, variant, again)]
    seconds = np.empty((0, len(arms)))
    for extension in range(1 + _EXTENSIONS):
        with stage("measuring the speed", rounds, "rounds") as done:
            times = interleave(arms, rounds=rounds, seconds=_CALLS_A_TURN * _SECONDS_A_CALL, seed=extension, done=done)
        seconds = np.concatenate([seconds, np.stack([np.median(arm, axis=1) for arm in times], axis=1)])
        low, high = median_interval((seconds[:, 0] / seconds[:, 2]).tolist())
        if high - low <= 2 * _QUIET:
            break
    ratios, own = seconds[:, 0] / seconds[:, 1], seconds[:, 0] / seconds[:, 2]
    rates = len(batch) / np.median(seconds, axis=0)
    return SpeedComparison(
        rounds=len(seconds),
        images=len(batch),
        workers=base.workers,
        tile=base.micro_batch,
        base_rate=float(rates[0]),
        variant_rate=float(rates[1]),
        ratio=float(np.median(ratios)),
        interval_95=median_interval(ratios.tolist()),
        self_ratio=float(np.median(own)),
        self_interval_95=median_interval(own.tolist()),
    )


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a 95% confidence interval of the median, see `benchmark.timing.quantile`.

    Raises:
        ValueError: fewer than 6 values, of which no interval has 95%.
    """
    found = quantile(values, 0.5)
    if found.low is None or found.high is None:
        raise ValueError(f"{len(values)} values are too few for a 95% interval of their median")
    return found.low, found.high


def _fitting(engine: Engine, images: Uint8Array) -> Uint8Array:
    # As many images as take about _SECONDS_A_CALL, in whole micro-batches that share out evenly among the workers.
    step = engine.micro_batch * engine.workers
    batch = _repeated(images, 2 * step)
    engine.run(batch)
    started = time.perf_counter()
    engine.run(batch)
    rate = len(batch) / (time.perf_counter() - started)
    return _repeated(images, step * max(_FEWEST_MICRO_BATCHES, round(rate * _SECONDS_A_CALL / step)))


def _repeated(images: Uint8Array, count: int) -> Uint8Array:
    return np.ascontiguousarray(images[np.arange(count) % len(images)])
