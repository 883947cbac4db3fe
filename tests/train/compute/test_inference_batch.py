"""How many images a network decides at once, where no gradients are kept."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_train.compute.inference_batch import inference_batches
from torchstone_train.data.batches import make_batches
from torchstone_train.networks.penultimate import penultimate_features
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
