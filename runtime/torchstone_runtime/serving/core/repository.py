"""`ModelRepository`: the models that a server has, loaded beside what serves and swapped in once they are proven."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from torchstone_runtime.errors import BundleError, TorchstoneError, first_line, suggestion
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.serving.core.entries import ModelEntry, ReloadResult, State
from torchstone_runtime.serving.core.errors import NotReadyError, UnknownModelError
from torchstone_runtime.serving.core.in_flight import InFlight
from torchstone_runtime.serving.core.limits import ServingLimits
from torchstone_runtime.serving.core.served_model import Observer, ServedModel
from torchstone_runtime.serving.core.sources import Source, by_name
from torchstone_runtime.serving.core.statistics import ModelStatistics


@dataclass(slots=True)
class _Version:
    """A version of a model and how it fares."""

    model: ServedModel | None = None
    loading: bool = False
    reason: str = ""
    statistics: ModelStatistics | None = None


@dataclass(slots=True)
class _Named:
    """All versions of a model, and where they come from."""

    sources: list[Source]
    versions: dict[str, _Version] = field(default_factory=dict)
    unloaded: bool = False

    @property
    def ready(self) -> bool:
        return any(version.model is not None for version in self.versions.values())


class ModelRepository:
    """The models of a server. Its methods are called on one event loop; models are loaded on a thread.

    Args:
        sources: what is served.
        options: how every model is loaded; hashes, signature and golden samples are checked as it says.
        limits: how much each model takes on at once.

    Attributes:
        observers: what sees every answered request of every model; add to it before or after the start.

    Raises:
        UsageError: no source, or two of the same name and version.
    """

    def __init__(self, sources: Iterable[Source], options: LoadOptions, limits: ServingLimits | None = None) -> None:
        self._models = {name: _Named(own) for name, own in by_name(sources).items()}
        self._options = options
        self._limits = limits or ServingLimits()
        self._lock = asyncio.Lock()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="torchstone-load")
        self._started = self._draining = self._closed = False
        self._in_flight = InFlight()
        self.observers: list[Observer] = []

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

    def models(self) -> Iterator[ServedModel]:
        """Return the models that serve, by name and version."""
        for named in self._models.values():
            for version in sorted(named.versions, key=int):
                model = named.versions[version].model
                if model is not None:
                    yield model

    def index(self) -> list[ModelEntry]:
        """Return every version of every model, in the order of the sources."""
        return [
            _entry(name, version, named.versions[version])
            for name, named in self._models.items()
            for version in sorted(named.versions, key=int)
        ]

    def get(self, name: str, version: str | None = None) -> ServedModel:
        """Return a model; held by the caller, it answers even if it is replaced meanwhile.

        Args:
            name: name that it is served by.
            version: its version; the highest that serves if None or empty.

        Raises:
            UnknownModelError: there is no such model or version.
            NotReadyError: it doesn't serve, or the server has ended.
        """
        named = self._named(name)
        if version and version not in named.versions:
            raise UnknownModelError(f"The model '{name}' has no such version.", suggestion(version, named.versions))
        wanted = [version] if version else sorted(named.versions, key=int, reverse=True)
        for one in wanted:
            model = named.versions[one].model
            if model is not None and not self._closed:
                return model
        reasons = [named.versions[one].reason for one in wanted if named.versions[one].reason]
        raise NotReadyError(f"The model '{name}' is not ready. {reasons[0] if reasons else ''}".rstrip())

    async def start(self) -> None:
        """Load every model; one that fails its checks ends the start.

        Raises:
            TorchstoneError: what is wrong with the first that failed, see `Classifier.load`.
        """
        for result in await self.reload_all():
            if result.error is not None:
                await self.close()
                raise result.error
        self._started = True

    async def load(self, name: str) -> None:
        """Load all versions of a model anew, beside those that serve, and swap those in that are proven.

        Raises:
            UnknownModelError: there is no such model.
            TorchstoneError: what is wrong with the first version that failed; where one served, it goes on.
        """
        named = self._named(name)
        for result in await self._reload(name, named):
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
            for version in named.versions.values():
                version.model, version.reason = None, "It was unloaded."

    async def reload_all(self) -> list[ReloadResult]:
        """Load every model anew that wasn't unloaded, as `load` does; errors are in the results."""
        results: list[ReloadResult] = []
        for name, named in self._models.items():
            if not named.unloaded:
                results += await self._reload(name, named)
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
            for version in named.versions.values():
                version.model, version.reason = None, "The server has ended."
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _named(self, name: str) -> _Named:
        if name not in self._models:
            raise UnknownModelError("There is no such model.", suggestion(name, self._models))
        return self._models[name]

    async def _reload(self, name: str, named: _Named) -> list[ReloadResult]:
        async with self._lock:
            paths: dict[str, str] = {}
            for source in named.sources:
                paths |= source.versions()
            results = [_remove(name, named, version) for version in named.versions.keys() - paths.keys()]
            for version in paths:
                named.versions.setdefault(version, _Version()).loading = True
            for version, path in paths.items():
                results.append(await self._load(name, version, path, named.versions[version]))
            named.unloaded = False
            return results

    async def _load(self, name: str, version: str, path: str, slot: _Version) -> ReloadResult:
        began = time.perf_counter()
        error: TorchstoneError | None = None
        try:
            model = await asyncio.get_running_loop().run_in_executor(self._loader, self._open, name, version, path)
        except TorchstoneError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001 - whatever it is, what serves must go on
            error = BundleError(f"{path} can't be loaded: {type(caught).__name__}: {first_line(caught)}")
        else:
            _swap(slot, model)
        slot.loading = False
        if error is not None:
            slot.reason = f"{'The last reload failed: ' if slot.model is not None else ''}{error.problem}"
        return ReloadResult(name, version, error, seconds=time.perf_counter() - began)

    def _open(self, name: str, version: str, path: str) -> ServedModel:
        classifier = Classifier.load_with(path, self._options)
        return ServedModel(name, version, classifier, self._limits, self._in_flight, self.observers)


def _swap(slot: _Version, model: ServedModel) -> None:
    if slot.statistics is not None and slot.statistics.class_names == model.class_names:
        model.go_on_counting(slot.statistics)
    slot.statistics = model.statistics
    slot.model, slot.reason = model, ""


def _remove(name: str, named: _Named, version: str) -> ReloadResult:
    del named.versions[version]
    return ReloadResult(name, version, None, removed=True)


def _entry(name: str, version: str, slot: _Version) -> ModelEntry:
    state: State = "READY" if slot.model is not None else "LOADING" if slot.loading else "UNAVAILABLE"
    return ModelEntry(name, version, state, slot.reason)
