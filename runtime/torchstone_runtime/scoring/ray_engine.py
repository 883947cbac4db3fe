"""The engine `ray`: shards scored by workers of a Ray cluster; the command plans and counts, and never loads Ray."""

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final

from torchstone_runtime.components import require_component
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.progress import stage
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.local_engine import WHOLE, ErrorBudget, ScoringResult, Share, missing_shards
from torchstone_runtime.scoring.packed_model import PackedModel
from torchstone_runtime.scoring.parts import PartsFolder
from torchstone_runtime.scoring.ray_cluster import AGAIN, RayCluster
from torchstone_runtime.scoring.ray_driver import NextShard, RayOrder, Waiting, drive
from torchstone_runtime.scoring.tally import Tally
from torchstone_runtime.scoring.watched_process import WatchedProcess
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.shard_list import ShardList
from torchstone_runtime.shards.storage import is_address

_SILENCE: Final = 120
"""Seconds: a cluster may start its head node anew within one minute, and Ray gives up after that."""


def score_on_ray(
    classifier: Classifier,
    shards: ShardList,
    job: ScoringJob,
    *,
    cluster: RayCluster,
    share: Share = WHOLE,
    budget: ErrorBudget | None = None,
    waits: Callable[[str], None] | None = None,
) -> ScoringResult:
    """Score every shard that has no part yet on a Ray cluster; the parts are those of `score_locally`.

    Args:
        classifier: the model, whose bundle is sent to the workers.
        shards: the input; `record.claim_output` was called for it.
        job: job that is run; workers must reach its input and output.
        cluster: the cluster.
        share: shards that are scored.
        budget: limit of errors; those of parts that are there count.
        waits: called with a sentence where no worker can start for now, because the cluster has no room for one.

    Raises:
        CheckFailedError: too many errors, or golden samples that a worker answers otherwise.
        MissingComponentError: Ray is not installed.
        RemoteError: the cluster cannot be reached or has no room for a worker, its node on this machine died or gives
            no sign of life, or a shard during which workers die again and again.
        DataError, OutputError: as for `score_shard`. All parts that were written stay, and a further run goes on.
    """
    require_component("ray", "ray")
    budget = budget or ErrorBudget()
    model = PackedModel.of(classifier)
    if not is_address(job.out):
        job = replace(job, out=os.path.abspath(job.out))  # noqa: PTH100 - a text
    folder, result, started = PartsFolder(job), ScoringResult(), time.perf_counter()
    with stage("scoring", shards.images or 0, speed=True) as advance:
        missing = missing_shards(shards, folder, share, (result, budget, advance))
        with closing(_tallies(RayOrder(cluster, model, job), missing, waits)) as written:
            for tally in written:
                result.tally.add(tally)
                result.shards += 1
                advance(tally.rows)
                budget.spend(tally)
    if share == WHOLE:
        folder.remove_leftovers()
    result.seconds = time.perf_counter() - started
    return result


def _tallies(order: RayOrder, shards: Iterator[Shard], waits: Callable[[str], None] | None) -> Generator[Tally]:
    with WatchedProcess(drive, "The process that speaks with Ray", silence=_SILENCE, remedy=AGAIN) as process:
        process.send(order)
        while (said := process.receive()) is not None:
            if isinstance(said, NextShard):
                process.send(next(shards, None))
            elif isinstance(said, Tally):
                yield said
            elif isinstance(said, Waiting):
                if waits is not None:
                    waits(said.why)
            else:
                raise said
