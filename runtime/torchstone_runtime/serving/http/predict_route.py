"""`POST /predict`: a picture in, its classes out; for people with curl, and for the page."""

from contextvars import ContextVar
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.image_formats import FORMATS_HELP, START_BYTES, format_of
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.protocol.request_error import RequestError, refuse
from torchstone_runtime.serving.core.answer import Timings
from torchstone_runtime.serving.core.served_model import Seen, ServedModel
from torchstone_runtime.serving.http.body_reading import counting_refusals, read_body
from torchstone_runtime.serving.http.client_watch import while_connected
from torchstone_runtime.serving.http.errors_as_answers import json_answer
from torchstone_runtime.serving.http.request_record import record_of
from torchstone_runtime.serving.http.shared_state import Site

_TOP: Final = 5
_SEEN: ContextVar[list[Seen] | None] = ContextVar("seen", default=None)
"""Where the request that is answered in this task puts what the model saw."""


class PredictRoute:
    """Answers pictures with JSON."""

    def __init__(self, site: Site) -> None:
        self._site = site
        site.repository.observers.append(_keep_seen)

    async def predict(self, request: Request) -> Response:
        """Classify the picture file that is the body of the request."""
        query = request.query_params
        model = self._site.repository.get(query.get("model") or self._site.default_model(), query.get("version"))
        record = record_of(request)
        record.note_model(model)
        top = _count(query.get("top"))
        with counting_refusals(model):
            body = await read_body(request, self._site)
        file = _picture(body, request.headers.get("content-type", ""))
        record.images = 1
        deadline = self._site.deadline(request)
        record.has_come()
        seen: list[Seen] = []
        token = _SEEN.set(seen)
        try:
            answer = await while_connected(request, model.classify_files([file], deadline=deadline))
        finally:
            _SEEN.reset(token)
        record.timings = answer.timings
        document = _document(model, Predictions(model.class_names, answer.logits, answer.probabilities), top)
        if warnings := self._site.backgrounds.warnings(model, seen[0]):
            document["warnings"] = warnings
        for add in self._site.extensions.additions:
            document |= add(model, seen[0], query)
        return json_answer(document | {"ms": _milliseconds(answer.timings)})


def _keep_seen(model: ServedModel, seen: Seen) -> None:
    del model
    kept = _SEEN.get()
    if kept is not None:
        kept.append(seen)


def _document(model: ServedModel, found: Predictions, top: int) -> dict[str, Any]:
    first = found[0].to_dict(top)
    return {
        "model": model.name,
        "version": model.version,
        "label": first["label"],
        "probability": first["probability"],
        "top": first["top"],
    }


def _milliseconds(timings: Timings) -> dict[str, float]:
    return {
        name: round(seconds * 1e3, 3)
        for name, seconds in (("queue", timings.queue), ("decode", timings.decode), ("compute", timings.compute))
    }


def _picture(body: bytes, content_type: str) -> bytes:
    if content_type.startswith("multipart/"):
        raise RequestError(415, "Send the picture itself as the body, no form: curl --data-binary @picture.png")
    if not body:
        raise refuse("The body is empty; send a picture file: curl --data-binary @picture.png")
    if format_of(body[:START_BYTES]) is None:
        raise RequestError(415, f"The body is not a picture in a supported format. {FORMATS_HELP}")
    return body


def _count(text: str | None) -> int:
    if text is None:
        return _TOP
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= 6 and int(text) > 0):  # noqa: PLR2004 - six digits are enough
        raise UsageError("'top' must be a number of classes, 1 or more.")
    return int(text)
