"""What the routes share: the models, the settings, and what others add."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from torchstone_runtime.protocol.descriptions import ModelDescription
from torchstone_runtime.protocol.path_name import decoded
from torchstone_runtime.serving.core.entries import ReloadResult
from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.core.served_model import ServedModel
from torchstone_runtime.serving.http.background_watch import Backgrounds
from torchstone_runtime.serving.http.body_room import BodyRoom
from torchstone_runtime.serving.http.extensions import Extensions
from torchstone_runtime.serving.http.request_record import record_of
from torchstone_runtime.serving.http.settings import HttpSettings
from torchstone_runtime.text import showable


@dataclass(slots=True)
class Site:
    """What the routes share.

    Attributes:
        repository: the models.
        settings: behaviour of the HTTP side.
        extensions: additions of other rooms.
        tell: function that writes lines for the operator.
        reloads: number of loads of a version since the start, by whether they succeeded.
        backgrounds: observer of the edges of images.
        bodies: memory for the bodies of requests.
    """

    repository: ModelRepository
    settings: HttpSettings
    extensions: Extensions
    tell: Callable[[str], None]
    reloads: Counter[bool] = field(default_factory=Counter)
    backgrounds: Backgrounds = field(default_factory=Backgrounds)
    bodies: BodyRoom = field(init=False)

    def __post_init__(self) -> None:
        self.bodies = BodyRoom(max(self.settings.max_bodies, self.settings.max_body))

    def asked_model(self, request: Request) -> ServedModel:
        """Return the model that a request's path names, noting it in the request's record.

        Raises:
            UnknownModelError, NotReadyError: it is not available.
        """
        model = self.repository.get(*asked_name(request))
        record_of(request).note_model(model)
        return model

    def default_model(self) -> str:
        """Return the name of the model that was given first."""
        return self.repository.index()[0].name

    def deadline(self, request: Request, asked: float | None = None) -> float:
        """Return the time of the event loop's clock until which a request is to be answered.

        Args:
            request: the request, whose time began with its arrival.
            asked: seconds that the client waits at most; None where it did not say.
        """
        arrived, allowed = record_of(request).arrived, self.settings.timeout
        began = asyncio.get_running_loop().time() if arrived is None else arrived
        return began + (allowed if asked is None else min(asked, allowed))

    def describe(self, model: ServedModel) -> ModelDescription:
        """Return what clients may know of a model."""
        versions = [entry.version for entry in self.repository.index() if entry.name == model.name]
        plan = model.classifier.plan
        facts = {"variant": plan.variant, "sha256": model.classifier.sha256, "provider": plan.provider}
        return ModelDescription(
            name=model.name,
            versions=versions,
            shape=model.input_spec.shape,
            class_names=model.class_names,
            max_batch=model.limits.max_batch,
            max_queue=model.limits.max_queue,
            max_delay=model.limits.max_delay,
            on_gpu=plan.provider in ("cuda", "tensorrt"),
            facts=facts,
        )

    def note_reloads(self, results: Sequence[ReloadResult]) -> None:
        """Count loads, and say of each that failed why it did."""
        for result in results:
            self.reloads[result.ok] += 1
            if result.error is not None:
                lines = " ".join(result.error.lines)
                self.tell(showable(f"{result.name}, version {result.version}, was not reloaded: {lines}"))
            else:
                what = "is gone" if result.removed else f"was reloaded in {result.seconds:.1f} s"
                self.tell(showable(f"{result.name}, version {result.version}, {what}."))


def asked_name(request: Request) -> tuple[str, str | None]:
    """Return the model's name and version that a request's path names; None for the newest version."""
    version = request.path_params.get("version")
    return decoded(request.path_params["model"]), decoded(version) if version is not None else None
