"""An evaluation as one self-contained HTML file."""

from torchstone_runtime.report import sections
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.report.figures_html import figure_sections, gate_section
from torchstone_runtime.report.page import card, escape, facts, render_page, section


def render_html(document: EvaluationDocument) -> str:
    """Return the whole report as an HTML document."""
    metrics = document.evaluation.metrics
    subtitle = f"{metrics.total:,} images of the split “{document.split.name}”: {document.split_reason}."
    body = [
        f"<header><h1>{escape(document.model)} on {escape(document.dataset)}</h1>",
        f'<p class="soft">{escape(subtitle)}</p></header>',
        _cards(document),
        gate_section(document),
        sections.decision_sections(document.evaluation),
        figure_sections(document),
        section("Where this comes from", facts(_provenance(document))),
    ]
    title = f"{document.model} on {document.dataset}: {metrics.accuracy:.2%}"
    return render_page(title, "\n".join(body))


def _cards(document: EvaluationDocument) -> str:
    metrics = document.evaluation.metrics
    low, high = metrics.accuracy_interval
    cards = [
        card(f"{metrics.accuracy:.2%}", "Accuracy", f"95% interval {low:.2%} to {high:.2%}"),
        card(f"{metrics.macro.f1:.4f}", "Macro F1", "every class counts alike"),
        card(f"{metrics.weighted.f1:.4f}", "Weighted F1", "every sample counts alike"),
        card(f"{document.reliability.error:.4f}", "Calibration error", "expected; 0 is best"),
        card(f"{metrics.total - metrics.correct:,}", "Mistakes", f"of {metrics.total:,} images"),
    ]
    if metrics.unanswered:
        cards.append(card(f"{sum(metrics.unanswered):,}", "Without an answer", "counted as mistakes"))
    return f'<div class="cards">{"".join(cards)}</div>'


def _provenance(document: EvaluationDocument) -> list[tuple[str, str]]:
    data = document.to_json()
    execution = data["execution"]
    certified = "the data of the certificate" if document.certified else "not the data of the certificate"
    tf32 = ", TF32 allowed" if document.plan.tf32 else ""
    return [
        ("Bundle", document.bundle),
        ("Variant", document.plan.variant),
        ("SHA-256 of the model", document.sha256 or "not known: a lone file"),
        (
            "Run by",
            f"ONNX Runtime {execution['onnxruntime']}, {document.plan.provider} ({document.plan.reason}){tf32}",
        ),
        ("Data", f"{document.dataset}, {document.split.name}; {certified}"),
        ("Fingerprint of the data", document.split.fingerprint),
        *([("Classes", document.split.mapped.summary())] if document.split.mapped else []),
        ("Torchstone", data["torchstone"]),
    ]
