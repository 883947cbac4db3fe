"""Trying out, while a model serves already, whether requests may be put together: see `row_independence`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from torchstone_runtime.errors import TorchstoneError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.serving.core.row_independence import may_merge


class MergeTrial:
    """Tries it once. Until it has been tried nothing is put together, which is slower and never wrong.

    For a model that takes 50 ms an image the trial takes ten seconds, which nobody should wait for who wants an answer.

    Args:
        classifier: classifier to be tried.
        max_batch: largest batch that requests would be put together to.
        allow: called where they may be, on the thread that tried it.
    """

    def __init__(self, classifier: Classifier, max_batch: int, allow: Callable[[], None]) -> None:
        self._classifier = classifier
        self._max_batch = max_batch
        self._allow = allow
        self._begun = max_batch == 1
        self._stopped = False

    def begin(self) -> None:
        """Try it on a thread of its own, unless it has been begun."""
        if self._begun:
            return
        self._begun = True
        thread = ThreadPoolExecutor(1, thread_name_prefix="torchstone-merge")
        thread.submit(self._try)
        thread.shutdown(wait=False)

    def run(self) -> None:
        """Try it now, unless it has been begun."""
        if not self._begun:
            self._begun = True
            self._try()

    def stop(self) -> None:
        """End it after the batch that it computes."""
        self._begun = self._stopped = True

    def _try(self) -> None:
        with suppress(TorchstoneError):  # a model that fails in a batch of some size is asked one by one
            if may_merge(self._classifier, self._max_batch, lambda: self._stopped):
                self._allow()
            self._classifier.give_back_memory()  # most servers are never sent a batch as large as those tried
