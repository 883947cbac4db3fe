"""Jobs on a Ray cluster of two machines, whose GPUs exist for Ray alone: it hands them out, and nobody uses them."""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.ray_jobs import MANY, parts
from helpers.ray_nodes import TwoHosts, ray_head
from torchstone_runtime.errors import UsageError
from torchstone_runtime.scoring.ray_cluster import RayCluster

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="torchstone[ray] is not installed")
PATIENCE = 120.0


class Nodes:
    """What is asked of Ray about the nodes of a cluster; each is processors and GPUs."""

    def __init__(self, *nodes: tuple[int, int]) -> None:
        self._nodes = nodes

    def nodes(self) -> list[dict[str, object]]:
        """Return the nodes as Ray does; one that is gone stays in its list."""
        gone: dict[str, object] = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
        return [gone, *({"Alive": True, "Resources": {"CPU": float(c), "GPU": float(g)}} for c, g in self._nodes)]


@pytest.fixture
def cluster() -> Iterator[TwoHosts]:
    """A cluster of one machine with one GPU; a second machine may join."""
    with ray_head(gpus=1) as found:
        yield found


def wait_for(what: str, log: Path) -> None:
    """Wait until a job has said something."""
    end = time.monotonic() + PATIENCE
    while what not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("gpus", "nodes", "room"),
    [
        (0.0, ((4, 0), (2, 0)), 6),
        (1.0, ((16, 4), (16, 0)), 4),
        (1.0, ((2, 4),), 2),
        (2.0, ((16, 1), (16, 3)), 1),
        (2.0, ((16, 1), (16, 1)), 0),
        (0.1, ((16, 1),), 10),
        (0.6, ((16, 2),), 2),
        (0.0, ((0, 0),), 0),
    ],
)
def test_room_is_counted_by_node_and_gpu(gpus: float, nodes: tuple[tuple[int, int], ...], room: int) -> None:
    """A worker's GPUs are on one node, its part of a GPU on one GPU, and a node that is gone has none."""
    assert RayCluster(gpus=gpus).room(Nodes(*nodes)) == room


def test_one_and_a_half_gpus_are_refused() -> None:
    """Ray gives parts of one GPU, or whole ones."""
    with pytest.raises(UsageError, match=r"--num-gpus is 1\.5"):
        RayCluster(gpus=1.5)


@needs_ray
@pytest.mark.slow
def test_what_no_node_has_is_refused(cluster: TwoHosts, many_pictures: Path, tmp_path: Path) -> None:
    """Ray would wait for it without end."""
    log = tmp_path / "log"
    job = cluster.score(many_pictures, tmp_path / "out", log, "--num-gpus", "2")
    assert job.wait(PATIENCE) == 2, log.read_text()
    assert "No node of the cluster has 2 GPUs and a processor for a worker (most GPUs of a node: 1)." in log.read_text()


@needs_ray
@pytest.mark.slow
def test_workers_that_were_asked_for_wait_for_their_node(
    cluster: TwoHosts, many_pictures: Path, tmp_path: Path
) -> None:
    """As one comes that a cluster starts on demand; meanwhile the job says what it waits for."""
    log = tmp_path / "log"
    job = cluster.score(many_pictures, tmp_path / "out", log, "--num-gpus", "2", "--ray-workers", "1")
    wait_for("The job waits until there is one.", log)
    cluster.join(gpus=2)
    assert job.wait(PATIENCE) == 0, log.read_text()


@needs_ray
@pytest.mark.slow
def test_a_job_that_waits_for_other_jobs_says_so(cluster: TwoHosts, many_pictures: Path, tmp_path: Path) -> None:
    """The cluster's only processor belongs to another job, until that one ends."""
    cluster.hold_a_processor()
    log = tmp_path / "log"
    job = cluster.score(many_pictures, tmp_path / "out", log)
    wait_for("No worker has started in 20 seconds: other jobs may have all processors. The job waits.", log)
    cluster.let_go()
    assert job.wait(PATIENCE) == 0, log.read_text()


@needs_ray
@pytest.mark.slow
def test_a_machine_that_dies_costs_no_row(
    cluster: TwoHosts, many_pictures: Path, scored_locally: Path, tmp_path: Path
) -> None:
    """It scores, loses power, and the other one writes the parts of the local engine to the end."""
    cluster.join(gpus=1)
    out, log = tmp_path / "out", tmp_path / "log"
    job = cluster.score(many_pictures, out, log, "--num-gpus", "1", *MANY)
    end = time.monotonic() + PATIENCE
    while len(parts(out)) < 3 or not any("RayWorker.score" in line for line in cluster.second.running()):
        assert time.monotonic() < end, log.read_text()
        assert job.poll() is None, log.read_text()
    cluster.second.cut_power()
    before = len(parts(out))
    assert job.wait(PATIENCE) == 0, log.read_text()
    assert before < len(parts(out))
    assert parts(out) == parts(scored_locally)


@needs_ray
@pytest.mark.slow
def test_gpus_that_this_machine_lacks_are_refused(many_pictures: Path, tmp_path: Path) -> None:
    """No node comes to a cluster that was started for the job."""
    result = run_in_process(
        *("score", "fashion", many_pictures, "--out", tmp_path / "out", "--format", "jsonl"),
        *("--engine", "ray", "--ray-workers", "1", "--num-gpus", "1000"),
    )
    assert result.returncode == 2
    assert "No node of the cluster has 1000 GPUs" in result.stderr
