"""The pieces that wait for a GPU run on the CPU in small: what breaks here would cost time of a card."""

import json
import time
from pathlib import Path

import pytest

from benchmarks.gpu.networks import CNN3, Network, build
from benchmarks.gpu.pieces import PIECES
from benchmarks.gpu.run_all import run_piece
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.speed import shares
from benchmarks.gpu.steps import DONE, FAILED, LEFT, read_steps, run_steps
from helpers.in_process import short_stopwatch, without_matplotlib
from helpers.traced import leave_out_machine_code
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.gpu_options import TF32_VARIABLE


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for runs and bundles, which later pieces find there."""
    return tmp_path_factory.mktemp("gpu-work")


def trial(results: Path, work: Path, ends: float = float("inf")) -> Setting:
    """Return the setting of a trial on the CPU."""
    return Setting("cpu", True, results, work, Path("unused"), work / "exports", ends)  # noqa: FBT003 - dry run


@pytest.mark.slow
@pytest.mark.parametrize("piece", PIECES)
def test_every_step_of_a_piece_runs_in_small(
    piece: str, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None fails, and none is left out; without what takes longer than they: pictures, and compiled machine code."""
    leave_out_machine_code(monkeypatch)
    monkeypatch.setenv(TF32_VARIABLE, "0")  # as a piece does, which would reach other tests
    with without_matplotlib(), short_stopwatch():
        run_piece(piece, trial(tmp_path, work))

    steps = read_steps(tmp_path, piece)
    assert steps
    assert {name: step for name, step in steps.items() if step["state"] != DONE} == {}


def test_a_step_that_fails_leaves_its_traceback_and_the_next_goes_on(tmp_path: Path) -> None:
    """One fault must not cost what the others would have measured."""

    def fails() -> None:
        raise RuntimeError("an illegal memory access")

    run_steps("any", {"first": fails, "second": lambda: 2}, trial(tmp_path, tmp_path), lambda _: None)

    steps = json.loads((tmp_path / "any.json").read_text())["steps"]
    assert steps["first"]["state"] == FAILED
    assert "an illegal memory access" in steps["first"]["traceback"][-1]
    assert steps["second"]["result"] == 2


def test_what_is_done_is_not_repeated_and_what_failed_is(tmp_path: Path) -> None:
    """The same command goes on where an earlier one ended."""
    calls = []

    def first_fails() -> None:
        calls.append("flaky")
        if calls == ["once", "flaky"]:
            raise RuntimeError("busy")

    steps = {"once": lambda: calls.append("once"), "flaky": first_fails}
    for _ in range(2):
        run_steps("any", steps, trial(tmp_path, tmp_path), lambda _: None)

    assert calls == ["once", "flaky", "flaky"]


def test_no_step_is_begun_when_time_is_up(tmp_path: Path) -> None:
    """The next call begins it."""
    run_steps("any", {"late": lambda: 1}, trial(tmp_path, tmp_path, time.monotonic() - 1), lambda _: None)

    assert read_steps(tmp_path, "any")["late"] == {"state": LEFT}


@pytest.mark.parametrize(("batch", "limit", "allowed"), [(1, "bytes", 100 / 30), (10, "operations", 5.0)])
def test_a_roofline_is_the_lower_of_operations_and_bytes(batch: int, limit: str, allowed: float) -> None:
    """A batch shares the weights: 5 of 4 bytes and 10 pixels, at 100 bytes and 100 operations a second."""
    spec = InputSpec(color="L", height=2, width=5, mean=(0.5,), std=(0.5,))
    network = Network("any", spec, 2, build(CNN3).module, operations=20, weights=5)
    found = shares("stated", {"fp32": 100.0, "bytes": 100.0}, network, "fp32", {"ours": 2.0}, batch)

    assert found["stated_roofline_is_of"] == limit
    assert found["share_of_stated_roofline"]["ours"] == pytest.approx(2.0 / allowed)
    assert found["share_of_stated_peak"]["ours"] == pytest.approx(2.0 / 5.0)


def test_the_pieces_fit_into_the_time_of_a_card() -> None:
    """Half an hour in all, with four minutes of it for starting and carrying; each within one call."""
    assert max(piece.seconds for piece in PIECES.values()) < 600
    assert sum(piece.seconds for piece in PIECES.values()) <= 26 * 60
