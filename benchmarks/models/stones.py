"""Speed of the stones' exported files, float32 and int8, as a ratio to `cnn3` in float32, in turns in one run.

Run: python -m benchmarks.models.stones [--rounds 200]

One thread, tiles of 64 images of 28 x 28, ONNX Runtime on the CPU. Weights are random: they don't change the speed.
Writes benchmarks/results/stones.json.
"""

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from benchmarks.places import RESULTS
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.lossy.int8_file import Int8Config, pixel_scale_of, quantize
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.architectures import ModelShape, build_network
from torchstone_train.networks.image_classifier import ImageClassifier

NAMES = ("cnn3", "stone-s", "stone-m", "stone-l", "sprint")
SPEC = InputSpec(color="L", height=28, width=28, mean=(0.5,), std=(0.5,))
TILE = 64
CALLS = 4
OUT = RESULTS / "stones.json"
Key = tuple[str, str]


def multiply_adds(network: nn.Module) -> int:
    counts: list[int] = []

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            counts.append(output[0].numel() * module.weight[0].numel())

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network.eval()(torch.zeros(1, *SPEC.shape))
    for hook in hooks:
        hook.remove()
    return sum(counts)


def files(network: nn.Module) -> dict[str, bytes]:
    """Return the network's exported files by variant, behind the normalisation that all have."""
    classifier = ImageClassifier(network, SPEC)
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after a training: a scale of 0 could be folded away
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.get_buffer("running_mean"), 0, 0.1)
    file = export_onnx(ExportableClassifier(classifier, 1.0).eval(), "network", tuple("0123456789"), SPEC)
    calibration = np.random.default_rng(1).integers(0, 256, (TILE, *SPEC.shape), dtype=np.uint8)
    return {
        "fp32": file,
        "int8": quantize(file, calibration, Int8Config(folded_input=pixel_scale_of(file) is not None)),
    }


def open_session(file: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    # As the runtime does (torchstone_runtime.inference.providers).
    return onnxruntime.InferenceSession(
        file, options, providers=providers, disabled_optimizers=["WeightBiasQuantization"]
    )


def time_in_turns(sessions: dict[Key, onnxruntime.InferenceSession], rounds: int) -> dict[Key, list[float]]:
    """Return seconds of `CALLS` calls by session and round; five rounds before that don't count."""
    images = np.random.default_rng(0).integers(0, 256, (TILE, *SPEC.shape), dtype=np.uint8)
    seconds: dict[Key, list[float]] = {key: [] for key in sessions}
    for turn in range(rounds + 5):
        for key, session in sessions.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                session.run(None, {"images": images})
            if turn >= 5:
                seconds[key].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    networks = {name: build_network(name, ModelShape(1, 28, 28, 10)) for name in NAMES}
    sessions = {
        (name, kind): open_session(file) for name, network in networks.items() for kind, file in files(network).items()
    }
    seconds = time_in_turns(sessions, rounds)
    found = []
    for name, network in networks.items():
        size = sum(parameter.numel() for parameter in network.parameters())
        stone: dict[str, Any] = {"name": name, "macs": multiply_adds(network), "parameters": size}
        for kind in ("fp32", "int8"):
            stone[kind] = compared(seconds["cnn3", "fp32"], seconds[name, kind])
        found.append(stone)
        print(f"{name:<8} {stone['macs'] / 1e6:6.2f} M  {size / 1e3:5.0f} k  {stone['fp32']}  {stone['int8']}")
    document = {"rounds": rounds, "onnxruntime": onnxruntime.__version__, "stones": found}
    OUT.write_text(json.dumps(document, indent=1) + "\n")


def compared(base: list[float], own: list[float]) -> dict[str, float | list[float]]:
    low, middle, high = statistics.quantiles([one / other for one, other in zip(base, own, strict=True)], n=4)
    return {"ratio": middle, "quartiles": [low, high], "fastest_images_per_second": CALLS * TILE / min(own)}


if __name__ == "__main__":
    main()
