"""`torchstone train`."""

import os
from dataclasses import fields
from pathlib import Path
from shlex import quote
from typing import Any, Final

import click

from torchstone_runtime.cli.command import command
from torchstone_runtime.cli.options import DATA_DIR_OPTION, data_option, json_option, out_option
from torchstone_runtime.cli.output import is_quiet, is_verbose, print_result, require_writable, tell, warn
from torchstone_runtime.cli.progress_line import loading_shown
from torchstone_runtime.components import require_component
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.errors import UsageError
from torchstone_runtime.files import numbered_directory
from torchstone_runtime.text import showable, showable_lines
from torchstone_train.cli.option_types import RecipeName
from torchstone_train.cli.repeated_options import repeated_options
from torchstone_train.cli.train_folds import train_folds
from torchstone_train.cli.train_options import take_fields, train_options
from torchstone_train.cli.train_settings import Settings, read_config, read_run, require_whole_run
from torchstone_train.compute.openmp import wait_passively
from torchstone_train.recipes.fields import parse_assignments
from torchstone_train.recipes.recipe import FieldError, Recipe
from torchstone_train.recipes.resolve import get_recipe, resolve_recipe, unstated_stages, with_backbone

EXIT_INTERRUPTED: Final = 130
_LOADING: Final = ("cache", "cache_size", "cache_dir", "workers")


@command(
    examples=(
        "torchstone train cnn3 --data fashion-mnist",
        "torchstone train finetune --backbone resnet18 --data folder:photos -o runs/photos",
        "torchstone train stone-s --data folder:photos --augment random-resized-crop,flip,trivial-augment --cache disk",
        "torchstone train --config train.toml --seed 1",
    )
)
@click.argument("recipe", type=RecipeName(), required=False)
@data_option()
@DATA_DIR_OPTION
@out_option("runs/RECIPE-1, the first number that is free")
@json_option
@train_options
@click.pass_context
def train(
    context: click.Context,
    /,
    recipe: str | None,
    config_file: Path | None,
    repeated: Path | None,
    assignments: tuple[str, ...],
    json_file: Path | None,
    **options: Any,  # noqa: ANN401 - the other options, as declared above
) -> int:
    """Train RECIPE (see `torchstone recipes`) and write a run directory.

    Ctrl-C keeps the best epoch so far: the run can be exported, or resumed. On several GPUs or processes:
    torchrun --nproc-per-node N -m torchstone_runtime train RECIPE ...
    """
    given = take_fields(options)
    stated = {name: value for name, value in options.items() if value not in (None, ())}
    earlier = _earlier(config_file, repeated, context, stated)
    assigned = parse_assignments(assignments)
    fields = {**earlier.fields, **assigned, **given}
    options = {**_without_other_fit(earlier.options, stated, fields), **stated}
    require_whole_run(options.pop("lone_fold", None), options.get("folds"))
    chosen = with_backbone(_chosen(recipe, earlier, repeated), options.pop("backbone", None), options.pop("head", None))
    options = {**_taken_levels(fields, chosen), **options}
    resolved = _resolved(chosen, fields, {**dict.fromkeys(assigned, "--set "), **dict.fromkeys(given, "--")})
    require_writable([json_file])
    folds = options.pop("folds", None)
    options["unstated"] = unstated_stages(fields)
    outcome_code, out = _train(resolved, options, folds, json_file)
    if folds or outcome_code or os.environ.get("RANK", "0") != "0":  # of several processes the first one speaks
        return outcome_code
    from torchstone_train.run.run_dir import RunDirectory

    print_result(
        json_file,
        lambda: {"run": str(out), **RunDirectory.open(out).read_info()},
        lambda: showable_lines([f"run: {out}", f"next: torchstone export {quote(str(out))}"]),
    )
    return 0


def _earlier(
    config_file: Path | None, repeated: Path | None, context: click.Context, stated: dict[str, Any]
) -> Settings:
    run = read_run(repeated) if repeated is not None else Settings()
    config = Settings() if config_file is None else read_config(config_file, context)
    if run.recipe is not None and config.recipe is not None:
        raise UsageError(f"--from repeats a run, and {config_file} names a recipe.", "Leave one of them out.")
    kept = repeated_options(run, {**config.options, **stated})
    return Settings(run.recipe or config.recipe, {**kept, **config.options}, config.fields)


def _without_other_fit(earlier: dict[str, Any], stated: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    earlier = {name: value for name, value in earlier.items() if name not in fields}  # --set mean=0.4 wins
    # What a file or a run says of its own fit means nothing to another one.
    if stated.get("fit", earlier.get("fit")) == earlier.get("fit"):
        return earlier
    return {name: value for name, value in earlier.items() if name not in ("resize", "fill")}


def _taken_levels(fields: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Take mean and std out of the fields where a backbone's weights state them, which options alone replace."""
    names = () if recipe.method == "scratch" else [name for name in ("mean", "std") if name in fields]
    return {name: (fields.pop(name),) for name in names}


def _chosen(recipe: str | None, earlier: Settings, repeated: Path | None) -> Recipe:
    if recipe is not None and repeated is not None:
        raise UsageError("--from repeats the recipe of a run.", "Leave RECIPE out; change its fields with --set.")
    if recipe is not None:
        return get_recipe(recipe)
    if earlier.recipe is None:
        raise UsageError("No recipe was named.", "Give RECIPE; torchstone recipes lists them.")
    return earlier.recipe


def _resolved(recipe: Recipe, fields: dict[str, Any], prefixes: dict[str, str]) -> Recipe:
    """Return the recipe with its fields replaced; a mistake is told as it was typed: `--batch-size`, `--set ema`."""
    try:
        return resolve_recipe(recipe, fields)
    except FieldError as error:
        prefix = prefixes.get(error.field, "")
        typed = error.field.replace("_", "-") if prefix == "--" else error.field
        raise FieldError(f"{prefix}{typed}", error.expected) from error


def _train(recipe: Recipe, options: dict[str, Any], folds: int | None, json_file: Path | None) -> tuple[int, Path]:
    """Train, and return the exit code and the run directory."""
    dataset, taught = options.pop("dataset", None), options.pop("taught", None)
    if dataset is None:
        raise UsageError("Missing option '--data'.", 'Such as --data digits, or data = "digits" in --config.')
    if taught and not options.get("teachers"):
        raise UsageError(
            f"That run had a teacher ({', '.join(taught)}), and run.json does not say where its bundle is.",
            "Name it with --teacher.",
        )
    if (lost := options.pop("lost_weights", None)) and not options.get("weights"):
        raise UsageError(
            f"That run started from the weights {showable(lost)}, and run.json does not say where they are.",
            "Name the file with --weights.",
        )
    require_component("train", "torch", "torchvision", "safetensors", "tqdm")
    if options.get("teachers"):
        require_component("cpu", "onnxruntime")
    elif recipe.teacher:
        tell(f"Note: {recipe.name}'s results were reached with a bundle of {recipe.teacher} as --teacher.")
    wait_passively()
    with loading_shown("PyTorch"):
        import torch._dynamo  # noqa: F401 - PyTorch imports it when it first computes, which takes seconds

        from torchstone_runtime.data.catalog import DatasetRef
        from torchstone_train.data.picture_geometry import PictureGeometry
        from torchstone_train.data.picture_loading import Loading
        from torchstone_train.run_training import TrainingRequest
        from torchstone_train.run_training import train as run_training
        from torchstone_train.training.progress import Progress, make_progress
        from torchstone_train.training.stopping import StopReason

    ref = DatasetRef.parse(dataset)
    name = recipe.name if folds is None else f"{recipe.name}-folds"
    out = options.pop("out", None) or _default_out(name, resume=options["resume"])
    data_dir = options.pop("data_dir", None) or default_data_dir()
    loading = Loading(**{name: options.pop(name) for name in _LOADING if name in options})
    budget = 0 if options.pop("stream", False) else None
    geometry = PictureGeometry(**{field.name: options.pop(field.name, None) for field in fields(PictureGeometry)})
    progress = make_progress(recipe.epochs, _only_warnings) if is_quiet() else None
    if is_verbose():
        progress = Progress(recipe.epochs, silent=os.environ.get("RANK", "0") != "0", detailed=True)
    request = TrainingRequest(
        recipe=recipe,
        dataset=ref,
        data_dir=data_dir,
        out=out,
        resident_budget=budget,
        loading=loading,
        geometry=geometry,
        progress=progress,
        **options,
    )
    if folds is not None:
        return 0 if train_folds(request, folds, json_file) else EXIT_INTERRUPTED, out
    outcome = run_training(request)
    return EXIT_INTERRUPTED if outcome.stop_reason is StopReason.INTERRUPTED else 0, out


def _only_warnings(line: str) -> None:
    if line.startswith("Warning"):
        warn(line)


def _default_out(recipe: str, *, resume: bool) -> Path:
    if resume:
        raise UsageError("--resume continues a run; none was named.", "Name it with --out.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("Several processes must agree on the run directory.", "Name it with --out.")
    return numbered_directory(Path("runs"), recipe)
