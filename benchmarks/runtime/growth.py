"""How the cost grows: batch size x threads x variant for two networks, and the share of the machine's peak reached.

Run: python -m benchmarks.runtime.growth [--rounds 6] [--quick]

The networks are `cnn3` and one of 30 million multiply-adds, both on real images. The peak is what ONNX Runtime reaches
in a product of two 1024 x 1024 matrices on one thread, of float32 or of int8; for several threads, that times their
number.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from benchmarks.runtime.stage import WORK, arguments, fp32_model, images, int8_model, quantize, record
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier
from torchstone_runtime import Classifier
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.benchmark.timing import interleave, quantile
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.system.cpu import usable_cpus
from torchstone_train.networks.image_classifier import ImageClassifier

BATCHES = (1, 4, 16, 64, 256, 1024)
SIDE = 1024


def wide_model() -> Path:
    """Return an ONNX file of a plain network with 30 million multiply-adds an image, weights at random."""
    path = WORK / "wide.onnx"
    if not path.exists():
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        channels = 1
        for filters, pool in ((32, True), (64, False), (128, True), (192, True)):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), *([nn.MaxPool2d(2)] if pool else [])]
            channels = filters
        network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(192 * 9, 128), nn.ReLU(), nn.Linear(128, 10))
        spec = InputSpec(color="L", height=28, width=28, mean=(0.5,), std=(0.5,))
        model = ExportableClassifier(ImageClassifier(network, spec)).eval()
        path.write_bytes(export_onnx(model, "wide", tuple("0123456789"), spec))
    return path


def wide_int8_model() -> Path:
    """Return its int8 form."""
    path = WORK / "wide.int8.onnx"
    if not path.exists():
        quantize(wide_model(), path, images("train")[:512])
    return path


def multiply_adds(model: Path) -> int:
    """Count the multiply-adds an image of the convolutions and matrix products of an ONNX file."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(model)).graph
    weights = {item.name: list(item.dims) for item in graph.initializer}
    shapes = {item.name: [side.dim_value for side in item.type.tensor_type.shape.dim] for item in graph.value_info}
    shapes |= {item.name: [side.dim_value for side in item.type.tensor_type.shape.dim] for item in graph.output}
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            positions = int(np.prod(shapes[node.output[0]][2:])) if node.op_type == "Conv" else 1
            total += positions * int(np.prod(weights[node.input[1]]))
    return total


def peaks() -> dict[str, Callable[[], object]]:
    """Return matrix products in ONNX Runtime on one thread, float32 and 8 bits.

    The 8-bit one is of unsigned by signed numbers, which x86-64 has instructions for; it is slow where both are signed.
    """
    generator = np.random.default_rng(0)
    floats = generator.standard_normal((SIDE, SIDE), dtype=np.float32)
    unsigned = generator.integers(0, 255, (SIDE, SIDE)).astype(np.uint8)
    signed = generator.integers(-127, 127, (SIDE, SIDE)).astype(np.int8)
    return {
        "fp32, ONNX Runtime": _product("MatMul", floats, floats, onnx.TensorProto.FLOAT),
        "int8, ONNX Runtime": _product("MatMulInteger", unsigned, signed, onnx.TensorProto.INT32),
    }


def _product(operator: str, matrix: np.ndarray, other: np.ndarray, result: int) -> Callable[[], object]:
    kind = onnx.helper.np_dtype_to_tensor_dtype(matrix.dtype)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [onnx.helper.make_tensor_value_info("a", kind, [SIDE, SIDE])],
        [onnx.helper.make_tensor_value_info("c", result, [SIDE, SIDE])],
        [onnx.numpy_helper.from_array(other, "b")],
    )
    opset = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": matrix})


def main() -> None:
    """Measure and record."""
    rounds, quick = arguments(__doc__, rounds=6)
    pixels = images()
    models = {
        ("cnn3", "fp32"): fp32_model(),
        ("cnn3", "int8"): int8_model(),
        ("wide", "fp32"): wide_model(),
        ("wide", "int8"): wide_int8_model(),
    }
    operations = {"cnn3": multiply_adds(fp32_model()), "wide": multiply_adds(wide_model())}
    batches = (1, 64) if quick else BATCHES
    cells: list[dict[str, Any]] = []
    arms = []
    for (network, variant), path in models.items():
        for threads in sorted({1, usable_cpus()}):
            classifier = Classifier.load(path, threads=threads)
            for batch in batches:
                cells.append({"network": network, "variant": variant, "threads": threads, "batch": batch})
                arms.append(_call(classifier, pixels[:batch]))
    products = peaks()
    *times, fp32_peak, int8_peak = interleave(
        [*arms, *products.values()], rounds=rounds, seconds=0.05 if quick else 0.1
    )
    rows: list[dict[str, Any]] = []
    for cell, measured in zip(cells, times, strict=True):
        speed = quantile(measured, 0.5).inverse(float(cell["batch"]))
        rows.append({**cell, "images_per_second": speed.to_json(), "best_seconds": float(measured.min())})
    found = {
        "fp32": 2 * SIDE**3 / float(fp32_peak.min()),
        "int8": 2 * SIDE**3 / float(int8_peak.min()),
    }
    for row in rows:
        rate = 2 * operations[row["network"]] * row["images_per_second"]["value"]
        row["share_of_peak"] = rate / (found[row["variant"]] * row["threads"])
        print(
            f"{row['network']:<5} {row['variant']} {row['threads']} threads, batch {row['batch']:>4}: "
            f"{row['images_per_second']['value']:>9,.0f} images/s, {row['share_of_peak']:.0%} of the peak",
            flush=True,
        )
    peak = {"operations_per_second": found, "how": list(products)}
    record("growth", rows=rows, targets=[], rounds=rounds, quick=quick, multiply_adds=operations, peak=peak)


def _call(classifier: Classifier, pixels: Uint8Array) -> Callable[[], object]:
    return lambda: classifier.predict(pixels)


if __name__ == "__main__":
    main()
