"""What a process does that `torchrun` started again."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from torchstone_runtime.data.catalog import DatasetRef
from torchstone_train.compute.distributed import World
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.request import TrainingRequest
from torchstone_train.restart import gone_on_with


def begun(out: Path, launch: str | None) -> TrainingRequest:
    """Leave the beginning of a run, and return the request that asked for it."""
    out.mkdir()
    info = {"format_version": 1, "recipe": {}, "stop_reason": "running"}
    (out / "run.json").write_text(json.dumps(info | ({} if launch is None else {"launch": launch})))
    (out / "history.jsonl").write_text('{"epoch": 1}\n')
    return TrainingRequest(
        recipe=get_recipe("mlp"), dataset=DatasetRef("digits"), data_dir=out, out=out, overwrite=True
    )


def started(request: TrainingRequest, monkeypatch: pytest.MonkeyPatch, restarts: int) -> TrainingRequest:
    """Return the request as a process of the launch `job` takes it."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(restarts))
    with ExitStack() as opened:
        return gone_on_with(request, World(), opened)


def test_a_restart_goes_on_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where `--overwrite` was given: what it was to replace is gone, and this run is the new one."""
    request = started(begun(tmp_path / "run", "job"), monkeypatch, 1)

    assert (request.resume, request.overwrite) == (True, False)


@pytest.mark.parametrize(("launch", "restarts"), [("job", 0), ("another", 1), (None, 1)])
def test_a_run_of_another_launch_is_not_touched(
    launch: str | None, restarts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is one by a first start, whatever its name."""
    request = begun(tmp_path / "run", launch)

    assert started(request, monkeypatch, restarts) == request


def test_a_restart_before_anything_was_written_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to resume."""
    request = begun(tmp_path / "run", "job")
    (tmp_path / "run" / "run.json").unlink()

    assert started(request, monkeypatch, 2) == request


def test_who_lacks_the_run_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process at its `out`, where its older state is replaced; another one elsewhere, until it ends."""
    requests = [begun(tmp_path / name, "job") for name in ("first", "second", "third")]
    requests[1] = replace(requests[1], out=tmp_path / "nowhere")
    (tmp_path / "third" / "history.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n')
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    together = Together(3)
    with ExitStack() as opened, ThreadPoolExecutor(3) as pool:
        worlds = [ThreadWorld(rank, 3, together=together) for rank in range(3)]
        first, second, third = pool.map(gone_on_with, requests, worlds, [opened] * 3)

        assert first.out == tmp_path / "first"
        assert third.out == tmp_path / "third"
        histories = [(request.out / "history.jsonl").read_text() for request in (first, second, third)]
        assert histories == ['{"epoch": 1}\n{"epoch": 2}\n'] * 3
        assert (second.out / "run.json").is_file()
        assert not (tmp_path / "nowhere").exists()
    assert not second.out.exists()


class Together:
    """What threads hand to each other, as processes do through Gloo."""

    def __init__(self, size: int) -> None:
        self.barrier = Barrier(size, timeout=10)
        self.values: list[Any] = [None] * size


@dataclass(frozen=True, slots=True)
class ThreadWorld(World):
    """A process as a thread."""

    together: Together = field(default_factory=lambda: Together(1))

    def exchange(self, value: Any) -> list[Any]:  # noqa: ANN401 - whatever is handed over
        """See `World`."""
        self.together.values[self.rank] = value
        self.together.barrier.wait()
        values = list(self.together.values)
        self.together.barrier.wait()
        return values
