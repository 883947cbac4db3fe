"""Drift of what the server is sent: sliding windows beside the validation images, as metrics."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.drift.reference_images import DEFAULT_WINDOW
from torchstone_runtime.errors import TorchstoneError, UsageError
from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.core.served_model import Seen, ServedModel
from torchstone_runtime.serving.http.prometheus import Family

if TYPE_CHECKING:
    from torchstone_runtime.drift.monitor import DriftMonitor

_MOST_WAITING: Final = 4096
_MOST_BYTES: Final = 64 << 20
"""Images that wait to be measured, and their bytes: beyond it they are left out, so that a busy server keeps its
memory."""
_PAUSE: Final = 19
"""Length of the pause after a measurement, in its own durations. Meanwhile small requests gather, to be measured in one
go: one by one, measuring them held the interpreter a quarter of the time that answering them did. It so takes at most a
twentieth of a processor."""
_LONGEST_PAUSE: Final = 0.25
"""In seconds: also the longest that the end of the process waits for it."""
_PORTION: Final = 512
_PORTION_BYTES: Final = 4 << 20
"""Images, and their bytes, that are measured in one go: some 8 ms, after which the longest pause is long enough."""


class DriftWatch:
    """An observer (`served_model.Observer`) that compares the latest images of each model with its validation images.

    A reloaded model begins with an empty window; one whose bundle keeps nothing of its validation images is
    not watched. The images are measured on a thread of its own; nothing that fails there reaches a client.

    Args:
        repository: models that are watched.
        window: number of the latest images that are compared.
    """

    def __init__(self, repository: ModelRepository, window: int = DEFAULT_WINDOW) -> None:
        self._repository = repository
        self._window = window
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="torchstone-drift")
        self._monitors: WeakKeyDictionary[ServedModel, DriftMonitor | None] = WeakKeyDictionary()
        self._lock = Lock()
        self._waiting = 0
        self._seen: deque[tuple[ServedModel, Seen]] = deque()
        self._at_work = False

    def __call__(self, model: ServedModel, seen: Seen) -> None:
        """Have the images of a request measured, unless too many wait."""
        count = len(seen.images)
        if not model.classifier.statistics.present:
            return
        with self._lock:
            most = min(_MOST_WAITING, _MOST_BYTES // seen.images[0].nbytes)
            if self._waiting and self._waiting + count > most:
                return
            self._waiting += count
            self._seen.append((model, seen))
            begin, self._at_work = not self._at_work, True
        if begin:
            self._thread.submit(self._measure_all)

    def told(self, model: ServedModel, seen: Seen, query: Mapping[str, str]) -> Mapping[str, Any]:
        """Return, for the query `drift=1` to `/predict`, how the latest images differ, as `drift`; null if unwatched.

        Raises:
            UsageError: `drift` is neither 0 nor 1.
        """
        del seen
        wanted = query.get("drift", "0")
        if wanted not in ("0", "1"):
            raise UsageError("'drift' must be 1, for how the latest images differ, or 0.")
        if wanted == "0":
            return {}
        monitor = self._monitors.get(model)
        if monitor is None:
            return {"drift": None}
        report = monitor.report()
        changes = [item.change for item in report.changed]
        return {
            "drift": {"images": report.images, "alarm": report.alarm, "p_value": report.p_value, "changes": changes}
        }

    def metrics(self) -> Iterable[Family]:
        """Return distances, the p-value and the alarm of each model that has been sent images."""
        images = Family("torchstone_drift_window_images", "gauge", "Images in the window that drift is looked for in.")
        distance = Family("torchstone_drift_distance", "gauge", "Distance of the window from the validation images.")
        p_value = Family("torchstone_drift_p_value", "gauge", "Probability of such a window without drift, at most.")
        alarm = Family("torchstone_drift_alarm", "gauge", "Whether the images differ from the validation images.")
        for model in self._repository.models():
            monitor = self._monitors.get(model)
            if monitor is None:
                continue
            report, labels = monitor.report(), {"model": model.name, "version": model.version}
            images.add(report.images, **labels)
            p_value.add(report.p_value, **labels)
            alarm.add(int(report.alarm), **labels)
            for item in report.features:
                distance.add(item.distance, **labels, feature=item.name)
        return [images, distance, p_value, alarm]

    def _measure_all(self) -> None:
        while batch := self._next():
            model, requests = batch[0][0], [seen for _, seen in batch]
            try:
                for images, logits in portions(requests):
                    begun = time.perf_counter()
                    try:
                        self._measure(model, images, logits)
                    finally:
                        time.sleep(min(_LONGEST_PAUSE, _PAUSE * (time.perf_counter() - begun)))
            except Exception as error:  # noqa: BLE001 - whoever watches must not stop for good
                model.statistics.add_observer_failure(error)
            with self._lock:
                self._waiting -= sum(len(seen.images) for seen in requests)

    def _next(self) -> list[tuple[ServedModel, Seen]]:
        """Return the requests to one model that have come since; with none, the work is ended."""
        with self._lock:
            batch: list[tuple[ServedModel, Seen]] = []
            while self._seen and (not batch or self._seen[0][0] is batch[0][0]):
                batch.append(self._seen.popleft())
            self._at_work = bool(batch)
        return batch

    def _measure(self, model: ServedModel, images: Uint8Array, logits: Float32Array) -> None:
        if model not in self._monitors:
            self._monitors[model] = _monitor_of(model, self._window)
        monitor = self._monitors[model]
        if monitor is not None:
            monitor.add(images, logits)


def portions(requests: Sequence[Seen]) -> Iterator[tuple[Uint8Array, Float32Array]]:
    """Yield the images of requests and their logits in portions: small requests together, a large one in pieces."""
    most = max(1, min(_PORTION, _PORTION_BYTES // max(1, requests[0].images[0].nbytes)))
    held: list[tuple[Uint8Array, Float32Array]] = []
    count = 0
    for seen in requests:
        for start in range(0, len(seen.images), most):
            piece = slice(start, start + most)
            images, logits = seen.images[piece], seen.answer.logits[piece]
            if held and count + len(images) > most:
                yield _together(held)
                held, count = [], 0
            held.append((images, logits))
            count += len(images)
    yield _together(held)


def _together(pieces: Sequence[tuple[Uint8Array, Float32Array]]) -> tuple[Uint8Array, Float32Array]:
    images, logits = zip(*pieces, strict=True)
    return np.concatenate(images), np.concatenate(logits)


def _monitor_of(model: ServedModel, window: int) -> "DriftMonitor | None":
    try:
        return model.classifier.statistics.monitor(window)
    except TorchstoneError as error:  # what the bundle keeps is damaged: whoever asks for a set is told so
        model.statistics.add_observer_failure(error)
        return None
