"""Load for an HTTP server, without coordinated omission.

In an open loop requests leave by a plan (Poisson arrivals), whatever became of those before, and an answer's latency
counts from the planned time: a server that stands still for a second is charged for every request that should have
been sent in it (G. Tene, wrk2). In a closed loop each client waits for its answer; that measures throughput alone.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

_MOST_CONNECTIONS: Final = 1000
PERCENTILES: Final = (50, 95, 99, 99.9)


@dataclass(slots=True)
class Load:
    """What came of a load.

    Attributes:
        seconds: time from the first planned request to the last answer.
        planned: number of requests that were to be sent.
        latencies: seconds from planned time to answer, by HTTP status; 0 stands for a broken connection.
        cpu_share: share of one processor that the generator itself took.
    """

    seconds: float = 0.0
    planned: int = 0
    latencies: dict[int, list[float]] = field(default_factory=dict)
    cpu_share: float = 0.0

    @property
    def statuses(self) -> Counter[int]:
        """Number of answers by status."""
        return Counter({status: len(found) for status, found in sorted(self.latencies.items())})

    @property
    def rate(self) -> float:
        """Requests answered with 200, a second."""
        return len(self.latencies.get(200, [])) / self.seconds

    def milliseconds(self, status: int = 200) -> dict[str, float]:
        """Return the percentiles of the latency of one status, in milliseconds."""
        found = self.latencies.get(status) or [float("nan")]
        return {f"p{which:g}": round(1e3 * float(np.percentile(found, which)), 3) for which in PERCENTILES}

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        return {
            "planned": self.planned,
            "seconds": round(self.seconds, 2),
            "rate": round(self.rate, 1),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "ms": self.milliseconds(),
            "refused_ms": {str(code): self.milliseconds(code) for code in self.latencies if code not in (0, 200)},
            "generator_cpu_share": round(self.cpu_share, 2),
        }


class _Connection(asyncio.Protocol):
    """One keep-alive connection; it reads no more of an answer than status and length."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._data = b""
        self._status = 0
        self._missing = -1
        self._done: Callable[[int], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes, done: Callable[[int], None]) -> None:
        assert self.transport is not None
        self._done = done
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._data += data
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            self._data = b""
            self._status = int(head[9:12])
            self._missing, data = _content_length(head), rest
        self._missing -= len(data)
        if self._missing <= 0:
            self._missing = -1
            self._end(self._status)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        self._end(0)

    def _end(self, status: int) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(status)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise ValueError(f"an answer without content-length: {head!r}")


class _Sender:
    """Sends requests on idle connections, and opens more where none is idle."""

    def __init__(self, host: str, port: int, request: bytes, load: Load) -> None:
        self._place = host, port
        self._request = request
        self._load = load
        self._idle: list[_Connection] = []
        self._open = asyncio.Semaphore(_MOST_CONNECTIONS)

    async def send(self, planned: float) -> None:
        async with self._open:
            status = await self._exchange()
        self._load.latencies.setdefault(status, []).append(time.perf_counter() - planned)

    async def _exchange(self) -> int:
        loop = asyncio.get_running_loop()
        try:
            connection = self._idle.pop() if self._idle else None
            if connection is None or connection.transport is None:
                _, connection = await loop.create_connection(_Connection, *self._place)
        except OSError:
            return 0
        answered: asyncio.Future[int] = loop.create_future()
        connection.send(self._request, lambda status: None if answered.done() else answered.set_result(status))
        status = await answered
        if connection.transport is not None:
            self._idle.append(connection)
        return status

    def close(self) -> None:
        for connection in self._idle:
            if connection.transport is not None:
                connection.transport.close()


async def open_loop(host: str, port: int, request: bytes, *, rate: float, seconds: float, seed: int = 0) -> Load:
    """Send requests by a Poisson plan, and wait for all answers.

    Args:
        host: address of the server.
        port: its port.
        request: bytes of the request.
        rate: requests a second, on average.
        seconds: length of the plan.
        seed: seed of the plan.
    """
    plan = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds))).tolist()
    load = Load(planned=len(plan))
    sender = _Sender(host, port, request, load)
    cpu, began = time.process_time(), time.perf_counter()
    tasks = []
    for due in plan:
        # Sleeping is coarse, and only matters where there is time left: who is late sends at once.
        if (left := began + due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        tasks.append(asyncio.create_task(sender.send(began + due)))
    await asyncio.gather(*tasks)
    load.seconds = time.perf_counter() - began
    load.cpu_share = (time.process_time() - cpu) / load.seconds
    sender.close()
    return load


async def closed_loop(host: str, port: int, request: bytes, *, clients: int, seconds: float) -> Load:
    """Let clients send one request after the other, each on a connection of its own.

    Args:
        host: address of the server.
        port: its port.
        request: bytes of the request.
        clients: number of clients.
        seconds: time after which none sends another one.
    """
    load = Load()
    cpu, began = time.process_time(), time.perf_counter()

    async def client() -> None:
        sender = _Sender(host, port, request, load)
        while time.perf_counter() - began < seconds:
            await sender.send(time.perf_counter())
        sender.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    load.planned = sum(load.statuses.values())
    load.seconds = time.perf_counter() - began
    load.cpu_share = (time.process_time() - cpu) / load.seconds
    return load
