"""A Ray cluster: what is asked of it, how it is reached, and whether its node on this machine lives."""

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from torchstone_runtime.errors import RemoteError, first_line

AGAIN: Final = "Run the same command again: it continues with the missing parts."
_REACH: Final = "Check --address, or start it; if it asks for a token, set RAY_AUTH_MODE=token."
_STORE_BYTES: Final = 128 << 20
"""Object store of a local cluster: the bundle, and nothing else of any size."""
_QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_VITAL: Final = ("raylet", "gcs_server")
"""Processes of a node without which nothing goes on; Ray itself may wait for them without end."""


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
        """Return the number of workers that the cluster has room for, where none was asked for.

        Raises:
            RemoteError: it has no GPU for one.
        """
        if self.workers:
            return self.workers
        there = ray.cluster_resources()
        places = int(there.get("CPU", 1))
        if self.gpus:
            places = min(places, int(there.get("GPU", 0) / self.gpus))
            if not places:
                raise RemoteError(
                    f"The cluster does not have {self.gpus:g} GPUs for a worker.", "Leave --num-gpus out."
                )
        return max(1, places)


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
