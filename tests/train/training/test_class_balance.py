"""Unequal classes: the weights of the loss, and epochs that show every class equally often."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from torchstone_train.compute.precision import choose_precision
from torchstone_train.recipes.catalog import CNN3
from torchstone_train.training.class_balance import are_balanced, balanced_order, balanced_weights
from torchstone_train.training.optimization import Optimization

CPU = torch.device("cpu")
labels_of_classes = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(torch.tensor)


@settings(deadline=None)
@given(labels_of_classes)
def test_weights_are_those_of_scikit_learn(labels: torch.Tensor) -> None:
    """As `compute_class_weight("balanced")` has them; a class without images has 0."""
    present = np.unique(labels.numpy())
    expected = np.zeros(6)
    expected[present] = compute_class_weight("balanced", classes=present, y=labels.numpy())
    np.testing.assert_allclose(balanced_weights(labels, 6), expected, rtol=1e-6)


@settings(deadline=None)
@given(labels_of_classes, st.integers(0, 2**31))
def test_an_epoch_shows_every_class_equally_often(labels: torch.Tensor, seed: int) -> None:
    """As many images as there are, and the numbers of two classes differ by 1 at most."""
    order = balanced_order(labels, torch.Generator().manual_seed(seed))
    counts = torch.bincount(labels[order], minlength=6)[torch.bincount(labels, minlength=6) > 0]
    assert len(order) == len(labels)
    assert int(counts.max() - counts.min()) <= 1


@settings(deadline=None)
@given(labels_of_classes, st.integers(0, 2**31))
def test_no_image_comes_twice_more_than_another_of_its_class(labels: torch.Tensor, seed: int) -> None:
    """Every image of a small class comes before one of them comes again."""
    order = balanced_order(labels, torch.Generator().manual_seed(seed))
    shown = torch.bincount(order, minlength=len(labels))
    for label in torch.unique(labels):
        own = shown[labels == label]
        assert int(own.max() - own.min()) <= 1


def test_auto_weighs_classes_of_which_one_is_twice_as_large() -> None:
    """Below that they are taken as they are."""
    assert are_balanced("auto", torch.tensor([0, 0, 1]))
    assert not are_balanced("auto", torch.tensor([0, 0, 0, 1, 1]))


def test_the_weights_multiply_the_whole_loss_of_an_image() -> None:
    """The smoothed target and the teacher's part with it: an image of weight 2 counts as two of weight 1."""
    weights = torch.tensor([2.0, 1.0, 0.5])
    images, labels = torch.rand(2, 4), torch.tensor([0, 1])
    teacher = torch.rand(2, 3)
    recipe = replace(CNN3, label_smoothing=0.2, optimizer="sgd", lr=0.1)

    def stepped(inputs: torch.Tensor, targets: torch.Tensor, taught: torch.Tensor, given: Any) -> torch.Tensor:  # noqa: ANN401
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        Optimization(recipe, model, choose_precision("off", CPU), 1, given).step(inputs, targets, taught)
        return model.weight.detach()

    weighted = stepped(images, labels, teacher, weights * 2 / 3)
    repeated = stepped(images[[0, 0, 1]], labels[[0, 0, 1]], teacher[[0, 0, 1]], None)
    torch.testing.assert_close(weighted, repeated)


@pytest.mark.parametrize("fields", [{"class_weights": "balanced"}, {"sampler": "balanced"}])
def test_a_rare_class_is_found_more_often(fields: dict[str, str], fit: Callable[..., Any], unequal_npz: str) -> None:
    """On classes that overlap, of which one is ten times as large."""
    plain, _ = fit(dataset=unequal_npz, epochs=4, monitor="loss")
    balanced, _ = fit(dataset=unequal_npz, epochs=4, monitor="loss", **fields)
    figures = [run.history[-1]["validation"]["balanced_accuracy"] for run in (balanced, plain)]
    assert figures[0] > figures[1]


def test_the_best_epoch_may_be_chosen_by_balanced_accuracy(fit: Callable[..., Any], unequal_npz: str) -> None:
    """It is a monitor like the others."""
    outcome, _ = fit(dataset=unequal_npz, epochs=4, monitor="balanced_accuracy", sampler="balanced")
    figures = [record["validation"]["balanced_accuracy"] for record in outcome.history]
    assert outcome.best_epoch == int(np.argmax(figures)) + 1


def test_a_balanced_epoch_is_the_same_when_it_is_repeated(fit: Callable[..., Any], unequal_npz: str) -> None:
    """Its images follow from seed and epoch: the weights are the same to the bit."""
    runs = [fit(dataset=unequal_npz, epochs=1, sampler="balanced", out=name)[1].read_weights() for name in "ab"]
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])


@pytest.fixture(scope="module")
def unequal_npz(tmp_path_factory: pytest.TempPathFactory) -> str:
    """300 images of two classes that overlap, the second with a tenth of the first one's."""
    generator = np.random.default_rng(3)
    labels = (np.arange(300) % 11 == 0).astype(np.int64)
    images = 100 + 40 * labels[:, None, None] + generator.normal(0, 30, 300)[:, None, None] + np.zeros((300, 8, 8))
    file = tmp_path_factory.mktemp("unequal") / "unequal.npz"
    np.savez(file, images=images.clip(0, 255).astype(np.uint8), labels=labels)
    return f"npz:{file}"
