"""A signal during a training is a request, and its process learns of it."""

import signal

import pytest

from torchstone_train.training.interrupt import GracefulInterrupt


def test_a_handler_of_the_process_is_called_too() -> None:
    """A service whose training ends early knows that it is to end itself."""
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        with GracefulInterrupt() as interrupt:
            signal.raise_signal(signal.SIGTERM)
        assert (interrupt.requested, told) == (True, [signal.SIGTERM])
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_raises_nothing_at_first() -> None:
    """What was learnt until then is kept; Python's own handler would end the step in its middle."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with GracefulInterrupt() as interrupt:
            signal.raise_signal(signal.SIGINT)
        assert interrupt.requested
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_python_did_not_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a program that embeds Python: it could not be put back, and the attempt ended the training."""
    getsignal = signal.getsignal
    usual = getsignal(signal.SIGTERM)
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    with GracefulInterrupt():
        assert getsignal(signal.SIGTERM) is usual
