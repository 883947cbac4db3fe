"""Images a second in requests of 64, beside `Classifier.predict`: a small network, and one of photographs."""

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torchvision
from torch import nn

from benchmarks.places import ROOT
from benchmarks.serving import messages
from benchmarks.serving.load import closed_loop
from benchmarks.serving.servers import HOST, OURS, ours, running
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.inference.classifier import Classifier

NETWORK: Final = "mobilenet_v3_small"
SHAPE: Final = (3, 224, 224)
_CLIENTS: Final = 4
_COUNT: Final = 64


def network() -> nn.Module:
    """Return the network of photographs, with random weights, which don't change the speed."""
    module: nn.Module = torchvision.models.get_model(NETWORK, weights=None, num_classes=2)
    return module


def export_photograph_bundle(folder: Path) -> Path:
    """Export the network with a few pictures of noise, and return its bundle."""
    random = np.random.default_rng(18)
    data = folder / "noise.npz"
    images = random.integers(0, 256, (_COUNT, *SHAPE), dtype=np.uint8)
    np.savez(data, images=images, labels=np.arange(_COUNT) % 2)
    weights, bundle = folder / "weights.pt", folder / NETWORK
    torch.save(network().state_dict(), weights)
    command = [sys.executable, "-m", "torchstone_runtime", "export", "--module", f"{__name__}:network", "-q"]
    command += ["--weights", str(weights), "--input", "x".join(map(str, SHAPE)), "--mean", "0.5", "--std", "0.25"]
    command += ["--data", f"npz:{data}", "--no-torchscript", "--out", str(bundle)]
    subprocess.run(command, check=True, cwd=ROOT)
    return bundle


def batches(bundle: Path, shape: tuple[int, ...], seconds: float, rounds: int) -> dict[str, Any]:
    """Return images a second of both sides in turns, and their ratios.

    Args:
        bundle: what both run in float32 on the CPU.
        shape: channels, height and width of its images.
        seconds: length of a round of each side.
        rounds: number of rounds.
    """
    server = ours(bundle, *OURS)
    batch: Uint8Array = np.random.default_rng(18).integers(0, 256, (_COUNT, *shape), dtype=np.uint8)
    request, served, direct = messages.infer_binary("fashion", batch), [], []
    with running(server, request), Classifier.load(bundle, variant="fp32", provider="cpu") as classifier:
        for _ in range(rounds):
            load = asyncio.run(closed_loop(HOST, server.port, request, clients=_CLIENTS, seconds=seconds))
            served.append(_COUNT * load.rate)
            direct.append(_predicted_per_second(classifier, batch, seconds))
    ratios = [one / other for one, other in zip(served, direct, strict=True)]
    return {
        "served_per_s": round(statistics.median(served)),
        "predict_per_s": round(statistics.median(direct)),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(one, 3) for one in ratios],
    }


def _predicted_per_second(classifier: Classifier, batch: Uint8Array, seconds: float) -> float:
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        classifier.predict(batch)
        calls += 1
    return len(batch) * calls / (time.perf_counter() - began)
