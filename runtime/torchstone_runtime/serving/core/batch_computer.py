"""A batch computed on a thread, and counted."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.metrics.answered import all_answered, decide
from torchstone_runtime.serving.core.admission import Admission
from torchstone_runtime.serving.core.batcher import Computed
from torchstone_runtime.serving.core.statistics import ModelStatistics


class BatchComputer:
    """Computes batches for a `Batcher`. It knows no `ServedModel`: a batch under way must not keep one alive.

    Args:
        classifier: classifier that computes.
        threads: threads that it computes on.
        admission: admission that is told how long an image takes.
        workers: number of the threads.

    Attributes:
        statistics: counters of the batches and decisions.
    """

    def __init__(self, classifier: Classifier, threads: ThreadPoolExecutor, admission: Admission, workers: int) -> None:
        self._classifier = classifier
        self._threads = threads
        self._admission = admission
        self._workers = workers
        self.statistics = ModelStatistics(classifier.class_names)

    async def __call__(self, requests: Sequence[Uint8Array]) -> Computed:
        """Compute the images of some requests in one call, see `Batcher`."""
        loop = asyncio.get_running_loop()
        computed, classes, confidences = await loop.run_in_executor(self._threads, self._compute, requests)
        self.statistics.add_batch(len(classes), computed.seconds)
        self.statistics.add_decisions(classes, confidences)
        self._admission.note(computed.seconds / (len(classes) * self._workers))
        return computed

    def _compute(self, requests: Sequence[Uint8Array]) -> tuple[Computed, list[int], list[float]]:
        began = time.perf_counter()
        images = requests[0] if len(requests) == 1 else np.concatenate(requests)
        found = self._classifier.predict(images, unanswered="keep")
        computed = Computed(found.logits, found.probabilities, time.perf_counter() - began)
        if all_answered(found.logits, found.probabilities):
            classes = found.logits.argmax(axis=1).tolist()
        else:
            classes = decide(found.logits, found.probabilities).tolist()
        return computed, classes, found.probabilities.max(axis=1).tolist()
