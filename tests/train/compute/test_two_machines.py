"""Two machines train one model: as two processes of one machine do, also where one of them dies on the way."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.gang import run_together
from helpers.two_hosts import Host, two_hosts

if TYPE_CHECKING:
    import subprocess

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
EPOCHS = 6
TRAINING = ("train", "mlp", "--data", "digits", "--epochs", str(EPOCHS), "--device", "cpu", "--patience", "0")
# With a store that torchrun's agents share, one that is started anew waits for an address that nobody gives it
# (PyTorch 2.15; issue 135712 of pytorch/pytorch).
STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
PATIENCE = 300.0
PROGRAM = Path(__file__).parents[2] / "helpers" / "without_pictures.py"


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts, gone with all that runs on them after the test."""
    with two_hosts() as pair:
        yield pair


def launch(host: Host, leader: Host, out: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start torchrun on a host, as one of two."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{leader.address}:29400", "--rdzv-id", "job"]
    command += [
        "--rdzv-conf",
        f"is_host={int(host is leader)},keep_alive_interval=1",
    ]  # both have the hostname of this machine
    command += ["--local-addr", host.address, "--max-restarts", "3", str(PROGRAM)]
    return host.start([*command, *TRAINING, "--out", str(out)], log, {"GLOO_SOCKET_IFNAME": host.interface, **STORE})


def history(run: Path) -> list[dict[str, Any]]:
    """Return the epochs of a run."""
    file = run / "history.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def test_a_machine_that_dies_costs_the_epoch_that_it_died_in(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    """Each has a disk of its own; the one that dies comes back, and the figures are those of one machine."""
    alone = run_together(2, *TRAINING, "--out", str(tmp_path / "alone"))
    first, second = hosts
    outs, logs = [tmp_path / name / "run" for name in "ab"], [tmp_path / f"{name}.log" for name in "ab"]
    stays = launch(first, first, outs[0], logs[0])
    launch(second, first, outs[1], logs[1])
    end = time.monotonic() + PATIENCE
    while not any(history(out) for out in outs):
        assert time.monotonic() < end, logs[0].read_text()
        time.sleep(0.005)
    second.cut_power()
    before = max(len(history(out)) for out in outs)
    comes_back = launch(second, first, outs[1], logs[1])

    assert alone.returncode == 0, alone.stderr
    assert stays.wait(PATIENCE) == 0, logs[0].read_text()
    assert comes_back.wait(PATIENCE) == 0, logs[1].read_text()
    assert 0 < before < EPOCHS
    assert "has ended, or its machine cannot be reached" in logs[0].read_text()
    done = next(out for out in outs if len(history(out)) == EPOCHS)
    # Two machines of one process have more threads for each, which sum in another order.
    for here, there in zip(history(done), history(tmp_path / "alone"), strict=True):
        assert here["train"]["loss"] == pytest.approx(there["train"]["loss"], rel=1e-3)
        assert here["validation"]["accuracy"] == pytest.approx(there["validation"]["accuracy"], abs=0.01)
