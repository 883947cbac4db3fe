"""The map of a run's images: features of any network, places that repeat, a figure for few and many classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchstone_runtime.arrays import Float32Array
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_train.networks.penultimate import penultimate_features
from torchstone_train.report import feature_map
from torchstone_train.report.feature_map import FeatureMap, make_feature_map, project
from torchstone_train.report.figures import save_map

CPU = torch.device("cpu")


def split_of(classes: int, images: int, seed: int = 0) -> Split:
    """Pictures whose level is that of their class."""
    labels = np.arange(images, dtype=np.int64) % classes
    noise = np.random.default_rng(seed).integers(0, 6, (images, 1, 4, 4))
    pixels = (labels[:, None, None, None] * 37 % 240 + noise).astype(np.uint8)
    names = tuple(f"class {index}" for index in range(classes))
    return Split("validation", ArrayStore(pixels), labels, names, list(map(str, range(images))))


class Scaled(nn.Module):
    """Pixels as numbers, and then the layers given."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.layers(images.float())
        return logits


def pixels_of(split: Split, chosen: np.ndarray) -> Float32Array:
    """The pixels themselves as features."""
    return split.store.read(chosen).reshape(len(chosen), -1).astype(np.float32)


def test_features_are_what_the_last_linear_layer_is_given() -> None:
    """Here the pixels themselves; the images in the order asked for."""
    split, chosen = split_of(3, 9), np.array([4, 0])
    found = penultimate_features(Scaled(nn.Flatten(), nn.Linear(16, 3)), split, chosen, device=CPU)
    np.testing.assert_array_equal(found, pixels_of(split, chosen))


def test_features_at_several_places_are_averaged() -> None:
    """A convolution as the last layer, as in SqueezeNet."""
    split, chosen = split_of(3, 9), np.arange(9)
    network = Scaled(nn.Conv2d(1, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = penultimate_features(network, split, chosen, device=CPU)
    np.testing.assert_allclose(found[:, 0], pixels_of(split, chosen).mean(axis=1), rtol=1e-6)


def test_the_logits_stand_in_where_no_layer_has_an_output_a_class() -> None:
    """A network of its author's own parts."""
    split = split_of(16, 32)
    found = penultimate_features(Scaled(nn.Flatten()), split, np.arange(5), device=CPU)
    np.testing.assert_array_equal(found, pixels_of(split, np.arange(5)))


def test_no_hook_is_left_behind() -> None:
    """The network goes to the export as it was."""
    network = Scaled(nn.Flatten(), nn.Linear(16, 3))
    penultimate_features(network, split_of(3, 9), np.arange(3), device=CPU)
    assert not any(part._forward_pre_hooks for part in network.modules())


def test_images_of_a_class_lie_together_and_the_places_repeat() -> None:
    """Nearest neighbours in the plane are of one class where the features are; a second layout is the same."""
    validation, test = split_of(5, 150), split_of(5, 60, seed=1)
    first, second = (make_feature_map(pixels_of, validation, test) for _ in range(2))
    np.testing.assert_array_equal(first.places, second.places)
    np.testing.assert_array_equal(first.test_places, second.test_places)
    distances = np.linalg.norm(first.places[:, None] - first.places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    labels = validation.labels[first.validation]
    assert (labels[distances.argmin(axis=1)] == labels).mean() > 0.95


def test_the_number_of_images_is_bounded_and_every_class_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of each class before the second of any."""
    monkeypatch.setattr(feature_map, "MOST_VALIDATION", 40)
    monkeypatch.setattr(feature_map, "MOST_TEST", 12)
    validation = split_of(20, 400)
    found = make_feature_map(pixels_of, validation, split_of(20, 100))
    assert np.bincount(validation.labels[found.validation]).tolist() == [2] * 20
    assert found.test_places.shape == (12, 2)


@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (4, 8), (30, 1)])
def test_few_images_or_features_are_laid_out_too(shape: tuple[int, int]) -> None:
    """Down to a single one."""
    found = project(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    assert found.shape == (shape[0], 2)
    assert np.isfinite(found).all()


def test_features_that_are_all_alike_lie_in_one_place() -> None:
    """A network that has learnt nothing."""
    assert (project(np.ones((40, 7), dtype=np.float32)) == 0).all()


def test_features_that_are_no_numbers_are_refused() -> None:
    """The run says that the map was left out; see `shielded`."""
    with pytest.raises(ValueError, match="not finite"):
        project(np.full((40, 7), np.nan, dtype=np.float32))


@pytest.mark.parametrize("classes", [3, 500])
def test_the_figure_names_classes(tmp_path: Path, classes: int) -> None:
    """Few in a legend; of many, the thirty with the most mistakes, on the map."""
    split = split_of(classes, 1000)
    predicted = np.where(np.arange(1000) < 400, (split.labels + 1) % classes, split.labels)
    seen = LabelledPredictions.of(split, predicted, np.full(1000, 0.9, dtype=np.float32))
    places = np.random.default_rng(0).normal(size=(1000, 2))
    save_map(tmp_path / "figures", seen, FeatureMap(np.arange(1000), places, places[:50]), "a run")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["map.png", "map.svg"]
    text = (tmp_path / "figures" / "map.svg").read_text()
    assert "mistake (400)" in text
    assert sum(f"<!-- class {index} -->" in text for index in range(classes)) == min(classes, 30)
    assert ("500 classes share 40 signs" in text) == (classes == 500)
    assert (tmp_path / "figures" / "map.png").stat().st_size < 500_000
