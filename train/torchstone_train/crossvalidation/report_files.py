"""The files of a finished cross-validation: its predictions, and a page for people."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from torchstone_runtime.files import atomic_writer, write_atomic
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.report import sections
from torchstone_runtime.report.csv_files import PredictionsCsv
from torchstone_runtime.report.page import card, escape, facts, render_page, section, table
from torchstone_runtime.text import percent
from torchstone_train.crossvalidation.directory import PREDICTIONS, REPORT, TABLE, CrossValidationDirectory
from torchstone_train.crossvalidation.fold_figures import FIGURES, CrossValidationResult
from torchstone_train.crossvalidation.held_out import HeldOutPredictions
from torchstone_train.report.page import settings_text

_METHOD = (
    '<p class="soft">Each image was predicted by the network of the fold that held it out: that network was neither '
    "trained on it nor was its epoch chosen by it. The test part was not looked at.</p>"
)


def write_predictions(directory: CrossValidationDirectory, held_out: HeldOutPredictions) -> None:
    """Write `predictions.npz` and `predictions.csv`, the images in the order of the data.

    The npz file has `ids` [N], `labels` int64 [N], `probabilities` float32 [N, K], `fold` int64 [N], from 1, and
    `class_names` [K]. The CSV file is as `torchstone evaluate --predictions` writes it.

    Raises:
        OutputError: one can't be written.
    """
    split = held_out.split
    probabilities = held_out.probabilities
    with atomic_writer(directory.path / PREDICTIONS) as file:
        np.savez_compressed(
            file,
            ids=np.array(list(split.ids)),
            labels=split.labels,
            probabilities=probabilities,
            fold=held_out.fold,
            class_names=np.array(split.class_names),
        )
    with atomic_writer(directory.path / TABLE) as file:
        writer = PredictionsCsv(file, split.class_names)
        writer.add(split, 0, Predictions(split.class_names, held_out.logits, probabilities))


def write_report(
    directory: CrossValidationDirectory, title: str, result: CrossValidationResult, settings: Mapping[str, Any]
) -> None:
    """Write `report.html`.

    Args:
        directory: directory that it is written into.
        title: names of the recipe and the data.
        result: figures and predictions.
        settings: settings that the cross-validation was made with.

    Raises:
        OutputError: it can't be written.
        ImageError: a picture that is shown can no longer be read.
    """
    cards = [
        card(f"{result.mean(key):.4f}", f"Mean {name}", f"± {result.deviation(key):.4f} over the folds")
        for key, name in FIGURES.items()
    ]
    recipe = settings["recipe"]
    made = [
        ("Recipe", str(recipe["name"])),
        ("Settings", settings_text({key: value for key, value in recipe.items() if key != "name"})),
        ("Folds", str(settings["folds"])),
        ("Seed", str(settings["seed"])),
        ("Images", f"{len(result.seen):,}"),
    ]
    body = [
        f"<header><h1>{escape(title)}</h1>{_METHOD}</header>",
        f'<div class="cards">{"".join(cards)}</div>',
        section("The folds", _folds(result)),
        sections.decision_sections(result.seen),
        section("How it was made", facts(made)),
    ]
    page = render_page(f"{title}: {percent(result.mean('accuracy'))}", "\n".join(body))
    write_atomic(directory.path / REPORT, page)


def _folds(result: CrossValidationResult) -> str:
    head = ["fold", "images", *FIGURES.values(), "best epoch"]
    rows = [
        [
            str(fold.number),
            f"{fold.samples:,}",
            *(f"{fold.figures[key]:.4f}" for key in FIGURES),
            str(fold.best_epoch),
        ]
        for fold in result.folds
    ]
    foot = [
        ["mean", "", *(f"{result.mean(key):.4f}" for key in FIGURES), ""],
        ["standard deviation", "", *(f"{result.deviation(key):.4f}" for key in FIGURES), ""],
    ]
    return table(head, rows, foot=foot)
