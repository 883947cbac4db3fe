"""Train the starting documents' recipes over several seeds and measure the *exported* files on the test split."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torchstone_export.pipeline import ExportRequest, export_run
from torchstone_runtime.bundle import Bundle
from torchstone_runtime.classifier import Classifier
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.errors import BundleError, CheckFailedError, DataError
from torchstone_runtime.evaluation import evaluate
from torchstone_runtime.files import write_atomic
from torchstone_train.documents import DOCUMENTS
from torchstone_train.recipe import Recipe
from torchstone_train.recipes import get_recipe
from torchstone_train.run_dir import RunDirectory
from torchstone_train.session import TrainingRequest, train
from torchstone_train.stopping import StopReason

_FINISHED = {StopReason.MAX_EPOCHS, StopReason.EARLY_STOPPING}


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedResult:
    """One training, as its exported ONNX file did on the test split.

    Attributes:
        recipe, dataset, seed: what was trained.
        test: accuracy, and precision, recall and F1 (macro and weighted), each 0 to 1.
        train_accuracy, validation_accuracy: of the best epoch.
        epochs_run, best_epoch, stop_reason: of the training.
        seconds_per_epoch: mean, training and validation together.
        device: a name for people; versions: of the packages that decide the result.
    """

    recipe: str
    dataset: str
    seed: int
    test: dict[str, float]
    train_accuracy: float
    validation_accuracy: float
    epochs_run: int
    best_epoch: int
    stop_reason: str
    seconds_per_epoch: float
    device: str
    versions: dict[str, str]


def reproduce(
    recipes: Sequence[str], seeds: Sequence[int], out: Path, data_dir: Path, say: Callable[[str], None]
) -> list[SeedResult]:
    """Train, export and measure every recipe with every seed; what is finished already under `out` is not repeated.

    Args:
        recipes: names of recipes that stand for a document.
        seeds: of the trainings.
        out: holds `RECIPE/seed-N` (the run), `RECIPE/seed-N.bundle` and `results.json`.
        data_dir: where datasets lie.
        say: is given a line for people now and then.

    Raises:
        DataError: the data is missing.
        CheckFailedError: a training or an export failed, or was interrupted; what is finished stays.
    """
    results = []
    for recipe in recipes:
        for seed in seeds:
            say(f"{recipe}, seed {seed}")
            result = _reproduce_one(recipe, seed, out, data_dir)
            say(f"{recipe}, seed {seed}: test accuracy {result.test['accuracy']:.4f}")
            results.append(result)
    write_atomic(out / "results.json", json.dumps([asdict(result) for result in results], indent=2) + "\n")
    return results


def _reproduce_one(recipe: str, seed: int, out: Path, data_dir: Path) -> SeedResult:
    dataset = DatasetRef(DOCUMENTS[recipe].dataset)
    run, bundle = out / recipe / f"seed-{seed}", out / recipe / f"seed-{seed}.bundle"
    if not _is_finished(run):
        resume = (run / "run.json").is_file()
        request = TrainingRequest(
            recipe=get_recipe(recipe), dataset=dataset, data_dir=data_dir, out=run, seed=seed, resume=resume
        )
        if train(request).stop_reason not in _FINISHED:
            raise CheckFailedError(f"The training of {recipe} with seed {seed} did not finish.", "Start it again.")
    info = RunDirectory.open(run).read_info()
    if Recipe.from_json(info["recipe"]) != get_recipe(recipe):
        raise DataError(f"{run} was made with other settings of {recipe}.", "Remove it, or choose another --out.")
    if not _belongs_to(bundle, info):
        export_run(ExportRequest(run=run, out=bundle, data_dir=data_dir))
    with Classifier.load(bundle, provider="cpu") as classifier:
        metrics = evaluate(classifier, Dataset(dataset, data_dir).test()).metrics
    return _summarize(recipe, seed, str(dataset), info, metrics.to_json(), RunDirectory.open(run).read_history())


def _is_finished(run: Path) -> bool:
    try:
        return RunDirectory.open(run).read_info()["stop_reason"] in _FINISHED
    except DataError:
        return False


def _belongs_to(bundle: Path, info: dict[str, Any]) -> bool:
    try:
        provenance = Bundle.open(bundle).manifest.provenance
    except BundleError:
        return False
    stated = (provenance["recipe"], provenance["seed"], provenance["training"]["versions"])
    return stated == (info["recipe"], info["seed"], info["versions"])


def _summarize(
    recipe: str, seed: int, dataset: str, info: dict[str, Any], metrics: dict[str, Any], history: list[dict[str, Any]]
) -> SeedResult:
    best = next(record for record in history if record["epoch"] == info["best_epoch"])
    averages = {f"{name}_{kind}": metrics[kind][name] for kind in ("macro", "weighted") for name in metrics[kind]}
    return SeedResult(
        recipe=recipe,
        dataset=dataset,
        seed=seed,
        test={"accuracy": metrics["accuracy"], **averages},
        train_accuracy=best["train"]["accuracy"],
        validation_accuracy=best["validation"]["accuracy"],
        epochs_run=info["epochs_run"],
        best_epoch=info["best_epoch"],
        stop_reason=info["stop_reason"],
        seconds_per_epoch=sum(record["seconds"] for record in history) / len(history),
        device=info["device"]["name"],
        versions=info["versions"],
    )
