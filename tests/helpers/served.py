"""A server to ask: a process of its own, or the application called in this one."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.serving.core.limits import ServingLimits
from torchstone_runtime.serving.core.model_sources import Source
from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.http.app import WebApp, make_app
from torchstone_runtime.serving.http.extensions import Extensions
from torchstone_runtime.serving.http.settings import HttpSettings

_SECONDS: Final = 60.0
"""Longest wait for anything."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request was answered with; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """The body as JSON data."""
        return json.loads(self.body)


class Asked:
    """An application that is called without a network."""

    def __init__(self, app: WebApp) -> None:
        self.app = app
        self.lines: list[str] = []

    async def __call__(
        self,
        method: str,
        path: str,
        body: bytes | list[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        left: list[bytes] | None = None,
    ) -> Reply:
        """Send a request, its body in parts perhaps, and return the reply; `left` gets the parts that nobody read."""
        plain, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        parts = [body] if isinstance(body, bytes) else list(body)
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not parts:
                await asyncio.sleep(_SECONDS)
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self.app.asgi(scope, receive, send)
        if left is not None:
            left += parts
        found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))


def ask(
    bundle: Path | str,
    questions: Callable[[Asked], Coroutine[Any, Any, None]],
    settings: HttpSettings | None = None,
    extensions: Extensions | None = None,
    limits: ServingLimits | None = None,
) -> None:
    """Serve a bundle as `m` in this process, and run a coroutine that asks it."""

    async def run() -> None:
        repository = ModelRepository([Source("m", str(bundle))], ON_CPU, limits)
        await repository.start()
        lines: list[str] = []
        asked = Asked(make_app(repository, settings or HttpSettings(), extensions, lines.append, lines.append))
        asked.lines = lines
        try:
            await asyncio.wait_for(questions(asked), _SECONDS)
        finally:
            await repository.close()

    asyncio.run(run())


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server in a process of its own, and where it listens (host and port)."""

    process: "subprocess.Popen[str]"
    address: str

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.address.rpartition(":")[2])


@contextmanager
def server_process(*arguments: str | Path, stderr: Path | None = None) -> Iterator[ServerProcess]:
    """Start `torchstone serve` on a free port, wait until it is ready, and kill it at the end."""
    command = [sys.executable, "-m", "torchstone_runtime", "serve", "--port", "0", *map(str, arguments)]
    with (stderr or Path("/dev/null")).open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert " at http://" in line, (line, process.poll(), stderr and stderr.read_text())
        yield ServerProcess(process, line.strip().rpartition("http://")[2])
    finally:
        process.kill()
        process.wait(_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
