"""Servers of the same model, each a process of its own: ours, and others in environments of their own."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
OURS: Final = ("--variant", "fp32", "--provider", "cpu")
"""Options of `torchstone serve`: what the other servers run, too."""
_PROGRAMS: Final = Path(__file__).parent / "peers"
_START_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Server:
    """How a server is started.

    Attributes:
        name: its name in the results.
        command: command line.
        port: port that it listens on.
        environment: variables beside those of this process.
        folder: directory that it is started in.
    """

    name: str
    command: tuple[str, ...]
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = _PROGRAMS


@dataclass(frozen=True, slots=True)
class Running:
    """A server that gave its first right answer.

    Attributes:
        server: what was started.
        process: its process, the first of its family.
        first_answer: seconds from its start to that answer.
    """

    server: Server
    process: "subprocess.Popen[bytes]"
    first_answer: float

    def memory(self) -> tuple[int, float]:
        """Return the number of its processes, and their proportional set size together, in MB."""
        members = _family(self.process.pid)
        return len(members), sum(map(_proportional_kilobytes, members)) / 1e3

    def processor_seconds(self) -> float:
        """Return the processor time that all its processes, those that ended among them, took so far."""
        return sum(map(_processor_seconds, _family(self.process.pid)))


def ours(model: Path | str, *options: str) -> Server:
    """Return `torchstone serve` of a bundle."""
    port = free_port()
    command = (sys.executable, "-m", "torchstone_runtime", "serve", f"fashion={model}", "--port", str(port), *options)
    return Server("torchstone", command, port, folder=Path.cwd())


def peers(environments: Path, model: Path, scratch: Path) -> Iterator[Server]:
    """Yield the other servers whose environment lies in a folder, under their names.

    Args:
        environments: folder of virtual environments `litserve`, `bentoml`, `mlserver` and `kserve`.
        model: the ONNX file.
        scratch: folder for settings.
    """
    named = {"MODEL": str(model), "PYTHONPATH": str(_PROGRAMS), "BENTOML_DO_NOT_TRACK": "true"}
    makers = {"litserve": _litserve, "bentoml": _bentoml, "mlserver": _mlserver, "kserve": _kserve}
    for name, make in makers.items():
        if (environments / name / "bin" / "python").exists():
            port = free_port()
            command = make(environments / name / "bin", model, port, scratch)
            yield Server(name, command, port, named, scratch if name == "mlserver" else _PROGRAMS)


def _litserve(tools: Path, model: Path, port: int, _: Path) -> tuple[str, ...]:
    return str(tools / "python"), "litserve_program.py", str(model), str(port)


def _bentoml(tools: Path, _: Path, port: int, __: Path) -> tuple[str, ...]:
    return str(tools / "bentoml"), "serve", "bentoml_program:Service", "--host", "127.0.0.1", "--port", str(port)


def _mlserver(tools: Path, _: Path, port: int, scratch: Path) -> tuple[str, ...]:
    settings = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port(), "parallel_workers": 0}
    (scratch / "settings.json").write_text(json.dumps(settings | {"host": "127.0.0.1"}))
    model = {"name": "fashion", "implementation": "mlserver_program.Runtime"}
    (scratch / "model-settings.json").write_text(json.dumps(model))
    return str(tools / "mlserver"), "start", "."


def _kserve(tools: Path, model: Path, port: int, _: Path) -> tuple[str, ...]:
    options = ("--http_port", str(port), "--enable_grpc", "false")
    return str(tools / "python"), "kserve_program.py", str(model), *options


@contextmanager
def running(server: Server, request: bytes) -> Iterator[Running]:
    """Start a server, ask it until it answers with 200, and end it and all its children afterwards.

    Raises:
        RuntimeError: it ended, or gave no answer in two minutes.
    """
    began = time.perf_counter()
    environment = {**os.environ, **server.environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled, a checkout at its first start
    process = subprocess.Popen(
        server.command,
        env=environment,
        cwd=server.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers(server.port, request):
            if process.poll() is not None or time.perf_counter() - began > _START_SECONDS:
                raise RuntimeError(f"{server.name} gives no answer")
            time.sleep(0.005)
        yield Running(server, process, time.perf_counter() - began)
    finally:
        # BentoML's workers are in sessions of their own: a signal to a group doesn't reach them.
        for pid in _family(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def shortest_start(model: Path) -> tuple[float, float]:
    """Return the time and the processor time of Python, NumPy, ONNX Runtime, a session and one answer: no server."""
    program = (
        "import sys, numpy, onnxruntime as ort\n"
        "options = ort.SessionOptions(); options.intra_op_num_threads = 1\n"
        "session = ort.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])\n"
        "session.run(None, {'images': numpy.zeros((1, 1, 28, 28), numpy.uint8)})\n"
    )
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program, str(model)], check=True)
    taken, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def free_port() -> int:
    """Return a port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int, request: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.settimeout(10)
            connection.sendall(request)
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _family(pid: int) -> list[int]:
    """Return a process and all that it began, directly or through others."""
    found = [pid]
    for member in found:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, task.read_text().split())
    return found


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _proportional_kilobytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
