"""One training from request to result: data, device, run directory, loop."""

import math
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from torchstone_runtime.errors import CheckFailedError, OutputError, UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.progress import stage
from torchstone_train.compute.allocator import freed_memory_kept
from torchstone_train.compute.compilation import require_compiler
from torchstone_train.compute.depthwise import depthwise_share
from torchstone_train.compute.device import choose_device, set_determinism
from torchstone_train.compute.distributed import World, joined_world
from torchstone_train.compute.precision import Precision, choose_precision
from torchstone_train.compute.torch_settings import usual_settings
from torchstone_train.data.augmented_samples import augmented_samples
from torchstone_train.data.batches import StreamedBatches
from torchstone_train.data.describe import describe_data
from torchstone_train.data.training_data import TrainingData
from torchstone_train.data.training_size import describe_training_size
from torchstone_train.network_choice import ChosenNetwork, describe_network, open_network, resolve_backbone
from torchstone_train.networks.penultimate import penultimate_features
from torchstone_train.preparation import describe, load_data, prepare, with_recorded_stages
from torchstone_train.probe.fitting import ProbeFit, require_probe
from torchstone_train.probe.head import begin_head
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.report.experiment_logs import open_log, require_logs
from torchstone_train.report.feature_map import shown_on_map
from torchstone_train.report.run_results import RunResults, settings_of
from torchstone_train.request import TrainingRequest
from torchstone_train.restart import gone_on_with
from torchstone_train.run.run_claim import claimed, holds_run, remove_partial_files, remove_run
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.class_balance import are_balanced
from torchstone_train.training.distill import Teacher
from torchstone_train.training.loop import TrainingLoop
from torchstone_train.training.observer import TrainingObserver
from torchstone_train.training.progress import Progress
from torchstone_train.training.resumption import carried_on, schedule_warning
from torchstone_train.training.stopping import StopReason
from torchstone_train.training.task import Outcome, TrainingTask
from torchstone_train.training.validate import ValidationPass, answer_all

__all__ = ["TrainingRequest", "train"]

_MAX_SEED = 2**32 - 1
_FIGURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "f1_weighted": "weighted F1",
    "loss": "loss",
}


@usual_settings()
def train(request: TrainingRequest) -> Outcome:
    """Train as requested and leave the run at `request.out`.

    Raises:
        UsageError: options that contradict each other or the run to be resumed.
        DataError: the data is missing or unusable, or is not the data of the run to be resumed.
        ProviderError: `cuda` or `mps` was asked for and is not usable, or nothing can be compiled.
        BundleError: a teacher can't be loaded.
        OutputError: the run can't be written.
        CheckFailedError: the loss became NaN or infinite; the best epoch before that is kept.
    """
    if not 0 <= request.seed <= _MAX_SEED:
        raise UsageError(f"--seed must lie in 0 to {_MAX_SEED}.")
    device, reason = choose_device(request.device)
    require_logs(request.logs)
    set_determinism(wanted=request.deterministic)
    with freed_memory_kept(), joined_world(device) as world, ExitStack() as opened:
        request = resolve_backbone(with_recorded_stages(gone_on_with(request, world, opened)))
        if request.recipe.method == "probe":
            require_probe(request.recipe, teachers=request.teachers, processes=world.size)
        world.check_batch(request.recipe.batch_size)
        opened.callback(torch.set_num_threads, torch.get_num_threads())  # an export after it would round otherwise
        torch.set_num_threads(world.compute_threads)
        require_compiler(request.recipe.compile, world.place(device), deterministic=request.deterministic)
        with world.first_goes_ahead():  # it downloads what is missing
            data = load_data(request)
        place = world.place(device)
        teacher = None
        if request.teachers:
            teacher = opened.enter_context(Teacher.open(request.teachers, data, place, world.compute_threads))
        with world.first_goes_ahead():
            if world.is_first:
                opened.enter_context(claimed(request.out))
                if not request.resume:
                    holds_run(request.out, overwrite=request.overwrite)  # before weights are downloaded
        with world.first_goes_ahead():
            chosen = open_network(request, data.spec, len(data.train.class_names))
        return _train_in_world(chosen, world, place, reason, data, teacher, opened)


def _train_in_world(
    chosen: ChosenNetwork,
    world: World,
    device: torch.device,
    reason: str,
    data: TrainingData,
    teacher: Teacher | None,
    opened: ExitStack,
) -> Outcome:
    request = chosen.request
    progress = request.progress or Progress(request.recipe.epochs, silent=not world.is_first)
    precision = choose_precision(request.recipe.amp, device, partial(depthwise_share, chosen.model, _one_image(data)))
    info = describe(chosen, data, device, reason, precision, world)
    if teacher is not None:
        info["teachers"] = teacher.to_json()
    run, begins = RunDirectory(request.out), world.is_first and not request.resume
    with world.first_goes_ahead():
        stands = world.is_first and _check_out(request, info)
    announced = (
        *_describe_place(device, reason, precision, request.recipe, world),
        *_describe_choices(chosen, data),
        *(
            f"teacher  {member['name']} ({member['variant']}, seed {member['seed']})"
            for member in info.get("teachers", ())
        ),
    )
    for line in announced:
        progress.announce(line)
    try:
        if begins and not stands:
            # First of all: a kill while the images are read leaves what --resume takes for a run.
            _begin(request, info)
        task = prepare(chosen, data, device, precision, world, teacher, progress.say)
        if request.figures:
            task = replace(task, featured=shown_on_map(data.validation.labels))
        results = _results(request, run, info, progress, opened) if world.is_first else None
        observers = results.observers() if results else ()
        # A crop for each image, drawn at random, would make another head for each seed and fold, and a worse one.
        still = StreamedBatches(data.train, device) if request.recipe.transforms else task.train
        begun = begin_head(task, still, data.spec, run, progress, resumed=request.resume)
        loop = _loop(task, run, info, progress, observers, data.spec, begun=begun)
        if isinstance(loop, TrainingLoop) and not request.resume:
            loop.compile()
        with world.first_goes_ahead():  # the others would take the earlier run's checkpoint for their own
            if begins and stands:
                # Last of all: until nothing but the training itself can fail, the earlier run stays.
                _begin(request, info)
                stands = False
        outcome = loop.fit()
    except BaseException:
        if begins and not stands:
            _discard_unusable(run)
        raise
    progress.say(_summary(outcome, request.recipe.monitor, unequal=are_balanced("auto", task.labels)))
    if results and results.wanted and outcome.best is not None:
        _write_results(results, outcome, task, data)
    _conclude(outcome, run, progress)
    return outcome


def _describe_place(device: torch.device, reason: str, precision: Precision, recipe: Recipe, world: World) -> list[str]:
    processes = f", {world.size} processes" if world.size > 1 else ""
    asked = [] if recipe.amp == "off" else [f"amp      {precision.name} ({precision.reason})"]
    if recipe.compile != "off":
        asked.append(f"compile  {recipe.compile} (torch.compile)")
    return [f"device   {device} ({reason}){processes}", *asked]


def _describe_choices(chosen: ChosenNetwork, data: TrainingData) -> list[str]:
    request = chosen.request
    fitted = request.geometry.fit is not None or chosen.record is not None
    schedule = schedule_warning(RunDirectory(request.out), request.recipe) if request.resume else ()
    told = describe_data(data, bits_stated=request.bits is not None, fit_stated=fitted)
    size = describe_training_size(data.spec, request.recipe.train_size)
    return [*told, *describe_network(chosen, data.spec), *size, *schedule]


def _loop(
    task: TrainingTask,
    run: RunDirectory,
    info: dict[str, Any],
    progress: Progress,
    observers: Sequence[TrainingObserver],
    spec: InputSpec,
    *,
    begun: bool,
) -> TrainingLoop | ProbeFit:
    if task.recipe.method == "probe":
        return ProbeFit(task, run, info, progress, observers, spec)
    return TrainingLoop(task, run, info, progress, observers, begun=begun)


def _write_results(results: RunResults, outcome: Outcome, task: TrainingTask, data: TrainingData) -> None:
    if outcome.answers is None:
        with stage("measuring the best epoch"):
            outcome.answers = answer_all(task.model, task.validation, task.class_names, task.device, task.featured)
    seen = ValidationPass.of_answers(data.validation, outcome.answers)
    results.show_augmented(partial(augmented_samples, task.train, data.train, task.recipe, task.seed))
    results.write(outcome, seen, data.test, partial(penultimate_features, task.model, device=task.device))


def _one_image(data: TrainingData) -> torch.Tensor:
    return torch.zeros(1, data.spec.channels, data.spec.height, data.spec.width, dtype=torch.uint8)


def _check_out(request: TrainingRequest, info: dict[str, Any]) -> bool:
    """Check what is at `--out`; return whether a run stands there that is to be replaced."""
    if not request.resume:
        return holds_run(request.out, overwrite=request.overwrite)
    if request.overwrite:
        raise UsageError("--resume and --overwrite contradict each other.", "Leave one out.")
    info.update(carried_on(RunDirectory.open(request.out), info))
    remove_partial_files(request.out)
    return False


def _begin(request: TrainingRequest, info: dict[str, Any]) -> None:
    run = RunDirectory.create(request.out, overwrite=request.overwrite)
    nothing_yet = {"stop_detail": "", "epochs_run": 0, "best_epoch": 0, "seconds": 0.0, "metrics": {"validation": None}}
    run.write_info({**info, "stop_reason": str(StopReason.RUNNING), **nothing_yet})


def _discard_unusable(run: RunDirectory) -> None:
    # Nothing was learnt yet: half a run would only be in the way of the next try.
    if not run.has_weights:
        with suppress(OutputError):  # what went wrong before it is what matters
            remove_run(run.path)


def _results(
    request: TrainingRequest, run: RunDirectory, info: dict[str, Any], progress: Progress, opened: ExitStack
) -> RunResults:
    title, settings = _title(request), settings_of(info)
    logs = {name: open_log(name, request.out, settings, title) for name in dict.fromkeys(request.logs)}
    results = RunResults(run, title, progress.say, logs, drawn=request.figures)
    opened.callback(results.leave)
    return results


def _title(request: TrainingRequest) -> str:
    ref, recipe = request.dataset, request.recipe
    name = recipe.name if recipe.method == "scratch" else f"{recipe.name} of {recipe.architecture}"
    return f"{name} on {ref.kind if ref.path is None else ref.path.name}"


def _conclude(outcome: Outcome, run: RunDirectory, progress: Progress) -> None:
    if outcome.stop_reason is StopReason.NON_FINITE_LOSS:
        kept = f"The best epoch, {outcome.best_epoch}, is kept." if outcome.best_epoch else "No epoch was completed."
        kept = "The weights with the fitted last layer are kept." if outcome.is_beginning else kept
        raise CheckFailedError(f"Training stopped: {outcome.detail}. {kept}", "Lower the learning rate: --lr.")
    if outcome.stop_reason is StopReason.INTERRUPTED:
        progress.say(f"The run at {run.path} can be exported; --resume continues it.")


def _summary(outcome: Outcome, monitor: str, *, unequal: bool) -> str:
    words = {
        StopReason.MAX_EPOCHS: "all epochs done",
        StopReason.EARLY_STOPPING: "stopped early: no improvement within the patience",
        StopReason.TARGET_REACHED: "target accuracy reached",
        StopReason.INTERRUPTED: f"interrupted {outcome.detail}",
        StopReason.NON_FINITE_LOSS: outcome.detail,
    }
    figures = outcome.best or {}
    shown = ["accuracy", *(("balanced_accuracy", "f1_macro") if unequal else ()), monitor]
    best_figures = ", ".join(f"{_FIGURES[name]} {figures.get(name, math.nan):.4f}" for name in dict.fromkeys(shown))
    best = f"best epoch {outcome.best_epoch}" if outcome.best_epoch else "unfinished first epoch"
    best = "best before the first epoch, with the fitted last layer" if outcome.is_beginning else best
    by = "" if monitor == "accuracy" else f" (by validation {_FIGURES[monitor]})"
    return f"{words[outcome.stop_reason]}; {best}{by}, validation {best_figures}"
