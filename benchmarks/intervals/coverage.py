"""How often does an interval that is shown hold the truth, and on which side does it miss?

    python -m benchmarks.intervals.coverage [--draws N] [--out benchmarks/results/interval-coverage.md] [GROUP ...]

Test sets are drawn from populations with a known truth (`populations.py`), each situation with its own seed.
Groups: shares, pairs, probabilities, selections, confusions; all by default. 1,000 test sets of each situation are
drawn, 500 of confusion matrices: the standard error of a share of misses of 2.5% is then 0.5 or 0.7 points.
"""

import argparse
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.intervals import populations

GROUPS = {
    "shares": populations.shares,
    "pairs": populations.pairs,
    "probabilities": populations.probabilities,
    "selections": populations.selections,
    "confusions": populations.confusions,
}
DRAWS = {"confusions": 500}
DRAWS_OF_OTHERS = 1000
TOLERANCE = 1e-12
SPREAD_OF_95 = 3.92
"""Standard deviations from one end of a normal distribution's 95% interval to the other."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure in one situation; shares are 0 to 1.

    Attributes:
        too_high: of the draws, the lower end was above the truth.
        too_low: the upper end was below the truth.
        width: mean width; `ideal`: that of the normal interval with the estimate's own standard deviation.
    """

    figure: str
    situation: str
    draws: int
    too_high: float
    too_low: float
    width: float
    ideal: float

    @property
    def covered(self) -> float:
        """Share of the draws whose interval held the truth."""
        return 1 - self.too_high - self.too_low

    @property
    def error(self) -> float:
        """Standard error of the coverage."""
        return float(np.sqrt(max(self.covered * (1 - self.covered), 1 / self.draws) / self.draws))

    @property
    def ratio(self) -> float | None:
        """Width to the ideal one; None where the estimate never varied."""
        return self.width / self.ideal if self.ideal > TOLERANCE else None


def simulate(group: str, draws: int) -> list[Row]:
    """Draw every situation of a group."""
    rows = []
    for situation, draw in GROUPS[group]():
        generator = np.random.default_rng(zlib.crc32(situation.encode()))
        seen: dict[str, list[populations.Seen]] = defaultdict(list)
        for _ in range(draws):
            for figure, item in draw(generator).items():
                seen[figure].append(item)
        rows += [_row(figure, situation, items) for figure, items in seen.items()]
    return rows


def _row(figure: str, situation: str, items: list[populations.Seen]) -> Row:
    truth = np.array([item.truth for item in items])
    low, high = np.array([item.interval for item in items]).T
    ideal = SPREAD_OF_95 * float(np.std([item.estimate for item in items]))
    too_high, too_low = float((low > truth + TOLERANCE).mean()), float((high < truth - TOLERANCE).mean())
    return Row(figure, situation, len(items), too_high, too_low, float((high - low).mean()), ideal)


def summary(rows: list[Row]) -> list[str]:
    """Return the table of the extremes, a line a figure."""
    lines = [
        "| figure | situations | coverage: least, median | too high, most | too low, most | width: median, most |",
        "|---|---|---|---|---|---|",
    ]
    for figure in dict.fromkeys(row.figure for row in rows):
        mine = [row for row in rows if row.figure == figure]
        covered, ratios = [row.covered for row in mine], [row.ratio for row in mine if row.ratio is not None]
        lines.append(
            f"| {figure} | {len(mine)} | {min(covered):.1%}, {np.median(covered):.1%} | "
            f"{max(row.too_high for row in mine):.1%} | {max(row.too_low for row in mine):.1%} | "
            f"{np.median(ratios):.2f}, {max(ratios):.2f} |"
        )
    return lines


def details(rows: list[Row]) -> list[str]:
    """Return the table of every situation."""
    lines = [
        "| figure | situation | draws | coverage | too high | too low | width | over the normal one |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(
            f"| {row.figure} | {row.situation} | {row.draws:,} | {row.covered:.1%} ± {row.error:.1%} | "
            f"{row.too_high:.1%} | {row.too_low:.1%} | {row.width:.4f} | {ratio} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--draws", type=int)
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    rows = []
    for group in wanted.groups:
        rows += simulate(group, wanted.draws or DRAWS.get(group, DRAWS_OF_OTHERS))
        print(f"{group}: done", flush=True)
    text = "\n".join(
        [
            "# Intervals: how often they cover the true value",
            "",
            "The nominal coverage is 95%, with 2.5% at each end; ± is the standard error of the simulation.",
            "*Too high* means that the lower end was above the true value, *too low* that the upper end was below it.",
            "The width is relative to a normal interval with the true standard deviation, unknown in practice.",
            "Reproduce them with `python -m benchmarks.intervals.coverage`.",
            "",
            *summary(rows),
            "",
            "## Every situation",
            "",
            *details(rows),
            "",
        ]
    )
    if wanted.out:
        wanted.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
