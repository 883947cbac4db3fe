"""What both pages show: a picture in, the model's answer out; the examples, and what is known of the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import GoldenSamples, variant_golden
from torchstone_runtime.bundle.manifest import Manifest
from torchstone_runtime.errors import BundleError
from torchstone_runtime.report.page import Markup, facts, picture, section, style_sheet, tag
from torchstone_runtime.text import shortlist
from torchstone_runtime.version import __version__
from torchstone_runtime.web.card_html import card_html

_MOST_EXAMPLES: Final = 16
_MOST_BYTES: Final = 3 << 20
"""Bytes of the examples together, as they stand in the page."""
_MOST_CLASSES: Final = 40


@dataclass(frozen=True, eq=False, slots=True)
class Shown:
    """What a page is made of.

    Attributes:
        manifest: manifest of the bundle.
        variant: variant that answers.
        golden: golden samples of the variant.
        tolerance: largest accepted difference of a logit.
        model_card: the bundle's model card, Markdown.
    """

    manifest: Manifest
    variant: str
    golden: GoldenSamples
    tolerance: float
    model_card: str

    @classmethod
    def of(cls, bundle: Bundle, variant: str) -> "Shown":
        """Read what a bundle's page needs, its hashes checked.

        Raises:
            BundleError: a file is missing, altered or not readable.
        """
        samples, tolerance = variant_golden(bundle, variant)
        if samples.images.shape[1:] != bundle.manifest.input_spec.shape:
            raise BundleError("The golden samples are not of the shape that the model takes.", "Export it again.")
        card = bundle.read_file("model_card").decode("utf-8", "replace")
        return cls(bundle.manifest, variant, samples, tolerance, card)


def page_body(shown: Shown, *, place: str, more: Sequence[tuple[str, str]] = ()) -> str:
    """Return the body of a page, which `page.js` brings to life.

    Args:
        shown: content of the page.
        place: sentence that says where pictures are classified, and where they go.
        more: further facts on the model: name and value.
    """
    manifest = shown.manifest
    subtitle = f"An image classifier with {len(manifest.class_names):,} classes. {place}"
    return "\n".join(
        [
            tag("header", Markup(tag("h1", manifest.name) + tag("p", subtitle, class_="soft"))),
            '<noscript><p class="bad">This page needs JavaScript, which is turned off in this browser.</p></noscript>',
            '<p id="status" role="status">Checking the model …</p>',
            f"<main>\n{_ASK}\n{_RESULT}\n{_examples(shown)}\n</main>",
            section("About the model", facts([*_facts(shown), *more])),
            _card(shown.model_card),
            _CAMERA,
        ]
    )


_ASK: Final = """<div id="drop">
<button type="button" id="choose" class="main" disabled data-needs-model>Choose a picture</button>
<button type="button" id="photograph" hidden disabled data-needs-model>Take a photograph</button>
<label><input type="checkbox" id="invert" disabled data-needs-model> Invert it</label>
<p class="soft">You can also drop a picture anywhere on this page, or paste one.</p>
<input type="file" id="file" accept="image/*" hidden aria-label="Picture file">
</div>"""
_RESULT: Final = """<section id="result" aria-labelledby="answer-title" hidden>
<h2 id="answer-title">Answer</h2>
<div class="columns">
<div class="pictures">
<figure><img id="given" alt=""><figcaption id="name"></figcaption></figure>
<figure id="seen-figure" hidden><canvas id="seen" role="img" aria-label="The picture as the model sees it"></canvas>
<figcaption>As the model sees it</figcaption></figure>
</div>
<div aria-live="polite">
<ul id="warnings"></ul>
<div id="answer" hidden>
<p class="verdict"><b id="verdict"></b> <span id="sure"></span></p>
<ol id="bars"></ol>
<p id="set" hidden></p>
<p id="time" class="soft"></p>
</div>
</div>
</div>
</section>"""
_CAMERA: Final = """<dialog id="camera" aria-label="Camera">
<video id="video" playsinline muted></video>
<p><button type="button" id="shoot" class="main">Take it</button> <button type="button" id="leave">Cancel</button></p>
</dialog>"""


def _examples(shown: Shown) -> str:
    names = shown.manifest.class_names
    buttons, size = [], 0
    for index, pixels in enumerate(shown.golden.images[:_MOST_EXAMPLES]):
        label = names[int(shown.golden.probabilities[index].argmax())]
        image = picture(pixels, f"Example {index + 1}: {label}")
        size += len(image)
        if size > _MOST_BYTES:
            break
        # Without an attribute of its own the picture would be announced twice.
        content = Markup(image + tag("span", label, aria_hidden="true"))
        buttons.append(
            f'<button type="button" class="example" data-example="{index}" disabled data-needs-model>{content}</button>'
        )
    said = tag(
        "p", "Golden samples of the bundle: the model has to decide them as it did at its export.", class_="soft"
    )
    return section("Examples", f'{said}\n<div class="examples">{"".join(buttons)}</div>')


def _facts(shown: Shown) -> list[tuple[str, str]]:
    manifest, entry = shown.manifest, shown.manifest.variants[shown.variant]
    spec = manifest.input_spec
    return [
        ("Classes", f"{len(manifest.class_names):,}: {shortlist(manifest.class_names, _MOST_CLASSES)}"),
        ("Input", f"{spec.height} x {spec.width} pixels, {_color(spec.color)}; {spec.geometry_text()}"),
        *_measured(manifest.metrics),
        *_certified(manifest, shown.variant),
        ("Model file", f"{shown.variant}, {entry.size:,} bytes, SHA-256 {entry.sha256}"),
        ("Made by", f"Torchstone {__version__}"),
    ]


def _color(color: str) -> str:
    return "gray" if color == "L" else "colour"


def _measured(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    try:
        test = metrics["test"]
        low, high = test["accuracy_interval_95"]
        return [("Accuracy", f"{test['accuracy']:.2%} on test images (95% interval {low:.2%} to {high:.2%})")]
    except (KeyError, TypeError, ValueError):
        return []  # free-form, and not needed to answer


def _certified(manifest: Manifest, variant: str) -> list[tuple[str, str]]:
    lines = manifest.certificate.get("summary", ())
    known = lines if isinstance(lines, list) else []
    others = tuple(f"{name}:" for name in manifest.variants if name != variant)
    kept = [str(line) for line in known if not str(line).startswith(others)] if others else list(map(str, known))
    return [("" if number else "Certificate", line) for number, line in enumerate(kept)]


def _card(markdown: str) -> str:
    return f'<details class="card-text"><summary>Model card</summary>\n{card_html(markdown)}\n</details>'


def page_style() -> str:
    """Return the style sheet of a page: that of the reports, and what a page has besides."""
    return style_sheet("torchstone_runtime.report", "style.css") + style_sheet(__package__, "page.css")


def head(title: str, *parts: str) -> str:
    """Return what comes before the body of a document; `parts` are elements of its head."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            tag("title", title),
            *parts,
            "</head>\n<body>\n",
        ]
    )
