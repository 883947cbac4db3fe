"""Images a second over the 10,000 test images of Fashion-MNIST, against the obvious call and against other engines.

Run: python -m benchmarks.runtime.throughput [--rounds 9] [--quick]

All engines take turns in one process, on the same uint8 images and the same processors. The obvious call is one
`session.run` over all images on one thread.
"""

from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort

from benchmarks.runtime.peers.engines import (
    Engine,
    OpenVino,
    best_batch,
    compiled,
    frozen_torchscript,
    in_batches,
    pytorch_model,
)
from benchmarks.runtime.stage import RUN, Target, arguments, fp32_model, images, int8_model, record, text
from torchstone_runtime import Classifier
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import NOISE_CONFIDENCE, interleave, is_too_noisy, paired_ratio, quantile

PEERS = ("PyTorch eager", "TorchScript, frozen", "torch.compile", "OpenVINO f32")


def obvious(model: Path) -> Callable[[Uint8Array], object]:
    """Return one call over all images on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"images": pixels})


def engines(pixels: Uint8Array) -> dict[str, tuple[Callable[[Uint8Array], object], str]]:
    """Return every way of calling by name, with how it is called."""
    fp32, int8 = Classifier.load(fp32_model()), Classifier.load(int8_model())
    plan = f"{fp32.plan.threads} calls at once, tiles of {fp32.plan.micro_batch}"
    found: dict[str, tuple[Callable[[Uint8Array], object], str]] = {
        "obvious call, fp32": (obvious(fp32_model()), "one call, one thread"),
        "torchstone fp32": (fp32.predict, plan),
        "torchstone fp32 again": (fp32.predict, "the same, to see the noise"),
        "torchstone int8": (int8.predict, plan),
    }
    model = pytorch_model(RUN)
    frozen, compiled_model = frozen_torchscript(model), compiled(model)
    makers: dict[str, tuple[Callable[[int], Engine], str, tuple[int, ...]]] = {
        "PyTorch eager": (lambda size: in_batches(model, size), "inference mode, channels last", (50, 250, 1000)),
        "TorchScript, frozen": (lambda size: in_batches(frozen, size), "optimize_for_inference", (50, 250, 1000)),
        "torch.compile": (lambda size: in_batches(compiled_model, size), "static shapes, frozen weights", (50, 250)),
        "OpenVINO f32": (lambda size: OpenVino(fp32_model(), size), "throughput hint, asynchronous", (50, 250, 1000)),
    }
    for name, (make, how, sizes) in makers.items():
        engine, size = best_batch(make, pixels, sizes)
        found[name] = (engine, f"{how}, best of batches {sizes}: {size}")
    return found


def main() -> None:
    """Measure and record."""
    rounds, quick = arguments(__doc__, rounds=9)
    pixels = images()[: 1000 if quick else None]
    made = engines(pixels)
    calls = [lambda run=run: run(pixels) for run, _ in made.values()]
    times = dict(zip(made, interleave(calls, rounds=rounds, seconds=0), strict=True))
    rows = []
    for name, (_, how) in made.items():
        speed = quantile(times[name], 0.5).inverse(len(pixels))
        against = paired_ratio(times["obvious call, fp32"], times[name])
        print(f"{name:<24}{text(speed, ',.0f'):<34}{text(against)} x the obvious fp32 call; {how}", flush=True)
        rows.append({"name": name, "how": how, "images_per_second": speed.to_json(), "ratio": against.to_json()})
    same = paired_ratio(times["torchstone fp32"], times["torchstone fp32 again"], NOISE_CONFIDENCE)
    ours, obvious_times = times["torchstone fp32"], times["obvious call, fp32"]
    targets = [
        Target("throughput, fp32 against the obvious fp32 call", paired_ratio(obvious_times, ours), 2.0),
        Target(
            "throughput, int8 against the obvious fp32 call", paired_ratio(obvious_times, times["torchstone int8"]), 3.5
        ),
        *(Target(f"throughput, fp32 against {peer}", paired_ratio(times[peer], ours), 1.0) for peer in PEERS),
    ]
    record(
        "throughput",
        rows=rows,
        targets=targets,
        rounds=rounds,
        quick=quick,
        same=same.to_json(),
        noisy=is_too_noisy(same),
    )


if __name__ == "__main__":
    main()
