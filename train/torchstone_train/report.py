"""A run as one self-contained HTML page: figures, curves, confusions, images, and how it was made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np

from torchstone_runtime.metrics import Metrics
from torchstone_runtime.report.html import confusion_html
from torchstone_runtime.report.page import card, facts, render_page, section
from torchstone_train import curves, gallery
from torchstone_train.confidence_html import STYLE as CONFIDENCE_STYLE
from torchstone_train.confidence_html import confidence_html
from torchstone_train.observer import Record
from torchstone_train.samples import confident_mistakes, samples_of_each_class
from torchstone_train.validation_pass import ValidationPass

_MOST_CLASSES: Final = 100
"""Classes up to which the confusion matrix is shown as a table."""
_BAR_REM: Final = 6
_NO_MISTAKES: Final = "<p>No image was taken for another class.</p>"
_STOP_WORDS: Final = {
    "max_epochs": "all epochs done",
    "early_stopping": "stopped early",
    "interrupted": "interrupted",
    "non_finite_loss": "loss became no number",
}


@dataclass(frozen=True, eq=False, slots=True)
class RunReport:
    """What the page shows.

    Attributes:
        title: recipe and dataset, for people.
        info: the content of `run.json`.
        history: an epoch a record.
        seen: the validation split as the kept weights decide it.
    """

    title: str
    info: Mapping[str, Any]
    history: Sequence[Record]
    seen: ValidationPass


def render_report(report: RunReport) -> str:
    """Return the whole report as an HTML document."""
    metrics = report.seen.measured.metrics
    body = [
        f"<style>{curves.STYLE}{CONFIDENCE_STYLE}{gallery.STYLE}</style>",
        f'<header><h1>{escape(report.title)}</h1><p class="soft">{escape(_subtitle(report))}</p></header>',
        _cards(report),
        section("Over the epochs", _curves(report)),
        section("Confusion matrix", _confusion(metrics)),
        section("By class", _per_class(report.seen)),
        section("Confidence", confidence_html(report.seen)),
        section("Samples", _samples(report.seen)),
        section("Most confident mistakes", _mistakes(report.seen)),
        section("Most often confused", gallery.confused_html(report.seen) or _NO_MISTAKES),
        section("How it was made", facts(_provenance(report))),
    ]
    return render_page(f"{report.title}: {metrics.accuracy:.2%}", "\n".join(body))


def _subtitle(report: RunReport) -> str:
    return (
        f"{len(report.seen.split):,} validation images, by which the best epoch was chosen. "
        "The test split was not looked at: export measures it."
    )


def _cards(report: RunReport) -> str:
    metrics, info = report.seen.measured.metrics, report.info
    low, high = metrics.accuracy_interval
    best = f"{info['best_epoch']} of {info['epochs_run']}" if info["best_epoch"] else "unfinished"
    cards = [
        card(f"{metrics.accuracy:.2%}", "Accuracy", f"95%: {low:.2%} to {high:.2%}"),
        card(f"{metrics.macro.f1:.4f}", "Macro F1", "every class counts alike"),
        card(f"{metrics.weighted.f1:.4f}", "Weighted F1", "every sample counts alike"),
        card(f"{report.seen.measured.loss:.4f}", "Validation loss", "cross-entropy"),
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


def _confusion(metrics: Metrics) -> str:
    if len(metrics.per_class) > _MOST_CLASSES:
        return f"<p>{len(metrics.per_class)} classes are too many for a table: see figures/confusion.svg.</p>"
    return confusion_html(metrics)


def _per_class(seen: ValidationPass) -> str:
    metrics = seen.measured.metrics
    rows = [
        _row(item.name, (item.precision, item.recall, item.f1), item.support, _confidence(seen, label))
        for label, item in enumerate(metrics.per_class)
    ]
    for name, mean in (("macro average", metrics.macro), ("weighted average", metrics.weighted)):
        rows.append(_row(name, (mean.precision, mean.recall, mean.f1), metrics.total, _confidence(seen, None)))
    columns = ("class", "precision", "recall", "F1", "", "support", "mean confidence")
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    note = '<p class="soft">Mean confidence: the probability of the predicted class, over the images of the class.</p>'
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'{note}<div class="scroll">{table}</div>'


def _confidence(seen: ValidationPass, label: int | None) -> str:
    values = seen.confidence if label is None else seen.confidence[seen.split.labels == label]
    return f"{values.mean():.1%}" if len(values) else "-"


def _row(name: str, values: tuple[float, float, float], support: int, confidence: str) -> str:
    precision, recall, f1 = values
    bar = f'<span class="bar" style="width:{f1 * _BAR_REM:.2f}rem"></span>'
    return (
        f"<tr><td>{escape(name)}</td><td>{precision:.4f}</td><td>{recall:.4f}</td><td>{f1:.4f}</td>"
        f'<td class="text">{bar}</td><td>{support:,}</td><td>{confidence}</td></tr>'
    )


def _samples(seen: ValidationPass) -> str:
    note = '<p class="soft">The first images of each class. Green frame: right; dashed red frame: wrong.</p>'
    return note + gallery.gallery_html(seen, samples_of_each_class(seen))


def _mistakes(seen: ValidationPass) -> str:
    wrong = confident_mistakes(seen)
    return gallery.gallery_html(seen, wrong) if len(wrong) else _NO_MISTAKES


def _provenance(report: RunReport) -> list[tuple[str, str]]:
    info, recipe = report.info, report.info["recipe"]
    hidden = {"name", "summary", "architecture"}
    settings = ", ".join(f"{key} {value}" for key, value in recipe.items() if key not in hidden)
    data = info["dataset"]
    splits = {name: data[name] for name in ("train", "validation", "test")}
    detail = f" ({info['stop_detail']})" if info.get("stop_detail") else ""
    return [
        ("Recipe", f"{recipe['name']}: {recipe['summary']}"),
        ("Settings", settings),
        ("Seed", str(info["seed"])),
        ("Data", data["kind"]),
        *((f"{name}", f"{part['samples']:,} images, {part['fingerprint']}") for name, part in splits.items()),
        ("Input", _input(info["input"])),
        ("Device", f"{info['device']['type']}: {info['device']['name']} ({info['device']['reason']})"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in info["versions"].items())),
        ("Commit", info["git_commit"] or "not in a git checkout"),
        ("Stop reason", f"{info['stop_reason']}{detail}"),
        ("Started", info["started"]),
        ("Ended", report.history[-1]["ended"] if report.history else "-"),
        ("Training time", f"{info['seconds']:.1f} s in {info['epochs_run']} epochs"),
    ]


def _input(spec: Mapping[str, Any]) -> str:
    mean, std = spec["in_graph"]["mean"], spec["in_graph"]["std"]
    return f"{spec['color']}, {spec['height']} x {spec['width']}, mean {mean}, standard deviation {std}"
