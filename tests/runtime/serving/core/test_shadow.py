"""A shadow compares decisions, and neither its answers nor its troubles reach a client."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.inference.classifier import Classifier, Unanswered
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.paired import mcnemar_exact
from torchstone_runtime.serving.core import shadow_statistics
from torchstone_runtime.serving.core.model_sources import Source
from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.core.served_model import ServedModel
from torchstone_runtime.serving.core.shadow import Shadow
from torchstone_runtime.serving.core.shadow_statistics import ShadowStatistics

MakeModel = Callable[..., ServedModel]


def run(work: Coroutine[Any, Any, Any]) -> None:
    """Run a test's clients, for 60 seconds at most."""
    asyncio.run(asyncio.wait_for(work, 60))


@pytest.fixture
def second(digits_bundle: Path) -> Classifier:
    """The shadow's model."""
    return Classifier.load(digits_bundle, provider="cpu", threads=1)


async def settled(shadow: Shadow, images: int) -> None:
    """Wait until the shadow has dealt with so many images."""
    found = shadow.statistics
    while found.compared + found.dropped + found.incomparable + found.failures < images:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def test_the_same_model_agrees_on_everything(make_model: MakeModel, second: Classifier, images: Uint8Array) -> None:
    """As pixels and as pictures."""

    async def scene() -> None:
        shadow = Shadow("digits", second.class_names, second, share=1.0)
        model = make_model(shadow)
        await model.classify(images)
        await model.classify_files([encode_png(image) for image in images[:5]])
        await settled(shadow, len(images) + 5)
        found = shadow.statistics
        assert (found.compared, found.agreeing, found.failures) == (len(images) + 5, len(images) + 5, 0)
        assert found.compute_seconds.count == 2
        shadow.close()

    run(scene())


def test_disagreement_is_counted_by_class(
    make_model: MakeModel, second: Classifier, images: Uint8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Classes are matched by name, whatever their order in the shadow."""
    exact = second.predict

    def shifted(given: Uint8Array, *, unanswered: Unanswered = "raise") -> Predictions:
        """Call every 3 a 5, and give no answer for a 1."""
        found = exact(given, unanswered=unanswered)
        logits, chosen = found.logits.copy(), found.indices
        logits[chosen == 3, 5] = 1e4
        logits[chosen == 1] = np.nan
        return replace(found, logits=logits)

    async def scene() -> None:
        monkeypatch.setattr(second, "predict", shifted)
        shadow = Shadow("digits", second.class_names, second, share=1.0)
        model = make_model(shadow)
        answer = await model.classify(images)
        await settled(shadow, len(images))
        counts = np.bincount(answer.decisions, minlength=10)
        found = shadow.statistics
        assert found.pairs == {(3, 5): counts[3], (1, NO_ANSWER): counts[1]}
        assert found.only_model == [0, counts[1], 0, counts[3], 0, 0, 0, 0, 0, 0]
        assert found.only_shadow == [0, 0, 0, 0, 0, counts[3], 0, 0, 0, 0]
        assert found.agreeing == len(images) - counts[1] - counts[3]
        shadow.close()

    run(scene())


def test_classes_are_matched_by_their_names(
    make_model: MakeModel, second: Classifier, images: Uint8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shadow that was trained with another order of the classes agrees all the same."""
    exact = second.predict

    def reordered(given: Uint8Array, *, unanswered: Unanswered = "raise") -> Predictions:
        found = exact(given, unanswered=unanswered)
        return replace(found, logits=found.logits[:, ::-1], probabilities=found.probabilities[:, ::-1])

    async def scene() -> None:
        names = second.class_names
        second.class_names = names[::-1]
        monkeypatch.setattr(second, "predict", reordered)
        shadow = Shadow("digits", names, second, share=1.0)
        model = make_model(shadow)
        await model.classify(images)
        await settled(shadow, len(images))
        assert shadow.statistics.agreeing == len(images)
        shadow.close()

    run(scene())


def test_its_troubles_are_its_own(
    make_model: MakeModel, second: Classifier, images: Uint8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted and named; it goes on."""

    def fail(_: Uint8Array, *, unanswered: Unanswered) -> None:
        del unanswered
        raise RuntimeError("no such kernel")

    async def scene() -> None:
        shadow = Shadow("digits", second.class_names, second, share=1.0)
        model = make_model(shadow)
        with monkeypatch.context() as broken:
            broken.setattr(second, "predict", fail)
            assert len((await model.classify(images)).logits) == len(images)
            await settled(shadow, 1)
        assert (shadow.statistics.failures, shadow.statistics.last_failure) == (1, "no such kernel")
        await model.classify(images)
        await settled(shadow, 1 + len(images))
        assert shadow.statistics.agreeing == len(images)
        assert model.statistics.failure.count == 0
        shadow.close()

    run(scene())


def test_it_computes_for_no_more_than_its_share_and_drops_the_rest(
    make_model: MakeModel, second: Classifier, images: Uint8Array
) -> None:
    """Of the images offered in one second, most are dropped where a request's work may come once in an hour."""

    async def scene() -> None:
        shadow = Shadow("digits", second.class_names, second, share=1e-6)
        model = make_model(shadow)
        for _ in range(10):
            await model.classify(images)
            await asyncio.sleep(0.01)
        await settled(shadow, 4 * len(images))
        found = shadow.statistics
        assert found.compared == len(images)
        assert found.dropped == (9 - 256 // len(images)) * len(images)
        shadow.close()

    run(scene())


def test_another_size_is_compared_by_files_alone(
    make_model: MakeModel,
    second: Classifier,
    classifier: Classifier,
    images: Uint8Array,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pixels that the shadow can't take are counted; files it decodes as it needs them."""
    exact, spec = classifier.predict, second.input_spec

    def take_larger(given: Uint8Array, *, unanswered: Unanswered = "raise") -> Predictions:
        assert given.shape[1:] == (1, 56, 56)
        return exact(np.ascontiguousarray(given[:, :, ::2, ::2]), unanswered=unanswered)

    async def scene() -> None:
        monkeypatch.setattr(second, "predict", take_larger)
        monkeypatch.setattr(second, "input_spec", replace(spec, height=56, width=56))
        shadow = Shadow("digits", second.class_names, second, share=1.0)
        model = make_model(shadow)
        await model.classify(images)
        await model.classify_files([encode_png(image) for image in images[:5]])
        await settled(shadow, len(images) + 5)
        assert (shadow.statistics.incomparable, shadow.statistics.compared) == (len(images), 5)
        shadow.close()

    run(scene())


def test_a_repository_keeps_and_reloads_its_shadow(digits_bundle: Path, images: Uint8Array) -> None:
    """Which begins to count anew; a shadow that fails its checks ends the start."""

    async def scene() -> None:
        shadow = Source.parse(f"new={digits_bundle}")
        source = Source.parse(f"digits={digits_bundle}")
        repository = ModelRepository([source], LoadOptions(provider="cpu"), shadow=shadow, shadow_share=1.0)
        await repository.start()
        await repository.get("digits").classify(images)
        assert repository.shadow is not None
        await settled(repository.shadow, len(images))
        first = repository.shadow
        assert [result.name for result in await repository.reload_all()] == ["digits", "shadow of digits"]
        assert repository.shadow is not first
        await repository.close()
        missing = Source.parse("new=/nowhere")
        broken = ModelRepository([source], LoadOptions(provider="cpu"), shadow=missing)
        with pytest.raises(Exception, match="no bundle"):
            await broken.start()

    run(scene())


def test_a_shadow_of_other_classes_is_refused(second: Classifier) -> None:
    """Their decisions can't be compared."""
    with pytest.raises(UsageError, match="other classes"):
        Shadow("digits", (*second.class_names[1:], "ten"), second)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (8, 2), (60, 41), (0, 30)])
def test_the_p_value_is_the_exact_binomial_one(gained: int, lost: int) -> None:
    """As scipy has it."""
    found = ShadowStatistics(("a", "b"), "")
    found.only_shadow[1], found.only_model[1] = gained, lost
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert found.p_value(1) == pytest.approx(expected)


def test_a_p_value_is_computed_once_for_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics ask for those of all classes every few seconds."""
    asked: list[tuple[int, int]] = []

    def computed(gained: int, lost: int) -> float:
        asked.append((gained, lost))
        return mcnemar_exact(gained, lost)

    monkeypatch.setattr(shadow_statistics, "mcnemar_exact", computed)
    found = ShadowStatistics(("a", "b"), "")
    for _ in range(2):
        found.add(0, 1)
        for _ in range(2):
            found.p_value(1)
    assert asked == [(1, 0), (2, 0)]


def test_the_p_value_of_many_is_near_the_exact_one() -> None:
    """Where the exact sum would take too long for a page of metrics."""
    found = ShadowStatistics(("a", "b"), "")
    found.only_shadow[0], found.only_model[0] = 10_100, 9_900
    assert found.p_value(0) == pytest.approx(binomtest(10_100, 20_000).pvalue, rel=0.01)
    assert math.isclose(found.p_value(1), 1.0)
