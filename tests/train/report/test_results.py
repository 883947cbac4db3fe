import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import run_in_process
from helpers.support import run_torchstone
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_train.report.figures import save_figures
from torchstone_train.report.page import RunReport, render_report
from torchstone_train.training.validate import ValidationPass

FIGURES = ("confusion", "confusion_normalized", "curves", "map", "mistakes")
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Collects the elements of a page; fails where one isn't closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of each element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(tiny_run: Path) -> Page:
    """The report of a run."""
    return Page((tiny_run / "report.html").read_text())


@pytest.fixture(scope="module")
def info(tiny_run: Path) -> dict[str, Any]:
    """The content of its run.json."""
    data: dict[str, Any] = json.loads((tiny_run / "run.json").read_text())
    return data


@pytest.fixture(scope="module")
def history(tiny_run: Path) -> list[dict[str, Any]]:
    """Its epochs."""
    return [json.loads(line) for line in (tiny_run / "history.jsonl").read_text().splitlines()]


def seen(names: tuple[str, ...], predicted: list[int], confidence: list[float]) -> ValidationPass:
    """Return decisions on images of which the i-th is truly of class i modulo the number of classes."""
    labels = np.arange(len(predicted), dtype=np.int64) % len(names)
    images = np.zeros((len(labels), 1, 4, 4), dtype=np.uint8)
    split = Split("validation", ArrayStore(images), labels, names, [f"id<{i}>" for i in range(len(labels))])
    decided = np.array(predicted, dtype=np.int64)
    found = (split.ids, split.class_names, labels, decided, np.array(confidence, dtype=np.float32))
    return ValidationPass(*found, split=split, loss=0.5)


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_there_as_png(name: str, tiny_run: Path) -> None:
    """Each picture can be opened, and is no empty canvas."""
    with Image.open(tiny_run / "figures" / f"{name}.png") as image:
        assert min(image.size) >= 300
        colors = image.convert("RGB").getcolors(1 << 24)
    assert colors is not None
    assert len(colors) > 10


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_there_as_svg(name: str, tiny_run: Path) -> None:
    """Each picture is well-formed SVG without the date it was made."""
    content = (tiny_run / "figures" / f"{name}.svg").read_text()
    assert ET.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own file
    assert "<dc:date>" not in content


def test_same_run_draws_the_same_bytes(history: list[dict[str, Any]], tmp_path: Path) -> None:
    """Figures of equal runs are equal files, so that a difference means something."""
    decided = seen(("a", "b"), [0, 1, 1], [0.5, 0.6, 0.7])
    for name in ("first", "second"):
        save_figures(tmp_path / name, history, decided, "title")
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == sorted(f"{name}.{suffix}" for name in FIGURES if name != "map" for suffix in ("png", "svg"))
    assert all((tmp_path / "first" / n).read_bytes() == (tmp_path / "second" / n).read_bytes() for n in files)


@pytest.mark.parametrize("names", [("$a$", "b_{2"), ("犬", "猫"), ("x" * 300, "<b>&amp;")])
def test_any_class_name_can_be_drawn(names: tuple[str, str], tmp_path: Path) -> None:
    """Formula signs, other scripts, markup and very long names spoil no figure."""
    save_figures(tmp_path / "figures", [], seen(names, [0, 0], [0.9, 0.8]), "$title$")
    for file in (tmp_path / "figures").glob("*.svg"):
        ET.fromstring(file.read_text())  # noqa: S314 - our own file


def test_hundreds_of_classes_can_be_drawn(tmp_path: Path) -> None:
    """With many classes the figures stay of a size that can be opened."""
    names = tuple(f"class {index}" for index in range(200))
    save_figures(tmp_path / "figures", [], seen(names, list(range(200)), [0.9] * 200), "many")
    with Image.open(tmp_path / "figures" / "confusion.png") as image:
        assert max(image.size) < 4000


def test_report_is_self_contained(page: Page) -> None:
    """No address is loaded, and the one script, whose hash the policy names, and the pictures are part of the page."""
    assert page.all("script") == [{}]
    addresses = [e[key] for _, e in page.elements for key in ("src", "href", "data", "xlink:href") if key in e]
    assert addresses
    assert all(address.startswith(("data:", "#pair-")) for address in addresses)


def test_report_names_no_network_address(tiny_run: Path) -> None:
    """Not even in styles or comments."""
    text = (tiny_run / "report.html").read_text().lower()
    assert not any(mark in text for mark in ("http:", "https:", "@import", "url("))


def test_pictures_of_the_report_have_words(page: Page) -> None:
    """Who can't see the images reads true class, predicted class and probability; curves have a label."""
    words = [image["alt"] for image in page.all("img")]
    assert "Map of validation and test images by the features before the last layer" in words
    assert sum("predicted" in alt and "%" in alt for alt in words) == len(words) - 1
    drawings = [svg["aria-label"] for svg in page.all("svg") if svg.get("role") == "img"]
    assert sum("over 3 epochs" in label for label in drawings) == 5


def test_report_has_both_diagrams_of_the_confidence(page: Page) -> None:
    """Reliability and confidence by class, each with words for who can't see it."""
    drawings = [svg["aria-label"] for svg in page.all("svg") if svg.get("role") == "img"]
    begins = [words.replace(".", ":").split(":")[0] for words in drawings[5:]]
    assert begins == ["Reliability diagram", "Confidence by true class, the least confident first"]


@pytest.mark.parametrize("name", FIGURES)
def test_figure_files_bear_words(name: str, tiny_run: Path) -> None:
    """Both files have a title that says what is drawn, and of which run."""
    svg = ET.fromstring((tiny_run / "figures" / f"{name}.svg").read_text())  # noqa: S314 - our own file
    title = svg.findtext("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.startswith("cnn3 on ")
    with Image.open(tiny_run / "figures" / f"{name}.png") as image:
        assert image.info["Title"] == title


def test_report_shows_the_figures_of_the_kept_weights(page: Page, info: dict[str, Any]) -> None:
    """Accuracy and F1 are those of run.json: the weights that were restored were measured."""
    metrics = info["metrics"]["validation"]
    assert f"{metrics['accuracy']:.2%}" in page.text
    assert f"{metrics['f1_macro']:.4f}" in page.text


def test_report_says_how_the_run_was_made(page: Page, info: dict[str, Any]) -> None:
    """Recipe, seed, fingerprints, device, versions, stop reason and times."""
    fingerprints = [info["dataset"][split]["fingerprint"] for split in ("train", "validation", "test")]
    facts = [*fingerprints, info["recipe"]["summary"], info["device"]["name"], info["versions"]["torch"]]
    assert all(fact in page.text for fact in (*facts, info["stop_reason"], info["started"]))


def test_report_names_no_folder_of_the_machine(tiny_run: Path, page: Page) -> None:
    """A report may be passed on: it says nothing of where it was made."""
    assert str(tiny_run.parent) not in page.text
    assert "npz" in page.text


def test_report_escapes_what_comes_from_the_data(info: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """Class names and file names are text, never markup."""
    decided = seen(("<script>alert(1)</script>", '"><img src=x>'), [1, 0, 0, 1], [0.9, 0.8, 0.7, 0.6])
    page = Page(render_report(RunReport("<i>title</i>", info, history, decided)))
    assert page.all("script") == [{}]  # the page's own
    assert not page.all("i")
    assert all(image["src"].startswith("data:image/png") for image in page.all("img"))


def test_report_of_a_run_without_mistakes_says_so(info: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """Nothing to show is told, not left blank."""
    report = RunReport("perfect", info, history, seen(("a", "b"), [0, 1], [0.9, 0.9]))
    assert "No image was taken for another class." in Page(render_report(report)).text


def test_report_of_a_run_without_epochs_says_so(info: dict[str, Any]) -> None:
    """A training interrupted in its first epoch has a report as well."""
    report = RunReport("begun", {**info, "best_epoch": 0, "epochs_run": 0}, [], seen(("a", "b"), [0, 1], [0.9, 0.9]))
    assert "No epoch was completed." in Page(render_report(report)).text


@pytest.mark.parametrize(
    ("missing", "left"),
    [("matplotlib", {"tensorboard"}), ("tensorboard", {"figures"}), ("sklearn,tensorboard,matplotlib", set[str]())],
)
def test_training_works_without_the_packages_for_pictures(
    missing: str, left: set[str], tiny_npz: Path, tmp_path: Path
) -> None:
    """What can't be drawn is left out with one line that has the install line; the run is whole otherwise."""
    run, hidden = tmp_path / "run", missing.split(",")
    arguments = ("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--epochs", "1", "--out", run)
    result = run_torchstone(*arguments, hidden=hidden, pictures="matplotlib" not in hidden)
    assert result.returncode == 0, result.stderr
    told = [line for line in result.stderr.splitlines() if line.startswith("left out")]
    assert len(told) == 1
    assert "to have them: pip install '.[train]' in a clone" in result.stderr
    assert {entry.name for entry in run.iterdir()} & {"figures", "tensorboard"} == left
    assert (run / "report.html").is_file()


def test_failing_figure_loses_nothing_else(tiny_npz: Path, tmp_path: Path) -> None:
    """A matplotlib that doesn't work costs the figures: one line, exit code 0, the rest is there."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, types\nbroken = types.ModuleType('matplotlib')\nbroken.__spec__ = types.SimpleNamespace()\n"
        "sys.modules['matplotlib'] = broken\n"
    )
    run = tmp_path / "run"
    arguments = ("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--epochs", "1", "--out", run)
    result = run_torchstone(*arguments, env={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == 0, result.stderr
    assert "left out figures/:" in result.stderr
    assert "Traceback" not in result.stderr
    assert (run / "report.html").is_file()


@pytest.mark.parametrize("folds", [(), ("--folds", "2")])
def test_a_training_without_a_report_draws_nothing(folds: tuple[str, ...], tiny_npz: Path, tmp_path: Path) -> None:
    """Neither the run, nor a cross-validation, nor its folds; nothing is said of packages that would be needed."""
    arguments = ("train", "mlp", "--data", f"npz:{tiny_npz}", "--epochs", "1", "--no-figures", *folds)
    result = run_in_process(*arguments, "--out", tmp_path / "out")

    assert result.returncode == 0, result.stderr
    made = {path.name for path in (tmp_path / "out").rglob("*")}
    assert {"run.json", "history.jsonl", "best.safetensors"} <= made
    assert not made & {"report.html", "figures", "tensorboard"}
    assert "left out" not in result.stderr
