"""The repository of models over HTTP: its index, and loading and unloading where that is allowed."""

from starlette.requests import Request
from starlette.responses import Response

from torchstone_runtime.errors import TorchstoneError
from torchstone_runtime.protocol.body import parse_object, shown
from torchstone_runtime.protocol.request_error import RequestError, refuse
from torchstone_runtime.protocol.tensors import object_of
from torchstone_runtime.serving.core.entries import ModelEntry
from torchstone_runtime.serving.core.refusals import UnknownModelError
from torchstone_runtime.serving.http.body_reading import read_body
from torchstone_runtime.serving.http.errors_as_answers import json_answer
from torchstone_runtime.serving.http.shared_state import Site, asked_name


class RepositoryRoutes:
    """Answers requests about the repository of models."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def index(self, request: Request) -> Response:
        """List every version of every model; with `{"ready": true}` those that are ready."""
        asked = parse_object(await read_body(request, self._site))
        only_ready = asked.get("ready", False)
        if not isinstance(only_ready, bool):
            raise refuse("'ready' must be true or false.")
        entries = self._site.repository.index()
        return json_answer([_entry(entry) for entry in entries if not only_ready or entry.state == "READY"])

    async def load(self, request: Request) -> Response:
        """Load a model anew from where the command line says, and swap it in once it has proven itself."""
        name = await self._allowed(request)
        try:
            await self._site.repository.load(name)
        except UnknownModelError:
            raise
        except TorchstoneError as error:
            self._site.reloads[False] += 1
            self._site.tell(f"{name} was not reloaded: {' '.join(error.lines)}")
            raise RequestError(409, f"{name} was not loaded: {error.problem}") from error
        self._site.reloads[True] += 1
        return Response(status_code=200)

    async def unload(self, request: Request) -> Response:
        """Take a model out."""
        await self._site.repository.unload(await self._allowed(request))
        return Response(status_code=200)

    async def _allowed(self, request: Request) -> str:
        if not self._site.settings.allow_reload:
            raise RequestError(403, "Loading and unloading over HTTP is off. Start the server with --allow-reload.")
        if _from_another_site(request):
            raise RequestError(403, "A page of another site can't load or unload models.")
        asked = parse_object(await read_body(request, self._site))
        parameters = object_of(asked.get("parameters"), "'parameters'")
        if others := sorted(set(parameters) - {"unload_dependents"}):
            raise refuse(f"'{shown(others[0])}' is not taken: a model comes from where the server's command line says.")
        return asked_name(request)[0]


def _from_another_site(request: Request) -> bool:
    """Tell whether a browser sent the request for a page that this server has not sent: it asks nobody before."""
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host", "")


def _entry(entry: ModelEntry) -> dict[str, str]:
    return {"name": entry.name, "version": entry.version, "state": entry.state, "reason": entry.reason}
