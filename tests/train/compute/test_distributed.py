"""Several processes train one model: the same figures within noise, and one writer of files."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.gang import run_together
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import UsageError
from torchstone_train.compute.distributed import World, joined_world
from torchstone_train.data.batches import make_batches
from torchstone_train.data.training_data import load_training_data
from torchstone_train.networks.image_classifier import build_classifier
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.validate import validate

if TYPE_CHECKING:
    import subprocess

pytestmark = pytest.mark.filterwarnings("ignore")


def train(
    processes: int,
    out: Path,
    *options: str,
    recipe: str = "cnn3",
    dataset: str = "digits",
    changes: Sequence[str] = (),
) -> "subprocess.CompletedProcess[str]":
    """Train two epochs with as many processes."""
    arguments = ["train", recipe, "--data", dataset, "--epochs", "2", "--device", "cpu", "--out", str(out)]
    return run_together(processes, *arguments, *options, changes=changes)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they share one, where NCCL would fail or wait; the message says how many there are."""
    names = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    world = joined_world(torch.device("cuda"))
    with pytest.raises(UsageError, match="2 processes on this machine, and PyTorch can use 1 GPU") as caught, world:
        pass
    assert "--nproc-per-node 1" in caught.value.remedy


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The same training by one process and by two."""
    folder = tmp_path_factory.mktemp("distributed")
    for processes in (1, 2):
        result = train(processes, folder / str(processes))
        assert result.returncode == 0, result.stderr
        # One process alone speaks: each epoch is reported once.
        assert result.stderr.count(" 2/2 ") == 1
        assert result.stdout.count("next: torchstone export") == 1
    return {processes: folder / str(processes) for processes in (1, 2)}


@pytest.mark.slow
def test_two_processes_learn_as_one_does(runs: dict[int, Path]) -> None:
    """Losses agree within what another order of dropout and summation changes."""
    one, two = (
        [json.loads(line) for line in (runs[count] / "history.jsonl").read_text().splitlines()] for count in (1, 2)
    )
    for alone, together in zip(one, two, strict=True):
        assert together["train"]["loss"] == pytest.approx(alone["train"]["loss"], rel=0.1)
        assert together["validation"]["loss"] == pytest.approx(alone["validation"]["loss"], rel=0.25)


@pytest.mark.slow
def test_two_processes_compile_their_steps(runs: dict[int, Path], tmp_path: Path) -> None:
    """The gradients of the compiled module are averaged: it learns as without it, but for dropout."""
    result = train(2, tmp_path / "compiled", "--compile", "default", changes=["all_traced"])
    assert result.returncode == 0, result.stderr
    plain, compiled = (
        [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
        for run in (runs[2], tmp_path / "compiled")
    )

    assert result.stderr.count("compiled in ") == 1
    for record, other in zip(plain, compiled, strict=True):
        assert other["train"]["loss"] == pytest.approx(record["train"]["loss"], rel=0.1)


@pytest.mark.slow
def test_two_processes_leave_one_run(runs: dict[int, Path]) -> None:
    """The same files as one process writes, and the number of processes in run.json."""
    names = [{path.relative_to(run).parts[0] for path in run.rglob("*")} for run in runs.values()]
    info = json.loads((runs[2] / "run.json").read_text())

    assert names[0] == names[1]
    assert info["device"]["processes"] == 2
    assert info["epochs_run"] == 2


@pytest.mark.slow
def test_two_processes_replace_a_run_without_taking_it_for_their_own(runs: dict[int, Path], tmp_path: Path) -> None:
    """The second process does not read the checkpoint of the run that the first is about to remove."""
    shutil.copytree(runs[2], tmp_path / "run")
    result = train(2, tmp_path / "run", "--overwrite", "--seed", "1")

    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["seed"] == 1
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 2


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    """63 images by two processes."""
    result = train(2, tmp_path / "run", "--batch-size", "63")

    assert result.returncode != 0
    assert "can't be shared by 2 processes" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_no_process_is_left_with_one_image_that_batch_norm_cannot_take(tmp_path: Path) -> None:
    """45 images in batches of 6 by three: each would end with one. Of two validation images one process has none."""
    images = np.random.default_rng(0).integers(0, 256, (59, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "train.npz", images=images, labels=np.arange(59) % 2)
    options = ("--batch-size", "6", "--val-fraction", "0.01")
    result = train(3, tmp_path / "run", *options, recipe="stone-l", dataset=f"npz:{tmp_path / 'train.npz'}")

    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["epochs_run"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_validation_of_two_processes_is_that_of_the_weights_that_are_kept(
    tiny_npz: Path, tmp_path: Path, ema: float
) -> None:
    """Their statistics of batch norm are those of one process, or an average of them."""
    options = ("--set", f"ema={ema}", "--batch-size", "16")
    result = train(2, tmp_path, *options, recipe="bn-cnn", dataset=f"npz:{tiny_npz}")
    assert result.returncode == 0, result.stderr
    run, cpu = RunDirectory.open(tmp_path), torch.device("cpu")
    info = run.read_info()
    recipe = Recipe.from_json(info["recipe"])
    data = load_training_data(DatasetRef.parse(f"npz:{tiny_npz}"), tmp_path, recipe, info["seed"])
    model = build_classifier(recipe.architecture, data.spec, len(info["class_names"]))
    model.network.load_state_dict(run.read_weights())

    alone = validate(model, make_batches(data.validation, cpu), data.train.class_names, cpu)
    assert info["metrics"]["validation"]["loss"] == pytest.approx(alone.loss, rel=1e-5)


@given(count=st.integers(1, 200), size=st.integers(1, 7))
def test_shares_cover_every_sample(count: int, size: int) -> None:
    """Uneven shares are a partition; even ones have the same length and lack no sample."""
    order = torch.randperm(count)
    uneven = [World(rank=rank, size=size).share(order, even=False) for rank in range(size)]
    even = [World(rank=rank, size=size).share(order, even=True) for rank in range(size)]

    assert sorted(torch.cat(uneven).tolist()) == list(range(count))
    assert {len(share) for share in even} == {-(-count // size)}
    assert set(torch.cat(even).tolist()) == set(range(count))


def test_alone_everything_is_as_it_is() -> None:
    """One process shares nothing, sums nothing and asks nobody."""
    world, order, requested = World(), torch.arange(5), True

    assert torch.equal(world.share(order, even=True), order)
    assert torch.equal(world.sum(order), order)
    assert world.anyone(requested, 1, torch.device("cpu"))


@pytest.mark.parametrize(
    ("stated", "local_size", "threads"),
    [("3", 1, 3), ("2,4", 1, 2), ("64", 1, 8), ("0", 1, 1), ("many", 1, 8), ("", 1, 8), ("1", 2, 4)],
)
def test_threads_of_one_process_follow_the_environment(
    stated: str, local_size: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OMP_NUM_THREADS lessens them; among several processes, whose launcher sets it to 1, it says nothing."""
    monkeypatch.setenv("OMP_NUM_THREADS", stated)
    monkeypatch.setattr("torchstone_train.compute.distributed.usable_cpus", lambda: 8)

    assert World(size=local_size, local_size=local_size).compute_threads == threads


def test_an_uneven_batch_is_named() -> None:
    """The message says what to choose."""
    with pytest.raises(UsageError, match="multiple of 4"):
        World(size=4).check_batch(66)
