"""The workers of a job on a Ray cluster: one shard each at a time, and another worker for each that dies."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from torchstone_runtime.errors import CheckFailedError, RemoteError, TorchstoneError, first_line
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.packed_model import PackedModel
from torchstone_runtime.scoring.ray_cluster import RayCluster
from torchstone_runtime.scoring.ray_worker import RayWorker
from torchstone_runtime.scoring.tally import Tally
from torchstone_runtime.shards.shard import Shard

_MOST_ATTEMPTS: Final = 4
"""A shard during which so many workers died is taken to be the cause."""
_PATIENCE: Final = 20.0
"""Seconds without any worker, after which it is said that the job waits."""
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class RayPool:
    """Workers, one shard each at a time. One that dies is replaced, and its shard scored again.

    Args:
        ray: the module, connected with the cluster.
        cluster: the cluster.
        model: the model, which every worker is sent.
        job: job that is run.
        waits: called with a sentence where no worker can start for now.
    """

    def __init__(
        self,
        ray: Any,  # noqa: ANN401 - Ray
        cluster: RayCluster,
        model: PackedModel,
        job: ScoringJob,
        waits: Callable[[str], None],
    ) -> None:
        self._ray = ray
        self._cluster = cluster
        self._waits = waits
        self._count = cluster.places(ray)
        self._model = ray.put(model)
        self._job = job
        environment = {"env_vars": dict.fromkeys(_ONE_THREAD, "1")}
        options = {"num_cpus": 1, "num_gpus": cluster.gpus, "runtime_env": environment, "max_restarts": 0}
        self._make: Callable[..., Any] = ray.remote(**options)(RayWorker).remote
        self._busy: dict[Any, tuple[Any, Shard | None]] = {}
        self._again: list[Shard] = []
        self._deaths: dict[str, int] = {}

    def run(self, shards: Iterator[Shard]) -> Iterator[Tally]:
        """Score shards, yielding the tally of each when its part is written.

        Raises:
            RemoteError: a shard during which workers die again and again.
            CheckFailedError: golden samples that a worker answers otherwise.
            As for `score_shard`.
        """
        self._again = list(islice(shards, self._count))[::-1]  # no more workers than there is work for
        for _ in self._again:
            self._start()
        self._await_the_first()
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

    def _await_the_first(self) -> None:
        if not self._busy:
            return
        if not self._cluster.room(self._ray):
            self._waits(f"{self._cluster.lacking(self._ray)} The job waits until there is one.")
        elif not self._ray.wait(list(self._busy), num_returns=1, timeout=_PATIENCE)[0]:
            self._waits(
                f"No worker has started in {_PATIENCE:g} seconds: other jobs may have all processors. The job waits."
            )

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


def _cause(error: Any) -> Exception:  # noqa: ANN401 - a RayTaskError
    cause = error.cause
    if isinstance(cause, TorchstoneError):
        return cause
    return CheckFailedError(f"A worker of Ray failed: {first_line(cause)}", "See Ray's logs.")
