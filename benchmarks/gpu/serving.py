"""`serve` and `score` on the GPU beside `Classifier.predict`: what their own work leaves of its images per second."""

import asyncio
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.gpu.bundles import builtin
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import DONE, Steps, read_steps
from benchmarks.places import ROOT
from benchmarks.serving import messages
from benchmarks.serving.load import closed_loop
from benchmarks.serving.servers import ours, running
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.inference.classifier import Classifier

_VARIANT: Final = "fp32"
_HOST: Final = "127.0.0.1"


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    found: dict[str, Any] = {"predict": partial(_predict, setting), "score": partial(_score, setting)}
    for batch, clients in setting.size(((1, 64), (64, 16), (1024, 8)), ((4, 2),)):
        found[f"serve, {batch} images a request, {clients} clients"] = partial(_serve, setting, batch, clients)
    found["shares of predict"] = partial(_shares, setting)
    return found


def _pixels(count: int) -> Uint8Array:
    return np.random.default_rng(0).integers(0, 256, (count, 1, 28, 28), dtype=np.uint8)


def _predict(setting: Setting) -> dict[str, Any]:
    found = {}
    with Classifier.load_with(builtin(), setting.options(variant=_VARIANT)) as classifier:
        classifier.warm_up()
        for batch in setting.size((1, 64, 1024, 65536), (1, 4)):
            images, calls, started = _pixels(batch), 0, time.perf_counter()
            while time.perf_counter() - started < setting.size(2.0, 0.01):
                classifier.predict(images)
                calls += 1
            found[f"batch {batch}"] = {"images_per_second": calls * batch / (time.perf_counter() - started)}
        return {"plan": str(classifier.plan), **found}


def _score(setting: Setting) -> dict[str, Any]:
    """Score arrays of pixels, so that no decoding is in it; the start of the program is told apart by two sizes."""
    few, many = setting.size((10_000, 1_000_000), (16, 64))
    seconds = {count: _scored(setting, count) for count in (few, many)}
    return {
        "seconds": {str(count): value for count, value in seconds.items()},
        "images_per_second": (many - few) / max(1e-9, seconds[many] - seconds[few]),
    }


def _scored(setting: Setting, count: int) -> float:
    source, out = setting.work / f"pixels-{count}.npz", setting.work / f"scored-{count}-{time.time_ns()}"
    if not source.is_file():
        np.savez(source, images=_pixels(count))
    started = time.perf_counter()
    given: list[str | Path] = [
        "score",
        builtin(),
        source,
        "--out",
        out,
        "--variant",
        _VARIANT,
        "--provider",
        setting.providers[0],
    ]
    _torchstone(*given, "--format", "csv", "-q")
    return time.perf_counter() - started


def _torchstone(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "torchstone_runtime", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if result.returncode:
        raise RuntimeError(result.stderr[-2000:])


def _serve(setting: Setting, batch: int, clients: int) -> dict[str, Any]:
    images = _pixels(batch)
    server = ours(builtin(), "--variant", _VARIANT, "--provider", setting.providers[0])
    request = messages.infer_binary("fashion", images)
    with running(server, request) as started:
        load = asyncio.run(closed_loop(_HOST, server.port, request, clients=clients, seconds=setting.size(4.0, 0.2)))
    return load.to_json() | {"images_per_second": load.rate * batch, "first_answer_seconds": started.first_answer}


def _shares(setting: Setting) -> dict[str, float]:
    """Return the images per second of each way as a share of the most that `predict` reached in any batch."""
    kept = read_steps(setting.results, "serving")
    done = {name: step["result"] for name, step in kept.items() if step["state"] == DONE}
    batches = [value for name, value in done["predict"].items() if name.startswith("batch")]
    most = max(value["images_per_second"] for value in batches)
    others = {name: result for name, result in done.items() if name not in ("predict", "shares of predict")}
    return {name: result["images_per_second"] / most for name, result in others.items()}
