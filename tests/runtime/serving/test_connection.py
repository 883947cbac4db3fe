"""Clients that send too much, too little or too late: each is told, and none is waited for forever."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from helpers.threaded_server import Threaded
from torchstone_runtime.serving.http import connection, process

_SECONDS: Final = 30.0
LIVE: Final = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
OFFER: Final = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
CHUNKED: Final = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def until(found: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + _SECONDS
    while not found():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@pytest.fixture
def server(digits_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Threaded]:
    """A server that waits a third of a second."""
    monkeypatch.setattr(connection, "_HEADER_SECONDS", 0.3)
    made = Threaded(digits_bundle)
    yield made
    made.end()


def test_nothing_and_half_a_header_are_given_up(server: Threaded) -> None:
    """Half a header is told, also on a used connection; one that was never used is closed in silence."""
    assert server.talk(b"") == b""
    for parts in ((b"GET / HTTP/1.1\r\nHos",), (LIVE, b"GET / HT")):
        assert b"HTTP/1.1 408 Request Timeout" in server.talk(*parts)


def test_headers_without_end_are_refused(server: Threaded) -> None:
    """One long header, many short ones, and a long path."""
    for head in (
        b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"X-Short: a\r\n" * 8_000,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        assert server.talk(head).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("trailers", [b"X-Long: " + b"a" * 400_000, b"X-Short: a\r\n" * 30_000], ids=["one", "many"])
def test_trailers_without_end_are_refused(server: Threaded, trailers: bytes) -> None:
    """What stands behind the chunks of a body."""
    assert server.talk(CHUNKED + b"0\r\n" + trailers).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("last", [b"\r\n", b"0\r\n"], ids=["empty line", "half an end"])
def test_a_client_that_stops_after_its_answer_is_given_up(
    digits_bundle: Path, monkeypatch: pytest.MonkeyPatch, last: bytes
) -> None:
    """Also where what it sent last neither begins a request nor belongs to a body."""
    monkeypatch.setattr(process, "_KEEP_ALIVE", 0.3)
    made = Threaded(digits_bundle)
    first = LIVE if last == b"\r\n" else CHUNKED + b"186A1\r\n" + bytes(100_001) + b"\r\n"
    try:
        assert made.talk_in_turns(first, last).startswith(b"HTTP/1.1 ")
    finally:
        made.end()


def test_half_a_body_is_given_up(server: Threaded) -> None:
    """A body that stops in its middle is waited for as long as the settings say."""
    reply = server.talk(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf")
    assert reply.startswith(b"HTTP/1.1 408 ")


def test_what_is_no_http_is_refused_as_json(server: Threaded) -> None:
    """TLS sent to the plain port, for one."""
    reply = server.talk(b"\x16\x03\x01 hello\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert reply.endswith(b"}")


def test_who_sends_too_much_gets_to_read_that_it_was(server: Threaded) -> None:
    """The rest of the body is read and thrown away, and the connection serves the next request."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"
    last = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    reply = server.talk(head + bytes(3_000_000) + last)
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"HTTP/1.1 200 OK" in reply


def test_requests_that_follow_at_once_are_answered_in_turn(server: Threaded) -> None:
    """HTTP pipelining."""
    reply = server.talk(LIVE * 3 + LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert reply.count(b"HTTP/1.1 200 OK") == 4


def test_a_client_that_left_is_noted_and_its_work_left_out(server: Threaded) -> None:
    """It goes while its picture waits; the status is nginx's 499."""
    assert server.app is not None
    site, answered = server.app.site, server.app.asgi.answered
    model = site.repository.get("m")
    gone = threading.Event()

    async def wait(*_: object) -> None:
        try:
            await asyncio.sleep(_SECONDS)
        except asyncio.CancelledError:
            gone.set()
            raise

    model._decoding.decode = wait  # type: ignore[method-assign, assignment]
    body = b"P5 1 1 255\n\0"
    with socket.create_connection(("127.0.0.1", server.port), timeout=_SECONDS) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: site.repository.requests == 1)
    assert gone.wait(_SECONDS)
    until(lambda: answered["m", model.classifier.plan.variant, 499] == 1)
    assert model.statistics.rejected["disconnected"] == 1


@pytest.mark.parametrize("offer", [b"", OFFER], ids=["plain", "with an offer"])
def test_the_length_of_a_body_may_have_any_number_of_zeros(server: Threaded, offer: bytes) -> None:
    """Python reads no number of so many digits."""
    body = b"P5 1 1 255\n\0"
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\n" + offer + b"Content-Length: " + b"0" * 5000
    last = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert server.talk(head + b"%d\r\n\r\n" % len(body) + body + last).count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("offer", [b"", OFFER], ids=["plain", "with an offer"])
def test_a_body_without_an_end_that_can_be_told_is_refused(server: Threaded, offer: bytes) -> None:
    """A coding other than in chunks says nothing about where the body ends (RFC 9112, section 6.3)."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\n" + offer + b"Transfer-Encoding: gzip\r\n\r\n"
    assert server.talk(head).startswith(b"HTTP/1.1 400 ")


def test_an_offer_to_speak_another_protocol_is_passed_over(server: Threaded) -> None:
    """Java's client makes one (h2c): that request is answered, and so is the next on its connection."""
    body = b"P5 1 1 255\n\0"
    with_body = b"POST /predict HTTP/1.1\r\nHost: x\r\n" + OFFER + b"Content-Length: %d\r\n\r\n" % len(body)
    last = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    for first in (with_body + body, LIVE.replace(b"\r\n\r\n", b"\r\n" + OFFER + b"\r\n")):
        assert server.talk(first + last).count(b"HTTP/1.1 200 OK") == 2
        assert server.talk_in_turns(first, last).count(b"HTTP/1.1 200 OK") == 2
