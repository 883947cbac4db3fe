"""What each of the runtime's ways on a GPU gains over the plain call: below 1.1 it is not worth its code.

The plain call is ONNX Runtime's own `run` on the same provider with nothing set: images in the processor's memory, a
session that allocates as it goes. Warming up is counted in seconds; a cache of engines by two loads in processes that
share nothing else.
"""

import os
import time
from contextlib import closing
from functools import partial
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import onnxruntime as ort

from benchmarks.gpu.arms import engine
from benchmarks.gpu.networks import Network, build
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import interleave, paired_ratio
from torchstone_runtime.inference import providers
from torchstone_runtime.inference.gpu_options import TF32_VARIABLE, buckets_for
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.providers import PROVIDERS, open_session

PAYS: Final = 1.1
BATCHES: Final = (1, 3, 16, 100, 1000)


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    # TensorRT reads it once: what is measured here is float32.
    os.environ[TF32_VARIABLE] = "0"
    found: dict[str, Any] = {}
    for name in setting.size(("cnn3", "resnet50"), ("cnn3",)):
        network = build(name)
        content = network.onnx()
        batches = [size for size in setting.size(BATCHES, (1, 3)) if size * np.prod(network.spec.shape) < 1 << 26]
        for provider in setting.providers:
            for graphs in (False, True) if provider == "cuda" else (False,):
                options = setting.options(provider, cuda_graphs=graphs)
                how = f"{name}, {provider}{', graphs' if graphs else ''}"
                found[f"{how}, warming up"] = partial(_warming_up, content, network, options)
                if provider == "tensorrt":
                    found[f"{how}, warming up without a profile"] = partial(_unprofiled, content, network, options)
                for batch in batches:
                    found[f"{how}, batch {batch}"] = partial(_beside_plain, setting, content, network, options, batch)
    return found


def _pixels(network: Network, count: int) -> Uint8Array:
    return np.random.default_rng(0).integers(0, 256, (count, *network.spec.shape), dtype=np.uint8)


def _warming_up(content: bytes, network: Network, options: LoadOptions) -> dict[str, Any]:
    """Return the seconds of opening a session and of each batch size's first and second call, twice in turn.

    The second time, TensorRT finds the engines that it built the first time.
    """
    found = []
    for _ in range(2):
        started = time.perf_counter()
        serving = engine(content, network.classes, options)
        seconds: dict[str, Any] = {"open": time.perf_counter() - started}
        with closing(serving):
            for size in serving.buckets or (1,):
                seconds[f"first {size}"], seconds[f"second {size}"] = (_timed(serving, network, size) for _ in range(2))
        found.append(seconds)
    return {"first_load": found[0], "second_load": found[1]}


def _unprofiled(content: bytes, network: Network, options: LoadOptions) -> dict[str, Any]:
    """Return the same of TensorRT left alone, which builds an engine again for each batch size outside earlier ones."""
    with patch.object(providers, "_profile", lambda _: {}):
        return _warming_up(content, network, options)


def _timed(serving: Any, network: Network, size: int) -> float:  # noqa: ANN401 - an engine or a session
    images = _pixels(network, size)
    started = time.perf_counter()
    serving.run(images)
    return time.perf_counter() - started


def _beside_plain(
    setting: Setting, content: bytes, network: Network, options: LoadOptions, batch: int
) -> dict[str, Any]:
    images = _pixels(network, batch)
    plain = _plain_session(content, options)
    sizes = buckets_for(int(np.prod(network.spec.shape)))
    with closing(engine(content, network.classes, options)) as ours:
        arms = [lambda: plain.run(None, {"images": images}), lambda: ours.run(images)]
        theirs, own = interleave(arms, rounds=setting.size(11, 2), seconds=setting.size(0.05, 0.001))
    ratio = paired_ratio(theirs, own)
    verdict = "pays" if (ratio.low or 0) >= PAYS else "does not pay"
    return {"speed_ratio": ratio.to_json(), "verdict": verdict, "buckets": list(sizes)} | {
        "milliseconds": {"plain": 1e3 * float(np.median(theirs)), "ours": 1e3 * float(np.median(own))}
    }


def _plain_session(content: bytes, options: LoadOptions) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    # Opened by Torchstone first, which loads the libraries and fails where the provider does.
    open_session(content, options)
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    own = {"use_tf32": "0"} if options.provider == "cuda" else {}
    return ort.InferenceSession(content, settings, providers=[(PROVIDERS[options.provider], own)], enable_fallback=0)
