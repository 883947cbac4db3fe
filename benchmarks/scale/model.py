"""A job of a billion pictures on a hundred machines, on paper: time, cost, and what limits it.

Everything that was measured or assumed is a field of `LargeJob`; `simulation.py` plays the same job out event by event.
"""

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeJob:
    """A job on many machines, with one driver that hands out shards.

    Attributes:
        images: number of pictures.
        per_shard: pictures in a shard.
        listed_per_shard: files that are listed for a shard: its pictures, or 1 for an archive.
        machines, cores: machines, and workers on each.
        image_seconds: processor seconds of a picture.
        shard_seconds: seconds that a worker needs for a shard beside its pictures.
        dispatch_seconds: seconds of the driver for a shard.
        list_seconds: seconds of the driver for a file that is listed.
        start_seconds: seconds until a worker begins, at the start and after a failure.
        failures_per_hour: failures of a machine in an hour; its shards are lost, and scored again.
        slow_machines: share of the machines that are slow, and
        slowness: how many times as long these take.
        price_per_hour: price of a machine for an hour.
    """

    images: int
    per_shard: int
    listed_per_shard: int
    machines: int
    cores: int
    image_seconds: float
    shard_seconds: float = 0.01
    dispatch_seconds: float = 0.005
    list_seconds: float = 1e-5
    start_seconds: float = 30.0
    failures_per_hour: float = 0.01
    slow_machines: float = 0.02
    slowness: float = 4.0
    price_per_hour: float = 0.70

    @property
    def shards(self) -> int:
        """Number of shards."""
        return ceil(self.images / self.per_shard)

    @property
    def seconds_of_a_shard(self) -> float:
        """Seconds that a worker of a usual machine needs for a shard."""
        return self.per_shard * self.image_seconds + self.shard_seconds

    @property
    def slow_count(self) -> int:
        """Number of slow machines."""
        return round(self.machines * self.slow_machines)

    @property
    def speed(self) -> float:
        """Speed of all workers together, in usual workers."""
        return self.cores * (self.machines - self.slow_count + self.slow_count / self.slowness)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Where the time of a job goes, in seconds.

    Attributes:
        listing: the driver lists and cuts the input; nobody else works.
        start: workers load the model.
        dispatch: the driver hands out all shards, one after the other.
        compute: all workers score all shards, none waiting.
        lost: what failures cost of it: shards that are scored again, and workers that are made anew.
        tail: the last shards of slow machines, which the others wait for.
    """

    listing: float
    start: float
    dispatch: float
    compute: float
    lost: float
    tail: float

    @property
    def total(self) -> float:
        """The whole: workers and driver work at the same time, so the slower of the two counts."""
        return self.listing + self.start + max(self.dispatch, self.compute + self.lost) + self.tail

    @property
    def limit(self) -> str:
        """What takes most of the time, so that more machines no longer help where it is not computing."""
        stages = {
            "the driver's listing": self.listing,
            "the driver's handing out": self.dispatch,
            "computing": self.compute + self.lost,
            "slow machines at the end": self.tail,
        }
        return max(stages, key=lambda name: stages[name])


def estimate(job: LargeJob) -> Estimate:
    """Return where the time of a job goes.

    A failure costs each worker of its machine half a shard and a start; at the end the others wait for half a shard of
    a slow machine.
    """
    compute = job.shards * job.seconds_of_a_shard / job.speed
    failures = job.failures_per_hour * job.machines * compute / 3600
    lost = failures * job.cores * (job.seconds_of_a_shard / 2 + job.start_seconds) / job.speed
    slowest = job.slowness if job.slow_count else 1.0
    return Estimate(
        listing=job.shards * job.listed_per_shard * job.list_seconds,
        start=job.start_seconds,
        dispatch=job.shards * job.dispatch_seconds,
        compute=compute,
        lost=lost,
        tail=job.seconds_of_a_shard * slowest / 2,
    )


def cost(job: LargeJob, seconds: float) -> float:
    """Return the price of all machines for some seconds; they are paid for while the driver lists, too."""
    return job.machines * job.price_per_hour * seconds / 3600
