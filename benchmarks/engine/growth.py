"""How the cost of a network at 224 x 224 grows: threads x pictures a call, and the share of the machine's peak.

Run: python -m benchmarks.engine.growth [--networks resnet50] [--rounds 5] [--batches 1 2 8 32] [--out FILE.json]

`Classifier` in float32 with each number of threads from one to the processors there are, doubled each time. The peak is
what ONNX Runtime reaches in a product of two float32 matrices of 1024 x 1024 on one thread, times the threads.
"""

import argparse
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.engine.one_picture import SIDE, write_model
from benchmarks.places import RESULTS
from benchmarks.runtime import growth
from torchstone_runtime.benchmark.timing import interleave, quantile
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import usable_cpus
from torchstone_runtime.system.machine import describe_machine

_PEAK: Final = "fp32, ONNX Runtime"
_TRIAL_CALLS: Final = 8


def thread_counts() -> list[int]:
    """Return 1, 2, 4, ... up to the processors that this process may use, which come last."""
    most = usable_cpus()
    return [*(1 << power for power in range(most.bit_length()) if 1 << power < most), most]


def measure(name: str, folder: Path, batches: list[int], rounds: int) -> dict[str, Any]:
    """Time every number of threads with every number of pictures, in turns, and the peak between them."""
    path = write_model(name, folder)
    pictures = np.random.default_rng(0).integers(0, 256, (max(batches), 3, SIDE, SIDE), dtype=np.uint8)
    operations = 2 * growth.multiply_adds(path)
    cells = [(threads, batch) for threads in thread_counts() for batch in batches]
    with ExitStack() as opened:
        loaded = {n: opened.enter_context(Classifier.load(path, provider="cpu", threads=n)) for n in thread_counts()}
        for classifier in loaded.values():
            for _ in range(_TRIAL_CALLS):
                classifier.predict(pictures[:1])
        calls = [partial(loaded[threads].predict, pictures[:batch]) for threads, batch in cells]
        *times, product = interleave([*calls, growth.peaks()[_PEAK]], rounds=rounds)
    peak = 2 * growth.SIDE**3 / float(product.min())
    rows = []
    for (threads, batch), own in zip(cells, times, strict=True):
        speed = quantile(own, 0.5).inverse(float(batch))
        share = operations * speed.value / (peak * threads)
        rows.append({"threads": threads, "batch": batch, "images_per_second": speed.to_json(), "share_of_peak": share})
    return {"operations": operations, "peak": peak, "rows": rows}


def main() -> None:
    """Measure the networks one after another, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["resnet50"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-growth.json")
    arguments = parser.parse_args()
    results: dict[str, Any] = {"machine": describe_machine(), "networks": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.networks:
            results["networks"][name] = measure(name, Path(folder), arguments.batches, arguments.rounds)
            print(name, strict_json(results["networks"][name], indent=1), flush=True)
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
