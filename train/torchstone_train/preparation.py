"""What a training needs before its first step: data, network, batches, and what `run.json` records of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.compute.distributed import World, launch
from torchstone_train.compute.precision import Precision
from torchstone_train.data.picture_loading import Opener
from torchstone_train.data.selection import Selection
from torchstone_train.data.training_data import TrainingData, load_training_data
from torchstone_train.data.training_size import check_training_size, training_spec
from torchstone_train.network_choice import ChosenNetwork, input_of_weights
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.request import TrainingRequest
from torchstone_train.run.environment import git_commit, versions
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.distill import Teacher
from torchstone_train.training.task import TrainingTask


def with_recorded_stages(request: TrainingRequest) -> TrainingRequest:
    """Return a request with the first epochs that the run that goes on began with, where nobody stated others.

    The number of epochs may differ, and decides on them where a training begins.

    Raises:
        FieldError: there are not that many epochs.
        DataError: the run that is to go on is missing or damaged.
    """
    if not (request.resume and request.unstated):
        return request
    run = RunDirectory.open(request.out)
    with run.told_if_damaged():
        then = Recipe.from_json(run.read_info()["recipe"])
    if then.name != request.recipe.name:
        return request  # refused, with all that differs
    return replace(request, recipe=replace(request.recipe, **{name: getattr(then, name) for name in request.unstated}))


def load_data(request: TrainingRequest) -> TrainingData:
    """Find and split the data of a training, or of the run that goes on; errors as for `load_training_data`."""
    return load_training_data(
        request.dataset,
        request.data_dir,
        request.recipe,
        request.seed,
        image_size=request.image_size,
        color=request.color,
        bits=request.bits,
        spec=_recorded_spec(request),
        selection=_selection(request),
        geometry=request.geometry,
        template=input_of_weights(request),
        mean=request.mean,
        std=request.std,
    )


def _recorded_spec(request: TrainingRequest) -> InputSpec | None:
    # How the pictures of a folder are converted need not be said again, but may be.
    said = (request.image_size, request.color, request.bits, request.mean, request.std)
    if not request.resume or request.geometry.stated or any(value is not None for value in said):
        return None
    run = RunDirectory.open(request.out)
    with run.told_if_damaged():
        return InputSpec.from_json(run.read_info()["input"])


def _selection(request: TrainingRequest) -> Selection:
    if not request.resume or request.min_class_size is not None:
        return Selection(request.min_class_size or 0, fold=request.fold)
    run = RunDirectory.open(request.out)
    with run.told_if_damaged():
        return Selection.recorded(run.read_info()["dataset"])


def prepare(
    chosen: ChosenNetwork,
    data: TrainingData,
    device: torch.device,
    precision: Precision,
    world: World,
    teacher: Teacher | None,
    say: Callable[[str], None],
) -> TrainingTask:
    """Return the network and the batches, on the device; `say` is told how pictures are kept."""
    request, names = chosen.request, data.train.class_names
    # The layout in which convolutions run fastest, on CPUs and NVIDIA's GPUs alike; values don't change.
    layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
    model = chosen.model.to(device, memory_format=layout)  # type: ignore[call-overload]  # torch's stub lacks it
    small = training_spec(data.spec, request.recipe.train_size)
    check_training_size(model, data.spec, small, taught=teacher is not None)
    opener = Opener(request.loading, request.loading.memory_bytes(request.resident_budget), device, world, say)
    train, validation = opener.open(data, request.recipe, request.seed)
    labels = torch.from_numpy(data.train.labels.copy())
    return TrainingTask(
        request.recipe,
        request.seed,
        names,
        model,
        train,
        validation,
        device,
        precision,
        labels,
        world,
        teacher,
        pretrained=chosen.pretrained,
    )


def describe(
    chosen: ChosenNetwork,
    data: TrainingData,
    device: torch.device,
    reason: str,
    precision: Precision,
    world: World,
) -> dict[str, Any]:
    """Return the fields of `run.json` that are known before the training; `reason` is that of the device."""
    request = chosen.request
    name = _device_name(device, world)
    return {
        "recipe": request.recipe.to_json(),
        "seed": request.seed,
        "dataset": {**data.to_json(), "source": _absolute(request.dataset)},
        "class_names": list(data.train.class_names),
        "input": data.spec.to_json(),
        **({} if chosen.record is None else {"backbone": chosen.record}),
        **({} if (name_of_launch := launch()) is None else {"launch": name_of_launch}),
        "device": {"type": device.type, "name": name, "reason": reason, "processes": world.size},
        "precision": {"amp": precision.name, "reason": precision.reason},
        "deterministic": request.deterministic,
        "versions": versions(),
        "git_commit": git_commit(Path()),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _device_name(device: torch.device, world: World) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    threads = world.compute_threads
    return "Apple GPU" if device.type == "mps" else f"{threads} CPU thread{'s' if threads > 1 else ''}"


def _absolute(ref: DatasetRef) -> str:
    return ref.kind if ref.path is None else f"{ref.kind}:{ref.path.absolute()}"
