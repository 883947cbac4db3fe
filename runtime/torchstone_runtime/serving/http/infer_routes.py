"""`POST …/infer`: an inference request of the protocol."""

import asyncio
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from torchstone_runtime.arrays import BoolArray
from torchstone_runtime.protocol.body import HEADER_LENGTH, json_length
from torchstone_runtime.protocol.infer_answer import WrittenAnswer, write_infer_answer
from torchstone_runtime.protocol.infer_request import InferRequest, RequestLimits, read_infer_request, stated_images
from torchstone_runtime.serving.core.answer import Answer
from torchstone_runtime.serving.core.served_model import ServedModel
from torchstone_runtime.serving.http.body_reading import LARGE_BODY, Look, counting_refusals, read_body
from torchstone_runtime.serving.http.client_watch import while_connected
from torchstone_runtime.serving.http.compression import compress_for
from torchstone_runtime.serving.http.request_record import record_of
from torchstone_runtime.serving.http.shared_state import Site

_MOST_LOOKED_AT: Final = 16 << 10
"""Bytes of JSON that are read twice, to know early how many images come."""
_MANY_VALUES: Final = 20_000
"""Numbers in an answer from which a thread writes it."""
_MANY_BYTES: Final = 64 << 10
"""Bytes of an answer from which a thread compresses it."""


class InferRoute:
    """Answers inference requests."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def infer(self, request: Request) -> Response:
        """Answer an inference request: JSON, binary tensors, or a bare picture."""
        model = self._site.asked_model(request)
        with counting_refusals(model):
            asked = await self._read(request, model)
        record = record_of(request)
        record.images = len(asked.files) if asked.images is None else len(asked.images)
        deadline = self._site.deadline(request, asked.timeout)
        record.has_come()
        answer = await while_connected(request, _ask(model, asked, deadline))
        record.timings = answer.timings
        added: dict[str, BoolArray] = {}
        for add in self._site.extensions.outputs:
            added |= add(model, answer, asked.parameters)
        return await _write(asked, model, answer, added, request.headers.get("accept-encoding", ""))

    async def _read(self, request: Request, model: ServedModel) -> InferRequest:
        header_length = request.headers.get(HEADER_LENGTH)
        body = await read_body(request, self._site, _room_look(model, header_length))
        limits = RequestLimits(model.input_spec.shape, model.limits.max_queue)
        if len(body) < LARGE_BODY:
            return read_infer_request(body, header_length, limits)
        return await asyncio.to_thread(read_infer_request, body, header_length, limits)


def _room_look(model: ServedModel, header_length: str | None) -> Look | None:
    """Return a look at the JSON before the binary tensors: a request without room is refused before they come."""
    length = 0 if header_length is None else json_length(header_length)
    if not 0 < length <= _MOST_LOOKED_AT:
        return None

    def look(parts: list[bytes], size: int) -> bool:
        if size < length:
            return False
        images = stated_images(b"".join(parts)[:length])
        if images is not None:
            model.check_room(images)
        return True

    return look


async def _ask(model: ServedModel, asked: InferRequest, deadline: float) -> Answer:
    if asked.images is None:
        return await model.classify_files(asked.files, deadline=deadline)
    return await model.classify(asked.images, deadline=deadline)


async def _write(
    asked: InferRequest, model: ServedModel, answer: Answer, added: Mapping[str, BoolArray], accept: str
) -> Response:
    def write() -> WrittenAnswer:
        values = {"logits": answer.logits, "probabilities": answer.probabilities}
        return write_infer_answer(asked, (model.name, model.version), values, model.class_names, added=added)

    binary = all(wanted.binary and not wanted.classes for wanted in asked.outputs)
    if answer.logits.size >= _MANY_VALUES and not binary:
        return await asyncio.to_thread(lambda: _response(write(), accept))
    written = write()
    if accept and len(written.body) >= _MANY_BYTES:
        return await asyncio.to_thread(_response, written, accept)
    return _response(written, accept)


def _response(written: WrittenAnswer, accept: str) -> Response:
    content, coding = compress_for(accept, written.body)
    headers = {"Content-Encoding": coding, "Vary": "Accept-Encoding"} if coding else {}
    if written.json_length is None:
        return Response(content, headers=headers, media_type="application/json")
    headers[HEADER_LENGTH] = str(written.json_length)
    return Response(content, headers=headers, media_type="application/octet-stream")
