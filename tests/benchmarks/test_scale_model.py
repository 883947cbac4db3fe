"""The model of a large job, and the simulation that it is checked against."""

from dataclasses import replace

import pytest

from benchmarks.scale.model import LargeJob, cost, estimate
from benchmarks.scale.simulation import play

JOB = LargeJob(
    images=10_000_000, per_shard=1000, listed_per_shard=1, machines=20, cores=8, image_seconds=0.003, slow_machines=0.1
)
EVEN = replace(JOB, failures_per_hour=0.0, slow_machines=0.0)


@pytest.mark.parametrize("failures", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("slow", [0.0, 0.1])
@pytest.mark.parametrize("dispatch", [0.0005, 0.05])
def test_the_model_gives_the_simulated_time(failures: float, slow: float, dispatch: float) -> None:
    """Within a tenth, whatever limits the job."""
    job = replace(JOB, failures_per_hour=failures, slow_machines=slow, dispatch_seconds=dispatch)
    played = [play(job, seed).seconds for seed in range(3)]
    assert sum(played) / 3 == pytest.approx(estimate(job).total, rel=0.1)


def test_every_shard_is_written_once_whatever_fails() -> None:
    """What was begun and not written was lost with a machine."""
    played = play(replace(JOB, failures_per_hour=20.0), 0)
    assert played.failures > 10
    assert played.done == JOB.shards < played.begun <= JOB.shards + played.failures * JOB.cores


def test_equal_seeds_play_the_same() -> None:
    """And others do not."""
    assert play(JOB, 1) == play(JOB, 1) != play(JOB, 2)


def test_without_stragglers_and_failures_no_shard_is_begun_twice() -> None:
    """Nothing is handed out for nothing."""
    played = play(EVEN, 0)
    assert played.begun == played.done == EVEN.shards


def test_twice_the_machines_help_only_where_computing_is_the_limit() -> None:
    """A driver that is the limit stays it."""
    many = replace(EVEN, machines=40)
    assert estimate(many).compute == estimate(EVEN).compute / 2
    bound = replace(EVEN, dispatch_seconds=0.1)
    assert estimate(bound).limit == "the driver's handing out"
    assert estimate(replace(bound, machines=40)).total == pytest.approx(estimate(bound).total)


def test_machines_are_paid_for_by_the_hour() -> None:
    """Each of them, for the whole time."""
    assert cost(JOB, 1800) == pytest.approx(20 * 0.70 / 2)
