"""Bodies take a bounded memory together; what finds no room is told so before it is read, where that can be known."""

import asyncio
import gzip
import json
import select
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from helpers.held_up import Gate
from helpers.served import Asked, ask
from helpers.threaded_server import Threaded
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.serving.core.limits import ServingLimits
from torchstone_runtime.serving.core.refusals import QueueFullError
from torchstone_runtime.serving.core.served_model import ServedModel
from torchstone_runtime.serving.http.body_room import FREE, BodyRoom
from torchstone_runtime.serving.http.settings import HttpSettings

_BODY: Final = 300_000
_TIGHT: Final = HttpSettings(max_bodies=400_000, max_body=400_000)


def picture_of(asked: Asked, size: int = 0) -> bytes:
    """Return a picture file, with bytes behind its end that no reader minds."""
    content = encode_png(np.zeros(model_of(asked).input_spec.shape, np.uint8))
    return content + bytes(max(0, size - len(content)))


def model_of(asked: Asked) -> ServedModel:
    """Return the model that is served."""
    return asked.app.site.repository.get("m")


def infer_of(asked: Asked, images: int) -> tuple[list[bytes], dict[str, str]]:
    """Return an inference request in two parts, the JSON and the pixels, and its headers."""
    shape = [images, *model_of(asked).input_spec.shape]
    size = int(np.prod(shape))
    tensor = {"name": "images", "datatype": "UINT8", "shape": shape, "parameters": {"binary_data_size": size}}
    text = json.dumps({"inputs": [tensor]}).encode()
    return [text, bytes(size)], {"Inference-Header-Content-Length": str(len(text))}


def test_bodies_of_unanswered_requests_take_room_and_give_it_back(
    digits_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second large one is refused with a time to come back, a small one answered; afterwards there is room again."""

    async def questions(asked: Asked) -> None:
        gate = Gate(model_of(asked).classifier)
        with monkeypatch.context() as held:
            held.setattr(model_of(asked).classifier, "predict", gate)
            first = asyncio.create_task(asked("POST", "/predict", picture_of(asked, _BODY)))
            await gate.wait_for_a_call()
            refused = await asked("POST", "/predict", picture_of(asked, _BODY))
            small = asyncio.create_task(asked("POST", "/predict", picture_of(asked)))
            gate.opened.set()
            answers = [await first, await small, await asked("POST", "/predict", picture_of(asked, _BODY))]
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert "together they may take 400,000" in refused.json["error"]
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert asked.app.site.bodies.used == 0

    ask(digits_bundle, questions, _TIGHT)


def test_a_body_that_states_more_than_there_is_room_for_is_not_read(digits_bundle: Path) -> None:
    """And what is stated takes no room from others while it has not come."""

    async def questions(asked: Asked) -> None:
        room = asked.app.site.bodies
        room.take(200_000)
        left: list[bytes] = []
        refused = await asked("POST", "/predict", [b"never", b"read"], {"Content-Length": "390000"}, left)
        assert (refused.status, left) == (503, [b"never", b"read"])
        half = asyncio.create_task(asked("POST", "/predict", [b"begin", *[b"x"] * 3], {"Content-Length": "250000"}))
        await asyncio.sleep(0)
        assert room.used == 200_000
        half.cancel()

    ask(digits_bundle, questions, _TIGHT)


def test_what_a_body_decompresses_to_takes_room(digits_bundle: Path) -> None:
    """A few kilobytes that become hundreds are counted as that before they are made."""

    async def questions(asked: Asked) -> None:
        content, coded = gzip.compress(picture_of(asked, _BODY)), {"Content-Encoding": "gzip"}
        assert (await asked("POST", "/predict", content, coded)).status == 200
        asked.app.site.bodies.take(300_000)
        assert (await asked("POST", "/predict", content, coded)).status == 503
        assert asked.app.site.bodies.used == 300_000
        assert model_of(asked).statistics.rejected["queue_full"] == 1

    ask(digits_bundle, questions, _TIGHT)


@pytest.mark.parametrize(("images", "status"), [(4, 200), (5, 503), (9, 413)])
def test_images_that_find_no_room_are_refused_by_their_shape(digits_bundle: Path, images: int, status: int) -> None:
    """Before the pixels come: what is left unread of the request says so. Of eight places four are taken."""

    async def questions(asked: Asked) -> None:
        place = model_of(asked)._admission.enter(4)
        parts, headers = infer_of(asked, images)
        left: list[bytes] = []
        reply = await asked("POST", "/v2/models/m/infer", parts, headers, left)
        assert (reply.status, len(left)) == (status, 0 if status == 200 else 1)
        rejected = model_of(asked).statistics.rejected
        assert (rejected["queue_full"], rejected["too_large"]) == (int(status == 503), int(status == 413))
        place.leave()

    ask(digits_bundle, questions, limits=ServingLimits(max_queue=8))


def test_clients_that_stop_in_the_middle_share_a_bounded_memory(digits_bundle: Path) -> None:
    """Of six at once, each with most of a large body, two fit; the others are told, and small requests served."""
    settings = HttpSettings(max_bodies=2_000_000, max_body=1_000_000, body_timeout=60)
    server = Threaded(digits_bundle, settings, ServingLimits())
    assert server.app is not None
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    try:
        with ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30)) for _ in range(6)]
            for client in clients:
                client.sendall(head + bytes(800_000))
            readable: list[socket.socket] = []
            while len(readable) < 4:
                readable = select.select(clients, [], [], 30)[0]
                assert readable
            answers = [client.recv(4096) for client in readable]
            assert all(answer.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in answer for answer in answers)
            assert server.app.site.bodies.used <= 2_000_000
            assert server.talk(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
                b"HTTP/1.1 200 "
            )
    finally:
        server.end()


def test_the_first_bytes_of_each_body_are_free() -> None:
    """So that small requests get in beside large ones."""
    room = BodyRoom(10)
    small = [room.lease() for _ in range(5)]
    for lease in small:
        lease.hold(FREE)
    large = room.lease()
    large.hold(FREE + 10)
    with pytest.raises(QueueFullError):
        small[0].hold(FREE + 1)
    large.end()
    large.end()
    small[0].hold(FREE + 1)
    assert room.used == 1
