"""A measurement of robustness as one self-contained HTML page."""

from torchstone_runtime.report.page import card, escape, facts, render_page, section, table
from torchstone_runtime.report.robustness import RobustnessDocument
from torchstone_runtime.text import percent


def robustness_page(document: RobustnessDocument) -> str:
    """Return the measurement as an HTML document, the corruption that costs most accuracy first."""
    found, file = document.robustness, document.file
    clean, corrupted = found.clean.accuracy, found.corrupted.accuracy
    worst = sorted(found.corruptions, key=lambda name: found.by_corruption(name).accuracy)
    cards = [
        card(percent(clean), "Accuracy, clean"),
        card(percent(corrupted), "Accuracy, corrupted", "mean over corruptions and severities"),
        card(worst[0], "Hardest corruption", f"accuracy {found.by_corruption(worst[0]).accuracy:.2%}"),
    ]
    gates = [("passed" if item.passed else "FAILED", str(item)) for item in document.judgements]
    head = ("corruption", *(f"severity {level}" for level in found.severities), "mean")
    rows = [
        [name, *(f"{found.settings[name, level].accuracy:.4f}" for level in found.severities), _mean(document, name)]
        for name in worst
    ]
    figures = found.corrupted.figures()
    behaviour = [(name, f"{value:.4f}", f"{figures[name]:.4f}") for name, value in found.clean.figures().items()]
    body = [
        f"<header><h1>{escape(file.model)} on corrupted pictures of {escape(file.dataset)}</h1></header>",
        f'<div class="cards">{"".join(cards)}</div>',
        *([section("Gates", table(("gate", "measured"), gates, text=(0, 1)))] if gates else []),
        section("Accuracy by corruption and severity", table(head, rows)),
        section("Clean and corrupted", table(("figure", "clean", "corrupted"), behaviour)),
        section(
            "Where this comes from", facts([(line[:11].strip().capitalize(), line[11:]) for line in file.lines(11)])
        ),
    ]
    return render_page(f"{file.model} on corrupted pictures: {percent(corrupted)}", "\n".join(body))


def _mean(document: RobustnessDocument, name: str) -> str:
    return f"{document.robustness.by_corruption(name).accuracy:.4f}"
