"""`torchstone train | recipes | download`. PyTorch is imported only when a command runs."""

import os
from pathlib import Path
from typing import Any, Final

import click

from torchstone_runtime.cli.command import command
from torchstone_runtime.cli.options import BITS_OPTION, BUNDLE_PATH, DATA_DIR_OPTION, data_option, out_option
from torchstone_runtime.components import require_component
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.errors import UsageError
from torchstone_runtime.files import numbered_directory
from torchstone_runtime.text import showable_lines
from torchstone_train.compute.openmp import wait_passively
from torchstone_train.recipes.catalog import OVERRIDABLE, RECIPES, get_recipe
from torchstone_train.recipes.measured import load_measured

EXIT_INTERRUPTED: Final = 130
_CASCADE: Final = "a cascade: the first answers where it is sure; torchstone export RUN --fast FAST_RUN"


class _ImageSize(click.ParamType[tuple[int, int]]):
    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:  # noqa: ANN401
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split("x")
        if len(parts) not in (1, 2) or not all(part.isdigit() and int(part) > 0 for part in parts):
            self.fail(f"'{value}' is not a size; write 64, or 48x64 for height x width.", param, ctx)
        return int(parts[0]), int(parts[-1])


@command()
@click.argument("recipe")
@data_option(required=True)
@DATA_DIR_OPTION
@out_option("runs/RECIPE-1, the first number that is free", what="Run directory to write.")
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu or cuda; cuda never falls back to the CPU."
)
@click.option("--epochs", type=int, help="At most this many [the recipe's].")
@click.option("--target-accuracy", type=float, help="Stop once validation reaches it; 0: no target [the recipe's].")
@click.option("--patience", type=int, help="Epochs without improvement before stopping; 0: never [the recipe's].")
@click.option("--min-delta", type=float, help="Smallest gain of validation accuracy that counts [the recipe's].")
@click.option("--batch-size", type=int, help="Images a step [the recipe's].")
@click.option("--lr", type=float, help="Learning rate [the recipe's].")
@click.option("--optimizer", type=click.Choice(["adam", "adamw", "sgd"]), help="[the recipe's]")
@click.option("--weight-decay", type=float, help="[the recipe's]")
@click.option("--decay-biases/--no-decay-biases", default=None, help="Whether it draws biases to 0 [the recipe's].")
@click.option("--momentum", type=float, help="Of sgd [the recipe's].")
@click.option("--nesterov/--no-nesterov", default=None, help="Nesterov's momentum [the recipe's].")
@click.option("--ema", type=float, help="Decay of the moving average of the weights; 0: none [the recipe's].")
@click.option("--fused/--no-fused", default=None, help="All weights updated in one kernel [the recipe's].")
@click.option("--label-smoothing", type=float, help="[the recipe's]")
@click.option(
    "--teacher",
    "teachers",
    type=BUNDLE_PATH,
    multiple=True,
    help="A bundle whose answers are learnt beside the labels; may be given several times.",
)
@click.option("--distill-weight", type=float, help="Share of the teacher's loss, 0 to 1 [the recipe's].")
@click.option("--distill-temperature", type=float, help="That softens both answers [the recipe's].")
@click.option("--schedule", type=click.Choice(["constant", "cosine", "one-cycle"]), help="Of the rate [the recipe's].")
@click.option(
    "--augment",
    type=click.Choice(["none", "flip", "shift", "flip-shift", "shift-erase", "flip-shift-erase"]),
    help="[the recipe's]",
)
@click.option("--flips", type=click.Choice(["random", "alternating"]), help="How images are flipped [the recipe's].")
@click.option("--amp", type=click.Choice(["off", "auto", "bf16", "fp16"]), help="Mixed precision [the recipe's].")
@click.option(
    "--monitor",
    type=click.Choice(["accuracy", "f1_macro", "f1_weighted", "loss"]),
    help="Validation figure by which the best epoch is chosen [the recipe's].",
)
@click.option("--val-fraction", type=float, help="Share of the training data held out for validation [the recipe's].")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1))
@click.option("--image-size", type=_ImageSize(), help="For folders: 64, or HEIGHTxWIDTH [the pictures' own, or 64].")
@click.option("--color", type=click.Choice(["L", "RGB"]), help="For folders [L if all pictures are gray].")
@BITS_OPTION
@click.option("--stream", is_flag=True, help="Read images from their files as needed, even if they fit in memory.")
@click.option(
    "--deterministic/--no-deterministic",
    default=True,
    show_default=True,
    help="Same seed, same weights; no: faster GPU.",
)
@click.option("--resume", is_flag=True, help="Go on with the run at --out after a kill or Ctrl-C.")
@click.option("--overwrite", is_flag=True, help="Replace a run that is at --out already.")
def train(recipe: str, dataset: str, data_dir: Path | None, **options: Any) -> int:  # noqa: ANN401
    """Train RECIPE (see `torchstone recipes`) and write a run directory.

    Ctrl-C keeps the best epoch so far: the run can be exported, or resumed. On several GPUs or processes:
    torchrun --nproc-per-node N -m torchstone_runtime train RECIPE ...
    """
    resolved = get_recipe(recipe).with_overrides({name: options.pop(name) for name in OVERRIDABLE & options.keys()})
    require_component("train", "torch", "torchvision", "safetensors", "tqdm")
    if options["teachers"]:
        require_component("cpu", "onnxruntime")
    elif resolved.teacher:
        click.echo(f"Note: {recipe}'s results were reached with a bundle of {resolved.teacher} as --teacher.", err=True)
    wait_passively()
    from torchstone_runtime.data.catalog import DatasetRef  # noqa: PLC0415 - loads NumPy
    from torchstone_train.session import TrainingRequest  # noqa: PLC0415 - loads PyTorch
    from torchstone_train.session import train as run_training  # noqa: PLC0415
    from torchstone_train.training.stopping import StopReason  # noqa: PLC0415

    ref = DatasetRef.parse(dataset)
    budget = 0 if options.pop("stream") else None
    out = options.pop("out") or _default_out(resolved.name, resume=options["resume"])
    outcome = run_training(
        TrainingRequest(
            recipe=resolved,
            dataset=ref,
            data_dir=data_dir or default_data_dir(),
            resident_budget=budget,
            out=out,
            **options,
        )
    )
    if outcome.stop_reason is StopReason.INTERRUPTED:
        return EXIT_INTERRUPTED
    if os.environ.get("RANK", "0") != "0":  # of several processes the first one speaks
        return 0
    click.echo(showable_lines([f"run: {out}", f"next: torchstone export {out}"]))
    return 0


def _default_out(recipe: str, *, resume: bool) -> Path:
    if resume:
        raise UsageError("--resume goes on with a run; none was named.", "Name it with --out.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("Several processes must agree on the run directory.", "Name it with --out.")
    return numbered_directory(Path("runs"), recipe)


@command()
def recipes() -> None:
    """List the recipes, and cascades of two, with their measured results (docs/results.md has the whole of them)."""
    measured = load_measured()
    summaries = {item.recipe: _CASCADE for item in measured if item.recipe not in RECIPES}
    summaries = {name: recipe.summary for name, recipe in RECIPES.items()} | summaries
    width = max(map(len, summaries))
    for name, summary in summaries.items():
        click.echo(f"{name:<{width}}  {summary}")
        for item in measured:
            if item.recipe == name:
                click.echo(f"{'':<{width}}  {item}")


@command(examples=("torchstone download fashion-mnist --data-dir data",))
@click.argument("dataset")
@DATA_DIR_OPTION
def download(dataset: str, data_dir: Path | None) -> None:
    """Fetch DATASET (fashion-mnist or mnist) with torchvision, which checks its checksums."""
    require_component("train", "torch", "torchvision")
    from torchstone_train.data.download import ensure_downloaded  # noqa: PLC0415 - loads NumPy

    directory = data_dir or default_data_dir()
    fetched = ensure_downloaded(dataset, directory)
    for path in fetched:
        click.echo(f"wrote {path}")
    if not fetched:
        click.echo(f"{dataset} is in {directory} already.")
