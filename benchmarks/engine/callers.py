"""Sixteen callers with one picture each: one `Classifier` beside one ONNX Runtime session with its own defaults.

Run: python -m benchmarks.engine.callers [--networks NAME ...] [--callers 16] [--calls 20] [--rounds 7] [--out FILE]

Each caller is a thread that sends one picture, waits for the answer, and sends the next: `--calls` a round. Both sides
take turns in every round, in an order that is drawn anew. The throughput is that of all callers together, the latency
that of each call: 99% of a round's calls took at most the time that is shown. A ratio of throughputs above 1, and one
of latencies below 1, is in favour of Torchstone. `cnn3` is the network of `benchmarks.runtime` at 28 x 28; the others
are torchvision's with random weights, which don't change the speed.
"""

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.engine.one_picture import write_model
from benchmarks.engine.plain_session import plain_session
from benchmarks.places import RESULTS
from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.benchmark.timing import TimeEstimate, quantile
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import processor_name, usable_cpus

NETWORKS: Final = ("cnn3", "mobilenet_v3_small", "resnet50")
_PAUSE: Final = 0.05
_TRIAL_CALLS: Final = 8


def one_round(call: Callable[[], object], callers: int, calls: int) -> tuple[float, list[float]]:
    """Have all callers send their pictures at once; return calls per second and the seconds of each call."""
    begin = threading.Barrier(callers + 1)
    latencies: list[list[float]] = [[] for _ in range(callers)]

    def send(own: list[float]) -> None:
        begin.wait()
        for _ in range(calls):
            started = time.perf_counter()
            call()
            own.append(time.perf_counter() - started)

    threads = [threading.Thread(target=send, args=(own,)) for own in latencies]
    for thread in threads:
        thread.start()
    begin.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return callers * calls / (time.perf_counter() - started), [value for own in latencies for value in own]


def in_turns(
    sides: dict[str, Callable[[], object]], rounds: int, callers: int, calls: int
) -> dict[str, tuple[Float64Array, Float64Array]]:
    """Return, for each side, the throughput and the 99% latency of every round."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in sides}
    order = list(sides)
    shuffle = random.Random(0).shuffle  # noqa: S311 - an order, not a secret
    for turn in range(rounds + 1):  # the first is not counted
        shuffle(order)
        for name in order:
            time.sleep(_PAUSE)  # the other side's threads spin for a while after their work
            throughput, latencies = one_round(sides[name], callers, calls)
            if turn:
                found[name][0].append(throughput)
                found[name][1].append(float(np.quantile(latencies, 0.99)))
    return {name: (np.array(speeds), np.array(slow)) for name, (speeds, slow) in found.items()}


def measure(path: Path, rounds: int, callers: int, calls: int) -> dict[str, Any]:
    """Measure one file on both sides."""
    with ExitStack() as opened:
        classifier = opened.enter_context(Classifier.load(path, provider="cpu"))
        shape = (1, *classifier.input_spec.shape)
        picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        for _ in range(_TRIAL_CALLS):
            classifier.predict(picture)  # its trial of a second session is over before
        plain = plain_session(path)
        sides: dict[str, Callable[[], object]] = {
            "torchstone": partial(classifier.predict, picture),
            "onnxruntime": partial(plain.run, None, {"images": picture}),
        }
        found = in_turns(sides, rounds, callers, calls)
        plan = str(classifier.plan)
    ours, theirs = found["torchstone"], found["onnxruntime"]
    return {
        "calls per second": {name: _shown(quantile(values[0], 0.5)) for name, values in found.items()},
        "milliseconds, 99%": {name: _shown(quantile(1e3 * values[1], 0.5)) for name, values in found.items()},
        "throughput": _shown(quantile(ours[0] / theirs[0], 0.5)),
        "latency, 99%": _shown(quantile(ours[1] / theirs[1], 0.5)),
        "plan": plan,
    }


def _shown(estimate: TimeEstimate) -> dict[str, float | None]:
    return {"median": estimate.value, "low": estimate.low, "high": estimate.high}


def _file(name: str, folder: Path) -> Path:
    if name != "cnn3":
        return write_model(name, folder)
    from benchmarks.runtime.stage import fp32_model  # noqa: PLC0415 - it trains the network where there is none yet

    return fp32_model()


def main() -> None:
    """Measure the networks one after another, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-callers.json")
    arguments = parser.parse_args()
    results: dict[str, Any] = {
        "machine": {"processor": processor_name(), "processors": usable_cpus()},
        "versions": {name: metadata.version(name) for name in ("onnxruntime", "torch", "torchvision")},
        "callers": arguments.callers,
        "networks": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks:
            path = _file(name, Path(folder))
            results["networks"][name] = measure(path, arguments.rounds, arguments.callers, arguments.calls)
            print(name, strict_json(results["networks"][name], indent=1), flush=True)
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
