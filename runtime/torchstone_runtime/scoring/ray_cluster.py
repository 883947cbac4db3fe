"""A Ray cluster: what is asked of it, how it is reached, and whether its node on this machine lives."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from torchstone_runtime.errors import RemoteError, UsageError, first_line

AGAIN: Final = "Run the same command again: it continues with the missing parts."
_REACH: Final = "Check --address, or start it; if it asks for a token, set RAY_AUTH_MODE=token."
_STORE_BYTES: Final = 128 << 20
"""Object store of a local cluster: the bundle, and nothing else of any size."""
_QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_ROUNDING: Final = 1e-9
"""1 / 0.1 may fall short of ten."""
_VITAL: Final = ("raylet", "gcs_server")
"""Processes of a node without which nothing goes on; Ray itself may wait for them without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayCluster:
    """The cluster, and what is asked of it.

    Attributes:
        address: address of a cluster that runs, such as `auto` or `HOST:6379`; None for one of this machine, started
            for the job.
        workers: number of workers; as many as the cluster has room for if None.
        gpus: GPUs of a worker, or the part of one; 0 for none.

    Raises:
        UsageError: more than one GPU, but no whole number of them.
    """

    address: str | None = None
    workers: int | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.gpus > 1 and self.gpus % 1:
            raise UsageError(
                f"--num-gpus is {self.gpus:g}, but a worker takes a part of one GPU or whole ones.",
                "Give a whole number, or one below 1.",
            )

    def connect(self) -> Any:  # noqa: ANN401 - the module `ray`
        """Connect this process with the cluster, or start the one of this machine; return the module `ray`.

        A cluster that is started here ends with this process, however it ends. To be called in the main thread, for
        the processes of the node end with the thread that started them.

        Raises:
            RemoteError: it cannot be reached, or does not start.
        """
        os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
        import ray  # noqa: PLC0415 - optional, and large

        local = {} if self.address else {"object_store_memory": _STORE_BYTES, "include_dashboard": False}
        if not self.address and self.workers:
            local["num_cpus"] = self.workers
        try:
            ray.init(address=self.address or "local", log_to_driver=False, logging_level="ERROR", **local)
        except Exception as error:  # Ray raises whatever its connection makes it raise
            reason = first_line(error).rstrip(".")
            if self.address:
                raise RemoteError(f"Ray at {self.address} cannot be used: {reason}.", _REACH) from error
            raise RemoteError(f"Ray did not start on this machine: {reason}.", AGAIN) from error
        return ray

    def places(self, ray: Any) -> int:  # noqa: ANN401 - Ray
        """Return the number of workers to start: what was asked for, or what the cluster has room for.

        Raises:
            RemoteError: no node has room for a worker. Where a number of them was asked of a cluster that runs, nodes
                may come on demand, and nothing is raised.
        """
        room = self.room(ray)
        if self.workers and (room or self.address):
            return self.workers
        if not room:
            raise RemoteError(self.lacking(ray), self._remedy())
        return room

    def room(self, ray: Any) -> int:  # noqa: ANN401 - Ray
        """Return the number of workers that the nodes of the cluster could hold at once if no other job ran."""
        return sum(map(self._room_of, _resources(ray)))

    def lacking(self, ray: Any) -> str:  # noqa: ANN401 - Ray
        """Return the sentence that says what no node of the cluster has."""
        if not self.gpus:
            return "No node of the cluster has a processor for a worker."
        most = max((found.get("GPU", 0.0) for found in _resources(ray)), default=0.0)
        wanted = f"{self.gpus:g} GPU{'' if self.gpus <= 1 else 's'}"
        return f"No node of the cluster has {wanted} and a processor for a worker (most GPUs of a node: {most:g})."

    def _room_of(self, resources: Mapping[str, float]) -> int:
        processors = int(resources.get("CPU", 0.0))
        if not self.gpus:
            return processors
        gpus = int(resources.get("GPU", 0.0))
        # Workers share one GPU, never two: with 0.6 of one each, two GPUs hold two workers.
        return min(processors, int(gpus // self.gpus) if self.gpus > 1 else gpus * int(1 / self.gpus + _ROUNDING))

    def _remedy(self) -> str:
        fewer = "Leave --num-gpus out, or give fewer." if self.gpus else "Add a node."
        if self.address is None:
            return fewer
        return f"{fewer} If the cluster adds nodes on demand, say how many workers it shall have: --ray-workers N."


def _resources(ray: Any) -> list[Mapping[str, float]]:  # noqa: ANN401 - Ray
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def own_node_died() -> bool:
    """Tell whether a vital process of the node that this process started has ended."""
    with suppress(ImportError, AttributeError):  # no public part of Ray tells
        from ray._private import worker  # noqa: PLC0415 - optional, and large

        node = worker._global_node  # noqa: SLF001 - see above
        return node is not None and any(name in _VITAL for name, _ in node.dead_processes())
    return False


def node_in_cluster(ray: Any) -> str | None:  # noqa: ANN401 - Ray
    """Return the id of the node that this process is connected through; None where it is not known."""
    try:
        return str(ray.get_runtime_context().get_node_id())
    except Exception:  # noqa: BLE001 - some ways of connecting know of none
        return None


def counted_out(ray: Any, node: str | None) -> bool:  # noqa: ANN401 - Ray
    """Ask the cluster whether it has given a node up for lost.

    Raises:
        Whatever Ray raises where the cluster does not answer; it may also not return.
    """
    return any(found["NodeID"] == node and not found["Alive"] for found in ray.nodes())


def node_lost() -> RemoteError:
    """Return the error that tells of a node that died."""
    return RemoteError("Ray's node on this machine died.", AGAIN)
