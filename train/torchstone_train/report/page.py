"""A run as one self-contained HTML page: figures, curves, confusions, images, and how it was made."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from torchstone_runtime.report import sections
from torchstone_runtime.report.page import card, escape, facts, render_page, section, style_sheet, tag
from torchstone_runtime.text import counted, percent
from torchstone_train.data.augmented_samples import NOT_AUGMENTED, Augmented
from torchstone_train.report import curves
from torchstone_train.report.augmentation_section import augmentation_section
from torchstone_train.training.observer import Record
from torchstone_train.training.validate import ValidationPass

_MAP: Final = "Map of validation and test images by the features before the last layer"
_STOP_WORDS: Final = {
    "max_epochs": "all epochs done",
    "early_stopping": "stopped early",
    "target_reached": "target reached",
    "interrupted": "interrupted",
    "non_finite_loss": "loss became NaN or infinite",
}


@dataclass(frozen=True, eq=False, slots=True)
class RunReport:
    """What the page shows.

    Attributes:
        title: recipe and dataset, for people.
        info: the content of `run.json`.
        history: records of the epochs, one per epoch.
        seen: the validation split as the kept weights decide it.
        feature_map: PNG file of the map of the images; None where none was drawn.
        augmented: training images with their random changes.
    """

    title: str
    info: Mapping[str, Any]
    history: Sequence[Record]
    seen: ValidationPass
    feature_map: bytes | None = None
    augmented: Augmented = NOT_AUGMENTED


def render_report(report: RunReport) -> str:
    """Return the whole report as an HTML document."""
    metrics = report.seen.metrics
    body = [
        f'<header><h1>{escape(report.title)}</h1><p class="soft">{escape(_subtitle(report))}</p></header>',
        _cards(report),
        section("Over the epochs", _curves(report)),
        sections.decision_sections(report.seen),
        *([section("Map of the images", _map(report.feature_map))] if report.feature_map else []),
        augmentation_section(report.augmented.samples, report.augmented.words),
        section("How it was made", facts(_provenance(report))),
    ]
    return render_page(
        f"{report.title}: {percent(metrics.accuracy)}", "\n".join(body), style_sheet(__package__, "curves.css")
    )


def _subtitle(report: RunReport) -> str:
    return (
        f"{counted(len(report.seen), 'validation image')}, by which the best epoch was chosen. "
        "The test split was not looked at: export measures it."
    )


def _cards(report: RunReport) -> str:
    metrics, info = report.seen.metrics, report.info
    low, high = metrics.accuracy_interval
    is_of_none = not info["best_epoch"] and "beginning" not in info
    best = "unfinished" if is_of_none else f"{info['best_epoch']} of {info['epochs_run']}"
    cards = [
        card(percent(metrics.accuracy), "Accuracy", f"95% interval {low:.2%} to {high:.2%}"),
        card(f"{metrics.macro.f1:.4f}", "Macro F1", "every class counts alike"),
        card(f"{metrics.weighted.f1:.4f}", "Weighted F1", "every sample counts alike"),
        card(f"{report.seen.loss:.4f}", "Validation loss", "cross-entropy"),
        card(best, "Best epoch", _STOP_WORDS.get(str(info["stop_reason"]), str(info["stop_reason"]))),
        card(_duration(info["seconds"]), "Training time", f"{_pace(report.history)} on {info['device']['type']}"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


def _pace(history: Sequence[Record]) -> str:
    if not history:
        return "no epoch completed"
    return f"{np.median([record['images_per_second'] for record in history]):,.0f} images/s"


def _curves(report: RunReport) -> str:
    if not report.history:
        return "<p>No epoch was completed.</p>"
    return curves.curves_html(report.history, report.info["best_epoch"])


def _map(content: bytes) -> str:
    note = (
        "Images near each other are alike to the network. A cross far inside another class's cloud is a picture worth "
        "looking at: its label may be wrong. Test images where no validation image lies are unlike those of the "
        "training. Distances between clouds, and their sizes, mean nothing."
    )
    image = f'<img class="map" src="data:image/png;base64,{base64.b64encode(content).decode()}" alt="{_MAP}">'
    return tag("p", note, class_="soft") + f'<div class="scroll">{image}</div>'


def _provenance(report: RunReport) -> list[tuple[str, str]]:
    info, recipe = report.info, report.info["recipe"]
    hidden = {"name", "summary", "architecture"}
    settings = settings_text({key: value for key, value in recipe.items() if key not in hidden})
    data = info["dataset"]
    splits = {name: data[name] for name in ("train", "validation", "test")}
    detail = f" ({info['stop_detail']})" if info.get("stop_detail") else ""
    return [
        ("Recipe", f"{recipe['name']}: {recipe['summary']}"),
        ("Settings", settings),
        ("Seed", str(info["seed"])),
        ("Data", data["kind"]),
        *((f"{name}", f"{counted(part['samples'], 'image')}, {part['fingerprint']}") for name, part in splits.items()),
        ("Input", _input(info["input"])),
        ("Device", f"{info['device']['type']}: {info['device']['name']} ({info['device']['reason']})"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in info["versions"].items())),
        ("Commit", info["git_commit"] or "not in a git checkout"),
        ("Stop reason", f"{info['stop_reason']}{detail}"),
        ("Started", info["started"]),
        ("Ended", report.history[-1]["ended"] if report.history else "-"),
        ("Training time", f"{info['seconds']:.1f} s in {counted(info['epochs_run'], 'epoch')}"),
    ]


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings as one line; those that are empty are left out."""
    words = {True: "on", False: "off"}
    given = {key: value for key, value in settings.items() if value not in ("", None)}
    return ", ".join(f"{key} {words[v] if isinstance(v, bool) else v}" for key, v in given.items())


def _input(spec: Mapping[str, Any]) -> str:
    mean, std = spec["in_graph"]["mean"], spec["in_graph"]["std"]
    return f"{spec['color']}, {spec['height']} x {spec['width']}, mean {mean}, standard deviation {std}"
