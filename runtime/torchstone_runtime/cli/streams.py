"""The three standard streams of a command, closed, full or broken ones included.

A command writes as if its streams were sound. What became of stdout is asked for at the end (`end`), so that files
that a command writes beside are written whole, and a streaming command may ask in between (`stdout_is_lost`).
"""

import contextlib
import errno
import io
import locale
import os
import select
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

from torchstone_runtime.errors import OutputError

_WRONG_WAY: Final = (os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)
"""How a closed descriptor 0, 1 or 2 is opened on /dev/null: stdin and stdout so that using them fails, as it should
and also does in a child process; stderr so that messages go nowhere."""


class _Lenient(io.FileIO):
    """A descriptor whose writes never fail: after the first error all goes nowhere, and the error is kept."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.error: OSError | None = None

    def write(self, content: Any, /) -> int:  # noqa: ANN401 - whatever has bytes, as FileIO takes it
        """Write some bytes and return how many are done with."""
        while self.error is None:
            try:
                written = super().write(content)
            except OSError as error:
                self.error = error
                break
            if written is not None:
                return written
            select.select([], [self], [])  # somebody made the descriptor non-blocking, and its reader is slow
        return memoryview(content).nbytes


_READER_GONE: Final = (errno.EPIPE, errno.ECONNRESET)
_stdout: _Lenient | None = None


def open_streams() -> None:
    """Make sys.stdin, sys.stdout and sys.stderr usable, whatever this process was started with.

    Closed descriptors are taken, so that no file that is opened later can be mistaken for a stream; writing raises
    nothing any more, and a character that a stream's encoding lacks is written as an escape. Streams that are no
    longer those of the process (a test's, a caller's) stay as they are. Call it first: before any file is opened.
    """
    global _stdout  # noqa: PLW0603 - a process has one
    for descriptor, flags in enumerate(_WRONG_WAY):
        _take_if_closed(descriptor, flags)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), encoding=locale.getencoding())  # noqa: SIM115 - lives as long as the process
    if _is_own(sys.stdout, 1):
        _stdout = _Lenient(1)
        sys.stdout = _text(_stdout, sys.stdout, line_buffering=os.isatty(1))
    if _is_own(sys.stderr, 2):
        sys.stderr = _text(_Lenient(2), sys.stderr, line_buffering=True)


def stdout_is_lost() -> bool:
    """Tell whether what is written to stdout reaches nobody any more."""
    return _stdout is not None and _stdout.error is not None


def end(code: int, report: Callable[[OutputError], int]) -> int:
    """Flush both streams and return the exit code.

    A reader of stdout that went away (`| head`) changes nothing. A stdout that is closed or full lost the result:
    where the command had nothing worse to say than a failed check, that is reported and decides.

    Args:
        code: exit code that the command itself gave.
        report: function that tells an error on stderr and returns its exit code.
    """
    sys.stdout.flush()
    error = _stdout.error if _stdout else None
    if error is not None and error.errno not in _READER_GONE and code in (0, 1):
        why = "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)
        code = report(
            OutputError(
                f"The result could not be written to stdout: {why}.",
                "Redirect stdout to something that accepts it: a file on a disk with room, a pipe, or /dev/null.",
            )
        )
    sys.stderr.flush()
    return code


def _take_if_closed(descriptor: int, flags: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        # The lowest free descriptor is given, and the ones below are taken.
        os.set_inheritable(os.open(os.devnull, flags), True)  # noqa: FBT003 - the only parameter


def _is_own(stream: TextIO | None, descriptor: int) -> bool:
    try:
        return stream is None or stream.fileno() == descriptor
    except (OSError, ValueError):  # a stream in memory, or a closed one
        return False


def _text(raw: _Lenient, former: TextIO | None, *, line_buffering: bool) -> TextIO:
    encoding = locale.getencoding()
    if former is not None:
        with contextlib.suppress(OSError):
            former.flush()
        encoding = former.encoding
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=line_buffering
    )
