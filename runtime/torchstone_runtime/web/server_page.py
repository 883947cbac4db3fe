"""The page of a server: one HTML file, with nothing from outside and a policy that allows nothing else."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from torchstone_runtime.images.background import BackgroundRange
from torchstone_runtime.report.page import Markup, tag
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.web.assets import STATIC
from torchstone_runtime.web.page_html import Shown, head, page_body, page_style

_MODULES: Final = ("planes.js", "page.js", "server.js")
"""In the order in which they need each other; together they are one script."""
_IMPORT: Final = re.compile(r"^import .*?;\n", re.MULTILINE)
_EXPORT: Final = re.compile(r"^export ", re.MULTILINE)
_PLACE: Final = "Pictures are sent to this server, which reads them as in training."


@dataclass(frozen=True, slots=True)
class ServerPage:
    """A page with the policy that it needs.

    Attributes:
        html: the document.
        policy: value of the header `Content-Security-Policy`.
    """

    html: str
    policy: str


@dataclass(frozen=True, slots=True)
class Served:
    """How a model is served.

    Attributes:
        model: name that it is served by.
        version: its version.
        verified: whether its golden samples were replayed when it was loaded.
        coverage: coverage of the sets of classes that the page shows; None for no sets.
    """

    model: str
    version: str
    verified: bool
    coverage: float | None = None


def server_page(shown: Shown, served: Served, others: Sequence[str] = ()) -> ServerPage:
    """Return the page of a served model.

    Args:
        shown: content of the page.
        served: name and version of the model, and how it is served.
        others: names of the other models that are served.
    """
    style, script = page_style(), _script()
    start = head(f"{served.model}: {shown.manifest.name}", f"<style>{style}</style>")
    body = page_body(shown, place=_PLACE, more=[("Served as", f"{served.model}, version {served.version}")])
    # In a data block nothing ends a string but its quotes, and nothing ends the block but this character.
    data = strict_json(_served(shown, served), ensure_ascii=True).replace("<", "\\u003c")
    parts = [
        start,
        body,
        _links(others),
        f'<script type="application/json" id="served">{data}</script>',
        f'<script type="module">{script}</script>\n</body>\n</html>\n',
    ]
    return ServerPage("\n".join(parts), _policy(style, script))


def _script() -> str:
    text = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in _MODULES)
    return _EXPORT.sub("", _IMPORT.sub("", text))


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _served(shown: Shown, served: Served) -> dict[str, object]:
    channels, height, width = shown.manifest.input_spec.shape
    known = BackgroundRange.of(shown.golden.images)
    return {
        "model": served.model,
        "version": served.version,
        "verified": served.verified,
        "coverage": served.coverage,
        "variant": shown.variant,
        "samples": len(shown.golden.images),
        "classes": list(shown.manifest.class_names),
        "shape": {"channels": channels, "height": height, "width": width},
        "background": {"low": known.low, "high": known.high},
    }


def _links(others: Sequence[str]) -> str:
    if not others:
        return ""
    links = [f'<a href="?model={quote(name, safe="")}">{tag("span", name)}</a>' for name in others]
    return tag("nav", Markup(f"Other models here: {', '.join(links)}"))
