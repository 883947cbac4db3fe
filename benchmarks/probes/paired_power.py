"""How often is a variant accepted whose accuracy is exactly at the margin (false alarm), or no worse at all (power)?

    python -m benchmarks.probes.paired_power

For each test-set size and each share of samples on which exactly one of the two models is right: the acceptance rate
of the rule "the 95% interval of the accuracy difference lies above -0.3 points", and how often the interval holds the
true difference. Draws are from the multinomial distribution of (gained, lost, neither), seed 0.
"""

from functools import cache

import numpy as np

from torchstone_runtime.metrics.paired import score_interval

MARGIN = 0.003
DRAWS = 40_000
SIZES = (1_500, 2_000, 5_000, 10_000, 20_000)
DISCORDANT = (0.003, 0.006, 0.01, 0.03)

cached_interval = cache(score_interval)


def simulate(samples: int, discordant: float, difference: float) -> tuple[float, float]:
    """Return the shares of draws that are accepted and whose interval holds the true difference."""
    gained, lost = (discordant + difference) / 2, (discordant - difference) / 2
    counts = np.random.default_rng(0).multinomial(samples, [gained, lost, 1 - gained - lost], DRAWS)[:, :2]
    pairs, times = np.unique(counts, axis=0, return_counts=True)
    intervals = np.array([cached_interval(int(up), int(down), samples) for up, down in pairs])
    accepted = times[intervals[:, 0] > -MARGIN].sum() / DRAWS
    covered = times[(intervals[:, 0] <= difference) & (difference <= intervals[:, 1])].sum() / DRAWS
    return float(accepted), float(covered)


def main() -> None:
    print(f"margin {100 * MARGIN:g} points, {DRAWS:,} draws a row, seed 0\n")
    print(
        "test images  discordant  accepted at the margin  accepted at -0.1 points  accepted at no difference  covered"
    )
    for samples in SIZES:
        for discordant in DISCORDANT:
            at_margin, covered = simulate(samples, discordant, -MARGIN)
            slight, _ = simulate(samples, discordant, -0.001)
            none, _ = simulate(samples, discordant, 0.0)
            print(
                f"{samples:11,}  {discordant:10.1%}  {at_margin:22.2%}  {slight:23.1%}  {none:25.1%}  {covered:7.2%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
