"""The calls of one visit to a GPU run every piece once, in the time that there is."""

from benchmarks.gpu.calls import CALL_SECONDS, CALLS, CARRYING_SECONDS, VISIT_SECONDS, total
from benchmarks.gpu.pieces import PIECES
from benchmarks.gpu.run_all import budget


def test_every_piece_is_in_one_call() -> None:
    """None is forgotten, and none but the card's ceilings, which others read, is paid for twice."""
    assert sorted(name for call in CALLS for name in call.pieces) == sorted([*PIECES, "machine"])


def test_the_ceilings_are_measured_in_the_call_that_reads_them() -> None:
    """The folder of results is emptied before each call."""
    (pieces,) = (call.pieces for call in CALLS if "speed" in call.pieces)
    assert "machine" in pieces[: pieces.index("speed")]


def test_the_calls_fit_into_a_visit() -> None:
    """With the start of the machine and what is carried; each in less than its limit."""
    assert total() <= VISIT_SECONDS
    assert max(call.seconds for call in CALLS) + CARRYING_SECONDS < CALL_SECONDS


def test_the_runtimes_pieces_come_after_its_wheel() -> None:
    """Without it they could only fail."""
    installed = next(number for number, call in enumerate(CALLS) if any("install" in line for line in call.before))
    for number, call in enumerate(CALLS):
        assert number >= installed or not any(PIECES[name].runtime for name in call.pieces)


def test_the_total_is_said_beforehand() -> None:
    """With a warning where the pieces are given less than they may take."""
    assert budget(["machine", "doctor"], 570) == "at most machine 40 s, doctor 30 s; together 70 s of 570 s"
    assert budget(["machine", "doctor"], 60).endswith("cut short, or not begun")
