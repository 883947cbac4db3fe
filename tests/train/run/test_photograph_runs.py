"""Trainings with augmented photographs: what changes their weights, and what must not."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.in_process import run_in_process
from helpers.support import write_image_tree
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import ImageError, UsageError
from torchstone_train import run_training
from torchstone_train.data.picture_loading import Loading
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.training.progress import Progress

TRANSFORMS = "random-resized-crop,flip,trivial-augment,erase"


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time and is not looked at here."""
    monkeypatch.setattr("torchstone_train.report.run_results.RunResults.write", lambda *_: None)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 pictures of 30 x 30 in two classes. Don't change it."""
    return write_image_tree(tmp_path_factory.mktemp("photos"), {"a": 20, "b": 20}, side=30, mode="RGB")


def train(
    photos: Path,
    out: Path,
    *,
    loading: Loading | None = None,
    resume: bool = False,
    **fields: Any,  # noqa: ANN401
) -> bytes:
    """Train `mlp` on crops of 12 x 12; return the file of the weights."""
    recipe = replace(get_recipe("mlp"), **{"patience": 0, "epochs": 4, "transforms": TRANSFORMS, **fields})
    log = io.StringIO()
    request = run_training.TrainingRequest(
        recipe=recipe,
        dataset=DatasetRef.parse(f"folder:{photos}"),
        data_dir=out,
        out=out,
        device="cpu",
        image_size=(12, 12),
        loading=loading or Loading(),
        resume=resume,
        progress=Progress(recipe.epochs, log),
    )
    run_training.train(request)
    return (out / "best.safetensors").read_bytes()


class Killed(BaseException):
    """A kill, as far as a run's files can tell."""


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of four epochs in one go."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchstone_train.report.run_results.RunResults.write", lambda *_: None)
        return train(photos, tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("cache", ["off", "disk"])
def test_neither_workers_nor_caches_change_the_weights(
    photos: Path,
    whole: bytes,
    tmp_path: Path,
    workers: int,
    cache: Any,  # noqa: ANN401
) -> None:
    """To the last bit."""
    directory = tmp_path / "cache" if cache == "disk" else None
    loading = Loading(cache=cache, cache_dir=directory, workers=workers)
    assert train(photos, tmp_path / "run", loading=loading) == whole


def test_run_killed_in_the_middle_of_an_epoch_ends_with_the_same_weights(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it goes on with another number of threads and another cache."""
    original, steps = Progress.step, []

    def step(self: Progress, *arguments: Any) -> None:  # noqa: ANN401
        original(self, *arguments)
        steps.append(1)
        if len(steps) == 5:  # two steps an epoch
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "step", step)
        with pytest.raises(Killed):
            train(photos, tmp_path / "run", batch_size=16, loading=Loading(workers=1))
    resumed = train(photos, tmp_path / "run", batch_size=16, resume=True, loading=Loading(cache="off", workers=3))
    assert resumed == train(photos, tmp_path / "other", batch_size=16)


def test_seed_and_transforms_change_the_weights(photos: Path, whole: bytes, tmp_path: Path) -> None:
    """They are not ignored."""
    assert train(photos, tmp_path / "plain", transforms="") != whole
    assert train(photos, tmp_path / "less", transforms="random-resized-crop,flip") != whole


def test_run_is_not_resumed_with_other_transforms(photos: Path, tmp_path: Path) -> None:
    """It would be another training."""
    train(photos, tmp_path / "run", epochs=1)
    with pytest.raises(UsageError, match="other settings: transforms"):
        train(photos, tmp_path / "run", epochs=2, transforms="flip", resume=True)


def test_picture_that_vanishes_in_the_first_epoch_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And in a later one, a run that --resume goes on with."""
    folder = write_image_tree(tmp_path / "photos", {"a": 8, "b": 8}, side=30, mode="RGB")
    lost = folder / "b" / "003.png"
    content = lost.read_bytes()
    original, loading = Progress.start_epoch, Loading(cache="off")

    def losing_in(epoch: int) -> None:
        def start(self: Progress, number: int, total: int) -> None:
            original(self, number, total)
            if number == epoch:
                lost.unlink()

        monkeypatch.setattr(Progress, "start_epoch", start)

    losing_in(1)
    with pytest.raises(ImageError, match=r"003\.png does not exist"):
        train(folder, tmp_path / "run", val_fraction=0.01, loading=loading)
    assert not (tmp_path / "run").exists()
    lost.write_bytes(content)
    losing_in(3)
    with pytest.raises(ImageError, match=r"003\.png does not exist"):
        train(folder, tmp_path / "run", val_fraction=0.01, loading=loading)
    lost.write_bytes(content)
    monkeypatch.setattr(Progress, "start_epoch", original)
    resumed = train(folder, tmp_path / "run", val_fraction=0.01, loading=loading, resume=True)
    assert resumed == train(folder, tmp_path / "whole", val_fraction=0.01)


def test_command_line_names_augmentation_cache_and_workers(photos: Path, tmp_path: Path) -> None:
    """The run's recipe says what was done, and the cache is where it was asked for."""
    asked = ("--augment", "random-resized-crop(0.5),flip", "--cache", "disk", "--cache-dir", tmp_path / "cache")
    more = ("--cache-size", "1MB", "--workers", "2", "--image-size", "12", "--epochs", "1", "--out", tmp_path / "run")
    result = run_in_process("train", "mlp", "--data", f"folder:{photos}", *asked, *more)
    assert result.returncode == 0, result.stderr
    recipe = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert (recipe["augment"], recipe["transforms"]) == ("none", "random-resized-crop(0.5),flip")
    assert list((tmp_path / "cache").rglob("*.pixels"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cache", "off", "--cache-size", "1GB"), "--cache-size must be greater than 0, with --cache memory or disk"),
        (("--cache-dir", "cache"), "--cache-dir is for --cache disk"),
        (("--cache-size", "much"), "'much' is not a size; write 500MB"),
        (("--workers", "0"), "--workers must be 1 or more"),
        (("--augment", "flip,trivialaugment"), "Did you mean 'trivial-augment'?"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    """One message, exit code 2."""
    result = run_in_process("train", "mlp", "--data", "digits", "--out", tmp_path / "run", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_digits_are_augmented_too(tmp_path: Path) -> None:
    """Arrays as well as files."""
    arguments = ("--augment", "random-resized-crop(0.7),rotate", "--epochs", "1", "--out", tmp_path / "run")
    result = run_in_process("train", "mlp", "--data", "digits", *arguments)
    assert result.returncode == 0, result.stderr


def test_torchvision_is_loaded_by_trainings_that_need_it_alone(tmp_path: Path) -> None:
    """It takes as long as PyTorch does."""
    code = "import sys, torchstone_train.run_training; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path).returncode == 0
