"""One image in a running process: `Classifier.predict` against a bare `session.run` and PyTorch.

Run: python -m benchmarks.runtime.latency [--rounds 21] [--quick]

All take turns in one process, on the same image. PyTorch is measured on one thread and on
all; the faster one counts.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from benchmarks.runtime.peers.engines import OpenVino, frozen_torchscript, in_batches, pytorch_model
from benchmarks.runtime.stage import RUN, Target, arguments, bundle, fp32_model, images, int8_model, record, text
from torchstone_runtime import Classifier
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import NOISE_CONFIDENCE, interleave, is_too_noisy, paired_ratio, quantile
from torchstone_runtime.system.cpu import usable_cpus


def bare_session(model: Path) -> Callable[[Uint8Array], object]:
    """Return `session.run` of a session with one thread and no other setting."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"images": image})


def on_threads(call: Callable[[Uint8Array], object], threads: int) -> Callable[[Uint8Array], object]:
    """Return the PyTorch callable on some number of threads."""

    def run(pixels: Uint8Array) -> object:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        return call(pixels)

    return run


def main() -> None:
    """Measure and record."""
    rounds, quick = arguments(__doc__, rounds=21)
    image = images()[:1]
    model = pytorch_model(RUN) if bundle() else None
    assert model is not None
    predict = Classifier.load(bundle()).predict
    made: dict[str, Callable[[Uint8Array], object]] = {
        "session.run": bare_session(fp32_model()),
        "Classifier.predict": predict,
        "Classifier.predict again": predict,
        "Classifier.predict, int8": Classifier.load(int8_model()).predict,
        "OpenVINO f32": OpenVino(fp32_model(), 1, "LATENCY"),
    }
    eager, frozen = in_batches(model, 1), in_batches(frozen_torchscript(model), 1)
    for threads in sorted({1, usable_cpus()}):
        made[f"PyTorch eager, threads: {threads}"] = on_threads(eager, threads)
        made[f"TorchScript, frozen, threads: {threads}"] = on_threads(frozen, threads)
    calls = [lambda run=run: run(image) for run in made.values()]
    times = dict(zip(made, interleave(calls, rounds=rounds, seconds=0.02 if quick else 0.1), strict=True))
    rows = []
    for name, measured in times.items():
        seconds, ratio = quantile(measured, 0.5), paired_ratio(measured, times["session.run"])
        print(f"{name:<26}{text(seconds.scaled(1e6), '.0f')} us, {text(ratio)} x session.run", flush=True)
        rows.append({"name": name, "seconds": seconds.to_json(), "ratio": ratio.to_json()})
    ours, again = times["Classifier.predict"], times["Classifier.predict again"]
    # Whatever number of threads is the faster one here.
    fastest_eager = min(
        (found for name, found in times.items() if "eager" in name), key=lambda found: float(np.median(found))
    )
    same = paired_ratio(ours, again, NOISE_CONFIDENCE)
    targets = [
        Target(
            "one image, time of predict against session.run",
            paired_ratio(ours, times["session.run"]),
            1.15,
            at_least=False,
        ),
        Target("one image, predict against PyTorch eager", paired_ratio(fastest_eager, ours), 3.0),
    ]
    record(
        "latency", rows=rows, targets=targets, rounds=rounds, quick=quick, same=same.to_json(), noisy=is_too_noisy(same)
    )


if __name__ == "__main__":
    main()
