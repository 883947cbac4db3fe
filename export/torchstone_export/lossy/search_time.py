"""How long the search for a variant may take, and what it left out for want of time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class SearchTime:
    """The time of a search whose steps take about as long as each other.

    Attributes:
        minutes: time after which no further step is begun.
        left_out: steps that were not begun, in words.
        clock: clock in seconds, whose difference from now on is the time taken.
        longest: seconds of the longest step so far.
    """

    minutes: float
    left_out: list[str] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    longest: float = 0.0
    _started: float = field(init=False)
    _begun: float | None = None

    def __post_init__(self) -> None:
        """Start the time."""
        self._started = self.clock()

    def allows(self, step: str) -> bool:
        """Return whether a step may begin; one that may not, or would end too late, is noted.

        Args:
            step: name of the step, in words.
        """
        now = self.clock()
        if self._begun is not None:
            self.longest = max(self.longest, now - self._begun)
        # The first step is what the search is for, however little time there is.
        if self._begun is not None and now + self.longest > self._started + 60 * self.minutes:
            self.left_out.append(step)
            self._begun = now
            return False
        self._begun = now
        return True

    def to_json(self) -> dict[str, Any]:
        """Return the limit, the seconds that were taken, and what was left out, as JSON data."""
        seconds = self.clock() - self._started
        return {"minutes": self.minutes, "seconds": round(seconds, 1), "left_out": list(self.left_out)}

    def describe(self) -> str:
        """Return a note for people where something was left out; else an empty string."""
        if not self.left_out:
            return ""
        count = len(self.left_out)
        steps = "1 way" if count == 1 else f"{count} ways"
        return f"{steps} to quantise not tried within {self.minutes:g} minutes (--int8-minutes)"
