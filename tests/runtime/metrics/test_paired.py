"""The paired comparison is what its sources say, and accepts as rarely and as often as is claimed."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from torchstone_runtime.metrics.classification import Z_95, confusion_matrix
from torchstone_runtime.metrics.paired import compare_decisions, confusion_difference, mcnemar_exact, score_interval

COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 5000)).map(lambda c: (c[0], c[1], sum(c)))


@pytest.mark.parametrize(
    ("gained", "lost", "samples", "low", "high"),
    [
        # Airway hyper-responsiveness before and after transplantation (Bentur 2009), Tango's interval as printed by
        # Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014), table III.
        (1, 7, 21, -0.517, -0.026),
    ],
)
def test_the_interval_is_the_published_one(gained: int, lost: int, samples: int, low: float, high: float) -> None:
    """To the three digits that are printed."""
    assert score_interval(gained, lost, samples) == pytest.approx((low, high), abs=5e-4)


def test_without_discordant_samples_the_interval_has_a_closed_form() -> None:
    """It is -z²/(n + z²) to z²/(n + z²): 1,277 samples can just show a drop below 0.3 points."""
    for samples in (1, 10, 359, 1276, 1277, 10_000):
        half = Z_95**2 / (samples + Z_95**2)
        assert score_interval(0, 0, samples) == pytest.approx((-half, half), rel=1e-9)
    assert score_interval(0, 0, 1276)[0] < -0.003 < score_interval(0, 0, 1277)[0]


@pytest.mark.parametrize(("gained", "lost", "samples"), [(3, 9, 200), (0, 4, 50), (12, 5, 10_000), (40, 20, 160)])
def test_the_ends_are_where_the_likelihood_says(gained: int, lost: int, samples: int) -> None:
    """At each end the score statistic, with the nuisance parameter fitted numerically, is the normal quantile."""
    for end, sign in zip(score_interval(gained, lost, samples), (1, -1), strict=True):

        def surprise(probability_lost: float, end: float = end) -> float:
            shares = (probability_lost + end, probability_lost, 1 - end - 2 * probability_lost)
            counts = (gained, lost, samples - gained - lost)
            return float(-sum(n * np.log(max(share, 1e-300)) for n, share in zip(counts, shares, strict=True)))

        bounds = (max(0.0, -end), (1 - end) / 2)
        fitted = optimize.minimize_scalar(surprise, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
        statistic = (gained - lost - samples * end) / np.sqrt(samples * (2 * fitted + end - end**2))
        assert statistic == pytest.approx(sign * Z_95, rel=1e-3)


@given(COUNTS)
def test_the_interval_holds_the_estimate_and_turns_with_the_roles(counts: tuple[int, int, int]) -> None:
    """Exchanging the two classifiers mirrors it; it never leaves -1 to 1."""
    gained, lost, samples = counts
    low, high = score_interval(gained, lost, samples)

    assert -1 <= low <= (gained - lost) / samples <= high <= 1
    assert score_interval(lost, gained, samples) == pytest.approx((-high, -low), abs=1e-12)


@settings(deadline=None)
@given(st.integers(0, 3000), st.integers(0, 3000))
@example(10, 1065)
def test_mcnemar_is_twice_the_smaller_binomial_tail(gained: int, lost: int) -> None:
    """In whole numbers: coefficients leave the range of floats, and SciPy's own p values underflow below 1e-290."""
    total, ways, term = gained + lost, 0, 1
    for k in range(min(gained, lost) + 1):
        ways += term
        term = term * (total - k) // (k + 1)

    assert mcnemar_exact(gained, lost) == pytest.approx(min(1.0, 2 * ways / 2**total), rel=1e-8, abs=1e-307)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_scipys_binomial_test(gained: int, lost: int) -> None:
    """Where SciPy's own p values don't underflow."""
    expected = stats.binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1.0

    assert mcnemar_exact(gained, lost) == pytest.approx(expected, rel=1e-8)


def _acceptance(samples: int, discordant: float, difference: float, margin: float) -> float:
    """Exact probability that the interval's lower end is above -margin, by enumeration."""
    gained_share, lost_share = (discordant + difference) / 2, (discordant - difference) / 2
    total = 0.0
    for lost in range(int(stats.binom.ppf(1 - 1e-6, samples, lost_share)) + 1):
        low, high = 0, samples - lost
        while low < high:  # the smallest number of gained samples that is accepted
            middle = (low + high) // 2
            if score_interval(middle, lost, samples)[0] > -margin:
                high = middle
            else:
                low = middle + 1
        enough = stats.binom.sf(low - 1, samples - lost, gained_share / (1 - lost_share))
        total += stats.binom.pmf(lost, samples, lost_share) * float(enough)
    return float(total)


@pytest.mark.parametrize(("samples", "discordant"), [(1500, 0.003), (2000, 0.006), (5000, 0.006), (10_000, 0.01)])
def test_a_variant_at_the_margin_is_accepted_at_most_once_in_forty(samples: int, discordant: float) -> None:
    """The claimed false-alarm rate: 2.5%."""
    assert _acceptance(samples, discordant, -0.003, 0.003) <= 0.025


def test_ten_thousand_images_accept_a_variant_that_is_no_worse() -> None:
    """The claimed power: 96% where one of the two alone is right on 0.6% of the images."""
    assert _acceptance(10_000, 0.006, 0.0, 0.003) >= 0.95


def test_the_interval_covers_the_truth_as_often_as_claimed() -> None:
    """At least 94.5% of 4,000 simulated test splits of 2,000 images, seed 0."""
    shares = [0.004, 0.007, 0.989]
    counts, times = np.unique(
        np.random.default_rng(0).multinomial(2000, shares, 4000)[:, :2], axis=0, return_counts=True
    )
    intervals = np.array([score_interval(int(gained), int(lost), 2000) for gained, lost in counts])
    covered = (intervals[:, 0] <= -0.003) & (intervals[:, 1] >= -0.003)

    assert times[covered].sum() / 4000 >= 0.945


LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=80)


@given(LABELS)
def test_the_changes_turn_one_confusion_matrix_into_the_other(rows: list[tuple[int, int, int]]) -> None:
    """Cell by cell, with every changed sample named."""
    labels, base, variant = np.array(rows, dtype=np.int64).T
    names, ids = ("a", "b", "c", "d"), [f"s{index}" for index in range(len(rows))]
    matrix = confusion_matrix(labels, base, 4)
    changes = confusion_difference(labels, base, variant, names, ids)
    for change in changes:
        true, before, after = (names.index(change[key]) for key in ("true", "base", "variant"))
        matrix[true, before] -= change["count"]
        matrix[true, after] += change["count"]
        for sample in change["ids"]:
            row = rows[ids.index(sample)]
            assert row == (true, before, after)

    assert (matrix == confusion_matrix(labels, variant, 4)).all()
    paired = compare_decisions(labels, base, variant)
    assert paired.samples - paired.agreeing == sum(change["count"] for change in changes)
    assert paired.gained - paired.lost == int((variant == labels).sum()) - int((base == labels).sum())


@pytest.mark.parametrize("counts", [(1, 1, 1), (-1, 0, 5), (0, 0, 0)])
def test_counts_that_do_not_fit_are_refused(counts: tuple[int, int, int]) -> None:
    """More discordant pairs than pairs, negative ones, or none at all."""
    with pytest.raises(ValueError, match="gained"):
        score_interval(*counts)
