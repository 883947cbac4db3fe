"""`ModelRepository`: the models that a server has, loaded beside what serves and swapped in once they are proven."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from torchstone_runtime.errors import suggestion
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.serving.core.entries import ModelEntry, ReloadResult
from torchstone_runtime.serving.core.in_flight import InFlight
from torchstone_runtime.serving.core.limits import DEFAULT_SHADOW_SHARE, ServingLimits
from torchstone_runtime.serving.core.loader import Loader
from torchstone_runtime.serving.core.model_sources import Source, by_name
from torchstone_runtime.serving.core.named_model import NamedModel
from torchstone_runtime.serving.core.refusals import NotReadyError, UnknownModelError
from torchstone_runtime.serving.core.served_model import Observer, ServedModel

if TYPE_CHECKING:
    from torchstone_runtime.serving.core.shadow import Shadow
    from torchstone_runtime.serving.core.shadowed import Shadowed


class ModelRepository:
    """The models of a server. Its methods are called on one event loop; models are loaded on a thread.

    Args:
        sources: models to be served.
        options: options that every model is loaded with, checks of hashes, signature and golden samples among them.
        limits: limits of each model.
        shadow: second model for one of them, see `Shadow`: for that of its name, or for the only one; None for none.
        shadow_share: share of the time that the shadow may compute.

    Attributes:
        observers: functions that see every answered request of every model; the list may change at any time.

    Raises:
        UsageError: no source, two of the same name and version, or a shadow of none of several models.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        options: LoadOptions,
        limits: ServingLimits | None = None,
        *,
        shadow: Source | None = None,
        shadow_share: float = DEFAULT_SHADOW_SHARE,
    ) -> None:
        self.observers: list[Observer] = []
        self._options = options
        self._limits = limits or ServingLimits()
        self._models = {name: NamedModel(name, own, self._open) for name, own in by_name(sources).items()}
        self._shadowed = _shadowed(shadow, tuple(self._models), options, shadow_share)
        if self._shadowed is not None:
            self.observers.append(self._shadowed)
        self._in_flight = InFlight()
        self._lock = asyncio.Lock()
        self._loader = Loader()
        self._started = self._draining = self._closed = False

    @property
    def ready(self) -> bool:
        """Whether every model that wasn't unloaded on request has a version that serves, and the server goes on."""
        wanted = [named for named in self._models.values() if not named.unloaded]
        return self._started and not self._draining and all(named.ready for named in wanted)

    @property
    def draining(self) -> bool:
        """Whether the server ends: it isn't ready any more, and answers all the same."""
        return self._draining

    @property
    def requests(self) -> int:
        """Number of requests in flight, those at models that were replaced included."""
        return self._in_flight.requests

    @property
    def loading(self) -> bool:
        """Whether a thread is still loading a model, which may have no end."""
        return self._loader.running

    @property
    def shadow(self) -> "Shadow | None":
        """The shadow at work, with its statistics; None where there is none."""
        return self._shadowed.shadow if self._shadowed is not None else None

    def models(self) -> Iterator[ServedModel]:
        """Yield the models that serve, in the order of the sources, versions ascending."""
        for named in self._models.values():
            yield from named.models()

    def index(self) -> list[ModelEntry]:
        """Return every version of every model, in the order of the sources, versions ascending."""
        return [entry for named in self._models.values() for entry in named.entries()]

    def get(self, name: str, version: str | None = None) -> ServedModel:
        """Return a model; held by the caller, it answers even if it is replaced meanwhile.

        Args:
            name: name that it is served by.
            version: its version; the highest that serves if None or empty.

        Raises:
            UnknownModelError: there is no such model or version.
            NotReadyError: it doesn't serve, or the server has ended.
        """
        if self._closed:
            raise NotReadyError("The server has ended.")
        return self._named(name).get(version)

    async def start(self) -> None:
        """Load every model; one that fails its checks ends the start.

        Raises:
            TorchstoneError: what is wrong with the first that failed, see `Classifier.load`.
        """
        for result in await self.reload_all():
            if result.error is not None:
                await self.close()
                raise result.error
        self._started = self._loader.serving = True

    async def load(self, name: str) -> None:
        """Load all versions of a model anew, beside those that serve, and swap those in that are proven.

        Raises:
            UnknownModelError: there is no such model.
            TorchstoneError: what is wrong with the first version that failed; where one served, it goes on.
        """
        named = self._named(name)
        async with self._lock:
            results = await self._reload(named)
        for result in results:
            if result.error is not None:
                raise result.error

    async def unload(self, name: str) -> None:
        """Take a model out; requests that it has are answered.

        Raises:
            UnknownModelError: there is no such model.
        """
        named = self._named(name)
        async with self._lock:
            named.unloaded = True
            named.take_out("It was unloaded.")

    async def reload_all(self) -> list[ReloadResult]:
        """Load everything anew that wasn't unloaded, as `load` does, and the shadow; errors are in the results."""
        results: list[ReloadResult] = []
        async with self._lock:
            for named in self._models.values():
                if not named.unloaded:
                    results += await self._reload(named)
            if self._shadowed is not None and all(result.ok for result in results):
                results.append(await self._shadowed.reload(self._loader, list(self.models())))
        return results

    def begin_drain(self) -> None:
        """Be no longer ready, and go on answering."""
        self._draining = True

    async def drain(self) -> None:
        """Begin to drain, and wait until no request is in flight; `asyncio.timeout` bounds it."""
        self.begin_drain()
        await self._in_flight.wait_for_none()

    async def close(self) -> None:
        """Answer nothing more and let the models go; their threads end once they have done what they are at."""
        self._draining = self._closed = True
        for named in self._models.values():
            named.take_out("The server has ended.")
        if self._shadowed is not None:
            self._shadowed.close()

    def _named(self, name: str) -> NamedModel:
        if name not in self._models:
            raise UnknownModelError("There is no such model.", suggestion(name, self._models))
        return self._models[name]

    async def _reload(self, named: NamedModel) -> list[ReloadResult]:
        results = await named.reload(self._loader)
        if self._closed:
            named.take_out("The server has ended.")
        return results

    def _open(self, name: str, version: str, path: str) -> ServedModel:
        classifier = Classifier.load_with(path, self._options)
        model = ServedModel(name, version, classifier, self._limits, self._in_flight, self.observers)
        if self._started:  # nobody waits for this one: what serves goes on until it knows all of itself
            model.try_merging()
        return model


def _shadowed(source: Source | None, names: Sequence[str], options: LoadOptions, share: float) -> "Shadowed | None":
    if source is None:
        return None
    from torchstone_runtime.serving.core.shadowed import Shadowed  # noqa: PLC0415 - most servers have no shadow

    return Shadowed(source, names, options, share)
