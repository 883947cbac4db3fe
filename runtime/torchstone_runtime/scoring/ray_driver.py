"""What speaks with Ray, in a process of its own: whatever hangs or dies here, the command lives and ends it."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from torchstone_runtime.errors import RemoteError, TorchstoneError, first_line
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.packed_model import PackedModel
from torchstone_runtime.scoring.ray_cluster import (
    AGAIN,
    RayCluster,
    counted_out,
    node_in_cluster,
    node_lost,
    own_node_died,
)
from torchstone_runtime.scoring.ray_pool import RayPool
from torchstone_runtime.shards.shard import Shard

_LOOK_SECONDS: Final = 1.0
_LOOKS_A_QUESTION: Final = 10
"""The cluster itself is asked after so many looks at the own processes: of a large one the answer is long."""


@dataclass(frozen=True, slots=True)
class RayOrder:
    """What the process is told to do.

    Attributes:
        cluster: the cluster.
        model: the model.
        job: job that is run.
    """

    cluster: RayCluster
    model: PackedModel
    job: ScoringJob


@dataclass(frozen=True, slots=True)
class NextShard:
    """Asks for the next shard; the answer is one, or None."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Says, in a sentence, why no worker has started yet."""

    why: str


def drive(talk: Connection, signs: Connection) -> None:
    """Run an order on Ray.

    Args:
        talk: connection that the `RayOrder` comes from, then the shards that are asked for by `NextShard`; the tally of
            each part that was written goes there, `Waiting` where no worker can start, and in the end None, or the
            error that ended the work.
        signs: connection that an empty text goes to now and then while Ray lives, or the error that tells of its
            death.
    """
    _leave_the_terminal()
    _keep_from_children(talk, signs)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    over = threading.Event()
    try:
        order: RayOrder = talk.recv()
        ray = order.cluster.connect()
        threading.Thread(target=_give_signs, args=(ray, signs, over), daemon=True).start()
        pool = RayPool(ray, order.cluster, order.model, order.job, lambda why: talk.send(Waiting(why)))
        for tally in pool.run(_asked_for(talk)):
            talk.send(tally)
    except Exception as error:  # noqa: BLE001 - Ray raises whatever its connection makes it raise
        talk.send(_told(error))
        os._exit(1)  # the node ends with this process; to shut down what failed may never end
    over.set()
    talk.send(None)
    ray.shutdown()


def _leave_the_terminal() -> None:
    """Leave output and Ctrl-C to the command: Ray writes of its own accord, above all when it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)


def _keep_from_children(*connections: Connection) -> None:
    """See to it that the connections end with this process: one of Ray's that lived on would keep them open."""
    if os.name == "posix":  # elsewhere they are no file descriptors, and not handed on
        for connection in connections:
            os.set_inheritable(connection.fileno(), False)  # noqa: FBT003 - it takes no names


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _give_signs(ray: Any, signs: Connection, over: threading.Event) -> None:  # noqa: ANN401 - Ray
    node, looks = node_in_cluster(ray), 0
    while not over.wait(_LOOK_SECONDS):
        looks += 1
        try:
            lost = own_node_died() or (looks % _LOOKS_A_QUESTION == 0 and counted_out(ray, node))
        except Exception:  # noqa: BLE001, S112 - a cluster that does not answer gives no sign
            continue
        if lost and not over.is_set():
            signs.send(node_lost())
            os._exit(1)
        signs.send("")


def _asked_for(talk: Connection) -> Iterator[Shard]:
    while True:
        talk.send(NextShard())
        shard = talk.recv()
        if shard is None:
            return
        yield shard


def _told(error: Exception) -> TorchstoneError:
    if own_node_died():
        return node_lost()
    if isinstance(error, TorchstoneError):
        return error
    return RemoteError(f"Ray failed: {first_line(error)}", AGAIN)
