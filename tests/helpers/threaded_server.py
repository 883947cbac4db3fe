"""A server in a thread of this process, so that its constants can be made small and its models held up."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Final

from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.serving.core.limits import ServingLimits
from torchstone_runtime.serving.core.model_sources import Source
from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.http.addresses import bind
from torchstone_runtime.serving.http.app import WebApp, make_app
from torchstone_runtime.serving.http.process import GracefulServer, Plan
from torchstone_runtime.serving.http.settings import HttpSettings

_SECONDS: Final = 30.0


class Threaded:
    """A server of the model `m` in a thread.

    Args:
        bundle: the model's bundle.
        settings: behaviour of the HTTP side.
        limits: limits of the model.
    """

    def __init__(self, bundle: Path, settings: HttpSettings | None = None, limits: ServingLimits | None = None) -> None:
        self._settings = settings or HttpSettings(max_body=100_000, body_timeout=0.3, timeout=5)
        self._limits = limits
        self.sockets = bind("127.0.0.1", 0)
        self.port = self.sockets[0].getsockname()[1]
        self.listening = threading.Event()
        self.app: WebApp | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(bundle)))
        self._thread.start()
        assert self.listening.wait(_SECONDS)

    async def _run(self, bundle: Path) -> None:
        settings = self._settings
        repository = ModelRepository([Source("m", str(bundle))], ON_CPU, self._limits)
        await repository.start()
        self.app = make_app(repository, settings)
        self._loop = asyncio.get_running_loop()
        self._server = GracefulServer(self.app, Plan(self.sockets, settings, 0, self.listening.set), lambda _: None)
        await self._server.serve(list(self.sockets))
        await repository.close()

    def end(self) -> None:
        """Stop it as a signal does."""
        self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join(_SECONDS)
        assert not self._thread.is_alive()

    def talk(self, *parts: bytes) -> bytes:
        """Send some bytes on a new connection, and return what comes until the server closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS) as client:
            for part in parts:
                client.sendall(part)
            found = bytearray()
            while chunk := client.recv(65536):
                found += chunk
            return bytes(found)

    def talk_in_turns(self, first: bytes, last: bytes) -> bytes:
        """Send some bytes, wait for an answer, send the others, and return what comes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS) as client:
            client.sendall(first)
            found = bytearray(client.recv(65536))
            client.sendall(last)
            while chunk := client.recv(65536):
                found += chunk
            return bytes(found)
