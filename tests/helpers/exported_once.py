"""PyTorch's exporter prepares itself at its first export, for half a second; with this module imported, it has had one.

For the server of the tests' commands, before it forks. Without the thread that watches over that export's bars: a fork
leaves threads behind.
"""

import tqdm
from torch import nn

from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.image_classifier import ImageClassifier


def _export() -> None:
    layers = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)
    spec = InputSpec(color="L", height=4, width=4, mean=(0.5,), std=(0.5,))
    watched, tqdm.tqdm.monitor_interval = tqdm.tqdm.monitor_interval, 0
    export_onnx(ExportableClassifier(ImageClassifier(nn.Sequential(*layers), spec)).eval(), "small", ("a", "b"), spec)
    tqdm.tqdm.monitor_interval = watched


_export()
