"""Fixed batch sizes on bound memory: the code of a GPU, on the CPU. What only a device can show is not run here."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.errors import BundleError
from torchstone_runtime.inference import providers
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.engine import Engine
from torchstone_runtime.inference.gpu_engine import BoundSession, pieces
from torchstone_runtime.inference.gpu_options import BUCKETS, buckets_for
from torchstone_runtime.inference.load_options import ON_CPU, LoadOptions
from torchstone_runtime.inference.providers import OpenedSession, open_session
from torchstone_runtime.inference.session_io import INPUT, OUTPUTS, OrtSession

COUNT = 48
SMALL = (1, 4, 16)

sizes = st.sets(st.integers(2, 300), max_size=6).map(lambda found: (1, *sorted(found)))


@given(count=st.integers(0, 5000), buckets=sizes)
def test_pieces_cover_a_batch_in_order(count: int, buckets: tuple[int, ...]) -> None:
    """Each image once, none left out, no piece larger than its bucket, whatever the sizes are."""
    found = list(pieces(count, buckets))
    covered = [index for piece in found for index in range(piece.start, piece.stop)]
    assert covered == list(range(count))
    assert all(piece.bucket in buckets for piece in found)


@given(count=st.integers(1, 5000), buckets=sizes)
def test_no_bucket_is_less_than_half_full(count: int, buckets: tuple[int, ...]) -> None:
    """So that padding at most doubles the work, and only the last piece has any."""
    *whole, last = pieces(count, buckets)
    assert all(piece.stop - piece.start == piece.bucket for piece in whole)
    assert 2 * (last.stop - last.start) >= last.bucket


@given(count=st.integers(1, 100_000), image_bytes=st.integers(1, 1 << 26))
def test_there_are_few_pieces(count: int, image_bytes: int) -> None:
    """Behind the largest ones at most one of each size and one that is padded."""
    buckets = buckets_for(image_bytes)
    found = list(pieces(count, buckets))
    assert len(found) <= count // buckets[-1] + len(buckets)


def test_large_pictures_have_smaller_batches() -> None:
    """32 MiB of pixels at most, but always one image."""
    assert buckets_for(28 * 28) == BUCKETS
    assert buckets_for(3 * 224 * 224) == (1, 4, 16, 64)
    assert buckets_for(1 << 30) == (1,)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "graphs"])
def bound(session: OrtSession, request: pytest.FixtureRequest) -> BoundSession:
    """The session with bound memory; with the numbers of CUDA graphs, which the CPU takes and ignores, as well."""
    return BoundSession(session, device="cpu", buckets=SMALL, cuda_graphs=request.param)


@pytest.fixture(scope="module")
def engine(bound: BoundSession) -> Iterator[Engine]:
    """An engine as for a GPU: one worker, micro-batches of the largest size."""
    made = Engine(bound, num_classes=10, workers=1, micro_batch=SMALL[-1])
    yield made
    made.close()


@settings(deadline=None, max_examples=60)
@given(parts=st.lists(st.tuples(st.integers(0, COUNT), st.integers(0, COUNT)), min_size=1, max_size=4))
def test_every_image_gets_its_own_row(
    engine: Engine, images: Uint8Array, one_by_one: Float32Array, parts: list[tuple[int, int]]
) -> None:
    """Whatever was in the memory before; and a later call does not change what an earlier one gave."""
    slices = [slice(min(part), max(part)) for part in parts]
    found = [engine.run(images[part]) for part in slices]
    for part, (logits, probabilities) in zip(slices, found, strict=True):
        assert logits.dtype == probabilities.dtype == np.float32
        np.testing.assert_allclose(logits, one_by_one[part], atol=1e-4)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_only_the_fixed_sizes_are_run(session: OrtSession, images: Uint8Array) -> None:
    """The session never sees another batch size."""
    bound = BoundSession(session, device="cpu", buckets=SMALL)
    for count in range(1, COUNT + 1):
        bound.run(OUTPUTS, {INPUT: images[:count]})
    assert sorted(bound._bound) == list(SMALL)


class WatchedSession:
    """A session that writes down who runs it: images a call, thread and number of the graph, and how many at once."""

    def __init__(self, session: OrtSession, *, graphs: bool) -> None:
        self.session = session
        self.graphs = graphs
        self.inside = self.most = 0
        self.calls: list[tuple[int, str, str]] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the session has
        return getattr(self.session, name)

    def run_with_iobinding(self, iobinding: Any, run_options: Any = None) -> None:  # noqa: ANN401 - ONNX Runtime's
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.002)  # lets the other threads come in between
        self.session.run_with_iobinding(iobinding, run_options)
        graph = run_options.get_run_config_entry("gpu_graph_id") if self.graphs else ""
        size = iobinding.get_outputs()[0].shape()[0]
        self.calls.append((size, graph, threading.current_thread().name))
        self.inside -= 1


@pytest.mark.parametrize("graphs", [False, True])
def test_several_threads_share_the_memory(
    session: OrtSession,
    images: Uint8Array,
    one_by_one: Float32Array,
    *,
    graphs: bool,
) -> None:
    """One call at a time, and each gets its own answers; graphs have a number a size, and one thread for all."""
    watched = WatchedSession(session, graphs=graphs)
    bound = BoundSession(watched, device="cpu", buckets=SMALL, cuda_graphs=graphs)
    right: list[bool] = []

    def work(start: int) -> None:
        for count in range(1, 20):
            logits, _ = bound.run(OUTPUTS, {INPUT: images[start : start + count]})
            right.append(np.allclose(logits, one_by_one[start : start + count], atol=1e-4))

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 7, 19)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(right), all(right), watched.most) == (57, True, 1)
    if graphs:
        assert {(size, graph) for size, graph, _ in watched.calls} == {(1, "1"), (4, "2"), (16, "3")}
        assert len({name for _, _, name in watched.calls}) == 1


def test_images_of_another_shape_are_refused(engine: Engine, images: Uint8Array) -> None:
    """And the next call is none the worse."""
    with pytest.raises(BundleError, match="invalid dimensions"):
        engine.run(np.ascontiguousarray(images[:3, :, :20]))
    engine.run(images[:3])


@pytest.fixture
def as_if_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU pass for the provider `cuda`, with its memory."""

    def opened(model: bytes, options: LoadOptions) -> OpenedSession:
        session = open_session(model, ON_CPU).session
        return OpenedSession(session, options.provider, "asked for by name", options.tf32, options.cuda_graphs)

    def bind(opened: OpenedSession) -> BoundSession:
        return BoundSession(opened.session, device="cpu", buckets=BUCKETS, cuda_graphs=opened.cuda_graphs)

    monkeypatch.setattr(providers, "open_session", opened)
    monkeypatch.setattr("torchstone_runtime.inference.variants.open_session", opened)
    monkeypatch.setattr("torchstone_runtime.inference.gpu_engine.bind", bind)


@pytest.mark.usefixtures("as_if_on_cuda")
def test_a_classifier_on_cuda_runs_its_golden_samples_in_the_fixed_sizes(
    digits_bundle: Path, images: Uint8Array, one_by_one: Float32Array
) -> None:
    """The plan names sizes and choices; warming up has run each size; answers are those of the CPU."""
    with Classifier.load(digits_bundle, provider="cuda", tf32=True, cuda_graphs=True) as classifier:
        plan = classifier.plan
        assert (plan.buckets, plan.micro_batch, plan.threads, plan.tf32) == (BUCKETS, 1024, 1, True)
        said = (
            "fp32 on cuda (asked for by name), 1 thread, batches of 1, 4, 16, 64, 256, 1024, TF32 allowed, CUDA graphs"
        )
        assert str(plan) == said
        bound = classifier._engine._session
        assert isinstance(bound, BoundSession)
        assert sorted(bound._bound) == [16]
        classifier.warm_up()
        assert tuple(sorted(bound._bound)) == BUCKETS
        np.testing.assert_allclose(classifier.predict(images).logits, one_by_one, atol=1e-4)
        assert classifier.source is not None
        assert (classifier.source.options.tf32, classifier.source.options.cuda_graphs) == (True, True)


@pytest.mark.usefixtures("as_if_on_cuda")
def test_without_being_asked_there_is_no_tf32(digits_bundle: Path) -> None:
    """And the plan says so."""
    with Classifier.load(digits_bundle, provider="cuda") as classifier:
        assert str(classifier.plan).endswith("1024, no TF32")


def test_warming_up_on_the_cpu_is_one_call(digits_bundle: Path) -> None:
    """It takes any size, so that there is nothing to prepare."""
    with Classifier.load(digits_bundle, provider="cpu") as classifier:
        classifier.warm_up()
        assert classifier.plan.buckets == ()
