"""Processes that train together as `torchrun` starts them on one machine, as forks that have PyTorch already."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from helpers.fork_server import ForkServer
from helpers.support import fork_server


def run_together(
    processes: int, *arguments: str, timeout: float = 120, changes: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a command of PyTorch in so many processes; give all they printed, and the first exit code that is not 0.

    Changes are as in `ForkServer.start`.
    """
    with tempfile.TemporaryDirectory() as folder:
        streams = [(Path(folder) / f"{rank}.stdout", Path(folder) / f"{rank}.stderr") for rank in range(processes)]
        # With the variables that torchrun sets (PyTorch's documentation of it, "Environment Variables").
        world = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1"}
        world |= {"MASTER_PORT": str(_free_port())}
        commands = [
            _server(rank).start(
                list(arguments),
                Path.cwd(),
                {**os.environ, **world, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                *streams[rank],
                ("matplotlib",),
                changes,
            )
            for rank in range(processes)
        ]
        codes = [command.wait(timeout) for command in commands]
        printed = ["".join(file.read_text() for file in files) for files in zip(*streams, strict=True)]
    return subprocess.CompletedProcess(list(arguments), next(filter(None, codes), 0), *printed)


@cache
def _server(rank: int) -> ForkServer:
    """Return the server of a rank, for each runs one command at a time; the first is that of the other tests."""
    return fork_server() if rank == 0 else ForkServer("torchstone_train.run_training", "torch._dynamo")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
