"""What `predict` writes: formats, abstentions, the gallery."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import run_in_process
from helpers.support import assert_refused
from torchstone_runtime.data.split import Split
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predict_pictures import PicturePrediction
from torchstone_runtime.report import prediction_gallery
from torchstone_runtime.report.prediction_gallery import MAX_SHOWN, PredictionGallery

COUNT = 30


@pytest.fixture
def pictures(tmp_path: Path, digits: Split) -> Path:
    """A folder with thirty digits, some of which a model of three epochs is not sure of."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, image in enumerate(digits.store.read(np.arange(COUNT))):
        (folder / f"{index:02}.png").write_bytes(encode_png(image))
    return folder


def test_csv_has_a_header_and_quotes_names(digits_bundle: Path, pictures: Path, classifier: Classifier) -> None:
    """Read back by a CSV reader, names with commas and quotes are whole, and numbers are exact."""
    strange = pictures / 'a, "b".png'
    (pictures / "00.png").rename(strange)
    result = run_in_process("predict", digits_bundle, strange, pictures / "01.png", "--format", "csv", "--top", "2")
    header, *rows = csv.reader(io.StringIO(result.stdout))
    assert header == ["path", "class", "probability", "class_1", "p_1", "class_2", "p_2"]
    expected = classifier.predict([strange, pictures / "01.png"]).top(2)
    assert [row[0] for row in rows] == [str(strange), str(pictures / "01.png")]
    assert [[row[3], row[5]] for row in rows] == [[name for name, _ in top] for top in expected]
    assert [float(row[2]) for row in rows] == pytest.approx([top[0][1] for top in expected], abs=1e-6)


def test_json_and_the_format_of_that_name_are_the_same(digits_bundle: Path, pictures: Path) -> None:
    """`--json` came first; another format beside it is a contradiction."""
    one = run_in_process("predict", digits_bundle, pictures, "--json")
    assert one.stdout == run_in_process("predict", digits_bundle, pictures, "--format", "jsonl").stdout
    assert_refused(run_in_process("predict", digits_bundle, pictures, "--json", "--format", "csv"), "--format csv")


@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_below_the_minimal_confidence_no_class_is_given(
    digits_bundle: Path, pictures: Path, classifier: Classifier, form: str
) -> None:
    """Exactly the answers whose best class is less probable; they are no failure, and their number is told."""
    threshold = 0.95
    unsure = classifier.predict(sorted(pictures.iterdir())).confidences < threshold
    assert 0 < unsure.sum() < COUNT
    options = ("--min-confidence", str(threshold), "--format", form)
    result = run_in_process("predict", digits_bundle, pictures, *options)
    assert result.returncode == 0
    if form == "jsonl":
        found = [json.loads(line)["class"] is None for line in result.stdout.splitlines()]
    elif form == "csv":
        found = [row["class"] == "" for row in csv.DictReader(io.StringIO(result.stdout))]
    else:
        found = ["\t(unsure)\t" in line for line in result.stdout.splitlines()]
    assert found == unsure.tolist()
    assert f"{unsure.sum()} of {COUNT} unsure" in result.stderr


def test_a_name_cannot_steer_the_terminal(digits_bundle: Path, pictures: Path) -> None:
    """Control characters of a file name are shown as escapes, in a table that is meant for eyes."""
    (pictures / "00.png").rename(pictures / "a\x1b[2Jb\tc.png")
    result = run_in_process("predict", digits_bundle, pictures)
    assert "\x1b" not in result.stdout
    assert "a\\x1b[2Jb\\tc.png\t" in result.stdout


def test_the_plan_is_shown_when_asked_for(digits_bundle: Path, pictures: Path) -> None:
    """Variant, provider with its reason, threads and tile, on stderr."""
    result = run_in_process("predict", digits_bundle, pictures / "00.png", "--verbose", "--threads", "1")
    assert re.search(r"plan: fp32 on \w+ \(.+\), 1 thread, tiles of \d+", result.stderr)


class Page(HTMLParser):
    """Counts the pictures of a page and what it would load from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.outside: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.pictures.append(values["alt"] or "")
        source = values.get("src") or values.get("href") or "data:"
        if not source.startswith("data:"):
            self.outside.append(source)
        if tag not in ("img", "meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_gallery_shows_each_picture(digits_bundle: Path, pictures: Path) -> None:
    """One self-contained page; names are escaped, thumbnails are small, files left out are listed."""
    (pictures / "00.png").rename(pictures / "<b>&.png")
    Image.effect_noise((1600, 1200), 80).convert("RGB").save(pictures / "large.jpg", quality=95)
    (pictures / "bad.png").write_text("x")
    target = pictures.parent / "new" / "page.html"
    options = ("--gallery", target, "--min-confidence", "0.9", "--top", "2")
    result = run_in_process("predict", digits_bundle, pictures, *options)
    assert result.returncode == 1
    text = target.read_text(encoding="utf-8")
    page = Page(text)
    assert page.pictures == [str(path) for path in sorted(pictures.iterdir()) if path.name != "bad.png"]
    assert page.open == page.outside == []
    assert "bad.png is not an image" in text
    assert "(unsure)" in text
    assert len(text) < 150_000 < (pictures / "large.jpg").stat().st_size
    assert len(result.stdout.splitlines()) == COUNT + 1


def test_the_gallery_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many pictures only the counts go on, and the page says so."""
    assert MAX_SHOWN == 5_000
    monkeypatch.setattr(prediction_gallery, "MAX_SHOWN", 3)
    file = io.BytesIO()
    gallery = PredictionGallery(file, model="m", plan="p")
    for index in range(10):
        gallery.add(
            PicturePrediction(f"{index}.png", [("cat", 0.9)], encode_png(np.zeros((1, 2, 2), np.uint8))), unsure=False
        )
    gallery.finish()
    text = file.getvalue().decode()
    assert Page(text).pictures == ["0.png", "1.png", "2.png"]
    assert "The first 3 of 10 pictures are shown" in text


def test_a_gallery_that_cannot_be_written_is_told_before_the_work(digits_bundle: Path, pictures: Path) -> None:
    """Nothing is classified first."""
    (pictures / "file").write_text("x")
    options = ("--gallery", pictures / "file" / "page.html")
    assert_refused(run_in_process("predict", digits_bundle, pictures, *options), "Cannot write")


def test_a_gallery_is_finished_when_the_reader_of_the_lines_leaves(digits_bundle: Path, pictures: Path) -> None:
    """`| head` ends the lines, not the page that was asked for too."""
    import subprocess
    import sys

    program = f"{sys.executable} -m torchstone_runtime predict {digits_bundle} - --gallery page.html < list | head -1"
    (pictures / "list").write_text("00.png\n" * 3000)
    result = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=pictures, check=True)  # noqa: S607 - the system's own
    assert "Traceback" not in result.stderr
    assert len(Page((pictures / "page.html").read_text()).pictures) == 3000
