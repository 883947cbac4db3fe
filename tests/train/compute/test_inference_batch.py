"""How many images a network decides at once, where no gradients are kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.compute.inference_batch import inference_batches
from torchstone_train.data.batches import make_batches
from torchstone_train.networks.image_classifier import ImageClassifier
from torchstone_train.networks.penultimate import penultimate_features
from torchstone_train.probe.backbone_features import features_of
from torchstone_train.probe.feature_cache import FeatureCache
from torchstone_train.training.progress import Progress
from torchstone_train.training.validate import answer_all


class Counting(nn.Module):
    """Has two classes, and notes how many values it is given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 2)
        self.most = 0

    def forward(self, images: Tensor) -> Tensor:
        """Answer by the mean of each channel."""
        self.most = max(self.most, images.numel())
        means: Tensor = self.last(images.float().mean(dim=(2, 3)) / 255)
        return means


@pytest.fixture
def photographs() -> Split:
    """Forty pictures of 224 x 224, which are 6 million values."""
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 224, 224), dtype=np.uint8)
    labels = np.arange(40) % 2
    return Split("validation", ArrayStore(images), labels, ("a", "b"), [str(index) for index in range(40)])


@pytest.mark.parametrize(
    ("shape", "expected"), [((600, 1, 28, 28), 600), ((40, 3, 224, 224), 27), ((2, 3, 2048, 2048), 1)]
)
def test_batches_have_at_most_four_million_values(shape: tuple[int, ...], expected: int) -> None:
    """And an image at least; small images are not divided."""
    parts = inference_batches(torch.empty(shape, dtype=torch.uint8))

    assert len(parts[0]) == expected
    assert sum(map(len, parts)) == shape[0]


def test_validation_of_photographs_takes_bounded_memory(photographs: Split) -> None:
    """Each answer and each feature is that of its image all the same."""
    model, device = Counting(), torch.device("cpu")
    featured = np.array([3, 30, 39])

    answers = answer_all(model, make_batches(photographs, device), ("a", "b"), device, featured)
    features = penultimate_features(model, photographs, featured, device=device)

    assert model.most <= 4 << 20
    whole = model(torch.from_numpy(photographs.store.read(np.arange(40)).copy()))
    assert answers.predicted.tolist() == whole.argmax(dim=1).tolist()
    np.testing.assert_array_equal(answers.features, features)


def test_features_of_photographs_take_bounded_memory(photographs: Split) -> None:
    """However many are asked for."""
    model = Counting()
    penultimate_features(model, photographs, np.arange(40), device=torch.device("cpu"))

    assert model.most <= 4 << 20


def test_features_of_a_backbone_take_bounded_memory(photographs: Split, tmp_path: Path) -> None:
    """Those that a probe is fitted on."""
    network, device = Counting(), torch.device("cpu")
    spec = InputSpec(color="RGB", height=224, width=224, mean=(0.5,) * 3, std=(0.5,) * 3)
    model = ImageClassifier(network, spec).eval()
    cache = FeatureCache.open(tmp_path, "key")

    found = features_of(make_batches(photographs, device), model, "last", cache, Progress(1, silent=True))

    assert len(found) == len(photographs.labels)
    assert network.most <= 4 << 20
