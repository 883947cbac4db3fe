"""What is refused at its headers, because its model has no room: cheaply, in turn, on a connection that goes on."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from helpers.held_up import Gate
from helpers.threaded_server import Threaded
from torchstone_runtime.serving.core.limits import ServingLimits
from torchstone_runtime.serving.core.served_model import ServedModel
from torchstone_runtime.serving.http.arrivals import ArrivalLoop, arrival_time
from torchstone_runtime.serving.http.settings import HttpSettings

_SECONDS: Final = 30.0
_ROOM: Final = 2
_LIVE: Final = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_PIXELS: Final = bytes(784)


def asking(path: bytes = b"/v2/models/m/infer", headers: bytes = b"", body: bytes = _PIXELS) -> bytes:
    """Return a request of one image, as its bare pixels."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: 0\r\n%s" % (path, headers)
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def until(found: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + _SECONDS
    while not found():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


class Full:
    """A server of whose model one request computes, held up, and as many wait as there is room for."""

    def __init__(self, server: Threaded, gate: Gate, model: ServedModel) -> None:
        self.server, self.gate, self.model = server, gate, model
        self.waiting = [socket.create_connection(("127.0.0.1", server.port), _SECONDS) for _ in range(_ROOM + 1)]
        for number, client in enumerate(self.waiting):
            client.sendall(asking())
            until(lambda number=number: len(gate.calls) == 1 and model.pending_images == number)  # type: ignore[misc]

    def open(self) -> list[bytes]:
        """Let everything be computed, and return the first bytes of the answers."""
        self.gate.opened.set()
        found = [client.recv(1000) for client in self.waiting]
        for client in self.waiting:
            client.close()
        return found


@pytest.fixture
def full(digits_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Full]:
    """A server without any room."""
    server = Threaded(digits_bundle, HttpSettings(timeout=_SECONDS), ServingLimits(max_queue=_ROOM, workers=1))
    assert server.app is not None
    model = server.app.site.repository.get("m")
    gate = Gate(model.classifier)
    monkeypatch.setattr(model.classifier, "predict", gate)
    yield Full(server, gate, model)
    gate.opened.set()
    server.end()


def test_it_is_refused_before_its_body_comes(full: Full) -> None:
    """With the protocol's error, when to come back, and the client's id; whoever waited is answered."""
    head, _, _ = asking(headers=b"X-Request-Id: mine\r\nConnection: close\r\n").partition(b"\r\n\r\n")
    answer = full.server.talk(head + b"\r\n\r\n")
    lines, _, body = answer.partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 1\r\n" in lines
    assert b"x-request-id: mine" in lines
    assert json.loads(body)["error"].startswith(f"{_ROOM} images wait already, of at most {_ROOM}.")
    assert all(first.startswith(b"HTTP/1.1 200 OK") for first in full.open())


@pytest.mark.parametrize(
    "path", [b"/v2/models/m/infer", b"/v2/models/m/versions/1/infer", b"/predict", b"/predict?model=m"]
)
def test_the_connection_goes_on(full: Full, path: bytes) -> None:
    """The body that still comes is thrown away, and the next request on the connection answered."""
    answer = full.server.talk(asking(path) + asking(path) + _LIVE)
    assert answer.count(b"HTTP/1.1 503 ") == 2
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert answer.endswith(b'{"live": true}')


def test_refusals_are_counted_by_model(full: Full) -> None:
    """In the metrics of the model and of the server, like those that come later."""
    full.server.talk(asking() + _LIVE)
    assert full.model.statistics.rejected["queue_full"] == 1
    assert full.server.app is not None
    assert full.server.app.asgi.answered["m", full.model.classifier.plan.variant, 503] == 1


def test_what_follows_an_unanswered_request_waits_for_its_turn(full: Full) -> None:
    """Answers come in the order of their requests: the second is looked at when the first is answered."""
    client = full.waiting[0]
    client.sendall(asking() + _LIVE)
    full.gate.opened.set()
    found = b""
    while chunk := client.recv(65536):
        found += chunk
    assert found.count(b"HTTP/1.1 200 OK") == 3


def test_a_model_that_is_not_there_is_left_to_the_route(full: Full) -> None:
    """And so is everything that asks no model."""
    assert full.server.talk(asking(b"/v2/models/other/infer") + _LIVE).startswith(b"HTTP/1.1 404 ")
    assert full.server.talk(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 200 "
    )


def test_bodies_that_never_come_take_no_room(digits_bundle: Path) -> None:
    """Or a few clients that send halves could shut everybody out."""
    server = Threaded(digits_bundle, HttpSettings(body_timeout=_SECONDS), ServingLimits(max_queue=1, workers=1))
    try:
        with socket.create_connection(("127.0.0.1", server.port), _SECONDS) as half:
            half.sendall(asking()[:-1])
            assert server.talk(asking() + _LIVE).startswith(b"HTTP/1.1 200 OK")
            half.sendall(asking()[-1:])
            assert half.recv(1000).startswith(b"HTTP/1.1 200 OK")
    finally:
        server.end()


def test_requests_that_were_let_in_count_until_their_model_has_them(digits_bundle: Path) -> None:
    """Of many that arrive in one turn of the event loop no more are let in than there is room for."""
    server = Threaded(digits_bundle, HttpSettings(timeout=_SECONDS), ServingLimits(max_queue=2, workers=1))
    try:
        assert server.app is not None
        model = server.app.site.repository.get("m")
        first, second = model.announce(), model.announce()
        assert server.talk(asking() + _LIVE).startswith(b"HTTP/1.1 503 ")
        first.end()
        first.end()
        assert server.talk(asking() + _LIVE).startswith(b"HTTP/1.1 200 OK")
        second.end()
        until(lambda: not model.full)
    finally:
        server.end()


def test_a_request_arrived_while_the_loop_was_busy() -> None:
    """What was sent during another's work counts from before it; what an idle loop is woken by counts from now."""

    async def arrivals() -> tuple[float, float, float, float]:
        loop = asyncio.get_running_loop()
        mine, other = socket.socketpair()
        mine.setblocking(False)  # noqa: FBT003 - the socket's own interface
        with mine, other:
            await asyncio.sleep(0.01)
            began = loop.time()
            other.send(b"a")
            time.sleep(0.05)  # noqa: ASYNC251 - the loop is to be busy
            await loop.sock_recv(mine, 1)
            await asyncio.sleep(0)
            late = arrival_time(loop)
            loop.call_later(0.05, other.send, b"b")
            await loop.sock_recv(mine, 1)
            return began, late, arrival_time(loop), loop.time()

    with asyncio.Runner(loop_factory=ArrivalLoop) as runner:
        began, late, woken, now = runner.run(arrivals())
    assert late <= began
    assert woken > began + 0.05
    assert now - woken < 5
