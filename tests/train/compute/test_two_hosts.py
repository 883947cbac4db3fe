"""Two network namespaces as two hosts: they train together, one is lost, the training goes on from its last epoch."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

_IP: Final = shutil.which("ip") or ""
_EPOCHS: Final = 6
_WAIT: Final = 300.0
"""Seconds after which a run that hangs ends the test."""


def _ip(*arguments: str) -> None:
    subprocess.run([_IP, *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Two namespaces that reach each other by 10.77.0.1 and 10.77.0.2, and nothing else."""
    if sys.platform != "linux" or not _IP:
        pytest.skip("needs Linux and the command ip (iproute2) to make two hosts")
    names = (f"tsa{os.getpid()}", f"tsb{os.getpid()}")
    with ExitStack() as made:
        try:
            for name in names:
                _ip("netns", "add", name)
                made.callback(_ip, "netns", "delete", name)
            _ip("-n", names[0], "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", names[1])
            for number, name in enumerate(names, 1):
                _ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", "wire")
                _ip("-n", name, "link", "set", "wire", "up")
                _ip("-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces can be made here: {error.stderr.strip()}")
        yield names


def _launch(hosts: tuple[str, str], out: Path, *options: str) -> list["subprocess.Popen[str]"]:
    """Start torchrun on both hosts, as a person would: the same command, but for the address of its own."""
    started = []
    for number, host in enumerate(hosts, 1):
        launcher = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "test"]
        launcher += ["--rdzv-endpoint", "10.77.0.1:29400", "--local-addr", f"10.77.0.{number}"]
        # The first host's name leads to another address than the one in its namespace.
        launcher += ["--rdzv-conf", f"is_host={int(number == 1)}"]
        training = [
            "train",
            "mlp",
            "--data",
            "digits",
            "--patience",
            "0",
            "--epochs",
            str(_EPOCHS),
            "--device",
            "cpu",
            "--out",
            str(out),
        ]
        command = [_IP, "netns", "exec", host, sys.executable, "-m", "torch.distributed.run", *launcher]
        with out.with_name(f"{host}.log").open("a") as log:
            started.append(
                subprocess.Popen(
                    [*command, "-m", "torchstone_runtime", *training, *options],
                    stdout=log,
                    stderr=log,
                    text=True,
                    env={**os.environ, "GLOO_SOCKET_IFNAME": "wire", "OMP_NUM_THREADS": "1"},
                    start_new_session=True,
                )
            )
    return started


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill a host's processes all at once; torchrun's workers have sessions of their own."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    process.wait(_WAIT)


def _epochs(out: Path) -> list[int]:
    history = out / "history.jsonl"
    return [json.loads(line)["epoch"] for line in history.read_text().splitlines()] if history.exists() else []


@pytest.mark.study
def test_a_training_survives_the_loss_of_a_host(hosts: tuple[str, str], tmp_path: Path) -> None:
    """The other host ends with an error; the same command with --resume does the epochs that are missing, once each."""
    out = tmp_path / "run"
    both = _launch(hosts, out)
    deadline = time.monotonic() + _WAIT
    while len(_epochs(out)) < 2 and time.monotonic() < deadline and all(one.poll() is None for one in both):
        time.sleep(0.02)
    _kill(both[1])
    assert both[0].wait(_WAIT) != 0
    done = _epochs(out)
    assert 2 <= len(done) < _EPOCHS

    codes = [one.wait(_WAIT) for one in _launch(hosts, out, "--resume")]
    logs = [out.with_name(f"{host}.log").read_text() for host in hosts]

    assert codes == [0, 0], logs[0][-2000:]
    assert _epochs(out) == list(range(1, _EPOCHS + 1))
    assert json.loads((out / "run.json").read_text())["device"]["processes"] == 2
