"""Would the golden samples of an int8 bundle notice a processor that saturates the sums of two products?

    python -m benchmarks.probes.int8_saturation BUNDLE

x86-64 without VNNI multiplies unsigned by signed bytes with VPMADDUBSW, which adds neighbouring products in 16 bits and
saturates. This evaluates the int8 file of a plain chain (form `qdq`, as export writes it for `cnn3`) in integers, once
exactly and once with such sums, and compares both with the expected logits in the bundle.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import variant_golden

INT16 = np.iinfo(np.int16)
Array = np.ndarray[Any, Any]


def products(columns: Array, weights: Array, saturate: bool) -> tuple[Array, int]:
    """Return columns (n, p, k) times weights (m, k) as (n, p, m), and how many pairs of products saturated."""
    padding = ((0, 0), (0, 0), (0, columns.shape[2] % 2))
    columns, weights = np.pad(columns, padding).astype(np.int32), np.pad(weights, padding[1:]).astype(np.int32)
    out, saturated = np.empty((*columns.shape[:2], len(weights)), np.int64), 0
    for row, weight in enumerate(weights):
        pairs = (columns * weight).reshape(*columns.shape[:2], -1, 2).sum(axis=3)
        saturated += int(((pairs < INT16.min) | (pairs > INT16.max)).sum())
        out[..., row] = (np.clip(pairs, INT16.min, INT16.max) if saturate else pairs).sum(axis=2)
    return out, saturated


def layer(node: onnx.NodeProto, operands: list[tuple[Array, Array, Array]], saturate: bool) -> tuple[Array, int]:
    """Compute a Conv (stride 1) or Gemm on (values, scale, zero point) of input, weights and bias; float64 out."""
    (x, scale, zero), (w, scales, _), (bias, _, _) = operands
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if node.op_type == "Gemm":
        columns, weights = x[:, np.newaxis], w if attributes.get("transB") else w.T
    else:
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=int(zero))
        unfolded = torch.nn.functional.unfold(torch.from_numpy(padded.astype(np.float32)), w.shape[2:])
        columns, weights = unfolded.numpy().transpose(0, 2, 1), w.reshape(len(w), -1)
    sums, saturated = products(columns, weights, saturate)
    out = (sums - int(zero) * weights.astype(np.int64).sum(axis=1) + bias) * (float(scale) * scales.ravel())
    if node.op_type == "Gemm":
        return out[:, 0], saturated
    side = round(out.shape[1] ** 0.5)
    return out.transpose(0, 2, 1).reshape(len(x), len(w), side, side), saturated


def evaluate(model: onnx.ModelProto, images: Array, saturate: bool) -> tuple[Array, int]:
    """Return the logits and the number of saturated pairs."""
    values: dict[str, Array] = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    values["images"], saturated = images, 0
    quantized: dict[str, tuple[Array, Array, Array]] = {}
    for node in model.graph.node:
        target = node.output[0]
        if "logits" in values:  # temperature and softmax follow
            break
        if node.op_type == "DequantizeLinear":
            whole, scale, zero = (values[name] for name in node.input)
            quantized[target] = (whole, scale, zero)
        elif node.op_type == "QuantizeLinear":
            steps = np.rint(values[node.input[0]].astype(np.float32) / values[node.input[1]]) + values[node.input[2]]
            values[target] = np.clip(steps, 0, 255).astype(np.uint8)
        elif node.op_type in ("Conv", "Gemm"):
            values[target], count = layer(node, [quantized[name] for name in node.input], saturate)
            saturated += count
        elif node.op_type in ("MaxPool", "Reshape"):
            whole, scale, zero = quantized[node.input[0]]
            plain = (whole.astype(np.float64) - zero) * scale
            pooled = torch.nn.functional.max_pool2d(torch.from_numpy(plain), 2).numpy()
            values[target] = pooled if node.op_type == "MaxPool" else plain.reshape(len(plain), -1)
        else:
            sys.exit(f"{node.op_type} is not known here: this evaluates plain chains")
    return values["logits"], saturated


def main() -> None:
    bundle = Bundle.open(sys.argv[1])
    model = onnx.load(Path(bundle.path) / bundle.manifest.variants["int8"].name)
    golden, tolerance = variant_golden(bundle, "int8")
    for saturate in (False, True):
        logits, saturated = evaluate(model, golden.images, saturate)
        error = float(np.abs(logits - golden.logits).max())
        flips = int((logits.argmax(axis=1) != golden.logits.argmax(axis=1)).sum())
        print(
            f"{'16-bit' if saturate else 'exact'} sums of two products: {saturated:,} pairs beyond 16 bits; largest "
            f"logit difference {error:.3g} (accepted {tolerance:.3g}); {flips} of {len(logits)} samples change class"
        )


if __name__ == "__main__":
    main()
