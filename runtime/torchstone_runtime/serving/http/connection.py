"""A connection of uvicorn's that gives up on clients that send no end of headers, or nothing at all."""

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from torchstone_runtime.serving.http.arrivals import arrival_time
from torchstone_runtime.serving.http.request_record import ANNOUNCED, ARRIVED

if TYPE_CHECKING:
    from torchstone_runtime.serving.core.served_model import ServedModel
    from torchstone_runtime.serving.http.entrance import Entrance

_MAX_HEADER_BYTES: Final = 64 << 10
_HEADER_SECONDS: Final = 20.0
_LINGER_SECONDS: Final = 1.0
"""Time that a client which was refused is given to read why."""
_MAX_DISCARDED: Final = 64 << 20
"""Bytes that are read after a request was refused, so that the client gets to read the answer."""


class GuardedConnection(HttpToolsProtocol):
    """A connection with limits on the headers of a request, in bytes and time, and on bodies that nobody reads."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **options)
        self._header_timer: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._discarded = 0
        self._asked: ServedModel | None = None
        self._in_headers = self._refused = self._resuming = self._used = self._turned_away = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._headers_are_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read what came; headers that don't end are refused, before a body and behind it."""
        if self._refused:  # read on, or the system would take the answer back (RFC 9112, section 9.6)
            self._discard(len(data))
            return
        self._header_bytes += len(data)  # between the parts of a body, too: no callback tells of half a trailer
        self._unset_keepalive_if_required()
        self._parse(data)
        self._expect_more()

    def _expect_more(self) -> None:
        if self._refused:
            return
        if self._header_bytes > _MAX_HEADER_BYTES:
            self._refuse(431, "The headers are too long.")
        else:
            self._wait_for_more()

    def on_message_begin(self) -> None:
        """Begin to read the headers of a request."""
        if self._resuming:
            return
        super().on_message_begin()
        self._used = True
        self._discarded = 0
        if not self._in_headers:  # most come whole: a timer is set once it shows that these don't
            self._in_headers, self._header_bytes = True, 0

    def on_url(self, url: bytes) -> None:
        """Note the address."""
        if not self._resuming:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; those behind a body, which nobody reads, are dropped."""
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Pass a request on whose headers are short enough."""
        if self._resuming:
            return
        self._headers_are_here()
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > _MAX_HEADER_BYTES:
            self._refuse(431, "The headers are too long.")
        elif not self._turn_away():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass the body on, or throw away that of a request that has been answered."""
        if self._refused:
            return
        self._header_bytes = 0
        if not self._turned_away:
            super().on_body(body)
        if self._turned_away or self.cycle.response_complete:
            self._discard(len(body))

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        if self._refused or (self.parser.should_upgrade() and self._framing()):
            return
        if self._turned_away:
            self._turned_away = False
            return
        super().on_message_complete()
        if self._asked is not None and not self.cycle.response_complete:
            # Not before its body is here: clients that send halves would take the room of all others.
            self.cycle.scope[ANNOUNCED] = self._asked.announce()  # type: ignore[typeddict-unknown-key]  # ours
        self._asked = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400, msg)

    def _turn_away(self) -> bool:
        """Refuse a request by its headers where its model has no room; its body is read and thrown away."""
        entrance: Entrance | None = getattr(self.app, "entrance", None)
        if entrance is None or not (self.cycle is None or self.cycle.response_complete):
            return False  # one that follows an unanswered one waits for its turn
        self.scope[ARRIVED] = arrival_time(self.loop)  # type: ignore[typeddict-unknown-key]  # ours
        self._asked = entrance.asked(self.parser.get_method(), self.url)
        if self._asked is None or not self._asked.full:
            return False
        found = entrance.refuse(self._asked, self.url, self.headers)
        self._asked = None
        stays = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        if not stays or self.app.draining:
            self._end_with(b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n" + found)
        else:
            self.transport.write(b"HTTP/1.1 503 Service Unavailable\r\n" + found)
            self._turned_away = True
        return True

    def _wait_for_more(self) -> None:
        """Give a client that stops here an end, unless its request is being answered, which has one of its own."""
        if self._in_headers:
            if self._header_timer is None:
                self._header_timer = self.loop.call_later(_HEADER_SECONDS, self._on_late_headers)
        elif self.cycle is None or self.cycle.response_complete:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _parse(self, data: bytes) -> None:
        left: bytes | None = data
        try:
            while left is not None:
                left = self._feed(left)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _feed(self, data: bytes) -> bytes | None:
        """Parse, and return what stands behind an offer to speak another protocol; None where none was made."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            # Java's client offers HTTP/2 with its first request; the parser takes what follows for the new
            # protocol, which is not spoken here (RFC 9110, section 7.8: such an offer may be passed over).
            self._resume()
            return data[offer.args[0] :]
        return None

    def _resume(self) -> None:
        """Let a parser that knows of no offer read the body of the request."""
        framing = self._framing()
        if not framing:
            return
        self.parser = httptools.HttpRequestParser(self)
        self._resuming = True
        try:
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%s: %s\r\n\r\n" % framing)
        finally:
            self._resuming = False

    def _framing(self) -> tuple[bytes, bytes] | None:
        """Return the header that says where the body of the request ends; None where it has none."""
        stated = {name: value for name, value in self.headers if name in (b"content-length", b"transfer-encoding")}
        if b"transfer-encoding" in stated:
            return b"transfer-encoding", stated[b"transfer-encoding"]
        length = stated.get(b"content-length", b"0")
        return (b"content-length", length) if length.strip(b"0 \t") else None

    def _expect_headers(self) -> None:
        self._in_headers, self._header_bytes = True, 0
        self._header_timer = self.loop.call_later(_HEADER_SECONDS, self._on_late_headers)

    def _headers_are_here(self) -> None:
        self._in_headers, self._header_bytes = False, 0
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _on_late_headers(self) -> None:
        self._header_timer = None
        if not self._used:  # opened in advance perhaps: an answer would be taken for that of the first request
            self.transport.close()
        elif not self.transport.is_closing():
            self._refuse(408, "The headers did not arrive in time.")

    def _refuse(self, status: int, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._end_with(head.encode() + body)

    def _end_with(self, answer: bytes) -> None:
        """Send a last answer; what else comes is thrown away."""
        self._refused = True
        if self.transport.is_closing():
            return
        self.transport.write(answer)
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _MAX_DISCARDED:
            self.transport.close()


_REASONS: Final = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
