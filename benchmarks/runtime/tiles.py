"""Processor time an image by images a call (tile), for `cnn3` and for larger colour pictures.

Run: python -m benchmarks.runtime.tiles [--rounds 6] [--quick]

One thread; its processor time, which other load on the machine distorts less than time on the clock.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from benchmarks.runtime.stage import WORK, arguments, fp32_model, images, record
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.engine import cpu_micro_batch
from torchstone_train.networks.image_classifier import ImageClassifier

TILES = (1, 2, 5, 10, 21, 32, 64, 128)
COUNT = 128


def colour_model(side: int) -> Path:
    """Return a network of four convolutions for colour pictures of some size, weights at random."""
    path = WORK / f"colour{side}.onnx"
    if not path.exists():
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        channels = 3
        for filters in (32, 64, 128, 128):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            channels = filters
        network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
        spec = InputSpec(color="RGB", height=side, width=side, mean=(0.5,) * 3, std=(0.5,) * 3)
        model = ExportableClassifier(ImageClassifier(network, spec)).eval()
        path.write_bytes(export_onnx(model, "colour", tuple("0123456789"), spec))
    return path


def images_per_cpu_second(model: Path, pixels: Uint8Array, rounds: int) -> dict[int, float]:
    """Return the median over the rounds for each tile; the tiles take turns."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    seconds: dict[int, list[float]] = {tile: [] for tile in TILES}
    for _ in range(rounds):
        for tile, found in seconds.items():
            started = time.thread_time()
            for start in range(0, len(pixels), tile):
                session.run(None, {"images": pixels[start : start + tile]})
            found.append(time.thread_time() - started)
    return {tile: len(pixels) / float(np.median(found)) for tile, found in seconds.items()}


def main() -> None:
    """Measure and record."""
    rounds, quick = arguments(__doc__, rounds=6)
    generator = np.random.RandomState(0)
    cases = {"cnn3, 28 x 28, gray": (fp32_model(), images()[:COUNT])}
    for side in (32, 64) if quick else (32, 64, 128):
        pixels = generator.randint(0, 256, (COUNT, 3, side, side)).astype(np.uint8)
        cases[f"4 convolutions, {side} x {side}, colour"] = (colour_model(side), pixels)
    rows: list[dict[str, Any]] = []
    for name, (model, pixels) in cases.items():
        speeds = images_per_cpu_second(model, pixels, 3 if quick else rounds)
        chosen = cpu_micro_batch(pixels[0].nbytes)
        print(f"{name} (at most {chosen}): {', '.join(f'{tile}: {speed:,.0f}' for tile, speed in speeds.items())}")
        rows.append({"name": name, "chosen": chosen, "images_per_cpu_second": speeds})
    record("tiles", rows=rows, targets=[], rounds=rounds, quick=quick)


if __name__ == "__main__":
    main()
