"""The models whose exports all checks are tried on: trained on real images, with a state from before the end."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.certificate_study.exports import CLASSES, Case, load_splits
from benchmarks.certificate_study.exports import make_model as make_zoo_model
from benchmarks.certificate_study.networks import FAMILIES, Scaled
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.images.input_spec import ColorMode, InputSpec
from torchstone_train.networks.architectures import ModelShape, build_network
from torchstone_train.networks.image_classifier import ImageClassifier

SEEDS: Final = 2
SCALES: Final = (1e-3, 1e3)
_STEPS: Final = 90
LONG: Final = 6
"""Models that only honest files are made of are trained this many times as long too: surer models, larger logits."""
_BATCH: Final = 64
_BRIGHTNESS: Final = (1, 2, 3)
"""Red, green and blue of a coloured image are the gray one divided by these, so that their order matters."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to be exported.

    Attributes:
        name: of the model and its data.
        seed: of weights and split.
        model: in evaluation mode.
        earlier: the network's weights after two thirds of the training; empty if faults are to be put into the file
            alone, None if into nothing.
        splits: validation and test.
    """

    name: str
    seed: int
    model: ExportableClassifier
    earlier: dict[str, Tensor] | None
    splits: dict[str, Split]


class GeluBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and GELU around which the input is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.GELU()),
            *(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)),
        )
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        result: Tensor = self.activation(x + self.body(x))
        return result


def small_bn_cnn(shape: ModelShape) -> nn.Module:
    """Two convolutions with batch norm, ReLU and pooling, dropout and two dense layers."""
    flat = 32 * (shape.height // 4) * (shape.width // 4)
    return nn.Sequential(
        *(nn.Conv2d(shape.channels, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Dropout(0.3), nn.Linear(flat, 64), nn.ReLU(), nn.Linear(64, shape.num_classes)),
    )


def gelu_residual(shape: ModelShape) -> nn.Module:
    """A stem, residual blocks with GELU, and a head with layer norm and dropout."""
    return nn.Sequential(
        *(nn.Conv2d(shape.channels, 24, 3, padding=1, stride=2), GeluBlock(24), nn.AvgPool2d(2), GeluBlock(24)),
        *(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(216, 64), nn.LayerNorm(64), nn.ReLU()),
        *(nn.Dropout(0.2), nn.Linear(64, shape.num_classes)),
    )


MODELS: Final[dict[str, tuple[Callable[[ModelShape], nn.Module], str, ColorMode]]] = {
    "bn-cnn, digits": (small_bn_cnn, "digits", "L"),
    "cnn3, fashion": (partial(build_network, "cnn3"), "fashion", "L"),
    "residual gelu, fashion in color": (gelu_residual, "fashion", "RGB"),
}


def make_scaled_subject(factor: float) -> Subject:
    """Train the first model of `MODELS`, then multiply its logits: another scale, the same decisions."""
    name = next(iter(MODELS))
    subject = make_subject(name, 0)
    classifier = subject.model.classifier
    classifier.network = Scaled(classifier.network, factor)
    return replace(subject, name=f"logits x {factor:g}, {name}", earlier={}, model=subject.model.eval())


def make_long_subject(name: str) -> Subject:
    """Train a model of `MODELS` for long, for one more honest file."""
    subject = make_subject(name, 0, LONG * _STEPS)
    return replace(subject, name=f"{name}, trained long", earlier=None)


def make_subject(name: str, seed: int, steps: int = _STEPS) -> Subject:
    """Train a model of `MODELS`."""
    build, dataset, color = MODELS[name]
    planes = len(_BRIGHTNESS) if color == "RGB" else 1
    # Of this family's case only the data is used: 200 images for validation, 400 for test, the rest for training.
    splits = {part: _colored(split, planes) for part, split in _gray(dataset, seed).items()}
    torch.manual_seed(zlib.crc32(f"{name} {seed}".encode()))
    spec = InputSpec(color=color, height=28, width=28, mean=(0.286,) * planes, std=(0.353,) * planes)
    classifier = ImageClassifier(build(ModelShape(planes, 28, 28, len(CLASSES))), spec)
    earlier = _train(classifier, splits.pop("train"), seed, steps)
    return Subject(name, seed, ExportableClassifier(classifier).eval(), earlier, splits)


def make_zoo_subject(family: str) -> Subject:
    """Train a model of the certificate's own study, for one more honest file."""
    case = Case(family, "digits" if zlib.crc32(family.encode()) % 2 else "fashion", 1)
    splits = load_splits(case)
    model = make_zoo_model(case, splits.pop("train"))
    return Subject(family, 1, model, None, splits)


def zoo_families() -> list[str]:
    """Kinds of network for honest files: those of the study, the ones with logits scaled on purpose first."""
    return sorted(FAMILIES, key=lambda name: not is_scaled(name))


def is_scaled(family: str) -> bool:
    """Whether a family's logits were scaled on purpose: alarms on those are counted apart."""
    return family.startswith("logits x")


def _gray(dataset: str, seed: int) -> dict[str, Split]:
    # Seed 0 of the study has the larger splits; another permutation of the same images for every seed.
    splits = load_splits(Case("recipe cnn3", dataset, 0))
    images = np.concatenate([split.store.read(np.arange(len(split))) for split in splits.values()])
    labels = np.concatenate([split.labels for split in splits.values()])
    order = np.random.RandomState(seed).permutation(len(labels))
    bounds = {"validation": order[:200], "test": order[200:600], "train": order[600:]}
    return {part: _split(part, images[where], labels[where]) for part, where in bounds.items()}


def _colored(split: Split, planes: int) -> Split:
    gray = split.store.read(np.arange(len(split)))
    return _split(split.name, np.concatenate([gray // part for part in _BRIGHTNESS[:planes]], axis=1), split.labels)


def _split(name: str, images: Any, labels: Any) -> Split:  # noqa: ANN401 - uint8 [N, C, H, W] and int64 [N]
    ids = [str(index) for index in range(len(labels))]
    return Split(name, ArrayStore(np.ascontiguousarray(images)), labels, CLASSES, ids)


def _train(classifier: ImageClassifier, train: Split, seed: int, steps: int) -> dict[str, Tensor]:
    optimizer = torch.optim.Adam(classifier.parameters(), 1e-3)
    random = np.random.RandomState(seed)
    earlier: dict[str, Tensor] = {}
    for step in range(steps):
        where = random.permutation(len(train))[:_BATCH]
        inputs = torch.from_numpy(np.ascontiguousarray(train.store.read(where)))
        loss = nn.functional.cross_entropy(classifier(inputs), torch.from_numpy(train.labels[where]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step == 2 * steps // 3:
            earlier = {key: value.clone() for key, value in classifier.network.state_dict().items()}
    return earlier
