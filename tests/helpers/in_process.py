"""The command line in this very process: no interpreter to start, for results that don't depend on one."""

import contextlib
import io
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from torchstone_runtime.benchmark.timing import interleave
from torchstone_runtime.cli.main import _run

_BOMB: Final = "Image size .* could be decompression bomb"
"""The warning that `main` turns off, because such a picture is refused with a message of Torchstone's own."""


def run_in_process(
    *arguments: str | Path, cwd: Path | None = None, stdin: bytes = b"", pictures: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run a command as `run_torchstone` does, but in this process, which it leaves as it was.

    Streams, working directory, environment and warning filters are the caller's again afterwards. The text is as it
    was written: subprocess's text mode would make newlines of carriage returns. What depends on the process itself
    needs one of its own: signals, terminals, closed streams, memory, exit handlers, what is imported, and variables
    that are read at import. Without `pictures` a training draws none, as if matplotlib weren't installed.
    """
    given = [str(argument) for argument in arguments]
    with (
        _captured(stdin) as (out, err),
        _surroundings(cwd),
        contextlib.nullcontext() if pictures else without_matplotlib(),
    ):
        code = _run(given, debug=False)
    return subprocess.CompletedProcess(["torchstone", *given], code, out.getvalue().decode(), err.getvalue().decode())


def export_with_a_short_stopwatch(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Export in this process, where a variant's speed is a moment's guess, and 64 pictures calibrate int8.

    For all but the tests of that speed and of that sample. On a machine that others use, the stopwatch goes on for up
    to half a minute to measure through their noise.
    """
    with short_stopwatch(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchstone_export.lossy.int8_search.CALIBRATION_IMAGES", 64)
        return run_in_process("export", *arguments)


@contextlib.contextmanager
def short_stopwatch() -> Iterator[None]:
    """Let an export in this process measure the speed of its variants in a moment, in as many rounds as ever."""
    from torchstone_export.lossy import speed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "_SECONDS_A_CALL", 0.001)
        patch.setattr(speed, "_EXTENSIONS", 0)
        patch.setattr(speed, "_fitting", lambda _engine, images: images[:16])
        patch.setattr(speed, "interleave", partial(interleave, pause=0.0))
        yield


@contextlib.contextmanager
def without_matplotlib() -> Iterator[None]:
    """Let matplotlib seem not installed: a training's pictures take four seconds, often longer than the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        yield


@contextlib.contextmanager
def _captured(stdin: bytes) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """Put streams of UTF-8 in memory in the place of the process's three."""
    out, err = io.BytesIO(), io.BytesIO()
    former = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)), encoding="utf-8")
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", write_through=True)
        for stream in (out, err)
    )
    try:
        yield out, err
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            stream.detach()  # or its end would close what was captured
        sys.stdin, sys.stdout, sys.stderr = former


@contextlib.contextmanager
def _surroundings(cwd: Path | None) -> Iterator[None]:
    """Enter a folder, and undo what a command changes of the process."""
    variables = dict(os.environ)
    with contextlib.chdir(cwd or Path.cwd()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_BOMB)
        try:
            yield
        finally:
            if dict(os.environ) != variables:
                os.environ.clear()
                os.environ.update(variables)
