"""An evaluation as one self-contained HTML file."""

from html import escape
from typing import TYPE_CHECKING, Final

from torchstone_runtime.metrics import Average, Metrics
from torchstone_runtime.report.page import card, facts, picture, render_page, section

if TYPE_CHECKING:  # both load ONNX Runtime, which a machine that only trains need not have
    from torchstone_runtime.evaluation import Mistake
    from torchstone_runtime.report.document import EvaluationDocument

_CONFUSIONS_SHOWN: Final = 10
_BAR_REM: Final = 6


def render_html(document: "EvaluationDocument") -> str:
    """Return the whole report as an HTML document."""
    metrics = document.evaluation.metrics
    subtitle = f"{metrics.total:,} images of the split “{document.split.name}”: {document.split_reason}."
    body = [
        f"<header><h1>{escape(document.model)} on {escape(document.dataset)}</h1>",
        f'<p class="soft">{escape(subtitle)}</p></header>',
        _cards(metrics),
        section("Confusion matrix", confusion_html(metrics)),
        section("By class", _per_class(metrics)),
        section("Most often confused", _confused(metrics)),
        section("Most confident mistakes", _gallery(document.evaluation.mistakes)),
        section("Where this comes from", facts(_provenance(document))),
    ]
    return render_page(f"{document.model} on {document.dataset}: {metrics.accuracy:.2%}", "\n".join(body))


def _cards(metrics: Metrics) -> str:
    low, high = metrics.accuracy_interval
    cards = [
        card(f"{metrics.accuracy:.2%}", "Accuracy", f"95% interval {low:.2%} to {high:.2%}"),
        card(f"{metrics.macro.f1:.4f}", "Macro F1", "every class counts alike"),
        card(f"{metrics.weighted.f1:.4f}", "Weighted F1", "every sample counts alike"),
        card(f"{metrics.total - metrics.correct:,}", "Mistakes", f"of {metrics.total:,} images"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def confusion_html(metrics: Metrics) -> str:
    """Return the confusion matrix as a table shaded by the share of its row."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in metrics.class_names)
    rows = []
    for i, item in enumerate(metrics.per_class):
        cells = "".join(_cell(metrics, i, j) for j in range(len(metrics.per_class)))
        rows.append(f'<tr><th scope="row">{escape(item.name)}</th>{cells}</tr>')
    return (
        '<p class="soft">Rows are true classes, columns predicted ones; the shade is the share of the row.</p>'
        f'<div class="scroll"><table class="matrix"><thead><tr><th scope="col">true \\ predicted</th>{head}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(metrics: Metrics, i: int, j: int) -> str:
    true, predicted = metrics.per_class[i], metrics.per_class[j]
    count = int(metrics.confusion[i, j])
    share = count / true.support if true.support else 0.0
    title = escape(f"{true.name} taken for {predicted.name}: {count:,} ({share:.1%} of the row)")
    if not count:
        return f'<td class="zero" title="{title}">0</td>'
    # The square root makes rare confusions visible beside a diagonal near 1.
    shade = 0.06 + 0.74 * share**0.5
    return f'<td class="{"hit" if i == j else "miss"}" style="--share:{shade:.3f}" title="{title}">{count:,}</td>'


def _per_class(metrics: Metrics) -> str:
    rows = [_class_row(c.name, Average(c.precision, c.recall, c.f1), c.support) for c in metrics.per_class]
    rows += [
        _class_row("macro average", metrics.macro, metrics.total),
        _class_row("weighted average", metrics.weighted, metrics.total),
    ]
    head = "".join(f'<th scope="col">{name}</th>' for name in ("class", "precision", "recall", "F1", "", "support"))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _class_row(name: str, values: Average, support: int) -> str:
    bar = f'<span class="bar" style="width:{values.f1 * _BAR_REM:.2f}rem"></span>'
    return (
        f"<tr><td>{escape(name)}</td><td>{values.precision:.4f}</td><td>{values.recall:.4f}</td>"
        f'<td>{values.f1:.4f}</td><td style="text-align:left">{bar}</td><td>{support:,}</td></tr>'
    )


def _confused(metrics: Metrics) -> str:
    support = {item.name: item.support for item in metrics.per_class}
    rows = [
        f'<tr><td>{escape(true)}</td><td class="text">{escape(predicted)}</td>'
        f"<td>{count:,}</td><td>{count / support[true]:.1%}</td></tr>"
        for true, predicted, count in metrics.most_confused(_CONFUSIONS_SHOWN)
    ]
    if not rows:
        return "<p>No sample was taken for another class.</p>"
    columns = {"true class": "text", "taken for": "text", "samples": "", "of the class": ""}
    head = "".join(f'<th scope="col" class="{kind}">{name}</th>' for name, kind in columns.items())
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _gallery(mistakes: "list[Mistake]") -> str:
    if not mistakes:
        return "<p>No mistakes.</p>"
    return f'<div class="gallery">{"".join(map(_mistake, mistakes))}</div>'


def _mistake(mistake: "Mistake") -> str:
    alt = f"sample {mistake.sample_id}: {mistake.true}, taken for {mistake.predicted}"
    return (
        f"<figure>{picture(mistake.pixels, alt)}<figcaption>{escape(mistake.predicted)} "
        f'<span class="soft">{mistake.probability:.1%}</span><br>truly <strong>{escape(mistake.true)}</strong><br>'
        f'<span class="soft">sample {escape(mistake.sample_id)}</span></figcaption></figure>'
    )


def _provenance(document: "EvaluationDocument") -> list[tuple[str, str]]:
    data = document.to_json()
    execution = data["execution"]
    certified = "the data of the certificate" if document.certified else "not the data of the certificate"
    return [
        ("Bundle", document.bundle),
        ("Variant", document.plan.variant),
        ("SHA-256 of the model", document.sha256 or "not known: a lone file"),
        (
            "Run by",
            f"ONNX Runtime {execution['onnxruntime']}, {document.plan.provider} ({document.plan.reason})",
        ),
        ("Data", f"{document.dataset}, {document.split.name}; {certified}"),
        ("Fingerprint of the data", document.split.fingerprint),
        ("Torchstone", data["torchstone"]),
    ]
