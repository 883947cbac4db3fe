"""A run that goes on: to the very weights of one go, or with a warning that says why not and what to type."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import DataError
from torchstone_train import run_training
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.progress import Progress

FALLING = ["cosine", "one-cycle"]


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time and is not looked at here."""
    monkeypatch.setattr("torchstone_train.report.run_results.RunResults.write", lambda *_: None)


def train(out: Path, dataset: Path, *, resume: bool = False, **fields: Any) -> str:  # noqa: ANN401
    """Train `mlp` with other fields; return what was said."""
    recipe, log = replace(get_recipe("mlp"), **{"patience": 0, **fields}), io.StringIO()
    request = run_training.TrainingRequest(
        recipe=recipe, dataset=DatasetRef.parse(f"npz:{dataset}"), data_dir=out, out=out, device="cpu"
    )
    run_training.train(replace(request, resume=resume, progress=Progress(recipe.epochs, log)))
    return log.getvalue()


class Killed(BaseException):
    """A kill, as far as a run's files can tell."""


def kill_after(epoch: int, out: Path, dataset: Path, **fields: Any) -> None:  # noqa: ANN401
    """Train until an epoch is saved, and no further."""
    original = Progress.end_epoch

    def end_epoch(self: Progress, record: dict[str, Any]) -> None:
        original(self, record)
        if record["epoch"] == epoch:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "end_epoch", end_epoch)
        with pytest.raises(Killed):
            train(out, dataset, **fields)


def weights(run: Path) -> bytes:
    """Return the file of a run's weights."""
    return (run / "best.safetensors").read_bytes()


def rates(run: Path) -> list[float]:
    """Return the learning rate of each epoch's last step."""
    return [record["learning_rate"] for record in RunDirectory(run).read_history()]


@pytest.mark.parametrize("schedule", ["constant", *FALLING])
def test_resume_with_the_same_epochs_ends_with_the_same_bytes(tiny_npz: Path, tmp_path: Path, schedule: str) -> None:
    """Under every schedule, and nothing is warned of."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fields: dict[str, Any] = {"schedule": schedule, "epochs": 4, "ema": 0.9}
    train(whole, tiny_npz, **fields)
    kill_after(2, killed, tiny_npz, **fields)
    said = train(killed, tiny_npz, resume=True, **fields)
    assert weights(killed) == weights(whole)
    assert "Warning" not in said
    assert "schedule_changes" not in RunDirectory(killed).read_info()


def test_more_epochs_at_a_constant_rate_end_with_the_same_bytes(tiny_npz: Path, tmp_path: Path) -> None:
    """2 epochs and a resume to 4 are 4 epochs in one go, and nothing is warned of."""
    train(tmp_path / "whole", tiny_npz, epochs=4)
    train(tmp_path / "resumed", tiny_npz, epochs=2)
    said = train(tmp_path / "resumed", tiny_npz, epochs=4, resume=True)
    assert weights(tmp_path / "resumed") == weights(tmp_path / "whole")
    assert "Warning" not in said


@pytest.mark.parametrize("schedule", FALLING)
def test_more_epochs_under_a_schedule_that_had_ended_are_warned_of(
    tiny_npz: Path, tmp_path: Path, schedule: str
) -> None:
    """The rate jumps up again, the bytes are not those of one go; the line says so, and what to type instead."""
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    train(whole, tiny_npz, epochs=4, schedule=schedule)
    train(resumed, tiny_npz, epochs=2, schedule=schedule)
    said = train(resumed, tiny_npz, epochs=4, schedule=schedule, resume=True)
    (warning,) = [line for line in said.splitlines() if line.startswith("Warning")]
    assert f"the {schedule} schedule was made for 2 epochs, of which 2 are done, and is now laid over 4" in warning
    assert "--epochs 4 with --overwrite" in warning
    assert weights(resumed) != weights(whole)
    assert rates(resumed)[2] > rates(resumed)[1]
    assert rates(resumed)[2:] == rates(whole)[2:]


def test_rate_that_the_warning_names_is_that_of_the_next_step(tiny_npz: Path, tmp_path: Path) -> None:
    """114 images in one batch: an epoch is a step, and its rate the one that was told."""
    fields: dict[str, Any] = {"schedule": "cosine", "batch_size": 200}
    train(tmp_path / "run", tiny_npz, epochs=3, **fields)
    said = train(tmp_path / "run", tiny_npz, epochs=5, resume=True, **fields)
    before, after = rates(tmp_path / "run")[2:4]
    assert f"the learning rate, last {before:.3g}, continues at {after:.3g}," in said


@pytest.mark.parametrize("epochs", [3, 8])
def test_killed_run_that_goes_on_with_other_epochs_is_warned_of(tiny_npz: Path, tmp_path: Path, epochs: int) -> None:
    """More or fewer, also where the schedule had not ended."""
    kill_after(2, tmp_path / "run", tiny_npz, schedule="cosine", epochs=4)
    said = train(tmp_path / "run", tiny_npz, schedule="cosine", epochs=epochs, resume=True)
    assert f"made for 4 epochs, of which 2 are done, and is now laid over {epochs}" in said


def test_run_json_keeps_that_the_schedule_was_changed(tiny_npz: Path, tmp_path: Path) -> None:
    """The recipe alone would claim a training that never was; a later resume keeps it."""
    for epochs, resume in ((1, False), (3, True), (4, True)):
        train(tmp_path / "run", tiny_npz, schedule="cosine", epochs=epochs, resume=resume)
    assert RunDirectory(tmp_path / "run").read_info()["schedule_changes"] == [
        {"after_epoch": 1, "epochs_before": 1, "epochs": 3},
        {"after_epoch": 3, "epochs_before": 3, "epochs": 4},
    ]


def test_resume_of_a_run_that_is_done_warns_of_nothing(tiny_npz: Path, tmp_path: Path) -> None:
    """No step is made, so no rate changes."""
    train(tmp_path / "run", tiny_npz, schedule="cosine", epochs=2)
    before = weights(tmp_path / "run")
    assert "Warning" not in train(tmp_path / "run", tiny_npz, schedule="cosine", epochs=1, resume=True)
    assert weights(tmp_path / "run") == before


def test_resume_that_is_killed_at_once_leaves_the_run_as_it_was(
    tiny_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """run.json keeps its figures until an epoch more is done."""
    run = tmp_path / "run"
    train(run, tiny_npz, epochs=2)
    before = (run / "run.json").read_bytes()
    monkeypatch.setattr("torchstone_train.training.loop.TrainingLoop._run_epoch", kill)
    with pytest.raises(Killed):
        train(run, tiny_npz, epochs=4, resume=True)
    assert (run / "run.json").read_bytes() == before


def kill(*_: object) -> None:
    """Stop here."""
    raise Killed


def test_resume_with_a_damaged_history_is_refused(tiny_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    """One message that names the file."""
    for name in ("run.json", "history.jsonl"):
        (tmp_path / name).write_bytes((tiny_run / name).read_bytes())
    (tmp_path / "history.jsonl").write_text('{"epoch": 1')
    result = run_torchstone("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", tmp_path, "--resume")
    assert_refused(result, "history.jsonl is damaged")
    assert json.loads((tmp_path / "run.json").read_text())["epochs_run"] == 3


def test_weights_of_an_epoch_that_does_not_count_are_replaced(tiny_npz: Path, tmp_path: Path) -> None:
    """A kill between the weights of epoch 3 and its checkpoint, and then an end after 2: run and weights agree."""
    run = tmp_path / "run"
    kill_after(2, run, tiny_npz, epochs=4, monitor="loss")
    expected, checkpoint = weights(run), (run / "last" / "checkpoint.pt").read_bytes()
    train(run, tiny_npz, epochs=4, monitor="loss", resume=True)
    (run / "last" / "checkpoint.pt").write_bytes(checkpoint)
    assert weights(run) != expected
    train(run, tiny_npz, epochs=2, monitor="loss", resume=True)
    assert weights(run) == expected


@pytest.mark.parametrize("damage", [{"stopping": {}}, {"epoch": "last"}, {"model": {}}, {"optimization": 3}])
def test_checkpoint_of_another_training_is_refused(tiny_npz: Path, tmp_path: Path, damage: dict[str, Any]) -> None:
    """One message, and the run stays as it was."""
    run = tmp_path / "run"
    train(run, tiny_npz, epochs=1)
    directory, before = RunDirectory(run), (run / "run.json").read_bytes()
    directory.write_checkpoint({**(directory.read_checkpoint() or {}), **damage})
    with pytest.raises(DataError, match="does not fit this training"):
        train(run, tiny_npz, epochs=2, resume=True)
    assert (run / "run.json").read_bytes() == before


def test_a_run_whose_recipe_has_another_summary_goes_on(tiny_npz: Path, tmp_path: Path) -> None:
    """The summary is a sentence for people; a version that words it otherwise trains nothing else."""
    kill_after(1, tmp_path, tiny_npz, epochs=2, summary="an earlier wording")
    train(tmp_path, tiny_npz, epochs=2, resume=True)

    assert len(RunDirectory.open(tmp_path).read_history()) == 2
