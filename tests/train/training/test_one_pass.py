"""Each image passes the network once for all that is shown of an evaluation: figures, predictions, the map."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import torchstone
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_train.data.batches import make_batches
from torchstone_train.networks.image_classifier import ImageClassifier
from torchstone_train.networks.penultimate import penultimate_features
from torchstone_train.training import validate
from torchstone_train.training.validate import ValidationPass, answer_all

CPU = torch.device("cpu")


class Scaled(nn.Module):
    """A linear layer on the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.layers(images.float())
        return logits


def test_one_pass_gives_figures_predictions_and_the_features_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several batches; the features are those of a pass of their own."""
    monkeypatch.setattr(validate, "_BATCH", 4)
    pixels = np.random.default_rng(0).integers(0, 256, (11, 1, 4, 4)).astype(np.uint8)
    names = ("a", "b", "c")
    split = Split("validation", ArrayStore(pixels), np.arange(11) % 3, names, list(map(str, range(11))))
    model, featured = Scaled(), np.array([0, 3, 4, 10])

    answers = answer_all(model, make_batches(split, CPU), names, CPU, featured)
    seen = ValidationPass.of_answers(split, answers)

    np.testing.assert_array_equal(answers.features, penultimate_features(model, split, featured, device=CPU))
    assert seen.epoch_metrics().to_json() == answers.figures.to_json()
    assert not any(part._forward_pre_hooks for part in model.modules())


def test_training_lets_each_validation_image_through_once_an_epoch(
    few_digits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more for the report at its end; the map looks at the test images once."""
    seen: list[int] = []
    forward = ImageClassifier.forward

    def counted(self: ImageClassifier, images: Tensor) -> Tensor:
        seen.append(0 if torch.is_grad_enabled() else len(images))
        return forward(self, images)

    monkeypatch.setattr(ImageClassifier, "forward", counted)
    run = torchstone.train("mlp", data=few_digits, epochs=2, device="cpu", out=tmp_path / "run")
    dataset = json.loads((run.path / "run.json").read_text())["dataset"]

    assert (run.path / "figures" / "map.png").is_file()
    assert sum(seen) == 2 * dataset["validation"]["samples"] + dataset["test"]["samples"]
