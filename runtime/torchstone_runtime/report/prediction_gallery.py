"""Predictions as an HTML page: each picture with its class and probability, written as they come."""

import base64
from collections import Counter
from typing import IO, Final

import click

from torchstone_runtime.inference.predict_pictures import FailedImage, PicturePrediction
from torchstone_runtime.metrics.answered import NO_ANSWER_TEXT
from torchstone_runtime.report.page import card, escape, page_frame, section

THUMBNAIL_SIDE: Final = 128
MAX_SHOWN: Final = 5_000
"""Pictures on one page: some 25 MB, which browsers still scroll through."""

_MAX_FAILURES: Final = 200
# Figures out of sight cost a browser nothing.
_LAZY: Final = "content-visibility:auto;contain-intrinsic-size:auto 13rem"


class PredictionGallery:
    """Writes a self-contained page while predictions arrive; its size is bounded by `MAX_SHOWN`.

    Args:
        file: binary file that the page is written to, in UTF-8.
        model: name of the model, for the title.
        plan: description of how the model runs, for the summary.
    """

    def __init__(self, file: IO[bytes], *, model: str, plan: str) -> None:
        self._file = file
        self._plan = plan
        self._shown = 0
        self._classes: Counter[str | None] = Counter()
        self._failures: list[FailedImage] = []
        self._failed = 0
        self._unanswered = 0
        start, self._end = page_frame(f"Predictions of {model}")
        # The summary is known last and belongs first.
        self._write(f'{start}<div style="display:flex;flex-direction:column">\n')
        self._write(f'<h1 style="order:-2">Predictions of {escape(model)}</h1>\n')
        self._write('<section>\n<h2>Pictures</h2>\n<div class="gallery">\n')

    def add(self, answer: PicturePrediction, *, unsure: bool) -> None:
        """Append a picture; `unsure` where no class is given because the best one is not probable enough."""
        if answer.top:
            self._classes[None if unsure else answer.top[0][0]] += 1
        else:
            self._unanswered += 1
        if self._shown < MAX_SHOWN:
            self._shown += 1
            self._write(_figure(answer, unsure=unsure))

    def add_failure(self, failure: FailedImage) -> None:
        """Append a file that could not be classified."""
        self._failed += 1
        if len(self._failures) < _MAX_FAILURES:
            self._failures.append(failure)

    def finish(self) -> None:
        """Write the summary and the end of the page."""
        self._write("</div>\n</section>\n")
        if self._failures:
            lines = (f"<p>{escape(failure.error.problem)}</p>" for failure in self._failures)
            more = self._failed - len(self._failures)
            self._write(section("Left out", "".join(lines) + (f"<p>and {more:,} more</p>" if more else "")))
        self._write(f'<div style="order:-1">{self._summary()}</div>\n</div>{self._end}')

    def _summary(self) -> str:
        total = sum(self._classes.values()) + self._unanswered
        cards = card(f"{total:,}", "Pictures classified")
        if self._classes[None]:
            cards += card(f"{self._classes[None]:,}", "Unsure")
        if self._unanswered:
            cards += card(f"{self._unanswered:,}", "Without an answer")
        if self._failed:
            cards += card(f"{self._failed:,}", "Left out")
        counts = [f"{escape(name)}: {count:,}" for name, count in self._classes.most_common() if name is not None]
        note = "" if self._shown == total else f"<p>The first {self._shown:,} of {total:,} pictures are shown.</p>"
        plan = f'<p class="soft">{escape(self._plan)}</p>'
        return f'{plan}<div class="cards">{cards}</div>{note}<h2>Classes</h2><p>{" · ".join(counts)}</p>'

    def _write(self, text: str) -> None:
        self._file.write(text.encode())


def _figure(answer: PicturePrediction, *, unsure: bool) -> str:
    name = escape(click.format_filename(answer.name))
    # Blue: whether the class is right is not known here.
    frame = "dashed rgb(var(--miss))" if unsure or not answer.top else "solid rgb(var(--hit))"
    return (
        f'<figure style="{_LAZY};border:2px {frame}">{_picture(answer.thumbnail, name)}'
        f"<figcaption>{_caption(answer, unsure=unsure)}<br>"
        f'<span class="soft" style="overflow-wrap:anywhere">{name}</span></figcaption></figure>\n'
    )


def _caption(answer: PicturePrediction, *, unsure: bool) -> str:
    if not answer.top:
        return f"<b>{NO_ANSWER_TEXT}</b>"
    (label, probability), *others = answer.top
    title = f"(unsure) {escape(label)}" if unsure else escape(label)
    more = "".join(f"<br>{escape(other)} {chance:.4f}" for other, chance in others)
    chosen = "" if answer.members is None else f'<br><span class="soft">{{{escape(", ".join(answer.members))}}}</span>'
    return f"<b>{title}</b> {probability:.4f}{more}{chosen}"


def _picture(thumbnail: bytes | None, alt: str) -> str:
    if thumbnail is None:
        return ""
    kind = "png" if thumbnail.startswith(b"\x89PNG") else "jpeg"
    return f'<img loading="lazy" src="data:image/{kind};base64,{base64.b64encode(thumbnail).decode()}" alt="{alt}">'
