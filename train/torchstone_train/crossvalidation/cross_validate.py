"""One network for each fold of the training images, and what they say of the images that they have not seen."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable
from torchstone_train.compute.compilation import require_compiler
from torchstone_train.compute.device import choose_device
from torchstone_train.compute.torch_settings import usual_settings
from torchstone_train.crossvalidation.begun_input import like_first_fold
from torchstone_train.crossvalidation.directory import CrossValidationDirectory
from torchstone_train.crossvalidation.fold_figures import CrossValidationResult, FoldResult, decisions, fold_figures
from torchstone_train.crossvalidation.held_out import predict_held_out
from torchstone_train.crossvalidation.report_files import write_predictions, write_report
from torchstone_train.data.folds import Fold
from torchstone_train.network_choice import resolve_backbone
from torchstone_train.preparation import load_data
from torchstone_train.report.experiment_logs import require_logs
from torchstone_train.request import TrainingRequest
from torchstone_train.run.run_claim import claimed
from torchstone_train.run_training import train
from torchstone_train.training.observer import shielded
from torchstone_train.training.progress import Progress
from torchstone_train.training.stopping import StopReason

_LEAST: Final = 2


@usual_settings()
def cross_validate(request: TrainingRequest, folds: int) -> CrossValidationResult | None:
    """Train a network for each fold of all training images, and measure each on the images that it has not seen.

    Each fold is a run of its own below `request.out`. Its held-out images choose nothing: the epoch is chosen on a
    part of the other folds (`val_fraction`), or on the validation part that the data has. The test part is not read.

    Args:
        request: training as it would be without folds; `out` is the directory of the cross-validation.
        folds: number of folds, 2 or more.

    Returns:
        The results; None where the training was interrupted.

    Raises:
        UsageError, DataError, ProviderError, OutputError, CheckFailedError: as for `session.train`; also options that
            make no sense with folds, and too many folds.
    """
    _require_sensible(request, folds)
    progress = request.progress or Progress(request.recipe.epochs)
    directory = CrossValidationDirectory(request.out)
    settings = _settings(request, folds)
    with claimed(request.out):
        directory.begin(
            settings,
            resume=request.resume,
            overwrite=request.overwrite,
            check=lambda: _require_trainable(_of_fold(request, directory, Fold(1, folds))),
        )
        if directory.has_begun(1):
            request = like_first_fold(request, directory.fold(1))
        for number in range(1, folds + 1):
            progress.later_runs = sum(not directory.is_complete(later) for later in range(number + 1, folds + 1))
            if not _train_fold(directory, request, Fold(number, folds), progress):
                progress.say(f"--resume continues the cross-validation at {showable(str(request.out))}.")
                return None
        result = _collect(directory, request, folds)
        directory.write_info({"settings": settings, "state": "complete", **result.to_json()})
        write_predictions(directory, result.held_out)
        if request.figures:
            _report(directory, request, result, progress.say)
    return result


def _train_fold(directory: CrossValidationDirectory, request: TrainingRequest, fold: Fold, progress: Progress) -> bool:
    """Train the network of a fold where it is not complete; return whether it is now."""
    name = f"fold {fold.number} of {fold.count}"
    if directory.is_complete(fold.number):
        progress.say(f"{name}: complete already")
        return True
    progress.say(f"{name}:")
    asked = replace(
        _of_fold(request, directory, fold),
        resume=directory.has_begun(fold.number),
        overwrite=False,
        progress=progress,
    )
    return train(asked).stop_reason is not StopReason.INTERRUPTED


def _of_fold(request: TrainingRequest, directory: CrossValidationDirectory, fold: Fold) -> TrainingRequest:
    out = directory.fold(fold.number).path
    return replace(request, out=out, fold=fold, min_class_size=request.min_class_size or 0)


def _require_trainable(request: TrainingRequest) -> None:
    # What the training refuses before it begins: hours of earlier folds are not removed for a mistyped name.
    device, _ = choose_device(request.device)
    require_logs(request.logs)
    request = resolve_backbone(request)
    require_compiler(request.recipe.compile, device, deterministic=request.deterministic)
    load_data(request)


def _collect(directory: CrossValidationDirectory, request: TrainingRequest, folds: int) -> CrossValidationResult:
    held_out = predict_held_out(directory, request, folds)
    results = []
    for number in range(1, folds + 1):
        samples, figures = fold_figures(held_out, number)
        run = directory.fold(number)
        results.append(FoldResult(number, samples, figures, run.path.name, int(run.read_info()["best_epoch"])))
    return CrossValidationResult(results, decisions(held_out), held_out)


def _report(
    directory: CrossValidationDirectory,
    request: TrainingRequest,
    result: CrossValidationResult,
    say: Callable[[str], None],
) -> None:
    ref = request.dataset
    title = f"{len(result.folds)} folds of {request.recipe.name} on {ref.kind if ref.path is None else ref.path.name}"
    settings = _settings(request, len(result.folds))
    shielded(lambda: write_report(directory, title, result, settings), "report.html", say)


def _settings(request: TrainingRequest, folds: int) -> dict[str, Any]:
    return {
        # The summary is a sentence for people: another wording trains nothing else.
        "recipe": {key: value for key, value in request.recipe.to_json().items() if key != "summary"},
        "seed": request.seed,
        "folds": folds,
        "data": str(request.dataset),
        "min_class_size": request.min_class_size or 0,
        "weights": request.weights,
    }


def _require_sensible(request: TrainingRequest, folds: int) -> None:
    if folds < _LEAST:
        raise UsageError(f"--folds is {folds}; expected {_LEAST} or more.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("--folds trains in one process.", "Start it without torchrun.")
    if request.teachers:
        raise UsageError(
            "A teacher may have seen the images that a fold holds out.", "Leave --teacher out, or --folds."
        )
