"""A probe's regression on one and on several threads of the BLAS.

Run: python -m benchmarks.training.regression_threads [--threads 2] [--rounds 5]

Both are measured in turn in one run, on random features of two sizes. Printed are the ratios of the times, several
threads to one, by the clock and in processor time: median and range over the rounds.
"""

import argparse
import os
import statistics
import time
import warnings
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

SIZES = ((1500, 1280, 40), (10_000, 1280, 100))
ITERATIONS = 10


def seconds(features: Any, labels: Any, threads: int) -> tuple[float, float]:  # noqa: ANN401 - NumPy's
    """Fit some iterations; return the time by the clock and the processor time."""
    with threadpool_limits(limits=threads, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        clock, before = time.perf_counter(), os.times()
        LogisticRegression(C=0.01, max_iter=ITERATIONS).fit(features, labels)
        after = os.times()
    return time.perf_counter() - clock, after.user + after.system - before.user - before.system


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    for images, width, classes in SIZES:
        generator = np.random.default_rng(0)
        features, labels = generator.normal(size=(images, width)), np.arange(images) % classes
        seconds(features, labels, 1)
        ratios = []
        for _ in range(given.rounds):
            one, several = (seconds(features, labels, threads) for threads in (1, given.threads))
            ratios.append([later / first for first, later in zip(one, several, strict=True)])
        print(f"{images:,} images, {width:,} features, {classes} classes: {given.threads} threads / 1")
        for name, values in zip(("clock", "processor"), zip(*ratios, strict=True), strict=True):
            print(f"  {name:<10}{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
