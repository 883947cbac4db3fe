"""A server among clients that hang, leave and lie, while its bundle is exchanged: whoever asks properly is served."""

import asyncio
import itertools
import os
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from helpers.rough_clients import REFUSALS, Client, bad_requests, infer_request, leave, logits_of, refused
from helpers.served import ServerProcess, server_process
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.inference.classifier import Classifier

_LOAD: Final = b"POST /v2/repository/models/m/load HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
_READY: Final = b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def under_fire(bundle_copy: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose bundle may be exchanged."""
    options = ("--allow-reload", "--provider", "cpu", "--drain-delay", "0.2")
    with server_process(f"m={bundle_copy}", *options, stderr=tmp_path / "stderr") as server:
        yield server


class Scene:
    """Clients of one server for a while.

    Args:
        server: the server.
        model: the same model in this process.
        images: images to be sent.
    """

    def __init__(self, server: ServerProcess, model: Classifier, images: Uint8Array) -> None:
        self.port = server.port
        self.expected = model.predict(images).logits
        self.images = images
        self.ending = asyncio.Event()
        self.answered = 0
        self.reloads = 0
        self.refusals: Counter[tuple[str, int]] = Counter()

    async def honest(self, count: int) -> None:
        """Ask until the end; each answer must be the bits of `Classifier.predict`."""
        client = Client(self.port)
        for first in itertools.cycle(range(0, len(self.images) - count, count)):
            if self.ending.is_set():
                break
            status, head, body = await client.send(infer_request(self.images[first : first + count]))
            assert status == 200, body
            assert logits_of(head, body).tobytes() == self.expected[first : first + count].tobytes()
            self.answered += 1
        await client.close()

    async def dishonest(self) -> None:
        """Send all wrong requests, one after the other, until the end; each is refused, or its connection closed."""
        while not self.ending.is_set():
            for what, request in bad_requests().items():
                self.refusals[what, await refused(self.port, request)] += 1

    async def leaving(self) -> None:
        """Leave in the midst of headers, of a body, and of the wait for an answer; hang for a while before."""
        request = infer_request(self.images)
        for pauses in itertools.cycle([(0.0,), (0.02,), (0.01, 0.01), (0.0, 0.2), (0.0, 0.0, 0.1, 0.0)]):
            await leave(self.port, request if len(pauses) == 1 else request[:-7], pauses)
            if self.ending.is_set():
                break

    async def reloading(self, pause: float) -> None:
        """Load the bundle anew, again and again."""
        client = Client(self.port)
        while not self.ending.is_set():
            status, _, body = await client.send(_LOAD)
            assert status == 200, body
            self.reloads += 1
            await asyncio.sleep(pause)
        await client.close()

    def seen_all(self, times: int) -> bool:
        """Whether each kind of wrong request was sent, and the bundle loaded anew, so many times."""
        sent = Counter[str]()
        for (what, _), count in self.refusals.items():
            sent[what] += count
        return self.reloads >= times and all(sent[what] >= times for what in bad_requests())

    async def run(self, seconds: float, pause: float, times: int = 0) -> None:
        """Let all of them at the server for some seconds, and until all has happened so many times."""
        async with asyncio.TaskGroup() as group:
            for count in (1, 1, 3, 20):
                group.create_task(self.honest(count))
            for _ in range(2):
                group.create_task(self.dishonest())
                group.create_task(self.leaving())
            group.create_task(self.reloading(pause))
            await asyncio.sleep(seconds)
            end = time.monotonic() + 60
            while not self.seen_all(times) and time.monotonic() < end:  # noqa: ASYNC110 - many counters, one wait
                await asyncio.sleep(0.1)
            self.ending.set()


def resident_mb(pid: int) -> float:
    """Return the memory that a process has, in MB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1e3


def settled_mb(server: ServerProcess) -> float:
    """Return the least memory that the server has while nobody asks anything of it, after a reload.

    A large picture that is being decoded, or freed memory that the next reload gives back, is no growth.
    """

    async def reload() -> None:
        client = Client(server.port)
        assert (await client.send(_LOAD))[0] == 200
        await client.close()

    least = resident_mb(server.process.pid)
    for _ in range(3):
        asyncio.run(reload())
        for _ in range(10):
            least = min(least, resident_mb(server.process.pid))
            time.sleep(0.05)
    return least


def open_files(pid: int) -> int:
    """Return how many file descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only their number counts


def settled_files(pid: int, most: int) -> int:
    """Return the number of open descriptors once it is at most `most`, or after ten seconds."""
    end = time.monotonic() + 10
    while open_files(pid) > most and time.monotonic() < end:
        time.sleep(0.05)
    return open_files(pid)


def check_mixed_load(
    server: ServerProcess, model: Classifier, images: Uint8Array, seconds: float, pause: float
) -> None:
    """Run the mixed load for a quarter of the time, note memory and descriptors, run the rest, and compare.

    The first part lasts until each thing has happened three times: what it needs, the server has by then.
    """
    pid = server.process.pid
    first = Scene(server, model, images)
    asyncio.run(first.run(seconds / 4, pause, times=3))
    memory, files = settled_mb(server), open_files(pid)
    scene = Scene(server, model, images)
    asyncio.run(scene.run(seconds * 3 / 4, pause))
    assert scene.answered > 0
    refusals = first.refusals + scene.refusals
    assert {what for what, _ in refusals} == bad_requests().keys()
    assert {status for _, status in refusals} <= REFUSALS | {0}, refusals
    assert settled_files(pid, files) <= files
    assert settled_mb(server) < memory + 40
    assert server.process.poll() is None


@pytest.mark.slow
def test_honest_clients_get_their_bits_among_others_that_dont_behave(
    under_fire: ServerProcess, classifier: Classifier, images: Uint8Array
) -> None:
    """While the bundle is loaded anew; wrong requests are refused, and neither memory nor descriptors grow."""
    check_mixed_load(under_fire, classifier, images, seconds=2.0, pause=0.3)


@pytest.mark.study
def test_ten_minutes_of_it(under_fire: ServerProcess, classifier: Classifier, images: Uint8Array) -> None:
    """With a reload every second."""
    check_mixed_load(under_fire, classifier, images, seconds=600.0, pause=1.0)


def test_no_request_fails_at_sigterm_under_load(
    under_fire: ServerProcess, classifier: Classifier, images: Uint8Array
) -> None:
    """Clients that go on until they are told to leave get all their answers; the exit code is 0."""

    async def client(port: int, expected: bytes) -> int:
        asker, answered = Client(port), 0
        while True:
            status, head, body = await asker.send(infer_request(images[:2]))
            assert status == 200
            assert logits_of(head, body).tobytes() == expected
            answered += 1
            if b"connection: close" in head.lower():
                return answered

    async def clients() -> list[int]:
        expected = classifier.predict(images[:2]).logits.tobytes()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client(under_fire.port, expected)) for _ in range(8)]
            await asyncio.sleep(0.3)
            under_fire.process.send_signal(signal.SIGTERM)
        return [task.result() for task in tasks]

    assert min(asyncio.run(clients())) >= 1
    assert under_fire.process.wait(30) == 0


def test_after_kill_9_it_starts_again_on_the_same_port(digits_bundle: Path, images: Uint8Array) -> None:
    """Connections of the dead one are no obstacle."""
    with server_process(f"m={digits_bundle}") as first:
        port = first.port
        kept = socket.create_connection(("127.0.0.1", port))
        asyncio.run(Client(port).send(infer_request(images[:1])))
        first.process.kill()
        first.process.wait(30)
    with kept, server_process(f"m={digits_bundle}", "--port", str(port)) as second:
        status, _, _ = asyncio.run(Client(second.port).send(infer_request(images[:1])))
        assert (second.port, status) == (port, 200)


def test_a_bundle_exchanged_on_disk_serves_after_sighup_and_not_before(
    under_fire: ServerProcess, bundle_copy: Path, classifier: Classifier, images: Uint8Array, tmp_path: Path
) -> None:
    """Until then, and where the new one is damaged, the old one answers with the same bits."""
    expected = classifier.predict(images[:3]).logits.tobytes()
    good = shutil.copytree(bundle_copy, tmp_path / "good")

    async def ask() -> None:
        client = Client(under_fire.port)
        _, head, body = await client.send(infer_request(images[:3]))
        assert logits_of(head, body).tobytes() == expected
        assert (await client.send(_READY))[0] == 200
        await client.close()

    shutil.rmtree(bundle_copy)
    asyncio.run(ask())
    bundle_copy.mkdir()
    for file in good.iterdir():
        (bundle_copy / file.name).write_bytes(file.read_bytes()[:-1])
    under_fire.process.send_signal(signal.SIGHUP)
    told = tmp_path / "stderr"
    end = time.monotonic() + 30
    while not told.read_text() and time.monotonic() < end:
        asyncio.run(ask())
    assert "was not reloaded: " in told.read_text()
    asyncio.run(ask())
