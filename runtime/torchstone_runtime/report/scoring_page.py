"""What a scored input adds up to: as JSON, and as a page."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from torchstone_runtime.drift.drift_report import DriftReport
from torchstone_runtime.drift.monitor import DriftMonitor
from torchstone_runtime.drift.reference_images import FEATURES
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.report.page import card, escape, facts, render_page, section, table
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.parts import PartsFolder, output_told
from torchstone_runtime.scoring.tally import CONFIDENCE_STEPS, Tally
from torchstone_runtime.shards.shard_list import ShardList
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.text import counted, percent

_MOST_CLASSES: Final = 200


def write_summary(
    classifier: Classifier, record: Mapping[str, Any], shards: ShardList, job: ScoringJob
) -> Iterator[str]:
    """Write `summary.json` and `summary.html` beside the parts of a whole job; yield their paths.

    Raises:
        DataError: a part or its tally is missing.
        OutputError: they cannot be written.
    """
    folder, tally = PartsFolder(job), Tally()
    for shard in shards:
        tally.add(folder.tally(shard.name))
    drift = drift_of(classifier, tally) if tally.drift else None
    document = summary_document(record, tally, drift)
    contents = {
        "summary.json": f"{strict_json(document, indent=2)}\n",
        "summary.html": summary_html(classifier.name, record, tally, drift),
    }
    for name, content in contents.items():
        with output_told(folder.address(name)):
            folder.storage.write(folder.path(name), content.encode("utf-8", "backslashreplace"))
        yield folder.address(name)


def drift_of(classifier: Classifier, tally: Tally) -> DriftReport:
    """Compare all answered pictures with the model's validation images.

    Raises:
        UsageError: the bundle keeps nothing of them.
    """
    monitor = DriftMonitor(classifier.statistics.read().drift, classifier.class_names, window=None)
    cells = dict(zip(FEATURES, tally.drift, strict=True))
    position = {name: index for index, name in enumerate(classifier.class_names)}
    monitor.add_counts(cells, {position[name]: count for name, count in tally.classes.items()})
    return monitor.report()


def summary_document(record: Mapping[str, Any], tally: Tally, drift: DriftReport | None) -> dict[str, Any]:
    """Return the summary as JSON data."""
    answered = tally.classes.total()
    model = {key: value for key, value in record["model"].items() if key != "classes"}
    return {
        "model": model,
        "input": {key: record["input"][key] for key in ("shards", "sha256")},
        "rows": tally.rows,
        "answered": answered,
        "errors": {"count": tally.failed, "kinds": dict(tally.errors.most_common())},
        "classes": dict(tally.classes.most_common()),
        "confidence": [
            {"from": step / CONFIDENCE_STEPS, "to": (step + 1) / CONFIDENCE_STEPS, "images": tally.confidences[step]}
            for step in range(CONFIDENCE_STEPS)
        ],
        "labelled": {
            "images": tally.labelled,
            "correct": tally.correct,
            "accuracy": tally.correct / tally.labelled if tally.labelled else None,
        },
        "drift": None if drift is None else drift.to_json(),
    }


def summary_html(name: str, record: Mapping[str, Any], tally: Tally, drift: DriftReport | None) -> str:
    """Return the summary as a page."""
    answered, title = tally.classes.total(), f"{name}: {counted(tally.rows, 'picture')} scored"
    cards = card(f"{tally.rows:,}", "Pictures") + card(f"{tally.failed:,}", "Errors")
    if tally.labelled:
        cards += card(percent(tally.correct / tally.labelled), "Accuracy", f"of {tally.labelled:,} with a known class")
    if drift is not None:
        cards += card("found" if drift.alarm else "none found", "Drift")
    body = [
        f"<header><h1>{escape(title)}</h1></header>",
        f'<div class="cards">{cards}</div>',
        section("Classes", _left_out(tally) + _counts("class", tally.classes.most_common(_MOST_CLASSES), answered)),
        section("Confidence", _counts("confidence", _confidence_rows(tally), answered)),
    ]
    if drift is not None:
        body.append(section("Drift", f"<p>{escape(drift.in_words())}</p>"))
    if tally.failed:
        body.append(section("Errors", _counts("error", tally.errors.most_common(), tally.rows)))
    model = record["model"]
    facts_of_model = [("Model", model["sha256"]), ("Variant", model["variant"]), ("Provider", model["provider"])]
    body.append(section("Where this comes from", facts([*facts_of_model, ("Input", record["input"]["sha256"])])))
    return render_page(title, "\n".join(body))


def _left_out(tally: Tally) -> str:
    if len(tally.classes) <= _MOST_CLASSES:
        return ""
    words = f"The {_MOST_CLASSES} most frequent of {len(tally.classes):,} classes; summary.json has them all."
    return f'<p class="soft">{words}</p>'


def _confidence_rows(tally: Tally) -> list[tuple[str, int]]:
    return [
        (f"{step / CONFIDENCE_STEPS:.2f} to {(step + 1) / CONFIDENCE_STEPS:.2f}", tally.confidences[step])
        for step in reversed(range(CONFIDENCE_STEPS))
        if tally.confidences[step]
    ]


def _counts(name: str, counts: list[tuple[str, int]], total: int) -> str:
    rows = [(label, f"{count:,}", f"{count / max(1, total):.2%}") for label, count in counts]
    return table((name, "pictures", "share"), rows)
