"""What one thread prints, sent elsewhere: the others print as before, and the process keeps its streams."""

import io
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from torchstone_runtime.system.thread_output import own_output_to


def test_what_the_thread_prints_goes_to_the_target(capsys: pytest.CaptureFixture[str]) -> None:
    """And only inside the block."""
    target = io.StringIO()
    with own_output_to(target, "stdout"):
        print("inside")  # noqa: T201 - the subject
    print("outside")  # noqa: T201 - the subject
    assert (target.getvalue(), capsys.readouterr().out) == ("inside\n", "outside\n")


def test_what_another_thread_prints_goes_where_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    """A service's own lines are not swallowed."""
    with own_output_to(None, "stdout", "stderr"), ThreadPoolExecutor(1) as pool:
        pool.submit(print, "a line of the service").result()
        print("what an exporter says")  # noqa: T201 - the subject
    assert capsys.readouterr().out == "a line of the service\n"


def test_blocks_that_overlap_leave_the_stream() -> None:
    """In whatever order they end."""
    before, entered, left = sys.stdout, threading.Event(), threading.Event()

    def second() -> None:
        with own_output_to(None, "stdout"):
            entered.set()
            left.wait()

    with ThreadPoolExecutor(1) as pool:
        with own_output_to(None, "stdout"):
            work = pool.submit(second)
            entered.wait()
        left.set()
        work.result()
    assert sys.stdout is before


def test_a_process_without_the_stream_has_none_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a program without a console; what is printed meanwhile goes nowhere."""
    monkeypatch.setattr(sys, "stdout", None)
    with own_output_to(sys.stdout, "stdout"), ThreadPoolExecutor(1) as pool:
        print("nobody reads this")  # noqa: T201 - the subject
        pool.submit(print, "nor this").result()
    assert sys.stdout is None
