"""The page of `torchstone serve` in a real browser, clicked through."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image

from helpers.browser import NEEDS_BROWSER
from helpers.live_browser import Browser, Tab
from helpers.photographs import photograph
from helpers.served import ServerProcess, server_process
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.inference.classifier import Classifier

pytestmark = NEEDS_BROWSER

ANSWERED: Final = (
    "document.getElementById('result').getAttribute('aria-busy') === 'false' && "
    "!document.getElementById('answer').hidden"
)


@pytest.fixture(scope="module")
def served() -> Iterator[ServerProcess]:
    """A server of the built-in bundle and of another name for it."""
    with server_process("fashion", "other=fashion") as running:
        yield running


@pytest.fixture(scope="module")
def verified(served: ServerProcess, browser: Browser) -> Tab:
    """Its page, ready: once for all tests."""
    tab = browser.new_tab()
    tab.open(f"http://{served.address}/")
    assert tab.wait_for("document.getElementById('status')?.className") == "good", tab.text("#status")
    return tab


@pytest.fixture
def opened(verified: Tab) -> Tab:
    """The page with no answer shown and nothing inverted."""
    verified.show_as(width=1200)
    verified.run(
        "document.getElementById('invert').checked = false;"
        "document.getElementById('answer').hidden = document.getElementById('result').hidden = true;"
        "document.getElementById('result').removeAttribute('aria-busy'); document.activeElement.blur()"
    )
    return verified


def shown_label(tab: Tab) -> str:
    """Return the class that is shown once there is an answer."""
    tab.wait_for(ANSWERED)
    return tab.text("#verdict")


def seen_levels(tab: Tab) -> list[int]:
    """Return the red levels of the picture as the model saw it."""
    levels: list[int] = tab.run(
        "(() => { const c = document.getElementById('seen');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0); })()"
    )
    return levels


def test_a_picture_is_answered_as_in_python(opened: Tab, tmp_path: Path) -> None:
    """The bars are `predict`'s, and the picture as the model saw it is `decode_image`'s, pixel for pixel."""
    photograph(3, (500, 400)).save(tmp_path / "chosen.jpg")
    opened.choose("#file", tmp_path / "chosen.jpg")
    shown_label(opened)
    with Classifier.load("fashion") as classifier:
        expected = [f"{name}\n{share:.1%}" for name, share in classifier.predict(tmp_path / "chosen.jpg")[0].top(5)]
        pixels = decode_image(tmp_path / "chosen.jpg", classifier.input_spec)
    assert opened.text("#bars").replace("\n\n", "\n").splitlines() == "\n".join(expected).splitlines()
    assert seen_levels(opened) == pixels.ravel().tolist()


def test_an_example_is_answered_as_at_the_export(opened: Tab) -> None:
    """The golden sample itself is what the model is given."""
    opened.click("[data-example='0']")
    assert shown_label(opened) == "Ankle boot"
    with Classifier.load("fashion") as classifier:
        assert classifier.bundle is not None
        golden = np.load(classifier.bundle.path / "golden.npz")["images"][0]
    assert seen_levels(opened) == golden.ravel().tolist()


def test_a_light_ground_is_warned_of_and_inverted(opened: Tab, tmp_path: Path) -> None:
    """The switch asks again, with the opposite of what the model saw."""
    with Classifier.load("fashion") as classifier:
        assert classifier.bundle is not None
        boot = np.load(classifier.bundle.path / "golden.npz")["images"][0, 0]
    Image.fromarray(255 - boot).resize((300, 300)).save(tmp_path / "white.png")
    opened.choose("#file", tmp_path / "white.png")
    shown_label(opened)
    assert opened.run("document.querySelectorAll('#warnings li').length") == 1
    assert "bright background" in opened.text("#warnings")
    opened.click("#invert")
    opened.wait_for("document.getElementById('verdict').textContent === 'Ankle boot'")
    assert opened.text("#warnings") == ""


def test_what_the_server_refuses_is_told(opened: Tab, tmp_path: Path) -> None:
    """Its own sentence is shown in place of an answer."""
    (tmp_path / "text.jpg").write_text("no picture")
    opened.choose("#file", tmp_path / "text.jpg")
    opened.wait_for("document.getElementById('warnings').children.length")
    assert "not a picture in a supported format" in opened.text("#warnings")
    assert opened.run("document.getElementById('answer').hidden")


def test_the_page_asks_nobody_but_its_server(opened: Tab, served: ServerProcess) -> None:
    """One file, its policy kept: nothing else is loaded, nothing is logged but the refusal that a test asked for."""
    opened.click("[data-example='2']")
    shown_label(opened)
    assert all(address.startswith(f"http://{served.address}/") for address in opened.requested)
    assert [line for line in opened.console if "415" not in line] == []


def test_the_page_is_one_file_under_a_strict_policy(served: ServerProcess) -> None:
    """Scripts and styles are allowed by their hashes alone, and it can't be framed."""
    with urllib.request.urlopen(f"http://{served.address}/", timeout=30) as answer:
        policy, page = answer.headers["Content-Security-Policy"], answer.read().decode()
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not any(part in page for part in (' src="http', '<link rel="stylesheet', "\nimport "))


def test_each_model_has_its_page(served: ServerProcess, tab: Tab) -> None:
    """The page of the first one leads to the others."""
    tab.open(f"http://{served.address}/")
    tab.wait_for("document.querySelector('nav a') !== null")
    tab.click("nav a")
    tab.wait_for("document.title.startsWith('other')")
    tab.wait_for("document.getElementById('status')?.className === 'good'")
    tab.click("[data-example='0']")
    assert shown_label(tab) == "Ankle boot"
    assert any("/v2/models/other/versions/1/infer" in address for address in tab.requested)


def test_a_phone_shows_it_without_scrolling_sideways(opened: Tab) -> None:
    """With an answer and the model card open, in the dark."""
    opened.show_as(width=390, dark=True)
    opened.click("[data-example='0']")
    shown_label(opened)
    opened.run("document.querySelector('details').open = true")
    assert opened.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    opened.run("document.querySelector('details').open = false")
