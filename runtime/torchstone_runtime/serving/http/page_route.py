"""The page at `/`: a picture in, the answer and what the model saw out, for people."""

import asyncio
import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.protocol.request_error import RequestError
from torchstone_runtime.serving.asked_sets import can_promise
from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.core.served_model import Seen, ServedModel
from torchstone_runtime.serving.http.extensions import Extensions
from torchstone_runtime.serving.http.request_record import record_of

if TYPE_CHECKING:
    from torchstone_runtime.web.server_page import ServerPage

PAGE_COVERAGE: Final = 0.95
"""Coverage of the sets that the page shows."""
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # a reload may have put another model behind it
}


def add_page(extensions: Extensions, repository: ModelRepository) -> None:
    """Add the page, and to the answers of `/predict` what the model saw, where that is asked for."""
    extensions.routes.append(Route("/", PageRoute(repository).page))
    extensions.additions.append(seen_pixels)
    page = {"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}}
    extensions.paths["/"] = {"get": {"summary": "A page for people with pictures.", "responses": {"200": page}}}


def seen_pixels(model: ServedModel, seen: Seen, query: Mapping[str, str]) -> dict[str, Any]:
    """Return `seen`, the pixels that the model was given as a PNG file in a data URL, for the query `seen=1`.

    Raises:
        UsageError: `seen` is neither 0 nor 1.
    """
    del model
    wanted = query.get("seen", "0")
    if wanted not in ("0", "1"):
        raise UsageError("'seen' must be 1, for the picture as the model saw it, or 0.")
    if wanted == "0":
        return {}
    return {"seen": f"data:image/png;base64,{base64.b64encode(encode_png(seen.images[0])).decode()}"}


class PageRoute:
    """Answers `GET /`, each model's page being made once."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._made: WeakKeyDictionary[ServedModel, ServerPage] = WeakKeyDictionary()

    async def page(self, request: Request) -> Response:
        """Send the page of the model that the query names, or of the first one."""
        names = list(dict.fromkeys(entry.name for entry in self._repository.index()))
        model = self._repository.get(request.query_params.get("model") or names[0], request.query_params.get("version"))
        record_of(request).note_model(model)
        if model not in self._made:
            others = [name for name in names if name != model.name]
            self._made[model] = await asyncio.to_thread(_make, model, others)
        made = self._made[model]
        headers = {**_HEADERS, "Content-Security-Policy": made.policy}
        return Response(made.html, headers=headers, media_type="text/html")


def _make(model: ServedModel, others: list[str]) -> "ServerPage":
    # Most servers are asked by programs: what makes a page is read when somebody looks at one.
    from torchstone_runtime.web.page_html import Shown  # noqa: PLC0415
    from torchstone_runtime.web.server_page import Served, server_page  # noqa: PLC0415

    bundle = model.classifier.bundle
    if bundle is None:
        raise RequestError(404, "A lone model file has no page; serve its bundle.")
    served = Served(
        model.name,
        model.version,
        verified=model.classifier.source.options.replay_golden,
        coverage=PAGE_COVERAGE if can_promise(model, PAGE_COVERAGE) else None,
    )
    return server_page(Shown.of(bundle, model.classifier.plan.variant), served, others)
