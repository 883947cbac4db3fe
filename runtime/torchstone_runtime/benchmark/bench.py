"""What a bundle costs on this machine: start, steady state, memory.

The images are the bundle's golden samples, repeated: real ones, since a network's speed can depend on its data.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Float64Array, Uint8Array
from torchstone_runtime.benchmark.provider_choice import ProviderChoice, other_providers
from torchstone_runtime.benchmark.timing import (
    NOISE_CONFIDENCE,
    TimeEstimate,
    interleave,
    is_too_noisy,
    paired_ratio,
    quantile,
    quantile_over_rounds,
)
from torchstone_runtime.bundle.golden import golden_images
from torchstone_runtime.errors import UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.progress import stage
from torchstone_runtime.system.machine import describe_machine

PROCESSES: Final = 7
"""Fresh processes: with 7, lowest and highest are a 98% interval of the median."""
METHOD: Final = "order statistics; over calls, widened to a bootstrap over rounds"
_TURN_SECONDS: Final = 0.1
_MAX_BATCH_BYTES: Final = 4 << 30
_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure.

    Attributes:
        bundle: path of the bundle's directory.
        options: options that the bundle is loaded with; `threads` is set from below.
        batches: numbers of images per call.
        threads: calls that run at once; every batch is measured with each.
        rounds: interleaved rounds of the steady state.
    """

    bundle: str
    options: LoadOptions
    batches: tuple[int, ...]
    threads: tuple[int, ...]
    rounds: int


@dataclass(frozen=True, slots=True)
class Startup:
    """A fresh process, `PROCESSES` times.

    Attributes:
        seconds: time of `import`, `session`, `first_run` and the whole `process`, medians with 95% intervals.
        memory: median peak in bytes after the first run and after each batch.
    """

    seconds: dict[str, TimeEstimate]
    memory: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        seconds = {name: estimate.to_json() for name, estimate in self.seconds.items()}
        return {"processes": PROCESSES, "seconds": seconds, "peak_bytes": self.memory}


@dataclass(frozen=True, slots=True)
class SteadyState:
    """Calls of one batch size on one number of threads.

    Attributes:
        batch: number of images per call.
        threads: calls that run at once inside.
        calls: number of calls that were timed.
        same: ratio of two interleaved measurements of this very call (A/A), with its 99% interval.
        seconds: `p50`, `p90` and `p99` of a call with 95% intervals; meaningless where `too_noisy`.
    """

    batch: int
    threads: int
    calls: int
    same: TimeEstimate
    seconds: dict[str, TimeEstimate]

    @property
    def too_noisy(self) -> bool:
        """Whether the two measurements disagree, or agree only within too wide an interval."""
        return is_too_noisy(self.same)

    @property
    def images_per_second(self) -> TimeEstimate:
        """Throughput at the median call."""
        return self.seconds["p50"].inverse(self.batch)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON data, without figures where the machine was too noisy for them."""
        quiet = not self.too_noisy
        return {
            "batch": self.batch,
            "threads": self.threads,
            "calls": self.calls,
            "verdict": "ok" if quiet else "too noisy",
            "same_measured_twice": self.same.to_json(),
            "seconds": {name: value.to_json() for name, value in self.seconds.items()} if quiet else None,
            "images_per_second": self.images_per_second.to_json() if quiet else None,
        }


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Everything measured of one bundle."""

    model: str
    bundle: str
    plan: ExecutionPlan
    machine: dict[str, Any]
    startup: Startup
    steady: tuple[SteadyState, ...]
    rounds: int
    others: tuple[ProviderChoice, ...] = ()

    @property
    def too_noisy(self) -> bool:
        """Whether any figure of the steady state had to be withheld."""
        return any(state.too_noisy for state in self.steady)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `torchstone bench --json`."""
        return {
            "model": self.model,
            "bundle": self.bundle,
            "variant": self.plan.variant,
            "provider": self.plan.provider,
            "provider_reason": self.plan.reason,
            "tile": self.plan.micro_batch,
            "tf32": self.plan.tf32,
            "cuda_graphs": self.plan.cuda_graphs,
            "machine": self.machine,
            "verdict": "too noisy" if self.too_noisy else "ok",
            "intervals": {"confidence": 0.95, "same_measured_twice": NOISE_CONFIDENCE, "method": METHOD},
            "startup": self.startup.to_json(),
            "rounds": self.rounds,
            "steady_state": [state.to_json() for state in self.steady],
            "other_providers": [choice.to_json() for choice in self.others],
        }


def run_benchmark(request: Request, progress: Callable[[str], None]) -> Benchmark:
    """Measure a bundle.

    Args:
        request: settings of the measurement.
        progress: told what is being measured.

    Raises:
        UsageError: a lone file, which has no images of its own; or a batch of more than 4 GiB.
        BundleError, CheckFailedError, ProviderError: as `Classifier.load`.
    """
    with ExitStack() as loaded:
        classifiers = [
            loaded.enter_context(Classifier.load_with(Path(request.bundle), replace(request.options, threads=threads)))
            for threads in request.threads
        ]
        first = classifiers[0]
        golden_batch(first, max(request.batches))  # refuses before anything is measured
        progress(f"start: {PROCESSES} fresh processes")
        machine = describe_machine()
        startup = measure_startup(request, first.plan.variant)
        progress(f"steady state: {request.rounds} rounds")
        steady = measure_steady_state(classifiers, request.batches, request.rounds)
        batches = [golden_batch(first, batch) for batch in request.batches]
        others = other_providers(first, classifiers[0].source.options, batches, request.rounds)
        return Benchmark(
            first.name, request.bundle, first.plan, machine, startup, steady, request.rounds, tuple(others)
        )


def measure_startup(request: Request, variant: str) -> Startup:
    """Measure import, session and first run in processes of their own, after one that warms the file cache."""
    argument = json.dumps(
        {
            "bundle": os.path.abspath(request.bundle),  # noqa: PTH100 - a link stays a link
            "batches": request.batches,
            "variant": variant,
            "provider": request.options.provider,
            "threads": request.threads[-1],
            "mode": request.options.mode,
            "tf32": request.options.tf32,
            "cuda_graphs": request.options.cuda_graphs,
        }
    )
    found = []
    with stage("measuring the start", 1 + PROCESSES, "processes") as done:
        for _ in range(1 + PROCESSES):
            found.append(_fresh_process(argument))
            done(1)
    found = found[1:]
    names, points = found[0]["seconds"], found[0]["bytes"]
    return Startup(
        {name: quantile([item["seconds"][name] for item in found], 0.5) for name in names},
        {point: int(np.median([item["bytes"][point] for item in found])) for point in points},
    )


def measure_steady_state(
    classifiers: Sequence[Classifier], batches: Sequence[int], rounds: int, seconds: float = _TURN_SECONDS
) -> tuple[SteadyState, ...]:
    """Measure `predict` for each batch size on each classifier, all of them interleaved, each as two arms."""
    cases = [(classifier, golden_batch(classifier, batch)) for batch in batches for classifier in classifiers]
    arms = [_call(classifier, images) for classifier, images in cases for _ in range(2)]
    with stage("measuring the steady state", rounds, "rounds") as done:
        times = interleave(arms, rounds=rounds, seconds=seconds, done=done)
    return tuple(
        _summary(len(images), classifier.plan.threads, times[2 * index], times[2 * index + 1])
        for index, (classifier, images) in enumerate(cases)
    )


def golden_batch(classifier: Classifier, count: int) -> Uint8Array:
    """Return `count` images, uint8 (N, C, H, W): the bundle's golden samples, repeated."""
    if classifier.bundle is None:
        raise UsageError("A lone model file has no images to measure with.", "Give the bundle that it came from.")
    samples = golden_images(classifier.bundle)
    if count * samples[0].nbytes > _MAX_BATCH_BYTES:
        raise UsageError(f"A batch of {count:,} images is more than 4 GiB.", "Give smaller batches.")
    return samples[np.arange(count) % len(samples)]


def _call(classifier: Classifier, images: Uint8Array) -> Callable[[], object]:
    return lambda: classifier.predict(images)


def _summary(batch: int, threads: int, first: Float64Array, second: Float64Array) -> SteadyState:
    calls = np.concatenate([first, second], axis=1)
    same = paired_ratio(first, second, NOISE_CONFIDENCE)
    seconds = {name: quantile_over_rounds(calls, share) for name, share in _QUANTILES.items()}
    return SteadyState(batch, threads, calls.size, same, seconds)


def _fresh_process(argument: str) -> dict[str, dict[str, Any]]:
    started = time.perf_counter()
    # -P: a module in the current directory must not take the place of a real one.
    command = [sys.executable, "-P", "-m", "torchstone_runtime.benchmark.startup", argument]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    seconds = time.perf_counter() - started
    found: dict[str, dict[str, Any]] = json.loads(output)
    found["seconds"]["process"] = seconds
    return found
