"""The site of `torchstone web` in a real browser: it verifies, refuses, and answers as Python does."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image

from helpers.browser import NEEDS_BROWSER
from helpers.live_browser import Browser, Tab
from helpers.photographs import photograph
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.web.assets import STATIC

pytestmark = NEEDS_BROWSER

Serve = Callable[[Path], str]
ANSWERED: Final = (
    "document.getElementById('result').getAttribute('aria-busy') === 'false' && "
    "!document.getElementById('answer').hidden"
)
STATUS: Final = "document.getElementById('status')?.className"


@pytest.fixture(scope="module")
def fashion() -> Iterator[Classifier]:
    """The model of the site in Python: the variant that the site has."""
    with Classifier.load("fashion", variant="fp32", provider="cpu", threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def verified(site: Path, serve: Serve, browser: Browser) -> Tab:
    """The site, verified: once for all tests that do no more than use it."""
    tab = browser.new_tab()
    tab.open(serve(site))
    assert tab.wait_for(STATUS) == "good", tab.text("#status")
    return tab


@pytest.fixture
def opened(verified: Tab) -> Tab:
    """The verified site, as wide as a desk, with no answer shown and nothing inverted."""
    verified.send("Page.bringToFront")
    verified.show_as(width=1200)
    verified.run(
        "document.getElementById('invert').checked = document.getElementById('camera').open = false;"
        "document.getElementById('answer').hidden = document.getElementById('result').hidden = true;"
        "document.getElementById('result').removeAttribute('aria-busy');"
        "document.querySelector('details').open = false; document.activeElement.blur(); scrollTo(0, 0)"
    )
    return verified


def shown_label(tab: Tab) -> str:
    """Return the class that is shown once there is an answer."""
    tab.wait_for(ANSWERED)
    return tab.text("#verdict")


def test_an_example_is_answered_after_the_verification(opened: Tab) -> None:
    """One click gives bars of five classes, the picture as the model sees it, and no warning."""
    assert opened.text("#status").startswith("Verified here: 16 golden samples decide in this browser")
    opened.click("[data-example='0']")
    assert shown_label(opened) == "Ankle boot"
    assert opened.run("document.querySelectorAll('#bars li').length") == 5
    assert opened.run("[document.getElementById('seen').width, document.getElementById('seen').height]") == [28, 28]
    assert opened.text("#warnings") == ""


def test_nothing_is_asked_of_anybody_else(opened: Tab) -> None:
    """All that is loaded lies in the site's folder, no picture is sent, and the policy is kept."""
    opened.click("[data-example='1']")
    shown_label(opened)
    home = opened.run("location.href")
    assert all(address.startswith(home) for address in opened.requested)
    assert opened.console == []


def test_a_chosen_picture_is_answered_as_in_python(opened: Tab, fashion: Classifier, tmp_path: Path) -> None:
    """The five best classes and their probabilities, for a JPEG of a photograph's size."""
    photograph(5, (640, 480)).save(tmp_path / "chosen.jpg", quality=90)
    opened.choose("#file", tmp_path / "chosen.jpg")
    shown_label(opened)
    expected = [f"{name}\n{share:.1%}" for name, share in fashion.predict(tmp_path / "chosen.jpg")[0].top(5)]
    assert opened.text("#bars").replace("\n\n", "\n").splitlines() == "\n".join(expected).splitlines()


def test_a_dropped_picture_is_answered(opened: Tab, tmp_path: Path) -> None:
    """It is shown beside the answer, with its name."""
    photograph(6).save(tmp_path / "dropped.png")
    opened.drop("#drop", tmp_path / "dropped.png")
    shown_label(opened)
    assert opened.text("#name") == "dropped.png"


def test_a_pasted_picture_is_answered(opened: Tab) -> None:
    """What the clipboard holds counts as chosen."""
    opened.run(
        "(async () => { const c = new OffscreenCanvas(40, 30); c.getContext('2d').fillRect(0, 0, 20, 30);"
        "const data = new DataTransfer(); data.items.add(new File([await c.convertToBlob()], 'pasted.png',"
        "{type: 'image/png'})); document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data})); })()"
    )
    opened.wait_for("document.getElementById('name').textContent === 'pasted.png'")
    shown_label(opened)


def test_a_photograph_is_taken(opened: Tab) -> None:
    """The camera is shown in a dialogue, and is off when the picture is taken."""
    opened.click("#photograph")
    opened.wait_for("document.getElementById('camera').open && document.getElementById('video').videoWidth")
    opened.click("#shoot")
    opened.wait_for("document.getElementById('name').textContent === 'The photograph'")
    shown_label(opened)
    assert opened.run("document.getElementById('video').srcObject") is None


def test_what_is_no_picture_is_told(opened: Tab, tmp_path: Path) -> None:
    """There is a sentence in place of an answer, and the next picture is answered."""
    (tmp_path / "text.jpg").write_text("no picture")
    opened.choose("#file", tmp_path / "text.jpg")
    opened.wait_for("document.getElementById('warnings').children.length")
    assert opened.text("#warnings") == "This browser cannot read the picture. Save it as PNG or JPEG."
    assert opened.run("document.getElementById('answer').hidden")
    opened.click("[data-example='0']")
    assert shown_label(opened) == "Ankle boot"


def test_a_light_ground_is_warned_of_and_inverted(opened: Tab, fashion: Classifier, tmp_path: Path) -> None:
    """A picture on white is not a picture as the model knows them; the switch gives it the opposite."""
    assert fashion.bundle is not None
    boot = np.load(fashion.bundle.path / "golden.npz")["images"][0, 0]
    Image.fromarray(255 - boot).resize((300, 300)).save(tmp_path / "white.png")
    opened.choose("#file", tmp_path / "white.png")
    shown_label(opened)
    assert "light background" in opened.text("#warnings")
    opened.click("#invert")
    opened.wait_for("document.getElementById('verdict').textContent === 'Ankle boot'")
    assert opened.text("#warnings") == ""


def test_the_keyboard_is_enough(opened: Tab) -> None:
    """Tab reaches every control in the order of the page; Enter on an example answers it."""
    opened.click("h1")
    order = []
    for _ in range(4):
        opened.press("Tab", 9)
        order.append(opened.run("document.activeElement.id || document.activeElement.dataset.example"))
    assert order == ["choose", "photograph", "invert", "0"]
    opened.press("Enter", 13, "\r")
    assert shown_label(opened) == "Ankle boot"


def test_every_control_has_a_name_for_a_screen_reader(opened: Tab) -> None:
    """Buttons, fields and pictures are named, and answers are announced."""
    opened.click("[data-example='0']")
    shown_label(opened)
    nodes = opened.send("Accessibility.getFullAXTree")["nodes"]
    kinds = ("button", "checkbox", "image", "img", "dialog", "DisclosureTriangle")
    found = [node for node in nodes if not node["ignored"] and node["role"]["value"] in kinds]
    assert len(found) > 20
    assert [node for node in found if not node.get("name", {}).get("value")] == []
    assert opened.run("document.getElementById('answer').closest('[aria-live]') !== null")


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_without_scrolling_sideways(opened: Tab, dark: bool) -> None:
    """Nothing is wider than the screen, light or dark, with an answer and the model card open."""
    opened.show_as(width=390, dark=dark)
    opened.click("[data-example='0']")
    shown_label(opened)
    opened.click("summary")
    assert opened.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    brightness = opened.run("parseInt(getComputedStyle(document.body).backgroundColor.slice(4))")
    assert (brightness < 60) is dark


def refused(site: Path, folder: Path, serve: Serve, tab: Tab, change: Callable[[Path], None]) -> str:
    """Change a copy of the site, open it, and return why it answers nothing."""
    copy = shutil.copytree(site, folder / "changed")
    change(copy)
    tab.open(serve(copy))
    assert tab.wait_for(STATUS) == "bad", tab.text("#status")
    assert tab.run("[...document.querySelectorAll('[data-needs-model]')].every(control => control.disabled)")
    return tab.text("#status")


def edit(site: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what the site states of itself."""
    stated = json.loads((site / "model.json").read_text())
    change(stated)
    (site / "model.json").write_text(json.dumps(stated))


def test_a_model_that_differs_here_is_refused(site: Path, tmp_path: Path, serve: Serve, tab: Tab) -> None:
    """Golden samples that don't come out within their tolerance: no button can be pressed."""

    def be_strict(folder: Path) -> None:
        edit(folder, lambda stated: stated["golden"].update(tolerance=1e-12))

    assert "no picture is classified here" in refused(site, tmp_path, serve, tab, be_strict)


@pytest.mark.parametrize("name", ["model.onnx", "ort-wasm-simd-threaded.wasm"])
def test_an_altered_file_is_refused(name: str, site: Path, tmp_path: Path, serve: Serve, tab: Tab) -> None:
    """A single bit of a file that the answers depend on."""

    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    assert f"{name} is not the file that the site was made with" in refused(site, tmp_path, serve, tab, damage)


def test_classes_named_like_html_are_shown_as_text(site: Path, tmp_path: Path, serve: Serve, tab: Tab) -> None:
    """Names come from whoever trained the model."""
    nasty = "<img src=x onerror=alert(1)>"
    copy = shutil.copytree(site, tmp_path / "named")
    edit(copy, lambda stated: stated["classes"].__setitem__(9, nasty))
    tab.open(serve(copy))
    assert tab.wait_for(STATUS) == "good"
    tab.click("[data-example='0']")
    assert shown_label(tab) == nasty
    assert tab.run("document.querySelectorAll('#result img').length") == 1


def pixels_in_browser(tab: Tab, names: list[str], spec: InputSpec) -> list[Uint8Array]:
    """Return what the modules of the page make of pictures that lie beside them, uint8 [C, H, W] each."""
    code = (
        "(async () => { const {decodePicture} = await import('/picture.js');"
        "const {modelInput} = await import('/geometry.js');"
        f"const spec = {json.dumps(spec.to_json())}, result = [];"
        f"for (const name of {json.dumps(names)}) {{ const blob = await (await fetch(name)).blob();"
        "const pixels = modelInput(await decodePicture(blob, 16), spec);"
        "result.push(btoa(Array.from(pixels, level => String.fromCharCode(level)).join(''))); } return result; })()"
    )
    return [np.frombuffer(base64.b64decode(text), np.uint8).reshape(spec.shape) for text in tab.run(code)]


def test_photographs_become_the_same_pixels(tmp_path: Path, serve: Serve, tab: Tab) -> None:
    """30 JPEG files, some turned, at the input of a usual network: decoded by the browser, resized by the page."""
    folder = shutil.copytree(STATIC, tmp_path / "modules")
    (folder / "empty.html").write_text("<!doctype html>")
    names = []
    for seed in range(30):
        picture = photograph(seed, (200 + 13 * seed, 330 - 5 * seed))
        exif = picture.getexif()
        exif[0x0112] = 1 + seed % 8
        names.append(f"{seed}.jpg")
        picture.save(folder / names[-1], quality=60 + seed, subsampling=seed % 3, exif=exif)
    tab.open(f"{serve(folder)}empty.html")
    tab.wait_for("document.readyState === 'complete' && location.href.endsWith('empty.html')")
    gray = InputSpec(color="L", height=28, width=28, mean=(0.5,), std=(0.5,))
    colour = InputSpec(color="RGB", height=64, width=64, fit="crop", resize=72, mean=(0.5,) * 3, std=(0.5,) * 3)
    for spec in (gray, colour):
        for name, pixels in zip(names, pixels_in_browser(tab, names, spec), strict=True):
            assert np.array_equal(pixels, decode_image(folder / name, spec)), name
