"""Train recipes over several seeds and measure the *exported* files on the test split, clean and corrupted."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.recipe_results.benchmark_model import BenchmarkModel
from benchmarks.recipe_results.results_file import RecipeResult, SeedResult, ServedFile
from torchstone_export.model import load_trained
from torchstone_export.pipeline import CascadeSource, ExportRequest, RunSource, export_run
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.errors import BundleError, CheckFailedError, DataError
from torchstone_runtime.evaluation.evaluate import evaluate
from torchstone_runtime.evaluation.robustness import Robustness, measure_robustness
from torchstone_runtime.files import write_atomic
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.metrics.classification import Metrics
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import processor_name
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.run_training import TrainingRequest, train
from torchstone_train.training.stopping import StopReason

_FINISHED: Final = {StopReason.MAX_EPOCHS, StopReason.EARLY_STOPPING}
_RECORD_VERSION: Final = 1
"""Raised where a record holds other figures than before, so that finished runs are measured again."""


def measure_recipes(
    recipes: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    data_dir: Path,
    say: Callable[[str], None],
    *,
    dataset: str | None = None,
    int8: bool = False,
) -> list[RecipeResult]:
    """Train, export and measure every recipe with every seed; what is finished already under `out` is not repeated.

    Args:
        recipes: names of recipes, and of cascades (`BenchmarkModel.parse`), whose bundles are made of the recipes'
            runs.
        seeds: of the trainings.
        out: holds `NAME/seed-N` (the run), `NAME/seed-N.bundle` and `NAME/seed-N.json` (what was measured); on
            another dataset than its own, the folder is `NAME-on-DATASET`.
        data_dir: where datasets lie.
        say: is given a line for people now and then.
        dataset: that all are trained on; each on its own if None.
        int8: whether an int8 variant is exported as well, and measured where the bundle serves it.

    Raises:
        DataError: the data is missing, or a run was made with other settings.
        CheckFailedError: a training or an export failed, or was interrupted; what is finished stays.
    """
    results: list[RecipeResult] = []
    seconds: list[float] = []
    for wanted in map(BenchmarkModel.parse, recipes):
        chosen = dataset or wanted.dataset
        of_seeds = []
        for seed in seeds:
            say(f"{wanted.name} on {chosen}, seed {seed}")
            begun = time.monotonic()
            result = _reproduce_one(wanted, chosen, seed, out, data_dir, int8=int8)
            seconds.append(time.monotonic() - begun)
            come = _come(seconds, len(recipes) * len(seeds))
            say(f"{wanted.name} on {chosen}, seed {seed}: {_headline(result)}; {come}")
            of_seeds.append(result)
        results.append(RecipeResult.of(wanted.name, chosen, wanted.settings(), of_seeds))
    return results


def _come(seconds: Sequence[float], count: int) -> str:
    """Return how many of `count` models are done, and the time left if the others take as long as these."""
    left = (count - len(seconds)) * fmean(seconds)
    return f"{len(seconds)} of {count} done" + (f", {timedelta(seconds=round(left))} left" if left else "")


def robustness_record(found: Robustness) -> dict[str, Any]:
    """Return what is kept of a measurement: clean and mean figures, and accuracy by corruption, mildest first."""
    return {
        "seed": found.seed,
        "clean": found.clean.to_json(),
        "corrupted": found.corrupted.to_json(),
        "accuracy": {
            name: [found.settings[name, level].accuracy for level in found.severities] for name in found.corruptions
        },
    }


def _place(out: Path, name: str, dataset: str, seed: int) -> Path:
    folder = name if dataset == BenchmarkModel.parse(name).dataset else f"{name}-on-{dataset}"
    return out / folder / f"seed-{seed}"


def _headline(result: SeedResult) -> str:
    corrupted = result.robustness["corrupted"]["accuracy"] if result.robustness else float("nan")
    return f"test accuracy {result.test['accuracy']:.4f}, on corrupted images {corrupted:.4f}"


def _reproduce_one(
    wanted: BenchmarkModel, dataset: str, seed: int, out: Path, data_dir: Path, *, int8: bool
) -> SeedResult:
    bundle, runs = _finished_bundle(wanted, dataset, seed, out, data_dir, int8=int8)
    return _measured(bundle, Dataset(DatasetRef(dataset), data_dir), runs)


def _finished_bundle(
    wanted: BenchmarkModel, dataset: str, seed: int, out: Path, data_dir: Path, *, int8: bool
) -> tuple[Path, list[Path]]:
    runs = [_finished_run(recipe, dataset, seed, out, data_dir, int8=int8) for recipe in wanted.recipes]
    place = _place(out, wanted.name, dataset, seed)
    place.parent.mkdir(parents=True, exist_ok=True)
    bundle = place.with_name(f"{place.name}.bundle")
    if not _belongs_to(bundle, runs, mirror=wanted.mirror, int8=int8):
        lossy, default = (("int8",), "int8") if int8 else ((), "fp32")
        source: RunSource | CascadeSource = RunSource(runs[-1])
        if wanted.fast:
            source = CascadeSource(run=runs[-1], fast=runs[0], mirror=wanted.mirror)
        export_run(source, ExportRequest(out=bundle, data_dir=data_dir, lossy=lossy, default_variant=default))
    return bundle, runs


def _finished_run(name: str, dataset: str, seed: int, out: Path, data_dir: Path, *, int8: bool) -> Path:
    recipe, run = get_recipe(name), _place(out, name, dataset, seed)
    if not _is_finished(run):
        teachers: tuple[Path, ...] = ()
        if recipe.teacher:
            teacher, _ = _finished_bundle(BenchmarkModel(recipe.teacher), dataset, seed, out, data_dir, int8=int8)
            teachers = (teacher,)
        request = TrainingRequest(
            recipe=recipe, dataset=DatasetRef(dataset), data_dir=data_dir, out=run, seed=seed, teachers=teachers
        )
        request = replace(request, resume=(run / "run.json").is_file())
        if train(request).stop_reason not in _FINISHED:
            raise CheckFailedError(f"The training of {name} with seed {seed} did not finish.", "Start it again.")
    _require_run_of(run, RunDirectory.open(run).read_info(), name, dataset, seed)
    return run


def _require_run_of(run: Path, info: dict[str, Any], recipe: str, dataset: str, seed: int) -> None:
    done, wanted = Recipe.from_json(info["recipe"]), get_recipe(recipe)
    remedy = "Remove it, or choose another --out."
    if replace(done, summary="") != replace(wanted, summary=""):
        raise DataError(f"{run} was made with other settings of {recipe}.", remedy)
    if (info["dataset"]["kind"], info["seed"]) != (dataset, seed):
        raise DataError(f"{run} was made with the seed {info['seed']} on {info['dataset']['kind']}.", remedy)
    taught = [member["name"] for member in info.get("teachers", ())]
    if taught != ([wanted.teacher] if wanted.teacher else []):
        raise DataError(f"{run} was made with other teachers than {recipe} has: {', '.join(taught) or 'none'}.", remedy)


def _is_finished(run: Path) -> bool:
    try:
        return RunDirectory.open(run).read_info()["stop_reason"] in _FINISHED
    except DataError:
        return False


def _belongs_to(path: Path, runs: Sequence[Path], *, mirror: bool, int8: bool) -> bool:
    try:
        bundle = Bundle.open(path)
        tried = "int8" in _certificate(bundle).get("lossy", {})
    except (BundleError, OSError, ValueError):
        return False
    provenance = bundle.manifest.provenance
    cascade = provenance.get("cascade", {})
    stated = [*([cascade["fast"]] if cascade else []), provenance]
    if len(stated) != len(runs) or cascade.get("routing", {}).get("mirror", False) != mirror:
        return False
    return tried == int8 and all(_is_of(part, run) for part, run in zip(stated, runs, strict=True))


def _is_of(provenance: dict[str, Any], run: Path) -> bool:
    info = RunDirectory.open(run).read_info()
    # As recipes: a run written before a field was added lacks it, a bundle made of that run since then does not.
    stated = (Recipe.from_json(provenance["recipe"]), provenance["seed"], provenance["training"]["versions"])
    return stated == (Recipe.from_json(info["recipe"]), info["seed"], info["versions"])


def _certificate(bundle: Bundle) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(bundle.read(bundle.manifest.files["certificate"]))
    return content


def _measured(bundle: Path, dataset: Dataset, runs: Sequence[Path]) -> SeedResult:
    record = bundle.with_suffix(".json")
    with Classifier.load(bundle, provider="cpu") as classifier:
        file = _served(classifier)
        if (known := _read_record(record, file)) is not None:
            return known
        metrics = evaluate(classifier, dataset.test()).metrics
        found = measure_robustness(classifier, dataset.test())
    result = _summarize(runs, metrics, file, found)
    if len(runs) > 1:
        validation = float(Bundle.open(bundle).manifest.metrics["validation"]["accuracy"])
        result = replace(result, train_accuracy=None, seconds_per_epoch=None, validation_accuracy=validation)
    write_atomic(record, strict_json({"record_version": _RECORD_VERSION, **asdict(result)}, indent=1) + "\n")
    return result


def _served(classifier: Classifier) -> ServedFile:
    if classifier.bundle is None:
        raise BundleError("A lone file has no certificate.")
    manifest, variant = classifier.bundle.manifest, classifier.plan.variant
    entry = manifest.variants[variant]
    lines = manifest.certificate["summary"]
    return ServedFile(
        variant=variant,
        size=entry.size,
        sha256=entry.sha256,
        passed=bool(manifest.certificate["passed"]),
        verdict=tuple(line for line in lines if line.startswith((f"{variant}:", "int8:"))),
    )


def _read_record(path: Path, file: ServedFile) -> SeedResult | None:
    """Return what was measured of this very file, None where it was not."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("record_version") != _RECORD_VERSION:
            return None
        result = SeedResult.from_json(data)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if result.file == file else None


def _summarize(runs: Sequence[Path], metrics: Metrics, file: ServedFile, found: Robustness) -> SeedResult:
    directory = RunDirectory.open(runs[-1])
    info, history = directory.read_info(), directory.read_history()
    best = next(record for record in history if record["epoch"] == info["best_epoch"])
    measured = metrics.to_json()
    averages = {f"{name}_{kind}": measured[kind][name] for kind in ("macro", "weighted") for name in measured[kind]}
    return SeedResult(
        seed=info["seed"],
        test={"accuracy": metrics.accuracy, **averages},
        train_accuracy=best["train"]["accuracy"],
        validation_accuracy=best["validation"]["accuracy"],
        epochs_run=info["epochs_run"],
        best_epoch=info["best_epoch"],
        stop_reason=info["stop_reason"],
        seconds_per_epoch=sum(record["seconds"] for record in history) / len(history),
        device=info["device"]["name"],
        processor=processor_name(),
        versions=info["versions"],
        parameters=sum(map(_parameters, runs)),
        file=file,
        robustness=robustness_record(found),
    )


def _parameters(run: Path) -> int:
    return sum(weight.numel() for weight in load_trained(RunDirectory.open(run)).module.parameters())
