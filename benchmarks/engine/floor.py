"""What one image of a small network costs at least: the floor under `Classifier.predict` on `cnn3` at 28 x 28.

Run: python -m benchmarks.engine.floor [--rounds 15] [--out FILE.json]

Sides, in turns: PyTorch eager (channels last) on one thread and on all; `Classifier.predict` in float32, in float32 on
a session of all threads, and in int8; a bare `session.run`; a `session.run` of a model that computes nothing, with the
same input and outputs of the same shape; and a copy of the picture in NumPy. The aim is a third of eager's time.
"""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper

from benchmarks.places import RESULTS
from benchmarks.runtime.stage import RUN, bundle, fp32_model, images, int8_model
from torchstone_export.model import load_trained
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import interleave, paired_ratio, quantile
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import usable_cpus
from torchstone_runtime.system.machine import describe_machine
from torchstone_train.run.run_dir import RunDirectory

EAGER: Final = "PyTorch eager"


def empty_model(pixels: int, classes: int) -> bytes:
    """Return a model with the input and the outputs of ours, which are some of the input's pixels as float32."""
    nodes = [
        helper.make_node("Reshape", ["images", "rows"], ["flat"]),
        helper.make_node("Slice", ["flat", "begin", "end", "axis"], ["part"]),
        helper.make_node("Cast", ["part"], ["logits"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["part"], ["probabilities"], to=TensorProto.FLOAT),
    ]
    constants = {"rows": [-1, pixels], "begin": [0], "end": [classes], "axis": [1]}
    graph = helper.make_graph(
        nodes,
        "empty",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 1, 28, 28])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", classes])
            for name in ("logits", "probabilities")
        ],
        [helper.make_tensor(name, TensorProto.INT64, [len(values)], values) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def one_thread(model: bytes, image: Uint8Array) -> Callable[[], object]:
    """Return `session.run` of a session of one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, {"images": image})


def eager(image: Uint8Array, threads: int) -> Callable[[], object]:
    """Return the trained module's own call on some number of threads."""
    module = load_trained(RunDirectory(RUN)).module.eval().to(memory_format=torch.channels_last)
    pixels = torch.from_numpy(image)

    def run() -> object:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            return module(pixels)

    return run


def measure(rounds: int) -> dict[str, Any]:
    """Time all sides, in turns, and compare each with the faster of eager's two."""
    bundle()
    image = images()[:1]
    with ExitStack() as opened:
        shared = opened.enter_context(Classifier.load(fp32_model(), provider="cpu", mode="latency"))
        single = opened.enter_context(Classifier.load(fp32_model(), provider="cpu", mode="throughput"))
        int8 = opened.enter_context(Classifier.load(int8_model(), provider="cpu"))
        sides: dict[str, Callable[[], object]] = {
            f"{EAGER}, threads: {threads}": eager(image, threads) for threads in sorted({1, usable_cpus()})
        }
        sides |= {
            "Classifier.predict": partial(single.predict, image),
            "Classifier.predict, all threads within": partial(shared.predict, image),
            "Classifier.predict, int8": partial(int8.predict, image),
            "session.run": one_thread(fp32_model().read_bytes(), image),
            "session.run, a model that computes nothing": one_thread(empty_model(image.size, 10), image),
            "a copy of the picture in NumPy": image.copy,
        }
        times = dict(zip(sides, interleave(list(sides.values()), rounds=rounds), strict=True))
    best = min((name for name in sides if name.startswith(EAGER)), key=lambda name: float(np.median(times[name])))
    return {
        name: {
            "microseconds": quantile(1e6 * own, 0.5).to_json(),
            "eager": paired_ratio(times[best], own).to_json(),
        }
        for name, own in times.items()
    }


def main() -> None:
    """Measure, print, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-floor.json")
    arguments = parser.parse_args()
    results = {"machine": describe_machine(), "rows": measure(arguments.rounds)}
    print(strict_json(results["rows"], indent=1))
    write_atomic(arguments.out, strict_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
