"""The process of a server: it loads, listens, reloads and stops as signals tell it."""

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import uvicorn

from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.http.access_log import LineWriter, Messages
from torchstone_runtime.serving.http.app import WebApp, make_app
from torchstone_runtime.serving.http.arrivals import ArrivalLoop
from torchstone_runtime.serving.http.connection import GuardedConnection
from torchstone_runtime.serving.http.extensions import Extensions
from torchstone_runtime.serving.http.settings import HttpSettings
from torchstone_runtime.system.garbage import end_start

_KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept: longer than the 60 of usual proxies, or they would reuse a dead one."""
_LAST_REQUESTS: Final = 0.2
"""Seconds between the end of listening and the end of idle connections: a request may be on its way on one."""
_HANG_UP: signal.Signals | None = None
"""Asks for a reload; Windows has no such signal."""
if sys.platform != "win32":
    _HANG_UP = signal.SIGHUP


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process serves, and how it stops.

    Attributes:
        sockets: bound sockets that don't listen yet.
        settings: behaviour of the HTTP side.
        drain_delay: seconds from the first signal to the end of listening.
        announce: function that is called once requests are answered.
    """

    sockets: Sequence[socket.socket]
    settings: HttpSettings
    drain_delay: float
    announce: Callable[[], None]


def run_server(
    make_repository: Callable[[], ModelRepository],
    plan: Plan,
    add: Callable[[ModelRepository], Extensions] = lambda _: Extensions(),
) -> None:
    """Load the models, serve them, and return after SIGTERM or SIGINT, once the last request is answered.

    Args:
        make_repository: function that makes the models' repository, called on the event loop.
        plan: sockets, settings, and times of the end.
        add: function that makes the additions of other rooms.

    Raises:
        TorchstoneError: a model can't be loaded; nobody could connect so far.
    """
    end_start()  # before the models are there, which a reload replaces
    with asyncio.Runner(loop_factory=ArrivalLoop) as runner:
        repository = runner.run(_run(make_repository, plan, add))
    if repository.loading:  # a thread inside a model would bring down the orderly end of the process
        sys.stdout.flush()
        os._exit(0)


async def _run(
    make_repository: Callable[[], ModelRepository], plan: Plan, add: Callable[[ModelRepository], Extensions]
) -> ModelRepository:
    """Serve, and return what served, closed."""
    repository = make_repository()
    writer = LineWriter()
    try:
        with _ended_by_sigterm():
            await repository.start()
        messages = Messages(plan.settings.log, writer.write)
        app = make_app(repository, plan.settings, add(repository), writer.write, messages.tell)
        await GracefulServer(app, plan, messages.tell).serve(list(plan.sockets))
        return repository
    finally:
        await repository.close()
        await asyncio.to_thread(writer.close)


class GracefulServer(uvicorn.Server):
    """A server that takes its time to stop: first it is not ready, then it listens no more, then it ends.

    Args:
        app: the application.
        plan: sockets, settings and delays.
        tell: function that writes lines for the operator.
    """

    def __init__(self, app: WebApp, plan: Plan, tell: Callable[[str], None]) -> None:
        super().__init__(_config(app, plan.settings))
        _silence_uvicorn()
        self._app = app
        self._plan = plan
        self._tell = tell
        self._terminal = _terminal()
        self._stopping = False
        self._reload_again = False
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals of the process while it serves; SIGINT and SIGTERM end it with exit code 0."""
        if not _takes_handlers():
            yield
            return
        loop = asyncio.get_running_loop()
        handlers: dict[int, Callable[[], None]] = {
            signal.SIGINT: lambda: self.stop(signal.SIGINT),
            signal.SIGTERM: lambda: self.stop(signal.SIGTERM),
        }
        if _HANG_UP is not None:
            handlers[_HANG_UP] = self.hang_up
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Begin to stop; the second time, end the process at once."""
        if self._stopping:
            os._exit(128 + number)  # as a shell tells of a process that a signal ended
        self._stopping = True
        self._app.site.repository.begin_drain()
        self._app.asgi.draining = True
        self._start("drain", self._drain())

    def hang_up(self) -> None:
        """Reload all models, or stop if the terminal that the server was started on is closed."""
        if self._terminal is not None and not os.isatty(self._terminal):
            self.stop(_HANG_UP or signal.SIGTERM)
        else:
            self.reload()

    def reload(self) -> None:
        """Reload all models; if asked again meanwhile, once more afterwards."""
        self._reload_again = True
        if "reload" not in self._tasks:
            self._start("reload", self._reload())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._plan.announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, answer what is on its way, and end."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(_LAST_REQUESTS)
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        await asyncio.sleep(self._plan.drain_delay)
        self.should_exit = True

    async def _reload(self) -> None:
        while self._reload_again:
            self._reload_again = False
            results = await self._app.site.repository.reload_all()
            self._app.site.note_reloads(results)

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))


def _config(app: WebApp, settings: HttpSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app.asgi,
        loop="asyncio",
        http=GuardedConnection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(settings.timeout) + 1,
    )


def _silence_uvicorn() -> None:
    """Keep uvicorn's own lines off stderr: what goes wrong with a request is in the access log."""
    logger = logging.getLogger("uvicorn.error")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _takes_handlers() -> bool:
    """Return whether the event loop can handle signals; Windows' loops can't, and Ctrl-C ends the process there."""
    return os.name != "nt" and threading.current_thread() is threading.main_thread()


def _terminal() -> int | None:
    """Return the descriptor of a terminal that the process has, None if it has none."""
    return next((descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)), None)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the process: as the first one of a container it would ignore it, and nobody is served yet.

    SIGHUP, which would end it, asks for a reload; all is being loaded as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: os._exit(0))}
    if _terminal() is None and _HANG_UP is not None:
        former[_HANG_UP] = signal.signal(_HANG_UP, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
