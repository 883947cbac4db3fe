"""`train --log`: a run of MLflow's file store and of W&B's offline mode, where they are installed.

They are no part of the development environment: they weigh more than what they test.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from helpers.in_process import run_in_process
from helpers.support import run_torchstone
from torchstone_runtime.errors import RemoteError
from torchstone_train.report.experiment_logs import open_log

TRAINING = ("train", "mlp", "--data", "digits", "--set", "epochs=2")
NAMES = {"accuracy/validation", "loss/train", "learning_rate", "images_per_second"}


def needs(package: str) -> None:
    """Skip where a package is not installed."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install it beside the development environment to run this")


def history_of(run: Path) -> list[dict[str, Any]]:
    """Return the epochs that a run recorded."""
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_mlflow_has_every_epoch_and_the_end(tmp_path: Path) -> None:
    """In its file store: parameters, figures by epoch, the report, and a finished run."""
    needs("mlflow")
    store = tmp_path / "mlruns"
    place = {"MLFLOW_TRACKING_URI": store.as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    result = run_torchstone(*TRAINING, "--out", tmp_path / "run", "--log", "mlflow", env=place, fresh=True)
    assert result.returncode == 0, result.stderr
    program = (
        "import json, mlflow\n"
        "(run,) = mlflow.search_runs(experiment_names=['torchstone'], output_format='list')\n"
        "client = mlflow.MlflowClient()\n"
        "history = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, 'accuracy/validation')]\n"
        "files = [file.path for file in client.list_artifacts(run.info.run_id)]\n"
        "print(json.dumps([run.info.status, run.info.run_name, run.data.params, run.data.metrics, history, files]))\n"
    )
    environment = {**os.environ, **place}
    read = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    status, name, params, metrics, history, files = json.loads(read.stdout)
    epochs = history_of(tmp_path / "run")

    assert (status, name) == ("FINISHED", "run")
    assert (params["architecture"], params["epochs"], params["dataset"]) == ("mlp", "2", "digits")
    assert set(metrics) >= NAMES
    assert "final/accuracy" in metrics
    assert history == [[epoch["epoch"], epoch["validation"]["accuracy"]] for epoch in epochs]
    assert {"report.html", "run.json"} <= set(files)


@pytest.mark.slow
def test_wandb_writes_a_run_without_a_network(tmp_path: Path) -> None:
    """In offline mode: a file to be synchronised later, with the training's figures in it."""
    needs("wandb")
    place = {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}
    result = run_torchstone(*TRAINING, "--out", tmp_path / "run", "--log", "wandb", env=place, fresh=True)
    assert result.returncode == 0, result.stderr
    (record,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    content = record.read_bytes()

    assert "left out" not in result.stderr
    assert all(name.encode() in content for name in NAMES | {"final/accuracy", "architecture"})


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_log_that_is_not_installed_is_told_before_any_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the extra that brings it."""
    monkeypatch.setattr("torchstone_runtime.components.find_spec", lambda package: package != name or None)
    result = run_in_process(*TRAINING, "--out", tmp_path / "run", "--log", name)

    assert result.returncode == 2
    assert f"pip install '.[{name}]'" in result.stderr
    assert not (tmp_path / "run").exists()


def test_an_unknown_log_is_refused(tmp_path: Path) -> None:
    """By the command line."""
    result = run_in_process(*TRAINING, "--out", tmp_path / "run", "--log", "clearml")
    assert result.returncode == 2
    assert "clearml" in result.stderr


class _Log:
    """Notes what it was told; fails at an epoch, where it shall."""

    def __init__(self, *, fails: bool) -> None:
        self.told: list[str] = []
        self._fails = fails

    def training_begins(self, history: object) -> None:
        del history
        self.told.append("begins")

    def epoch_ended(self, record: dict[str, Any]) -> None:
        self.told.append(f"epoch {record['epoch']}")
        if self._fails:
            raise ConnectionError("lost")

    def training_ended(self, final: dict[str, float], files: list[Path]) -> None:
        self.told.append(f"ended with {'accuracy' in final} {[path.name for path in files]}")

    def training_failed(self) -> None:
        self.told.append("failed")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, _Log]:
    """Have --log open logs that note what they are told: mlflow's is sound, wandb's loses its connection."""
    logs = {"mlflow": _Log(fails=False), "wandb": _Log(fails=True)}
    monkeypatch.setattr("torchstone_train.run_training.open_log", lambda name, *_: logs[name])
    monkeypatch.setattr("torchstone_train.run_training.require_logs", lambda _: None)
    monkeypatch.setattr("torchstone_train.report.run_results.find_spec", lambda _: None)  # no pictures: they take long
    return logs


def test_a_log_that_fails_is_left_out_and_the_training_goes_on(opened: dict[str, _Log], tmp_path: Path) -> None:
    """Said once; the other log is told everything."""
    result = run_in_process(*TRAINING, "--out", tmp_path / "run", "--log", "wandb", "--log", "mlflow")

    assert result.returncode == 0, result.stderr
    assert result.stderr.count("left out --log wandb: ConnectionError: lost") == 1
    assert opened["mlflow"].told == ["begins", "epoch 1", "epoch 2", "ended with True ['report.html', 'run.json']"]
    assert "epoch 2" not in opened["wandb"].told


def test_a_training_that_fails_ends_its_logs(
    opened: dict[str, _Log], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or they would look as if it still ran."""

    def stop(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("torchstone_train.training.loop.TrainingLoop.fit", stop)
    run_in_process(*TRAINING, "--out", tmp_path / "run", "--log", "mlflow")

    assert opened["mlflow"].told == ["failed"]


def test_a_log_that_cannot_be_begun_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its package raises as it is opened: here that it cannot be imported."""
    monkeypatch.setitem(sys.modules, "torchstone_train.report.wandb_log", None)
    with pytest.raises(RemoteError, match="--log wandb cannot be started"):
        open_log("wandb", tmp_path, {}, "title")


def test_without_a_report_logs_are_told_of_the_end_all_the_same(opened: dict[str, _Log], tmp_path: Path) -> None:
    """With the final figures, and the one file that there is."""
    result = run_in_process(*TRAINING, "--out", tmp_path / "run", "--log", "mlflow", "--no-figures")

    assert result.returncode == 0, result.stderr
    assert opened["mlflow"].told == ["begins", "epoch 1", "epoch 2", "ended with True ['run.json']"]
