"""The engine `ray`: shards scored by actors of a Ray cluster; only their names, the bundle and counts are sent."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from torchstone_runtime.components import require_component
from torchstone_runtime.errors import CheckFailedError, RemoteError, TorchstoneError, first_line
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.progress import stage
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.local_engine import WHOLE, ErrorBudget, ScoringResult, Share, missing_shards
from torchstone_runtime.scoring.packed_model import PackedModel
from torchstone_runtime.scoring.parts import PartsFolder
from torchstone_runtime.scoring.ray_worker import RayWorker
from torchstone_runtime.scoring.tally import Tally
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.shard_list import ShardList
from torchstone_runtime.shards.storage import is_address

_MOST_ATTEMPTS: Final = 4
"""A shard during which so many workers died is taken to be the cause."""
_STORE_BYTES: Final = 128 << 20
"""Object store of a local cluster: the bundle, and nothing else of any size."""
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RayCluster:
    """The cluster, and what is asked of it.

    Attributes:
        address: address of a cluster that runs, such as `auto` or `HOST:6379`; None for one of this machine, started
            for the job.
        workers: number of workers; as many as the cluster has processors (or GPUs, where they take some) if None.
        gpus: GPUs of a worker, or the part of one; 0 for none.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float = 0.0


def score_on_ray(
    classifier: Classifier,
    shards: ShardList,
    job: ScoringJob,
    *,
    cluster: RayCluster,
    share: Share = WHOLE,
    budget: ErrorBudget | None = None,
) -> ScoringResult:
    """Score every shard that has no part yet on a Ray cluster; the parts are those of `score_locally`.

    Args:
        classifier: the model, whose bundle is sent to the workers.
        shards: the input; `record.claim_output` was called for it.
        job: job that is run; workers must reach its input and output.
        cluster: the cluster.
        share: shards that are scored.
        budget: limit of errors; those of parts that are there count.

    Raises:
        CheckFailedError: too many errors, or golden samples that a worker answers otherwise.
        MissingComponentError: Ray is not installed.
        RemoteError: the cluster cannot be reached, or a shard during which workers die again and again.
        DataError, OutputError: as for `score_shard`. All parts that were written stay, and a further run goes on.
    """
    budget = budget or ErrorBudget()
    model = PackedModel.of(classifier)
    if not is_address(job.out):
        job = replace(job, out=os.path.abspath(job.out))  # noqa: PTH100 - a text
    folder, result, started = PartsFolder(job), ScoringResult(), time.perf_counter()
    with _connected(cluster) as ray, stage("scoring", shards.images or 0, speed=True) as advance:
        missing = missing_shards(shards, folder, share, (result, budget, advance))
        for tally in _Pool(ray, cluster, (model, job)).run(missing):
            result.tally.add(tally)
            result.shards += 1
            advance(tally.rows)
            budget.spend(tally)
    if share == WHOLE:
        folder.remove_leftovers()
    result.seconds = time.perf_counter() - started
    return result


@contextmanager
def _connected(cluster: RayCluster) -> Iterator[Any]:
    require_component("ray", "ray")
    os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
    import ray  # noqa: PLC0415 - optional, and large

    started = not ray.is_initialized()
    local = {} if cluster.address else {"object_store_memory": _STORE_BYTES, "include_dashboard": False}
    if not cluster.address and cluster.workers:
        local["num_cpus"] = cluster.workers
    try:
        if started:
            ray.init(address=cluster.address or "local", log_to_driver=False, logging_level="ERROR", **local)
    except Exception as error:  # Ray raises whatever its connection makes it raise
        where = f"at {cluster.address}" if cluster.address else "on this machine"
        raise RemoteError(
            f"Ray {where} cannot be used: {first_line(error)}.", "Check --address, or start it."
        ) from error
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


class _Pool:
    """Workers, one shard each at a time. One that dies is replaced, and its shard scored again."""

    def __init__(self, ray: Any, cluster: RayCluster, sent: tuple[PackedModel, ScoringJob]) -> None:  # noqa: ANN401 - Ray
        self._ray = ray
        self._count = cluster.workers or _places(ray, cluster)
        self._model = ray.put(sent[0])
        self._job = sent[1]
        environment = {"env_vars": dict.fromkeys(_ONE_THREAD, "1")}
        options = {"num_cpus": 1, "num_gpus": cluster.gpus, "runtime_env": environment, "max_restarts": 0}
        self._make: Callable[..., Any] = ray.remote(**options)(RayWorker).remote
        self._busy: dict[Any, tuple[Any, Shard | None]] = {}
        self._again: list[Shard] = []
        self._deaths: dict[str, int] = {}

    def run(self, shards: Iterator[Shard]) -> Iterator[Tally]:
        """Score shards, yielding the tally of each when its part is written."""
        self._again = list(islice(shards, self._count))[::-1]  # no more workers than there is work for
        for _ in self._again:
            self._start()
        try:
            while self._again or any(shard is not None for _, shard in self._busy.values()):
                for done in self._ray.wait(list(self._busy), num_returns=1)[0]:
                    worker, shard = self._busy.pop(done)
                    try:
                        answer = self._ray.get(done)
                    except self._ray.exceptions.RayTaskError as error:
                        raise _cause(error) from error
                    except (self._ray.exceptions.RayError, OSError) as error:
                        self._lost(shard, error)
                        self._start()
                        continue
                    if shard is not None:
                        yield Tally.from_json(answer)
                    self._next(shards, worker)
        finally:
            for worker, _ in self._busy.values():
                with suppress(Exception):
                    self._ray.kill(worker)

    def _next(self, shards: Iterator[Shard], worker: Any) -> None:  # noqa: ANN401 - an actor
        shard = self._again.pop() if self._again else next(shards, None)
        if shard is not None:
            self._busy[worker.score.remote(shard)] = (worker, shard)
        else:
            self._ray.kill(worker)

    def _start(self) -> None:
        worker = self._make(self._model, self._job, os.getcwd())  # noqa: PTH109 - a text
        self._busy[worker.load.remote()] = (worker, None)

    def _lost(self, shard: Shard | None, error: Exception) -> None:
        name = "" if shard is None else shard.name
        self._deaths[name] = self._deaths.get(name, 0) + 1
        if shard is not None:
            self._again.append(shard)
        limit = _MOST_ATTEMPTS if shard is not None else _MOST_ATTEMPTS * self._count
        if self._deaths[name] >= limit:
            what = f"scored {name}" if name else "loaded the model"
            raise RemoteError(
                f"Workers of Ray died {self._deaths[name]} times while they {what}: {first_line(error)}",
                "Look for out-of-memory kills in Ray's logs; fewer --ray-workers take less memory.",
            )


def _places(ray: Any, cluster: RayCluster) -> int:  # noqa: ANN401 - Ray
    there = ray.cluster_resources()
    places = int(there.get("CPU", 1))
    if cluster.gpus:
        places = min(places, int(there.get("GPU", 0) / cluster.gpus))
        if not places:
            raise RemoteError(f"The cluster has not {cluster.gpus:g} GPUs for a worker.", "Leave --num-gpus out.")
    return max(1, places)


def _cause(error: Any) -> Exception:  # noqa: ANN401 - a RayTaskError
    cause = error.cause
    if isinstance(cause, TorchstoneError):
        return cause
    return CheckFailedError(f"A worker of Ray failed: {first_line(cause)}", "Ray's logs have the whole of it.")
