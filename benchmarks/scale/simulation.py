"""The job of `model.py` played out event by event: a driver, workers of unequal speed, machines that fail."""

import heapq
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from benchmarks.scale.model import LargeJob

_NOISE: Final = 0.1
"""Relative standard deviation of the time of a shard on one and the same machine."""


@dataclass(slots=True)
class Played:
    """What happened.

    Attributes:
        seconds: time of the whole job.
        done: number of shards that were written; begun: number of times that one was begun.
        failures: number of failures of machines.
    """

    seconds: float = 0.0
    done: int = 0
    begun: int = 0
    failures: int = 0


@dataclass(slots=True)
class _World:
    job: LargeJob
    chance: random.Random
    waiting: deque[int]
    played: Played = field(default_factory=Played)
    events: list[tuple[float, int, str, int, int]] = field(default_factory=list)
    """Time, order of two at one time, what happens, to whom, and which life of the worker it belongs to."""
    holds: dict[int, int] = field(default_factory=dict)
    idle: set[int] = field(default_factory=set)
    lives: list[int] = field(default_factory=list)
    driver_free: float = 0.0

    def later(self, time: float, what: str, who: int) -> None:
        life = self.lives[who] if what != "fails" else 0
        heapq.heappush(self.events, (time, self.chance.getrandbits(30), what, who, life))


def play(job: LargeJob, seed: int) -> Played:
    """Play a job out; equal seeds give equal results.

    A worker that is ready asks the driver, which answers one after the other; a machine that fails loses the shards of
    its workers, which are handed out again, and comes back after `start_seconds`.
    """
    world = _World(job, random.Random(seed), deque(range(job.shards)))  # noqa: S311 - a simulation
    world.lives = [0] * (job.machines * job.cores)
    begin = job.shards * job.listed_per_shard * job.list_seconds
    world.driver_free = begin
    for worker in range(len(world.lives)):
        world.later(begin + job.start_seconds, "ready", worker)
    for machine in range(job.machines):
        _plan_failure(world, begin, machine)
    while world.played.done < job.shards:
        now, _, what, who, life = heapq.heappop(world.events)
        if what == "fails":
            _fail(world, now, who)
        elif life == world.lives[who]:
            _proceed(world, now, what, who)
    return world.played


def _proceed(world: _World, now: float, what: str, worker: int) -> None:
    if what == "written":
        del world.holds[worker]
        world.played.done += 1
        world.played.seconds = now
    _hand_out(world, now, worker)


def _hand_out(world: _World, now: float, worker: int) -> None:
    if not world.waiting:
        world.idle.add(worker)
        return
    job = world.job
    world.holds[worker] = world.waiting.popleft()
    world.played.begun += 1
    world.driver_free = max(now, world.driver_free) + job.dispatch_seconds
    slow = job.slowness if worker // job.cores < job.slow_count else 1.0
    noise = max(0.5, world.chance.gauss(1.0, _NOISE))
    world.later(world.driver_free + job.seconds_of_a_shard * slow * noise, "written", worker)


def _fail(world: _World, now: float, machine: int) -> None:
    job = world.job
    world.played.failures += 1
    for worker in range(machine * job.cores, (machine + 1) * job.cores):
        world.lives[worker] += 1
        world.idle.discard(worker)
        if worker in world.holds:
            world.waiting.append(world.holds.pop(worker))
        world.later(now + job.start_seconds, "ready", worker)
    for worker in sorted(world.idle)[: len(world.waiting)]:
        world.idle.discard(worker)
        _hand_out(world, now, worker)
    _plan_failure(world, now, machine)


def _plan_failure(world: _World, now: float, machine: int) -> None:
    if world.job.failures_per_hour:
        world.later(now + world.chance.expovariate(world.job.failures_per_hour / 3600), "fails", machine)
