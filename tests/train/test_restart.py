"""What a process does that `torchrun` started again."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from torchstone_runtime.data.catalog import DatasetRef
from torchstone_train.compute.distributed import World
from torchstone_train.recipes.catalog import get_recipe
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
