"""All versions of one model: where they come from, which serve, and how a reload changes that."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from torchstone_runtime.errors import TorchstoneError, suggestion
from torchstone_runtime.serving.core.entries import ModelEntry, ReloadResult, State
from torchstone_runtime.serving.core.loader import Loader
from torchstone_runtime.serving.core.model_sources import FIRST_VERSION, Source
from torchstone_runtime.serving.core.refusals import NotReadyError, UnknownModelError
from torchstone_runtime.serving.core.served_model import ServedModel
from torchstone_runtime.serving.core.statistics import ModelStatistics


class ModelOpener(Protocol):
    """Loads and verifies a version of a model."""

    def __call__(self, name: str, version: str, path: str, /) -> ServedModel:
        """Return the model.

        Raises:
            TorchstoneError: it failed a check, or can't be loaded.
        """


@dataclass(slots=True)
class _Version:
    model: ServedModel | None = None
    loading: bool = False
    reason: str = ""
    statistics: ModelStatistics | None = None

    def put(self, model: ServedModel) -> None:
        """Let a proven model serve, counting further where the one before had the same classes."""
        if self.statistics is not None and self.statistics.class_names == model.class_names:
            model.go_on_counting(self.statistics)
        self.statistics = model.statistics
        self.model, self.reason = model, ""

    def fail(self, error: TorchstoneError) -> None:
        """Note why it could not be loaded; a model that serves goes on."""
        self.reason = f"{'The last reload failed: ' if self.model is not None else ''}{error.problem}"

    def take_out(self, reason: str) -> None:
        self.model, self.reason = None, reason


class NamedModel:
    """A model with its versions.

    Args:
        name: name that it is served by.
        sources: origins of its versions.
        opener: loader of a version.

    Attributes:
        unloaded: whether it was taken out on request, so that its not serving is no fault.
    """

    def __init__(self, name: str, sources: Sequence[Source], opener: ModelOpener) -> None:
        self.name = name
        self.unloaded = False
        self._sources = sources
        self._opener = opener
        self._versions: dict[str, _Version] = {}

    @property
    def ready(self) -> bool:
        """Whether a version serves."""
        return any(True for _ in self.models())

    def models(self) -> Iterator[ServedModel]:
        """Yield the versions that serve, ascending."""
        for version in sorted(self._versions, key=int):
            if (model := self._versions[version].model) is not None:
                yield model

    def entries(self) -> Iterator[ModelEntry]:
        """Yield all versions, ascending, with their states."""
        for version in sorted(self._versions, key=int):
            slot = self._versions[version]
            state: State = "READY" if slot.model is not None else "LOADING" if slot.loading else "UNAVAILABLE"
            yield ModelEntry(self.name, version, state, slot.reason)

    def get(self, version: str | None) -> ServedModel:
        """Return a version; the highest that serves if None or empty.

        Raises:
            UnknownModelError: there is no such version.
            NotReadyError: it doesn't serve.
        """
        if not version:
            serving = list(self.models())
            if serving:
                return serving[-1]
            reasons = [slot.reason for slot in self._versions.values() if slot.reason]
            raise NotReadyError(f"The model '{self.name}' is not ready. {''.join(reasons[:1])}".rstrip())
        if version not in self._versions:
            raise UnknownModelError(
                f"The model '{self.name}' has no such version.", suggestion(version, self._versions)
            )
        slot = self._versions[version]
        if slot.model is None:
            raise NotReadyError(f"Version {version} of '{self.name}' is not ready. {slot.reason}".rstrip())
        return slot.model

    def take_out(self, reason: str) -> None:
        """Let no version serve any more; requests that one has are answered."""
        for slot in self._versions.values():
            slot.take_out(reason)

    async def reload(self, loader: Loader) -> list[ReloadResult]:
        """Load all versions that the disk has now, beside those that serve, and swap those in that are proven.

        Versions whose folders are gone are taken out, provided that another is there.
        """
        paths: dict[str, str] = {}
        try:
            for source in self._sources:
                paths |= await loader.run(source.versions)
        except TorchstoneError as error:
            return self._all_failed(error)
        for version in paths:
            self._versions.setdefault(version, _Version()).loading = True
        results = [await self._load(loader, version, path) for version, path in paths.items()]
        if any(result.ok for result in results):
            self.unloaded = False
            results += [self._remove(version) for version in sorted(self._versions.keys() - paths.keys(), key=int)]
        return results

    async def _load(self, loader: Loader, version: str, path: str) -> ReloadResult:
        slot = self._versions[version]
        began = time.perf_counter()
        problem: TorchstoneError | None = None
        try:
            slot.put(await loader.run(partial(self._opener, self.name, version, path)))
        except TorchstoneError as error:
            problem = error
            slot.fail(error)
        finally:
            slot.loading = False
        return ReloadResult(self.name, version, problem, seconds=time.perf_counter() - began)

    def _all_failed(self, error: TorchstoneError) -> list[ReloadResult]:
        for slot in self._versions.values():
            slot.fail(error)
        # At the first start no version is known; without a result nobody would learn of the error.
        versions = list(self._versions) or [self._sources[0].version or FIRST_VERSION]
        return [ReloadResult(self.name, version, error) for version in versions]

    def _remove(self, version: str) -> ReloadResult:
        del self._versions[version]
        return ReloadResult(self.name, version, None, removed=True)
