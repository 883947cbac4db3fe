"""What the page of `torchstone serve` warns of, and the sets that it shows, in a real browser."""

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image

from helpers.browser import NEEDS_BROWSER
from helpers.live_browser import Browser, Tab
from helpers.served import ServerProcess, server_process
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import golden_images
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.inference.classifier import Classifier

pytestmark = NEEDS_BROWSER

ANSWERED: Final = (
    "document.getElementById('result').getAttribute('aria-busy') === 'false' && "
    "!document.getElementById('answer').hidden"
)


@pytest.fixture(scope="module")
def served() -> Iterator[ServerProcess]:
    """A server that has been sent 500 pictures of noise: nothing that the model was measured on."""
    with server_process("fashion") as running:
        noise = np.random.default_rng(18).integers(0, 256, (500, 1, 28, 28), dtype=np.uint8)
        tensor = (
            b'{"inputs":[{"name":"images","datatype":"UINT8","shape":[500,1,28,28],'
            b'"parameters":{"binary_data_size":392000}}]}'
        )
        address = f"http://{running.address}/v2/models/fashion/infer"
        headers = {"Inference-Header-Content-Length": str(len(tensor))}
        urllib.request.urlopen(urllib.request.Request(address, tensor + noise.tobytes(), headers)).close()
        yield running


@pytest.fixture
def opened(served: ServerProcess, browser: Browser) -> Tab:
    """Its page, ready."""
    tab = browser.new_tab()
    tab.open(f"http://{served.address}/")
    assert tab.wait_for("document.getElementById('status')?.className") == "good", tab.text("#status")
    return tab


def test_a_server_that_replayed_nothing_claims_nothing(browser: Browser) -> None:
    """The page says what the server was told to leave out."""
    with server_process("fashion", "--check", "hashes") as running:
        tab = browser.new_tab()
        tab.open(f"http://{running.address}/")
        tab.wait_for("document.getElementById('status')?.className === 'good'")
        assert tab.text("#status").startswith("Ready. The server was told not to replay the golden samples")


def test_drift_of_what_the_server_was_sent_is_told_with_an_answer(opened: Tab, tmp_path: Path) -> None:
    """With the number of images, and in which way they differ; a golden sample's own ground is no trouble."""
    (tmp_path / "one.png").write_bytes(encode_png(golden_images(Bundle.open(locate_bundle("fashion")))[0]))
    opened.choose("#file", tmp_path / "one.png")
    opened.wait_for(ANSWERED)
    warning = opened.text("#warnings")
    assert warning.startswith("Drift: the latest ")
    assert "brighter edges" in warning or "finer detail" in warning
    assert opened.console == []


def test_the_set_of_classes_is_that_of_python(opened: Tab, tmp_path: Path) -> None:
    """Of a picture by its file, and of an example by its pixels: best first, with the promise in words."""
    Image.fromarray(np.full((28, 28), 60, np.uint8)).save(tmp_path / "gray.png")
    with Classifier.load("fashion") as classifier:
        assert classifier.bundle is not None
        (gray,) = classifier.predict(tmp_path / "gray.png").sets(0.95)
        first = classifier.predict(golden_images(classifier.bundle)[:1]).sets(0.95)[0]
    ways: tuple[tuple[Callable[[], object], tuple[str, ...]], ...] = (
        (lambda: opened.choose("#file", tmp_path / "gray.png"), gray),
        (lambda: opened.click("[data-example='0']"), first),
    )
    for choose, expected in ways:
        opened.run("document.getElementById('answer').hidden = true")
        choose()
        opened.wait_for(ANSWERED)
        said = opened.text("#set")
        names = ", ".join(expected)
        often = "For 95 of 100 pictures like the validation images, the set contains the right class."
        many = f"{often} Here it is {names}."
        alone = f"{often} Here it is this class alone."
        assert said == (many if len(expected) > 1 else alone)


def test_a_picture_without_an_answer_is_told_as_such(opened: Tab, tmp_path: Path) -> None:
    """Of probabilities that are no numbers, null in JSON, and of a picture's file without classes."""
    Image.new("L", (28, 28)).save(tmp_path / "black.png")
    nothing = "{outputs: [{name: 'probabilities', data: Array(10).fill(null)}], top: [], seen: document.images[0].src}"
    opened.run(f"window.fetch = async () => new Response(JSON.stringify({nothing})), true")
    choices: tuple[Callable[[], None], ...] = (
        lambda: opened.click("[data-example='0']"),
        lambda: opened.choose("#file", tmp_path / "black.png"),
    )
    for choose in choices:
        opened.run("document.getElementById('warnings').replaceChildren()")
        choose()
        opened.wait_for("document.getElementById('warnings').textContent")
        assert opened.text("#warnings") == "The model gives no answer for this picture."
