"""Trainings as `torchstone train` does them, with what their clock says."""

import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import torch

from benchmarks.gpu.setting import Setting
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.batches import make_batches
from torchstone_train.networks.image_classifier import build_classifier
from torchstone_train.recipes.resolve import resolve_recipe, with_backbone
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.run_training import TrainingRequest, train
from torchstone_train.training.progress import Progress
from torchstone_train.training.task import Outcome
from torchstone_train.training.validate import validate

_WARNINGS: Final = 5


class StoppingProgress(Progress):
    """Says nothing, and interrupts the training as Ctrl-C does once an epoch is done and `stop` says so."""

    def __init__(self, epochs: int, stop: Callable[[int], bool]) -> None:
        super().__init__(epochs, silent=True)
        self._stop = stop

    def end_epoch(self, record: Mapping[str, Any]) -> None:
        """Report nothing, and ask whether to stop."""
        super().end_epoch(record)
        if self._stop(int(record["epoch"])):
            os.kill(os.getpid(), signal.SIGINT)


def train_once(
    setting: Setting,
    recipe: str,
    dataset: str,
    name: str,
    *,
    seed: int = 100,
    backbone: str | None = None,
    resume: bool = False,
    stop: Callable[[int], bool] = lambda _: False,
    **choices: Any,  # noqa: ANN401 - fields of a request and of a recipe
) -> dict[str, Any]:
    """Train into `work/NAME`, and return its seconds, epochs and warnings.

    Args:
        setting: device and folders.
        recipe: name of the recipe.
        dataset: data as the command line names it.
        name: name of the run's folder, which is replaced unless `resume` is set.
        seed: seed of the training.
        backbone: backbone, with fresh weights, of a recipe that takes one.
        resume: whether the run is gone on with.
        stop: is told each epoch that is done, and says whether to interrupt there.
        choices: `deterministic`, and fields of the recipe in place of its own.
    """
    out = setting.work / name
    if not resume:
        shutil.rmtree(out, ignore_errors=True)
    deterministic = choices.pop("deterministic", True)
    chosen = resolve_recipe(with_backbone(resolve_recipe(recipe, {}), backbone), choices)
    request = TrainingRequest(
        recipe=chosen,
        dataset=DatasetRef.parse(dataset),
        data_dir=setting.data_dir(),
        out=out,
        seed=seed,
        device=setting.device,
        resume=resume,
        deterministic=deterministic,
        progress=StoppingProgress(chosen.epochs, stop),
        **({"weights": "none", "image_size": (setting.size(224, 32),) * 2, **_INPUT} if backbone else {}),
    )
    started = time.time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcome = train(request)
    told = list(dict.fromkeys(str(item.message).splitlines()[0] for item in caught))
    return {"seed": seed, **_figures(RunDirectory(out), outcome, started), "warnings": told[:_WARNINGS]}


def _figures(run: RunDirectory, outcome: Outcome, started: float) -> dict[str, Any]:
    """Return what a training reached, and the seconds since it was started; see `train_once`.

    `compile_seconds`, where steps were compiled, are a part of `seconds` and of no epoch's.
    """
    history = run.read_history()
    if not history:
        raise RuntimeError(f"no epoch was completed: {outcome.stop_reason}")
    return {
        "stop_reason": str(outcome.stop_reason),
        "epochs": len(history),
        "seconds": datetime.fromisoformat(history[-1]["ended"]).timestamp() - started,
        "seconds_of_epochs": [record["seconds"] for record in history],
        "images_per_second": [record["images_per_second"] for record in history],
        "validation": outcome.best["accuracy"] if outcome.best else None,
        "loss": [record["train"]["loss"] for record in history],
        "precision": run.read_info()["precision"],
        **({"compile_seconds": sum(compiled)} if (compiled := _compile_seconds(history)) else {}),
    }


def _compile_seconds(history: list[dict[str, Any]]) -> list[float]:
    return [record["compile_seconds"] for record in history if "compile_seconds" in record]


_INPUT: Final[dict[str, Any]] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def test_accuracy(setting: Setting, name: str, dataset: str) -> float:
    """Return the accuracy of the weights that a run kept, over the test split."""
    run = RunDirectory.open(setting.work / name)
    info = run.read_info()
    recipe = info["recipe"]
    spec = InputSpec.from_json(info["input"])
    model = build_classifier(recipe["architecture"], spec, len(info["class_names"]), recipe["head"])
    model.network.load_state_dict(run.read_weights())
    device = torch.device(setting.device)
    test = Dataset(DatasetRef.parse(dataset), setting.data_dir()).test()
    return validate(model.to(device), make_batches(test, device), test.class_names, device).metrics.accuracy


def warm_up(setting: Setting) -> dict[str, float]:
    """Return the seconds that a process pays before its first training step on the device."""
    started = time.perf_counter()
    torch.ones(1, device=setting.device).add_(1).item()
    context = time.perf_counter() - started
    started = time.perf_counter()
    layer = torch.nn.Conv2d(1, 8, 3).to(setting.device)
    layer(torch.zeros(8, 1, 28, 28, device=setting.device)).sum().backward()
    if setting.device == "cuda":
        torch.cuda.synchronize()
    return {"context": context, "first_convolution": time.perf_counter() - started}


def require_device(setting: Setting) -> None:
    """Raise where CUDA is wanted and not there: a figure of the CPU under a GPU's name is worse than none."""
    if setting.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("There is no GPU that PyTorch can use.", "Try --dry-run.")
