"""Fixtures: a served model of its own for each test, and a way to hold its workers up."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.held_up import Gate
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.serving.core.limits import ServingLimits
from torchstone_runtime.serving.core.served_model import Observer, ServedModel


@pytest.fixture
def make_model(digits_bundle: Path) -> Callable[..., ServedModel]:
    """Load the digits to be served, with the given observers and limits; requests are put together at once."""

    def make(*observers: Observer, **limits: int) -> ServedModel:
        classifier = Classifier.load(digits_bundle, provider="cpu", threads=2)
        model = ServedModel("digits", "1", classifier, ServingLimits(**limits), observers=observers)
        model.try_merging()
        return model

    return make


@pytest.fixture
def hold_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ServedModel], Gate]]:
    """Hold up a model's workers; the gate is opened in the end."""
    gates: list[Gate] = []

    def hold(model: ServedModel) -> Gate:
        gates.append(Gate(model.classifier))
        monkeypatch.setattr(model.classifier, "predict", gates[-1])
        return gates[-1]

    yield hold
    for gate in gates:
        gate.opened.set()
