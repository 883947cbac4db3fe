"""Two hosts on this machine: network namespaces joined by a cable, each with a loopback and processes of its own."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

_IP: Final = shutil.which("ip") or ""
_NETWORK: Final = "10.77.41"


@dataclass(frozen=True, slots=True)
class Host:
    """A host: commands that are started on it see its network alone."""

    name: str
    address: str
    interface: str
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, command: Sequence[str], log: Path, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start a command, whose output goes to a file."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                [_IP, "netns", "exec", self.name, *command], stdout=output, stderr=output, env={**os.environ, **env}
            )
        self.started.append(process)
        return process

    def ask(self, command: Sequence[str], env: Mapping[str, str]) -> str:
        """Run a command to its end; return what it printed, without the last line's end."""
        command = [_IP, "netns", "exec", self.name, *command]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **env}
        )
        return done.stdout.strip()

    def running(self) -> list[str]:
        """Return the command lines of the processes on the host."""
        lines = []
        for pid in _ip("netns", "pids", self.name).split():
            with suppress(OSError):
                lines.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        return lines

    def cut_power(self) -> None:
        """End every process on the host at once, the children of what was started included."""
        for pid in _ip("netns", "pids", self.name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for process in self.started:
            process.wait(30)


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Give two hosts that reach each other; the test is skipped where namespaces cannot be made."""
    if os.geteuid() != 0 or not _IP:
        pytest.skip("network namespaces need root and iproute2's `ip`")
    hosts = tuple(
        Host(f"torchstone-{os.getpid()}-{end}", f"{_NETWORK}.{end}", f"ts{os.getpid() % 10**6}-{end}") for end in (1, 2)
    )
    with ExitStack() as undo:
        for host in hosts:
            try:
                _ip("netns", "add", host.name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"network namespaces cannot be made here: {error.stderr.strip()}")
            undo.callback(_ip, "netns", "del", host.name)
            undo.callback(host.cut_power)
        first, second = hosts
        _ip("link", "add", first.interface, "netns", first.name, "type", "veth", "peer", "name", second.interface)
        _ip("link", "set", second.interface, "netns", second.name)
        for host in hosts:
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", host.interface)
            for interface in ("lo", host.interface):
                _ip("-n", host.name, "link", "set", interface, "up")
        yield first, second


def _ip(*arguments: str) -> str:
    return subprocess.run([_IP, *arguments], capture_output=True, text=True, check=True, timeout=30).stdout
