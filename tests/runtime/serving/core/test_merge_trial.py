"""Whether requests may be put together is tried beside the first answers, and never before nobody needs to wait."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import BundleError
from torchstone_runtime.inference.classifier import Classifier, Unanswered
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.serving.core.limits import ServingLimits
from torchstone_runtime.serving.core.merge_trial import MergeTrial
from torchstone_runtime.serving.core.model_sources import Source
from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.core.served_model import ServedModel


def wait_for(happened: Callable[[], bool]) -> None:
    """Return once something has happened."""
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def classifier(digits_bundle: Path) -> Classifier:
    """Load the digits."""
    return Classifier.load(digits_bundle, provider="cpu", threads=2)


def test_the_first_answer_comes_before_the_trial_and_begins_it(classifier: Classifier) -> None:
    """So a server is ready without it."""
    model = ServedModel("digits", "1", classifier, ServingLimits())
    assert not model.merges
    answer = asyncio.run(model.classify(np.zeros((3, *classifier.input_spec.shape), np.uint8)))
    assert answer.timings.batch_images == 3
    wait_for(lambda: model.merges)


def test_a_model_that_is_loaded_beside_another_has_been_tried_when_it_serves(digits_bundle: Path) -> None:
    """Under load a reload must not cost the batches."""

    async def twice() -> tuple[bool, bool]:
        repository = ModelRepository([Source("digits", str(digits_bundle))], LoadOptions(provider="cpu"))
        await repository.start()
        first = repository.get("digits").merges
        await repository.load("digits")
        second = repository.get("digits").merges
        await repository.close()
        return first, second

    assert asyncio.run(twice()) == (False, True)


def test_a_trial_that_is_stopped_computes_no_further_batch(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server ends without waiting for it."""
    allowed: list[bool] = []
    trial = MergeTrial(classifier, 64, lambda: allowed.append(True))
    exact, sizes = classifier.predict, []

    def stopping(images: Uint8Array, *, unanswered: Unanswered = "raise") -> Predictions:
        sizes.append(len(images))
        trial.stop()
        return exact(images, unanswered=unanswered)

    monkeypatch.setattr(classifier, "predict", stopping)
    trial.run()
    assert (sizes, allowed) == ([64], [])


def test_a_model_that_fails_in_the_trial_goes_on_one_by_one(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests are told what is wrong, not its loading."""
    allowed: list[bool] = []
    monkeypatch.setattr(classifier, "predict", Mock(side_effect=BundleError("The model failed.")))
    MergeTrial(classifier, 64, lambda: allowed.append(True)).run()
    assert allowed == []


def test_one_image_a_batch_needs_no_trial(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to put together."""
    monkeypatch.setattr(classifier, "predict", None)
    MergeTrial(classifier, 1, lambda: None).run()
