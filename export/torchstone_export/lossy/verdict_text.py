"""The verdict on a lossy variant, in words for people."""

from torchstone_export.lossy.lossy_variant import LossyVariant
from torchstone_export.lossy.speed import SpeedComparison
from torchstone_runtime.metrics.paired import PairedComparison


def summary_line(variant: LossyVariant, paired: PairedComparison, speed: SpeedComparison) -> str:
    """Return what is said of the variant: its figures, or the reasons why it is not shipped."""
    note = [variant.note] if variant.note else []
    if not variant.accepted:
        return f"{variant.name}: not shipped: {'; '.join([*variant.reasons, *note])}"
    return "; ".join([f"{variant.name}: accuracy {paired_text(paired)}", speed_text(speed), *note])


def paired_text(paired: PairedComparison) -> str:
    """Return the difference of the accuracies, with its interval and test."""
    low, high = paired.interval_95
    return (
        f"{100 * paired.difference:+.2f} points (95% interval {100 * low:+.2f} to {100 * high:+.2f}; McNemar p "
        f"{paired.p_value:.2g}; {paired.samples - paired.agreeing:,} of {paired.samples:,} decisions differ)"
    )


def speed_text(speed: SpeedComparison) -> str:
    """Return the ratio of the speeds, with its interval and that of fp32 against itself."""
    low, high = speed.interval_95
    own = "{:.2f} to {:.2f}".format(*speed.self_interval_95)
    return f"{speed.ratio:.2f} times the speed (95% interval {low:.2f} to {high:.2f}; fp32 against itself {own})"


def points(share: float) -> str:
    """Return a share in percentage points."""
    return f"{100 * share:.2g} points"
