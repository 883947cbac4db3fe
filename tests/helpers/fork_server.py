"""Processes that begin with what takes long to import: a server imports it once, and forks for each command.

Such a process is one of its own in all that a test can see, signals, streams, exit code and exit handlers included,
but for what is imported, the hash seed, the variables that are read at import, and the end of imported modules.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

_READ_AT_IMPORT: Final = (
    *("PYTHON", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "TORCH_", "ORT_", "CUDA", "MPL", "LD_", "LC_", "LANG"),
    *("HOME", "XDG_", "TMPDIR"),
)
"""How the names of variables begin that a library, or the interpreter, reads once."""
_SET_BY_SCIKIT_LEARN: Final = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"}
"""In the process that imports it, a test's as well: every command would be started anew from then on."""
CLOSED: Final = Path("closed stream")
"""In the place of a stream's file: none."""


class ForkServer:
    """Runs `python -m torchstone_runtime` with modules that are imported already."""

    def __init__(self, *modules: str) -> None:
        """Start the server, which imports while the caller goes on; modules that aren't installed are left out."""
        self._environment = dict(os.environ)
        theirs, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        command = [sys.executable, __file__, str(theirs), str(replies), *modules]
        nowhere = subprocess.DEVNULL
        self._server = subprocess.Popen(command, pass_fds=(theirs, replies), stdin=nowhere, stdout=nowhere)
        for descriptor in (theirs, replies):
            os.close(descriptor)
        atexit.register(self._end)

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Return whether a forked process would see in these variables what a fresh one does."""
        names = environment.keys() | self._environment.keys()
        changed = {name for name in names if environment.get(name) != self._environment.get(name)}
        return not any(name.startswith(_READ_AT_IMPORT) for name in changed - _SET_BY_SCIKIT_LEARN)

    def start(
        self,
        arguments: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        stdout: Path,
        stderr: Path,
        hidden: Sequence[str] = (),
        changes: Sequence[str] = (),
    ) -> "ForkedCommand":
        """Start a command of Torchstone, one at a time; its streams go to the ends of files, named pipes or terminals.

        A pipe is to be opened by the reader: the command begins once both ends are. `CLOSED` in the place of a file is
        a stream that was closed before the command began. Hidden modules seem not installed. Changes are modules of
        `helpers` that the process imports first, for what they change in it.
        """
        request = {"arguments": list(arguments), "cwd": str(cwd), "environment": dict(environment)}
        request |= {"streams": [str(stdout), str(stderr)], "hidden": list(hidden), "changes": list(changes)}
        os.write(self._requests, f"{json.dumps(request)}\n".encode())
        return ForkedCommand(["torchstone", *arguments], self._replies)

    def run(
        self,
        arguments: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        timeout: float,
        hidden: Sequence[str] = (),
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of Torchstone as `subprocess.run` does with `text` and `capture_output`."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "stdout", Path(folder) / "stderr"
            command = self.start(arguments, cwd, environment, out, err, hidden)
            code = command.wait(timeout)
            return subprocess.CompletedProcess(command.args, code, out.read_text(), err.read_text())

    def _end(self) -> None:
        """Let the server end, which does so when nobody can ask it for more."""
        os.close(self._requests)
        self._server.wait()


class ForkedCommand:
    """A command that runs, as `subprocess.Popen` has it."""

    def __init__(self, args: list[str], replies: int) -> None:
        """Take the descriptor that the server writes to."""
        self.args = args
        self.returncode: int | None = None
        self._replies = replies
        self.pid = self._read_number()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._replies], [], [], 0)[0]:
            self.returncode = self._read_number()
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Return the exit code. A command that takes longer than that many seconds is killed: subprocess's error."""
        if self.returncode is None and not select.select([self._replies], [], [], timeout)[0]:
            self.kill()
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self._ended()

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)
        self._ended()

    def _ended(self) -> int:
        """Wait for the exit code."""
        if self.returncode is None:
            self.returncode = self._read_number()
        return self.returncode

    def _read_number(self) -> int:
        """Return the server's next line."""
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self._replies, 1)
            assert part, "the server of the tests' processes has ended"
            line += part
        return int(line)


def serve(requests: IO[str], replies: IO[str]) -> None:
    """Fork for each request; a child returns from here as the command that it is to be, the server at the end."""
    for line in requests:
        if not (child := os.fork()):
            become(**json.loads(line))
            return
        replies.write(f"{child}\n")
        replies.flush()
        replies.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        replies.flush()
    sys.exit()


def become(
    arguments: list[str],
    cwd: str,
    environment: dict[str, str],
    streams: list[str],
    hidden: list[str],
    changes: list[str],
) -> None:
    """Take over what a fresh process is given."""
    sys.path[0] = str(Path(__file__).parents[1])
    for module in changes:
        importlib.import_module(f"helpers.{module}")
    for number, path in enumerate(streams, 1):
        if path != str(CLOSED):
            os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), number)
    for number, path in enumerate(streams, 1):
        if path == str(CLOSED):  # only now, or one of the files above would be opened in its place
            os.close(number)
            setattr(sys, ("stdout", "stderr")[number - 1], None)  # as an interpreter finds it
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = cwd
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: can't be imported
    sys.argv[1:] = arguments


def main(requests: str, replies: str, *modules: str) -> None:
    """Serve, and in a child run its command."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            continue
    gc.freeze()
    with open(int(requests)) as lines, open(int(replies), "w") as answers:  # noqa: PTH123 - descriptors
        serve(lines, answers)
    try:
        runpy.run_module("torchstone_runtime", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        leave(end.code)


def leave(code: object) -> None:
    """End as an interpreter does, but for taking apart what was imported, which takes a second."""
    if isinstance(code, int):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as is done before exit handlers
        atexit._run_exitfuncs()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        os._exit(code)
    sys.exit(code)  # type: ignore[arg-type]  # whatever a command may give it


if __name__ == "__main__":
    main(*sys.argv[1:])
