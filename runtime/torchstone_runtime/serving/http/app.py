"""The server as an ASGI application, from its models, its settings and what others add."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router

from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.http.access_log import AccessLog
from torchstone_runtime.serving.http.entrance import Entrance
from torchstone_runtime.serving.http.errors_as_answers import json_answer
from torchstone_runtime.serving.http.extensions import Extensions, StaticFile
from torchstone_runtime.serving.http.front_door import FrontDoor
from torchstone_runtime.serving.http.infer_routes import InferRoute
from torchstone_runtime.serving.http.metrics_route import MetricsRoute
from torchstone_runtime.serving.http.model_routes import ModelRoutes
from torchstone_runtime.serving.http.predict_route import PredictRoute
from torchstone_runtime.serving.http.repository_routes import RepositoryRoutes
from torchstone_runtime.serving.http.settings import HttpSettings
from torchstone_runtime.serving.http.shared_state import Site

_MODEL = "/v2/models/{model}"
_VERSION = f"{_MODEL}/versions/{{version}}"


@dataclass(frozen=True, slots=True)
class WebApp:
    """The application and what its process steers it by.

    Attributes:
        asgi: the application.
        site: models, settings and counters that its routes share.
    """

    asgi: FrontDoor
    site: Site


def make_app(
    repository: ModelRepository,
    settings: HttpSettings,
    extensions: Extensions | None = None,
    write_line: Callable[[str], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> WebApp:
    """Make the application; the repository is started and ended by the caller.

    Args:
        repository: the models.
        settings: behaviour of the HTTP side.
        extensions: additions of other rooms.
        write_line: function that writes lines of the access log.
        tell: function that writes lines for the operator: what went wrong on the server's side.
    """
    site = Site(repository, settings, extensions or Extensions(), tell)
    repository.observers.append(site.backgrounds)
    routes = [*_inference(site), *_telling(site), *_repository(site), *_added(site)]
    log = AccessLog(settings.log, write_line)
    door = FrontDoor(Router([], redirect_slashes=False), log, tell)
    door.entrance = Entrance(site, door.answered, log)
    metrics = MetricsRoute(site, door.answered)
    door.router.routes = [*routes, Route("/metrics", metrics.metrics)]
    return WebApp(door, site)


def _inference(site: Site) -> list[BaseRoute]:
    infer, predict = InferRoute(site).infer, PredictRoute(site).predict
    return [
        Route(f"{_MODEL}/infer", infer, methods=["POST"]),
        Route(f"{_VERSION}/infer", infer, methods=["POST"]),
        Route("/predict", predict, methods=["POST"]),
    ]


def _telling(site: Site) -> list[BaseRoute]:
    tell = ModelRoutes(site)
    return [
        *(Route(f"{start}/live", tell.live) for start in ("/v2/health", "/health")),
        *(Route(f"{start}/ready", tell.ready) for start in ("/v2/health", "/health")),
        Route("/v2", tell.server),
        Route("/v2/models", tell.models),
        Route("/v2/models/stats", tell.statistics),  # before the routes of models, one of which may be called "stats"
        *(route for start in (_MODEL, _VERSION) for route in _of_a_model(start, tell)),
    ]


def _of_a_model(start: str, tell: ModelRoutes) -> list[BaseRoute]:
    return [
        Route(start, tell.metadata),
        Route(f"{start}/ready", tell.model_ready),
        Route(f"{start}/config", tell.config),
        Route(f"{start}/stats", tell.statistics),
    ]


def _repository(site: Site) -> list[BaseRoute]:
    repository = RepositoryRoutes(site)
    return [
        Route("/v2/repository/index", repository.index, methods=["POST"]),
        Route("/v2/repository/models/{model}/load", repository.load, methods=["POST"]),
        Route("/v2/repository/models/{model}/unload", repository.unload, methods=["POST"]),
    ]


def _added(site: Site) -> list[BaseRoute]:
    names = list(dict.fromkeys(entry.name for entry in site.repository.index()))

    async def openapi(request: Request) -> Response:
        from torchstone_runtime.serving.http.openapi import openapi_document  # noqa: PLC0415 - few ask for it

        del request
        return json_answer(openapi_document(names, site.settings, site.extensions.paths))

    files = [_file_route(file) for file in site.extensions.files]
    return [Route("/openapi.json", openapi), *site.extensions.routes, *files]


def _file_route(file: StaticFile) -> Route:
    async def send(request: Request) -> Response:
        del request
        headers = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", **file.headers}
        return Response(file.content, headers=headers, media_type=file.media_type)

    return Route(file.path, send)
