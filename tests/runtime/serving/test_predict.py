"""`POST /predict`: a picture in, its classes out."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.served import Asked, ask
from torchstone_runtime.bundle.golden import golden_images
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.serving.core.served_model import Seen, ServedModel
from torchstone_runtime.serving.http.extensions import Extensions, StaticFile


@pytest.fixture(scope="module")
def picture(digits_bundle: Path) -> bytes:
    """A golden sample as a file."""
    with Classifier.load(digits_bundle) as classifier:
        assert classifier.bundle is not None
        return encode_png(golden_images(classifier.bundle)[0])


def test_the_answer_is_what_predict_says(digits_bundle: Path, picture: bytes) -> None:
    """Label, probability and best classes; curl's usual content type is no hindrance."""

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", "/predict?top=3", picture, {"Content-Type": "application/x-www-form-urlencoded"})
        assert reply.status == 200
        with Classifier.load(digits_bundle) as classifier:
            expected = classifier.predict(picture)[0]
        assert reply.json["label"] == expected.label
        assert reply.json["probability"] == expected.probability
        assert [(best["class"], best["probability"]) for best in reply.json["top"]] == expected.top(3)
        assert (reply.json["model"], reply.json["version"]) == ("m", "1")
        assert set(reply.json["ms"]) == {"queue", "decode", "compute"}

    ask(digits_bundle, questions)


@pytest.mark.parametrize(
    ("query", "body", "kind", "status", "text"),
    [
        ("", b"", "", 400, "is empty"),
        ("", b"hello", "", 415, "not a picture"),
        ("", b"--x\r\n", "multipart/form-data; boundary=x", 415, "--data-binary"),
        ("", b"\x89PNG\r\n\x1a\n" + bytes(40), "", 400, "image"),
        ("?top=0", None, "", 400, "'top'"),
        ("?top=many", None, "", 400, "'top'"),
        ("?model=other", None, "", 404, "no such model"),
        ("?version=2", None, "", 404, "no such version"),
    ],
)
def test_what_is_wrong_is_told(
    digits_bundle: Path, picture: bytes, query: str, body: bytes | None, kind: str, status: int, text: str
) -> None:
    """With the status that says whose fault it was."""

    async def questions(asked: Asked) -> None:
        given = picture if body is None else body
        reply = await asked("POST", f"/predict{query}", given, {"Content-Type": kind})
        assert reply.status == status
        assert text in reply.json["error"]

    ask(digits_bundle, questions)


def test_a_picture_of_too_many_pixels_is_refused_unopened(digits_bundle: Path) -> None:
    """Its header says that it has 60,000 x 60,000 of them."""
    header = b"P5 60000 60000 255\n" + bytes(100)

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", "/predict", header)
        assert reply.status == 400
        assert "pixels" in reply.json["error"]

    ask(digits_bundle, questions)


def test_a_picture_on_another_ground_is_warned_of_and_counted(digits_bundle: Path, picture: bytes) -> None:
    """Digits are bright on black; an inverted one is not."""

    async def questions(asked: Asked) -> None:
        assert "warnings" not in (await asked("POST", "/predict", picture)).json
        pixels = np.asarray(Image.open(io.BytesIO(picture)))
        inverted = encode_png((255 - pixels)[np.newaxis])
        (warning,) = (await asked("POST", "/predict", inverted)).json["warnings"]
        assert "bright background" in warning
        metrics = (await asked("GET", "/metrics")).body.decode()
        assert 'torchstone_bright_edges_total{model="m",version="1"} 1' in metrics

    ask(digits_bundle, questions)


def test_every_picture_on_another_ground_is_counted_once(digits_bundle: Path, picture: bytes) -> None:
    """However many are looked at together, and whenever the metrics are asked for."""
    inverted = encode_png((255 - np.asarray(Image.open(io.BytesIO(picture))))[np.newaxis])

    async def questions(asked: Asked) -> None:
        for count in (3, 70):
            for _ in range(count):
                await asked("POST", "/predict", inverted)
                await asked("POST", "/predict", picture)
            metrics = (await asked("GET", "/metrics")).body.decode()
        assert 'torchstone_bright_edges_total{model="m",version="1"} 73' in metrics

    ask(digits_bundle, questions)


def test_others_add_facts_and_may_refuse(digits_bundle: Path, picture: bytes) -> None:
    """They see the pixels, the answer and the query."""

    def shape(model: ServedModel, seen: Seen, query: Mapping[str, str]) -> dict[str, Any]:
        if query.get("coverage") == "2":
            raise UsageError("'coverage' must lie between 0 and 1.")
        return {"saw": [model.name, list(seen.images.shape), list(np.argsort(-seen.answer.logits[0])[:1])]}

    async def questions(asked: Asked) -> None:
        found = (await asked("POST", "/predict", picture)).json
        assert found["saw"][:2] == ["m", [1, 1, 28, 28]]
        assert (await asked("POST", "/predict?coverage=2", picture)).status == 400

    def plain(model: ServedModel, seen: Seen, query: Mapping[str, str]) -> dict[str, Any]:
        return {
            key: [int(item) if isinstance(item, np.integer) else item for item in value[:2]]
            for key, value in shape(model, seen, query).items()
        }

    ask(digits_bundle, questions, extensions=Extensions(additions=[plain]))


def test_a_page_of_another_room_is_sent_with_its_policy(digits_bundle: Path) -> None:
    """As it is, with its headers."""
    page = StaticFile("/", b"<!doctype html>", "text/html", {"Content-Security-Policy": "default-src 'none'"})

    async def questions(asked: Asked) -> None:
        reply = await asked("GET", "/")
        assert (reply.status, reply.body) == (200, b"<!doctype html>")
        assert reply.headers["content-security-policy"] == "default-src 'none'"
        assert reply.headers["content-type"].startswith("text/html")
        assert "access-control-allow-origin" not in reply.headers

    ask(digits_bundle, questions, extensions=Extensions(files=[page]))
