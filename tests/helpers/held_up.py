"""A classifier that waits until it may go on, so that a test decides what waits behind it."""

import asyncio
import threading

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.inference.classifier import Classifier, Unanswered
from torchstone_runtime.inference.predictions import Predictions


class Gate:
    """Stands in for `Classifier.predict` and holds every call up until it is opened.

    Args:
        classifier: classifier that answers then.

    Attributes:
        opened: event that lets all calls go on.
        calls: number of images of each call, in the order in which they began.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.opened = threading.Event()
        self.calls: list[int] = []
        self._begun = threading.Semaphore(0)
        self._predict = classifier.predict

    def __call__(self, images: Uint8Array, *, unanswered: Unanswered = "raise") -> Predictions:
        """Predict, once it is opened."""
        self.calls.append(len(images))
        self._begun.release()
        assert self.opened.wait(30)
        return self._predict(images, unanswered=unanswered)

    async def wait_for_a_call(self) -> None:
        """Wait until a call has begun that this method hasn't returned for yet."""
        assert await asyncio.to_thread(self._begun.acquire, timeout=30)
