"""Train recipes over several seeds, measure their exported files, and write docs/reference/results.md.

Run: python -m benchmarks.recipe_results.reproduce [RECIPE...] [--seeds 3] [--int8]
"""

import sys
from pathlib import Path

import click

from benchmarks.recipe_results.benchmark_model import BenchmarkModel
from benchmarks.recipe_results.documents import DOCUMENTS
from benchmarks.recipe_results.results_file import merge_results, read_results, write_results
from benchmarks.recipe_results.results_page import render_results
from torchstone_runtime.cli.progress_line import progress_shown
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.errors import TorchstoneError, UsageError
from torchstone_runtime.files import require_writable_parent, write_atomic
from torchstone_train.compute.openmp import wait_passively


@click.command()
@click.argument("recipes", nargs=-1)
@click.option("--dataset", type=click.Choice(["digits", "fashion-mnist", "mnist"]), help="[each recipe's own]")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Trainings a recipe: 0, 1, ...")
@click.option("--int8", is_flag=True, help="Export int8 as well, and measure it where it is accepted.")
@click.option(
    "--out", default="runs/reproduce", show_default=True, type=click.Path(path_type=Path), help="Runs, bundles."
)
@click.option(
    "--results",
    default="docs/reference/results.md",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The page.",
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where datasets lie [TORCHSTONE_DATA, or ./data].")
def reproduce(
    recipes: tuple[str, ...],
    dataset: str | None,
    seeds: int,
    int8: bool,
    out: Path,
    results: Path,
    data_dir: Path | None,
) -> None:
    """Train RECIPES over several seeds, export them, measure the files clean and corrupted, and write the page.

    A+B in place of a recipe is the cascade of both (`torchstone export --fast`), A+B-mirror the one with --mirror.
    Without RECIPES: those of the starting documents. The page's data lies beside it, as .json; what other recipes
    reached stays there. What is finished under --out is not repeated: after an interruption, start the same command
    again.
    """
    _require_recipes(recipes, dataset, results)
    file = results.with_suffix(".json")
    require_writable_parent(results)
    read_results(file)  # before hours of training, not after
    wait_passively()
    from benchmarks.recipe_results.measure import measure_recipes  # noqa: PLC0415 - loads PyTorch

    with progress_shown():
        measured = measure_recipes(
            *(tuple(dict.fromkeys(recipes)) or tuple(DOCUMENTS), range(seeds), out, data_dir or default_data_dir()),
            lambda line: click.echo(line, err=True),
            dataset=dataset,
            int8=int8,
        )
    merged = merge_results(read_results(file), measured)
    write_results(file, merged)
    write_atomic(results, render_results(merged))
    click.echo(f"wrote {results} and {file}")


def _require_recipes(recipes: tuple[str, ...], dataset: str | None, results: Path) -> None:
    for recipe in recipes:
        BenchmarkModel.parse(recipe)
    if dataset is not None and not recipes:
        raise UsageError("--dataset without a recipe.", "Name the recipes that are to be trained on it.")
    if results.suffix == ".json":
        raise UsageError(
            f"{results} is where the page's data would lie.", "Name the page, such as docs/reference/results.md."
        )


if __name__ == "__main__":
    try:
        reproduce()
    except TorchstoneError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
