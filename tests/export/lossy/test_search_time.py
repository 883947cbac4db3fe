"""The search for an int8 file ends in time, and says what it left out."""

from torchstone_export.lossy.search_time import SearchTime


def test_the_first_step_is_made_however_little_time_there_is() -> None:
    """Without a file there would be nothing to judge."""
    assert SearchTime(1e-9).allows("minmax")


def test_a_step_that_would_end_too_late_is_left_out_and_named() -> None:
    """By the longest step so far; a search that was not cut short has nothing to say."""
    now = [0.0]
    search = SearchTime(1.0, clock=lambda: now[0])
    assert search.allows("first")
    now[0] = 25.0
    assert search.allows("second")
    assert search.describe() == ""
    now[0] = 45.0
    assert not search.allows("third")
    assert search.to_json() == {"minutes": 1.0, "seconds": 45.0, "left_out": ["third"]}
    assert search.describe() == "1 way to quantise not tried within 1 minutes (--int8-minutes)"


def test_a_step_that_was_left_out_takes_no_time_of_later_ones() -> None:
    """What was not begun is not measured as a long step."""
    now = [0.0]
    search = SearchTime(1.0, clock=lambda: now[0])
    search.allows("first")
    now[0] = 40.0
    search.allows("second")
    now[0] = 50.0
    search.allows("third")
    assert search.longest == 40.0
