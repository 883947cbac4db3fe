import threading

import pytest

from torchstone_runtime.inference.call_turns import CallTurns

PATIENCE = 30


def _start_waiting(turns: CallTurns, name: str, entered: list[str], known: threading.Event) -> threading.Thread:
    def call() -> None:
        known.set()
        with turns:
            entered.append(name)

    thread = threading.Thread(target=call)
    thread.start()
    assert known.wait(PATIENCE)
    return thread


def test_callers_are_served_in_the_order_in_which_they_came() -> None:
    """One that comes back at once does not overtake those who wait."""
    turns, entered = CallTurns(1), list[str]()
    with turns:
        waiting = []
        for place, name in enumerate(("first", "second", "third"), start=1):
            waiting.append(_start_waiting(turns, name, entered, threading.Event()))
            while len(turns._waiting) < place:
                threading.Event().wait(0.001)
    with turns:
        entered.append("again")
    for thread in waiting:
        thread.join(PATIENCE)

    assert entered == ["first", "second", "third", "again"]


def test_as_many_calls_at_once_as_there_are_places() -> None:
    """The barrier is passed only where two are inside at a time."""
    turns, both = CallTurns(2), threading.Barrier(2)

    def call() -> None:
        with turns:
            both.wait(PATIENCE)

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert not any(thread.is_alive() for thread in threads)
    assert not both.broken


def test_a_place_is_free_again_after_an_error() -> None:
    """Else the next caller would wait forever."""
    turns = CallTurns(1)
    with pytest.raises(ValueError, match="no"), turns:
        raise ValueError("no")
    with turns:
        pass
