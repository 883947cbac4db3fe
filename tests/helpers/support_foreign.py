"""Models, data and specs of another origin, for the tests of `export --module` and `adopt`."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.read_spec import read_spec
from torchstone_export.pipeline import ExportRequest
from torchstone_runtime.data.catalog import DatasetRef

MODELS = """
import warnings

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, hidden=6):
        super().__init__()
        self.conv = nn.Conv2d(3, hidden, 3)
        self.norm = nn.BatchNorm2d(hidden)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(hidden * 36, 4)

    def features(self, x):
        return torch.relu(self.norm(self.conv(x))).flatten(1)

    def forward(self, x):
        return self.head(self.drop(self.features(x)))


class Branch(Net):
    def forward(self, x):
        y = super().forward(x)
        if y.sum() > 0:
            y = y * 2
        return y


class OneImage(Net):
    def forward(self, x):
        return self.head(self.features(x).view(1, -1))


class OneByOne(Net):
    def forward(self, x):
        return torch.cat([super(OneByOne, self).forward(x[i : i + 1]) for i in range(x.shape[0])])


class Unknown(Net):
    def forward(self, x):
        return torch.special.bessel_j0(super().forward(x))


class AlwaysDropping(Net):
    def forward(self, x):
        return F.dropout(super().forward(x), 0.5)


class BatchStatistics(Net):
    def forward(self, x):
        y = super().forward(x)
        return y - y.mean(dim=0)


class Pair(Net):
    def forward(self, x):
        y = super().forward(x)
        return y * 3, y


class Dictionary(Net):
    def forward(self, x):
        return {"features": x, "logits": super().forward(x)}


class Maps(Net):
    def forward(self, x):
        return super().forward(x)[:, :, None, None]


class Probabilities(Net):
    def forward(self, x):
        return super().forward(x).softmax(1)


class Logit(Net):
    def forward(self, x):
        return super().forward(x)[:, :1]


class FlatLogit(Net):
    def forward(self, x):
        return super().forward(x)[:, 0]


class SqueezedLogit(Net):
    def forward(self, x):
        return super().forward(x)[:, :1].squeeze()


class Chance(Net):
    def __init__(self):
        super().__init__()
        self.last = nn.Sigmoid()

    def forward(self, x):
        return self.last(super().forward(x)[:, :1])


class FlatChance(Net):
    def forward(self, x):
        return super().forward(x.mul(1).sigmoid() * 0 + x)[:, 0].sigmoid()


class OddChance(Net):
    def forward(self, x):
        return 1 / (1 + torch.exp(-super().forward(x)[:, :1]))


class LogChance(Net):
    def forward(self, x):
        return F.logsigmoid(super().forward(x)[:, :1])


class DynamicRanges(Net):
    def __init__(self):
        super().__init__()
        with warnings.catch_warnings(action="ignore"):  # PyTorch will give it up
            self.head = torch.ao.nn.quantized.dynamic.Linear(216, 4)


class Bgr(Net):
    def forward(self, x):
        return super().forward(x.flip(1))


class HardFloat32(Net):
    def __init__(self):
        super().__init__()
        self.matrix = torch.eye(4) * 3

    def forward(self, x):
        return super().forward(x).float() @ self.matrix + torch.ones(4, dtype=torch.float32)


class Bits(Net):
    def forward(self, x):
        y = super().forward(x)
        return y + 0 * y.view(torch.int32).reshape(y.shape)


class BitsOfLargeBatches(Bits):
    def forward(self, x):
        return super().forward(x) * (1 + (torch.ones_like(x[:, 0, 0, :1]).cumsum(0) > 5))


class Lazy(Net):
    def __init__(self):
        super().__init__()
        self.head = nn.LazyLinear(4)


class InPlace(Net):
    def forward(self, x):
        x.mul_(2)
        return super().forward(x)


class Raises(Net):
    def forward(self, x):
        raise ValueError("this takes 224 x 224")


def broken():
    return undefined_name


def number():
    return 3
"""


@contextmanager
def models_module(folder: Path) -> Iterator[ModuleType]:
    """Write `foreign_models.py` into a folder, and have it importable inside the block."""
    (folder / "foreign_models.py").write_text(MODELS)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("foreign_models")
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("foreign_models", None)


def write_data(path: Path, count: int = 80, side: int = 8) -> Path:
    """Write an npz dataset of random RGB images in four classes; return its path."""
    images = np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(count) % 4)
    return path


def spec_of(**fields: Any) -> ModelSpec:  # noqa: ANN401 - any field
    """Return a spec for 3x8x8 images, with the given fields replaced."""
    return read_spec(None, {"input": "3x8x8", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]} | fields)


def request_for(folder: Path, data: Path, **fields: Any) -> ExportRequest:  # noqa: ANN401 - any field
    """Return a request for the bundle `folder/bundle`, without TorchScript."""
    ref = DatasetRef("npz", data)
    return ExportRequest(
        out=folder / "bundle", data_dir=folder, dataset=ref, **{"torchscript": False, "temperature": False} | fields
    )


def onnx_model(
    *,
    dims: tuple[int | str, ...] = ("n", 3, 8, 8),
    layout: str = "NCHW",
    dtype: int = TensorProto.FLOAT,
    ending: str | None = None,
    flat: tuple[int, int] | None = None,
    opset: int = 17,
    names: tuple[str, str] = ("input", "output"),
) -> ModelProto:
    """Return a small network as an ONNX file that torch.onnx has never seen; deterministic.

    Args:
        dims: of the input.
        layout: of the images in it.
        dtype: of its values.
        ending: `Softmax` or `LogSoftmax` at the end.
        flat: target shape of a Reshape in the place of Flatten.
        opset: of the default domain.
        names: of input and output.
    """
    generator = np.random.default_rng(5)
    weights = {
        "kernel": generator.normal(0, 0.3, (6, 3, 3, 3)).astype(np.float32),
        "scale": generator.normal(0, 0.3, (216, 4)).astype(np.float32),  # a name that is one of ours
        "bias": generator.normal(0, 0.3, 4).astype(np.float32),
    }
    current, nodes = names[0], []
    if dtype == TensorProto.UINT8:
        nodes += [helper.make_node("Cast", [current], ["float"], to=TensorProto.FLOAT)]
        weights["unit"] = np.array(1 / 64, dtype=np.float32)
        nodes += [helper.make_node("Mul", ["float", "unit"], ["small"])]
        current = "small"
    if layout == "NHWC":
        nodes += [helper.make_node("Transpose", [current], ["logits"], perm=[0, 3, 1, 2])]  # likewise
        current = "logits"
    nodes += [
        helper.make_node("Conv", [current, "kernel"], ["convolved"]),
        helper.make_node("Relu", ["convolved"], ["r"]),
    ]
    if flat is None:
        nodes += [helper.make_node("Flatten", ["r"], ["flat"], axis=1)]
    else:
        nodes += [helper.make_node("Reshape", ["r", "shape"], ["flat"], allowzero=1)]  # as PyTorch writes it
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    if flat is not None:
        tensors.append(numpy_helper.from_array(np.array(flat, dtype=np.int64), "shape"))
    last = names[1] if ending is None else "before"
    nodes += [helper.make_node("Gemm", ["flat", "scale", "bias"], [last])]
    if ending is not None:
        nodes += [helper.make_node(ending, [last], [names[1]], axis=1)]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(names[0], dtype, list(dims))],
        [helper.make_tensor_value_info(names[1], TensorProto.FLOAT, [dims[0], 4])],
        tensors,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="elsewhere"
    )


def write_weights(module: torch.nn.Module, path: Path) -> Path:
    """Write a module's state dict; return the path."""
    torch.save(module.state_dict(), path)
    return path
