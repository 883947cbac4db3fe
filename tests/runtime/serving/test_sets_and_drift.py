"""Sets of classes in the answers to pictures, and drift in the metrics."""

import asyncio
import json
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.served import Asked, ask
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.drift.monitor import DriftMonitor
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.serving.additions import all_additions
from torchstone_runtime.serving.asked_sets import asked_members, asked_set
from torchstone_runtime.serving.core.model_sources import Source
from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.http.app import make_app
from torchstone_runtime.serving.http.extensions import Extensions
from torchstone_runtime.serving.http.settings import HttpSettings

STORED = Path(__file__).parents[2] / "stored" / "digits"
SETS = Extensions(additions=[asked_set], outputs=[asked_members])
INFER = "/v2/models/m/infer"


def inference(images: Uint8Array, **parameters: object) -> bytes:
    """Return an inference request in JSON."""
    named = {"name": "images", "datatype": "UINT8", "shape": images.shape, "data": images.ravel().tolist()}
    return json.dumps({"inputs": [named], "parameters": parameters}).encode()


@pytest.mark.parametrize("binary", [False, True])
def test_the_protocol_has_sets_as_an_output(digits: Split, *, binary: bool) -> None:
    """Which classes are in each image's set, in JSON and as a binary tensor; none where none is asked for."""
    images = digits.store.read(np.arange(5))

    async def questions(asked: Asked) -> None:
        with Classifier.load(STORED) as classifier:
            expected = classifier.predict(images).members(0.99, by_class=False)
        content = inference(images, coverage=0.99, by_class=False, binary_data_output=binary)
        reply = await asked("POST", INFER, content)
        if binary:
            assert reply.body[-expected.size :] == expected.tobytes()
            head = json.loads(reply.body[: int(reply.headers["inference-header-content-length"])])
        else:
            head = reply.json
        output = head["outputs"][-1]
        assert (output["name"], output["datatype"], output["shape"]) == ("set", "BOOL", list(expected.shape))
        assert output.get("data", expected.ravel().tolist()) == expected.ravel().tolist()
        plain = (await asked("POST", INFER, inference(images))).json
        assert [one["name"] for one in plain["outputs"]] == ["logits", "probabilities"]

    ask(STORED, questions, extensions=SETS)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"coverage": "0.9"}, "must be a number"),
        ({"coverage": True}, "must be a number"),
        ({"coverage": 95}, "more than 0 and less than 1"),
        ({"coverage": 10**310}, "must be a number between 0 and 1"),
        ({"coverage": 0.99999}, "cannot be promised"),
        ({"by_class": True}, "is not given"),
        ({"coverage": 0.9, "by_class": 1}, "true or false"),
    ],
)
def test_the_protocol_refuses_what_cannot_be_promised(digits: Split, parameters: dict[str, object], text: str) -> None:
    """With 400 and the reason."""

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", INFER, inference(digits.store.read(np.arange(1)), **parameters))
        assert reply.status == 400
        assert text in reply.json["error"]

    ask(STORED, questions, extensions=SETS)


@pytest.mark.parametrize("query", ["coverage=0.99", "coverage=0.9&by_class=false"])
def test_the_set_is_what_predictions_have(digits: Split, query: str) -> None:
    """Best first, beside the usual answer."""
    picture = encode_png(digits.store.read(np.arange(1))[0])

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", f"/predict?{query}", picture)
        with Classifier.load(STORED) as classifier:
            (expected,) = classifier.predict([picture]).sets(float(query[9:].partition("&")[0]))
        assert reply.status == 200
        assert reply.json["set"] == list(expected)
        assert reply.json["label"] == expected[0]
        assert "set" not in (await asked("POST", "/predict", picture)).json

    ask(STORED, questions, extensions=SETS)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("coverage=most", "must be a number"),
        ("coverage=95", "more than 0 and less than 1"),
        ("coverage=nan", "more than 0 and less than 1"),
        ("coverage=0.99999", "cannot be promised"),
        ("by_class=true", "is not given"),
        ("coverage=0.9&by_class=1", "true or false"),
    ],
)
def test_what_cannot_be_promised_is_refused(digits: Split, query: str, text: str) -> None:
    """With 400 and the reason."""
    picture = encode_png(digits.store.read(np.arange(1))[0])

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", f"/predict?{query}", picture)
        assert reply.status == 400
        assert text in reply.json["error"]

    ask(STORED, questions, extensions=SETS)


async def nothing(_: Asked) -> None:
    """Ask nothing."""


def metrics_after(
    bundle: Path,
    pictures: list[bytes],
    enough: Callable[[str], bool],
    last: Callable[[Asked], Awaitable[None]] = nothing,
    failure: str = "",
) -> str:
    """Return the metrics of a server with all additions after pictures, as soon as they are enough; `last` asks on.

    `failure` is in what went wrong beside the answers; empty where nothing did.
    """

    async def run() -> str:
        repository = ModelRepository([Source("m", str(bundle))], ON_CPU)
        await repository.start()
        try:
            app = make_app(repository, HttpSettings(), all_additions(repository))
            asked = Asked(app)
            for picture in pictures:
                assert (await asked("POST", "/predict", picture)).status == 200
            for _ in range(1000):
                text = (await asked("GET", "/metrics")).body.decode()
                if enough(text):
                    break
                await asyncio.sleep(0.02)
            (model,) = repository.models()
            assert failure in model.statistics.last_observer_failure
            assert bool(failure) == bool(model.statistics.last_observer_failure)
            await last(asked)
            return text
        finally:
            await repository.close()

    return asyncio.run(run())


def value(text: str, name: str) -> float:
    """Read a sample without labels beyond the model's."""
    found = re.search(rf'^{name}{{model="m",version="1"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else float("nan")


@pytest.mark.parametrize(("invert", "alarm"), [(False, 0), (True, 1)])
def test_drift_is_in_the_metrics(digits: Split, invert: bool, alarm: int) -> None:
    """Of pictures as they are none, of inverted ones an alarm, with a distance for each number."""
    images = digits.store.read(np.arange(30))
    pictures = [encode_png(255 - image if invert else image) for image in images]
    text = metrics_after(STORED, pictures, lambda text: value(text, "torchstone_drift_window_images") == 30)

    assert value(text, "torchstone_drift_window_images") == 30
    assert value(text, "torchstone_drift_alarm") == alarm
    assert len(re.findall(r"^torchstone_drift_distance{", text, re.MULTILINE)) == 10


def test_a_measurement_that_fails_is_counted_and_the_next_is_made(
    digits: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator sees it in the metrics; nobody who asks for a class does."""
    add, failing = DriftMonitor.add, iter([True])

    def add_or_fail(monitor: DriftMonitor, images: Uint8Array, logits: Float32Array) -> None:
        if next(failing, False):
            raise FloatingPointError("a sick measurement")
        add(monitor, images, logits)

    monkeypatch.setattr(DriftMonitor, "add", add_or_fail)
    picture = encode_png(digits.store.read(np.arange(1))[0])

    async def run() -> None:
        repository = ModelRepository([Source("m", str(STORED))], ON_CPU)
        await repository.start()
        try:
            asked = Asked(make_app(repository, HttpSettings(), all_additions(repository)))
            for name in ("torchstone_observer_failures_total", "torchstone_drift_window_images"):
                while not value((await asked("GET", "/metrics")).body.decode(), name) > 0:
                    assert (await asked("POST", "/predict", picture)).status == 200
            statistics = next(repository.models()).statistics
            assert (statistics.observer_failures, statistics.last_observer_failure) == (1, "a sick measurement")
        finally:
            await repository.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_drift_is_told_with_an_answer_where_it_is_asked_for(digits: Split) -> None:
    """Whether it is an alarm, of how many images, and what has changed; nothing unasked, and no third value."""
    pictures = [encode_png(255 - image) for image in digits.store.read(np.arange(30))]

    async def last(asked: Asked) -> None:
        drift = (await asked("POST", "/predict?drift=1", pictures[0])).json["drift"]
        assert (drift["alarm"], drift["images"] >= 30, "brighter" in drift["changes"]) == (True, True, True)
        assert drift["p_value"] < 0.0002
        assert "drift" not in (await asked("POST", "/predict", pictures[0])).json
        assert (await asked("POST", "/predict?drift=yes", pictures[0])).status == 400

    metrics_after(STORED, pictures, lambda text: value(text, "torchstone_drift_window_images") == 30, last)


def test_a_bundle_that_keeps_nothing_is_served_without_drift(digits: Split, tmp_path: Path) -> None:
    """As one of an earlier version."""
    folder = shutil.copytree(STORED, tmp_path / "bundle")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["validation"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    picture = encode_png(digits.store.read(np.arange(1))[0])

    async def last(asked: Asked) -> None:
        assert (await asked("POST", "/predict?drift=1", picture)).json["drift"] is None
        assert '"coverage": null' in (await asked("GET", "/")).body.decode()

    text = metrics_after(folder, [picture], lambda _: True, last)

    assert "torchstone_images_total" in text
    assert "torchstone_drift" not in text


def test_statistics_that_are_damaged_are_told_in_the_metrics_once(digits: Split, tmp_path: Path) -> None:
    """Classes are answered as ever; drift is not looked for, and the operator sees that something failed."""
    folder = shutil.copytree(STORED, tmp_path / "bundle")
    content = bytearray((folder / "validation.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "validation.npz").write_bytes(content)
    pictures = [encode_png(image) for image in digits.store.read(np.arange(3))]

    text = metrics_after(
        folder,
        pictures,
        lambda text: value(text, "torchstone_observer_failures_total") > 0,
        failure="validation.npz",
    )

    assert value(text, "torchstone_observer_failures_total") == 1
    assert "torchstone_drift_alarm{" not in text
