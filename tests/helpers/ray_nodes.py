"""Nodes of a Ray cluster on hosts of their own, each with a processor and with GPUs that exist for Ray alone."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from helpers.two_hosts import Host, two_hosts

if TYPE_CHECKING:
    import subprocess

_PORT: Final = 6379
_PATIENCE: Final = 120.0
_SETTINGS: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
"""Ray asks for a token where an earlier cluster of this machine has left one."""


@dataclass(frozen=True, slots=True)
class TwoHosts:
    """A cluster whose head is on the first host, and a second host that may join it.

    Attributes:
        first: host of the head.
        second: host that runs nothing until it joins.
        folder: folder of Ray's own files; sockets lie in it, so its path is short.
    """

    first: Host
    second: Host
    folder: Path
    _others: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Address of the cluster."""
        return f"{self.first.address}:{_PORT}"

    def start_head(self, gpus: int) -> None:
        """Start the cluster on the first host, and wait until it is there."""
        self._start(self.first, "--head", "--port", str(_PORT), "--temp-dir", str(self.folder), gpus=gpus)
        self._await_nodes(1)

    def join(self, gpus: int) -> None:
        """Let the second host join the cluster, and wait until it has."""
        self._start(self.second, "--address", self.address, gpus=gpus)
        self._await_nodes(2)

    def score(self, pictures: Path, out: Path, log: Path, *options: str) -> "subprocess.Popen[bytes]":
        """Begin a job on the first host."""
        command = [sys.executable, "-m", "torchstone_runtime", "score", "fashion", str(pictures), "--out", str(out)]
        command += ["--format", "jsonl", "--engine", "ray", "--address", self.address, *options]
        return self.first.start(command, log, _SETTINGS)

    def hold_a_processor(self) -> None:
        """Begin another job on the first host, which takes a processor until `let_go`."""
        held, log = self.folder / "held", self.folder / "other.log"
        program = (
            "import ray, sys, time; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR');"
            "held = sys.argv[2];"
            "task = ray.remote(num_cpus=1)(lambda: (open(held, 'w').close(), time.sleep(600))).remote(); ray.get(task)"
        )
        self._others.append(self.first.start([sys.executable, "-c", program, self.address, str(held)], log, _SETTINGS))
        end = time.monotonic() + _PATIENCE
        while not held.exists():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)

    def let_go(self) -> None:
        """End the other jobs."""
        for job in self._others:
            job.kill()

    def _start(self, host: Host, *arguments: str, gpus: int) -> None:
        program = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"]
        sizes = ["--num-cpus", "1", "--num-gpus", str(gpus), "--object-store-memory", str(128 << 20)]
        command = [*program, *sizes, "--node-ip-address", host.address, *arguments]
        host.start(command, self.folder / f"{host.name}.log", _SETTINGS)

    def _await_nodes(self, count: int) -> None:
        program = (
            "import ray, sys; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR');"
            "print(sum(node['Alive'] for node in ray.nodes()))"
        )
        end = time.monotonic() + _PATIENCE
        found = ""
        while found != str(count):
            assert time.monotonic() < end, "\n".join(log.read_text() for log in self.folder.glob("*.log"))
            found = self.first.ask([sys.executable, "-c", program, self.address], _SETTINGS)


@contextmanager
def ray_head(gpus: int) -> Iterator[TwoHosts]:
    """Give a cluster of one node that runs; all of it is gone after the block."""
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        two_hosts() as (first, second),
    ):
        cluster = TwoHosts(first, second, Path(folder))
        cluster.start_head(gpus)
        yield cluster
