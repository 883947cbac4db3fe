"""Rows of a training: within 80 columns, whatever the figures are."""

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchstone_train.training.epoch_table import HEADER, epoch_row, time_left
from torchstone_train.training.progress import Progress, make_progress

SHARES = st.floats(0, 1)
LOSSES = st.floats(0, 1e300)


def record(
    epoch: int = 1, loss: float = 0.5, share: float = 0.9, rate: float = 0.001, speed: float = 1e4
) -> dict[str, Any]:
    """Return an epoch as `history.jsonl` has it."""
    averages = {f"{name}_{kind}": share for name in ("precision", "recall", "f1") for kind in ("macro", "weighted")}
    part = {"loss": loss, "accuracy": share, **averages}
    speeds = {"learning_rate": rate, "images_per_second": speed, "seconds": 2.0}
    return {"epoch": epoch, "train": part, "validation": part, "best": True, **speeds}


@given(
    epochs=st.tuples(st.integers(1, 10**6), st.integers(0, 10**6)),
    loss=LOSSES,
    share=SHARES,
    rate=st.floats(1e-99, 1e9),
    speed=st.floats(0.01, 1e12),
    left=st.floats(0, 1e12),
)
def test_every_row_is_within_80_columns(
    epochs: tuple[int, int], loss: float, share: float, rate: float, speed: float, left: float
) -> None:
    """Epochs, losses, rates and times of any size."""
    epoch, more = epochs
    assert len(epoch_row(record(epoch, loss, share, rate, speed), epoch + more, left)) <= 80


def test_cells_end_where_their_titles_end() -> None:
    """A row can be read by its header."""
    row = epoch_row(record(), 10, 60)
    ends = [title.end() for title in re.finditer(r"\S+(?: \S+)*", HEADER)]
    assert len(ends) == len(row.split()) - 1  # `best` has no title
    assert all(row[end - 1] != " " and row[end : end + 1] in (" ", "") for end in ends)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (9.4, "0:09"), (3723, "1:02:03"), (36_060, "10h 01m"), (360_000, "4d 4h"), (86_400 * 200, "200d")],
)
def test_time_left_is_short(seconds: float, shown: str) -> None:
    """From seconds to months."""
    assert time_left(seconds) == shown


def test_header_comes_once_a_training() -> None:
    """The second training of a display, such as a fold, has a header of its own; so has a resumed one its first."""
    log = io.StringIO()
    progress = Progress(5, log)
    for epoch in (3, 4, 1, 2):
        progress.end_epoch(record(epoch))
    lines = log.getvalue().splitlines()
    assert [index for index, line in enumerate(lines) if line == HEADER] == [0, 3]
    assert "  0:04  " in lines[1]


def test_details_are_all_there_within_80_columns() -> None:
    """Training and validation, macro and weighted."""
    log = io.StringIO()
    Progress(100, log, detailed=True).end_epoch(json.loads(json.dumps(record(rate=0.000805))))
    lines = log.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).count("precision 0.9000 / 0.9000") == 2
    assert " ".join(lines).count("F1 0.9000 / 0.9000") == 2
    assert "lr 0.000805" in log.getvalue()
    assert lines[-1].endswith("best so far")


def test_a_function_is_given_whole_lines() -> None:
    """What searches a log finds an epoch's training, and its validation, in one line."""
    given: list[str] = []
    make_progress(5, given.append).end_epoch(record())
    train, validation = given[0].splitlines()
    assert "precision 0.9000 / 0.9000" in train
    assert validation.endswith("best so far")


def test_time_left_counts_the_folds_to_come() -> None:
    """Three epochs of 2 s each: two are left of this fold, and two folds follow."""
    stream = io.StringIO()
    progress = Progress(3, stream)
    progress.later_runs = 2
    progress.end_epoch(record())
    assert stream.getvalue().splitlines()[-1].split()[-2] == time_left(2.0 * (2 + 6))
