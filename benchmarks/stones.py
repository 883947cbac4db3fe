"""Speed of the stones' exported files, float32 and int8, as a ratio to `cnn3` in float32, in turns in one run.

Run: python benchmarks/stones.py [--rounds 200]

One thread, tiles of 64 images of 28 x 28, ONNX Runtime on the CPU. Weights are random: they don't change the speed.
Writes benchmarks/results/stones.json.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from torchstone_export.int8_file import Int8Config, quantize
from torchstone_export.model import ExportableClassifier
from torchstone_export.onnx_file import export_onnx
from torchstone_runtime.input_spec import InputSpec
from torchstone_train.classifier import build_classifier

NAMES = ("cnn3", "stone-s", "stone-m", "stone-l", "sprint")
SPEC = InputSpec(color="L", height=28, width=28, mean=(0.5,), std=(0.5,))
TILE = 64
CALLS = 4
OUT = Path(__file__).parent / "results" / "stones.json"


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


def sessions(name: str) -> tuple[dict[str, onnxruntime.InferenceSession], int, int]:
    torch.manual_seed(0)
    classifier = build_classifier(name, SPEC, 10)
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after a training: a scale of 0 could be folded away
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.running_mean, 0, 0.1)
    macs = multiply_adds(classifier.network)
    size = sum(parameter.numel() for parameter in classifier.parameters())
    file = export_onnx(ExportableClassifier(classifier, 1.0).eval(), name, tuple("0123456789"), SPEC)
    calibration = np.random.default_rng(1).integers(0, 256, (TILE, *SPEC.shape), dtype=np.uint8)
    int8 = quantize(file, calibration, Int8Config(folded_input=True))
    return {"fp32": open_session(file), "int8": open_session(int8)}, macs, size


def open_session(file: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    # As the runtime does (torchstone_runtime.providers).
    return onnxruntime.InferenceSession(
        file, options, providers=providers, disabled_optimizers=["WeightBiasQuantization"]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    images = np.random.default_rng(0).integers(0, 256, (TILE, *SPEC.shape), dtype=np.uint8)
    networks = {name: sessions(name) for name in NAMES}
    runners = {(name, kind): runner for name, (kinds, _, _) in networks.items() for kind, runner in kinds.items()}
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runners}
    for turn in range(rounds + 5):
        for key, runner in runners.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                runner.run(None, {"images": images})
            if turn >= 5:
                seconds[key].append(time.perf_counter() - started)
    found = []
    for name, (kinds, macs, size) in networks.items():
        stone = {"name": name, "macs": macs, "parameters": size}
        for kind in kinds:
            stone[kind] = compared(seconds["cnn3", "fp32"], seconds[name, kind])
        found.append(stone)
        print(f"{name:<8} {macs / 1e6:6.2f} M  {size / 1e3:5.0f} k  {stone['fp32']}  {stone['int8']}")
    document = {"rounds": rounds, "onnxruntime": onnxruntime.__version__, "stones": found}
    OUT.write_text(json.dumps(document, indent=1) + "\n")


def compared(base: list[float], own: list[float]) -> dict[str, float | list[float]]:
    low, middle, high = statistics.quantiles([one / other for one, other in zip(base, own, strict=True)], n=4)
    return {"ratio": middle, "quartiles": [low, high], "fastest_images_per_second": CALLS * TILE / min(own)}


if __name__ == "__main__":
    main()
