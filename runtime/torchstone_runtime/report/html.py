"""An evaluation as one self-contained HTML file."""

from torchstone_runtime.report import sections
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.report.explanation_gallery import explanations_html
from torchstone_runtime.report.figures_html import figure_sections, gate_section
from torchstone_runtime.report.label_errors import label_errors_html
from torchstone_runtime.report.page import card, escape, facts, render_page, section
from torchstone_runtime.text import counted, percent


def render_html(document: EvaluationDocument) -> str:
    """Return the whole report as an HTML document."""
    metrics, file = document.evaluation.metrics, document.file
    subtitle = f"{counted(metrics.total, 'image')} of the split “{file.split.name}”: {file.split_reason}."
    body = [
        f"<header><h1>{escape(file.model)} on {escape(file.dataset)}</h1>",
        f'<p class="soft">{escape(subtitle)}</p></header>',
        _cards(document),
        gate_section(document),
        sections.decision_sections(document.evaluation),
        _label_errors(document),
        _explained(document),
        figure_sections(document),
        section("Where this comes from", facts(_provenance(document))),
    ]
    title = f"{file.model} on {file.dataset}: {percent(metrics.accuracy)}"
    return render_page(title, "\n".join(body))


def _label_errors(document: EvaluationDocument) -> str:
    if document.label_errors is None:
        return ""
    return section("Likely label errors", label_errors_html(document.evaluation, document.label_errors))


def _explained(document: EvaluationDocument) -> str:
    if not document.explanations:
        return ""
    return section("Where the model looked", explanations_html(document.evaluation, document.explanations))


def _cards(document: EvaluationDocument) -> str:
    metrics = document.evaluation.metrics
    low, high = metrics.accuracy_interval
    cards = [
        card(percent(metrics.accuracy), "Accuracy", f"95% interval {low:.2%} to {high:.2%}"),
        card(f"{metrics.macro.f1:.4f}", "Macro F1", "every class counts alike"),
        card(f"{metrics.weighted.f1:.4f}", "Weighted F1", "every sample counts alike"),
        card(f"{document.reliability.error:.4f}", "Calibration error", "expected; 0 is best"),
        card(f"{metrics.total - metrics.correct:,}", "Mistakes", f"of {counted(metrics.total, 'image')}"),
    ]
    if metrics.unanswered:
        cards.append(card(f"{sum(metrics.unanswered):,}", "Without an answer", "counted as mistakes"))
    return f'<div class="cards">{"".join(cards)}</div>'


def _provenance(document: EvaluationDocument) -> list[tuple[str, str]]:
    file, data = document.file, document.to_json()
    execution = data["execution"]
    certified = "the data of the certificate" if file.certified else "not the data of the certificate"
    tf32 = ", TF32 allowed" if file.plan.tf32 else ""
    return [
        ("Bundle", file.bundle),
        ("Variant", file.plan.variant),
        ("SHA-256 of the model", file.sha256 or "not known: a lone file"),
        (
            "Run by",
            f"ONNX Runtime {execution['onnxruntime']}, {file.plan.provider} ({file.plan.reason}){tf32}",
        ),
        ("Data", f"{file.dataset}, {file.split.name}; {certified}{file.sample_text}"),
        ("Fingerprint of the data", file.split.fingerprint),
        *([("Classes", file.split.mapped.summary())] if file.split.mapped else []),
        ("Torchstone", data["torchstone"]),
    ]
