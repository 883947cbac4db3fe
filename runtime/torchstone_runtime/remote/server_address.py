"""Requests to a server over HTTP, bounded in time and size. Standard library only: `torchstone health` is quick."""

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from torchstone_runtime.errors import RemoteError, UsageError, first_line
from torchstone_runtime.text import showable

MAX_ANSWER_BYTES: Final = 64 << 20
_SHOWN: Final = 300
OK: Final = 200
_LONGEST: Final = 24 * 60 * 60
"""Seconds that a request may be given; a socket takes no number that is not finite."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered.

    Attributes:
        status: HTTP status; headers: its headers, by their names in lower case.
        body: body, at most `MAX_ANSWER_BYTES`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def reason(self) -> str:
        """Return the protocol's `error` of an answer, or the beginning of its body: one line, without a full stop."""
        try:
            found = json.loads(self.body)["error"]
        except (ValueError, KeyError, TypeError, RecursionError):
            found = self.body[:_SHOWN].decode("utf-8", "replace").strip()
        return showable(str(found)[:_SHOWN].rstrip(". \n"))


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server of the protocol; make one with `parse`.

    Attributes:
        url: address as people write it, without a slash at its end.
        timeout: seconds that a request may take in all.
        headers: headers sent with each request.
    """

    url: str
    timeout: float = 30.0
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str, timeout: float = 30.0, headers: tuple[str, ...] = ()) -> "ServerAddress":
        """Read an address such as `http://localhost:8000`, `localhost:8000` or `https://host/prefix`.

        Args:
            url: address of the server, without the protocol's own `/v2`.
            timeout: seconds that a request may take in all, more than 0 and at most a day.
            headers: further headers, each as `Name: value`.

        Raises:
            UsageError: it is not such an address, or a header is none.
        """
        text = url if "://" in url else f"http://{url}"
        try:
            parts = urlsplit(text)
            valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            valid = False
        if not valid or parts.query or parts.fragment or parts.username is not None or not text.isprintable():
            raise UsageError(
                f"'{showable(url)}' is not the address of a server.", "Give one such as http://localhost:8000."
            )
        if not 0 < timeout <= _LONGEST:
            raise UsageError(f"A timeout must be more than 0 seconds and at most {_LONGEST}, not {timeout:g}.")
        return cls(text.rstrip("/").removesuffix("/v2"), timeout, dict(map(_header, headers)))

    def exchange(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Send a request and return the answer, whatever its status; redirections are not followed.

        Args:
            method: HTTP method.
            path: path below the address, percent-encoded, without a slash at its beginning.
            body: body of the request; None for one without.
            headers: headers of this request, beside those of the address.

        Raises:
            RemoteError: no connection, no answer in time, a larger answer than is read, or none of HTTP's.
        """
        parts = urlsplit(self.url)
        with self._reported():
            connection = self._connection(parts)
            try:
                connection.connect()
                with self._ended_in_time(connection.sock):
                    sent = {"Accept-Encoding": "identity", "Connection": "close", **self.headers, **(headers or {})}
                    connection.request(method, f"{parts.path}/{path}", body, sent)
                    response = connection.getresponse()
                    content = response.read(MAX_ANSWER_BYTES + 1)
            finally:
                connection.close()
        if len(content) > MAX_ANSWER_BYTES:
            raise RemoteError(f"The answer of {self.url} has more than {MAX_ANSWER_BYTES >> 20} MiB.")
        return HttpAnswer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def get_json(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """Return what a GET request answers with status 200, as JSON data.

        Raises:
            RemoteError: as for `exchange`, another status, or something that is not JSON.
        """
        answer = self.exchange("GET", path)
        if answer.status != OK:
            raise self.refused(path, answer)
        return self.read_json(path, answer.body)

    def read_json(self, path: str, text: bytes) -> Any:  # noqa: ANN401 - as above
        """Return the JSON data of an answer's text.

        Raises:
            RemoteError: it is not JSON.
        """
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RemoteError(
                f"{self.url}/{path} answered something that is not JSON: {text[:40]!r}.",
                "Is this a server of the Open Inference Protocol (REST)?",
            ) from error

    def refused(self, path: str, answer: HttpAnswer) -> RemoteError:
        """Return the error that tells of an answer with another status than 200."""
        reason = answer.reason()
        return RemoteError(f"{self.url}/{path} answered {answer.status}{f': {reason}' if reason else ''}.")

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=self.timeout)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self.timeout)

    @contextmanager
    def _ended_in_time(self, connected: socket.socket) -> Iterator[None]:
        # A socket's own timeout begins anew with each byte: a server that drips them would never be left.
        late = threading.Event()

        def end() -> None:
            late.set()
            try:
                socket.socket.shutdown(connected, socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself

        timer = threading.Timer(self.timeout, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            if late.is_set():
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
        if late.is_set():
            raise TimeoutError

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise RemoteError(
                f"{self.url} gave no answer within {self.timeout:g} seconds.",
                "See whether the server is well, or give it more time with --timeout.",
            ) from error
        except ConnectionRefusedError as error:
            raise RemoteError(f"Nothing listens at {self.url}.", "Start the server, or correct the address.") from error
        except socket.gaierror as error:
            raise RemoteError(
                f"The host of {self.url} is not known: {error.strerror}.", "Correct the address."
            ) from error
        except ssl.SSLError as error:
            raise RemoteError(f"No TLS connection to {self.url}: {first_line(error)}.", "Is it http://?") from error
        except http.client.HTTPException as error:
            raise RemoteError(
                f"{self.url} does not answer as HTTP says: {showable(repr(error)[:_SHOWN])}.", "Correct the address."
            ) from error
        except (OSError, UnicodeError, ValueError) as error:
            raise RemoteError(f"No connection to {self.url}: {first_line(error)}.", "Correct the address.") from error


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (colon and name.strip() and text.isprintable()):
        raise UsageError(f"'{showable(text)}' is not a header.", "Write it as 'Authorization: Bearer TOKEN'.")
    return name.strip(), value.strip()
