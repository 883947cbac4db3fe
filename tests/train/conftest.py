"""A dataset so small that a training takes a moment, and what several tests do with it."""

import io
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from helpers.support import run_torchstone
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_train import run_training
from torchstone_train.compute.distributed import World
from torchstone_train.compute.precision import choose_precision
from torchstone_train.data.training_data import load_training_data
from torchstone_train.network_choice import open_network
from torchstone_train.preparation import prepare
from torchstone_train.recipes.catalog import CNN3
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.loop import TrainingLoop
from torchstone_train.training.observer import TrainingObserver
from torchstone_train.training.progress import Progress
from torchstone_train.training.task import Outcome

Fit = Callable[..., tuple[Outcome, RunDirectory]]


@pytest.fixture(scope="session")
def tiny_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 gray images of 10 x 10 in three classes that differ in brightness, with noise that blurs the border."""
    generator = np.random.default_rng(7)
    labels = np.arange(180) % 3
    images = 70 + 50 * labels[:, None, None] + generator.normal(0, 22, 180)[:, None, None]
    noisy = images + generator.normal(0, 40, (180, 10, 10))
    file = tmp_path_factory.mktemp("tiny") / "tiny.npz"
    np.savez(file, images=noisy.clip(0, 255).astype(np.uint8), labels=labels)
    return file


@pytest.fixture(scope="session")
def tiny_training(
    tiny_npz: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A training of three epochs on `tiny_npz` by the command line: its run, and what it said."""
    run = tmp_path_factory.mktemp("tiny-run") / "run"
    result = run_torchstone(
        "train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--epochs", "3", "--out", run, pictures=True
    )
    assert result.returncode == 0, result.stderr
    return run, result


@pytest.fixture(scope="session")
def tiny_run(tiny_training: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    """The run of `tiny_training`. Don't change it: copy it."""
    return tiny_training[0]


@pytest.fixture(scope="session")
def resumed_run(tiny_run: Path, tiny_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `tiny_run` that went on to five epochs. Don't change it: copy it."""
    run = shutil.copytree(tiny_run, tmp_path_factory.mktemp("resumed") / "run")
    arguments = ("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--epochs", "5", "--out", run, "--resume")
    result = run_torchstone(*arguments, pictures=True)
    assert result.returncode == 0, result.stderr
    return run


@pytest.fixture
def fit(tiny_npz: Path, tmp_path: Path) -> Fit:
    """Train in this process, without pictures: recipe fields by name, and what else differs from a plain training."""

    def run_loop(
        *,
        seed: int = 0,
        dataset: str = f"npz:{tiny_npz}",
        out: str = "run",
        budget: int | None = None,
        network: nn.Module | None = None,
        observers: Sequence[TrainingObserver] = (),
        **overrides: Any,  # noqa: ANN401
    ) -> tuple[Outcome, RunDirectory]:
        recipe = replace(CNN3, **{"epochs": 2, **overrides})
        request = run_training.TrainingRequest(
            recipe=recipe,
            dataset=DatasetRef.parse(dataset),
            data_dir=tmp_path,
            out=tmp_path / out,
            seed=seed,
            resident_budget=budget,
        )
        data = load_training_data(request.dataset, tmp_path, recipe, seed)
        cpu = torch.device("cpu")
        chosen = open_network(request, data.spec, len(data.train.class_names))
        task = prepare(chosen, data, cpu, choose_precision(recipe.amp, cpu), World(), None, lambda _line: None)
        if network is not None:
            task.model.network = network
        run = RunDirectory.create(request.out, overwrite=True)
        progress = Progress(recipe.epochs, io.StringIO())
        return TrainingLoop(task, run, {}, progress, observers).fit(), run

    return run_loop
