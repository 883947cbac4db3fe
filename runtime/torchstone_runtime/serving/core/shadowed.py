"""The shadow of a repository: loaded, verified and exchanged as the models are."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torchstone_runtime.errors import TorchstoneError, UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.serving.core.entries import ReloadResult
from torchstone_runtime.serving.core.loader import Loader
from torchstone_runtime.serving.core.model_sources import FIRST_VERSION, Source
from torchstone_runtime.serving.core.served_model import Seen, ServedModel
from torchstone_runtime.serving.core.shadow import Shadow


class Shadowed:
    """Keeps the shadow of one model; an observer of all of them.

    Args:
        source: origin of the shadow.
        names: names of the models that are served.
        options: options that it is loaded with, on one thread.
        share: share of the time that it may compute.

    Attributes:
        name: name of the model whose requests it sees.
        shadow: shadow at work; None before it is loaded.

    Raises:
        UsageError: it is none of several models', or the share is not above 0 and at most 1.
    """

    def __init__(self, source: Source, names: Sequence[str], options: LoadOptions, share: float) -> None:
        if not 0 < share <= 1:
            raise UsageError(f"The shadow's share of the time is {share:g}.", "Give more than 0, and at most 1.")
        if source.name not in names and len(names) > 1:
            raise UsageError(
                "There are several models, and the shadow doesn't say whose it is.",
                f"Give it the name of one: --shadow {names[0]}={source.path}",
            )
        self.name = source.name if source.name in names else names[0]
        self.shadow: Shadow | None = None
        self._source = source
        self._options = replace(options, threads=1, mode="throughput", variant=None)
        self._share = share

    def __call__(self, model: ServedModel, seen: Seen) -> None:
        """Show the shadow an answered request."""
        if self.shadow is not None:
            self.shadow(model, seen)

    async def reload(self, loader: Loader, models: Sequence[ServedModel]) -> ReloadResult:
        """Reload the shadow and reset its counts. If that fails, the one before continues.

        Args:
            loader: loader of the repository.
            models: models that serve.
        """
        began = time.perf_counter()
        problem: TorchstoneError | None = None
        class_names = [model.class_names for model in models if model.name == self.name]
        try:
            shadow = await loader.run(partial(self._open, class_names[-1] if class_names else ()))
        except TorchstoneError as error:
            problem = error
        else:
            self.close()
            self.shadow = shadow
        name = f"shadow of {self.name}"
        return ReloadResult(name, self._source.version or FIRST_VERSION, problem, seconds=time.perf_counter() - began)

    def close(self) -> None:
        """End the shadow's work."""
        if self.shadow is not None:
            self.shadow.close()

    def _open(self, class_names: tuple[str, ...]) -> Shadow:
        classifier = Classifier.load_with(self._source.path, self._options)
        return Shadow(self.name, class_names, classifier, self._share)
