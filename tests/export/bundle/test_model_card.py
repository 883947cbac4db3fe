import json
import re
from dataclasses import replace
from pathlib import Path

from helpers.support_markdown import HOSTILE, read_back, read_table
from torchstone_export.bundle.model_card import _background_section, render_model_card
from torchstone_export.model import load_trained
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.images.background import BackgroundRange
from torchstone_runtime.text import showable
from torchstone_train.run.run_dir import RunDirectory


def test_the_tag_torchscript_stands_where_there_is_such_a_file(digits_bundle: Path) -> None:
    """The built-in bundle has none."""
    with_file, without = ((folder / "README.md").read_text() for folder in (digits_bundle, locate_bundle("fashion")))
    assert "\n- onnx\n- torchscript\nmodel-index:" in with_file
    assert "\n- onnx\nmodel-index:" in without


def test_the_card_says_what_a_picture_should_look_like(digits_bundle: Path) -> None:
    """Mode, size and filter, and that digits lie on black."""
    card = (digits_bundle / "README.md").read_text()
    assert "converted to L and stretched to 28 x 28 (bilinear)" in card
    assert re.search(r"have dark edges \(mean level \d+ to \d+ of 255\)", card)
    assert "on white is not what the model was measured on" in card


def test_images_on_either_ground_are_no_rule() -> None:
    """Nothing is said of edges then; of bright ones the opposite is said."""
    assert _background_section(BackgroundRange(3, 250)) == ""
    assert _background_section(None) == ""
    assert "on black is not" in _background_section(BackgroundRange(200, 250))


def test_hostile_names_are_shown_and_nothing_else(digits_run: Path, digits_bundle: Path) -> None:
    """Class names, the model's name and the certificate's lines: a table of as many rows, and no markup of theirs."""
    names = HOSTILE[:10]
    model = replace(load_trained(RunDirectory.open(digits_run)), name="# <b>x</b> | y", class_names=names)
    metrics = json.loads((digits_bundle / "manifest.json").read_bytes())["metrics"]
    for row, name in zip(metrics["test"]["per_class"], names, strict=True):
        row["class"] = name
    card = render_model_card(model, metrics, ["fp32: sample <i>.png\n# x"], {"fp32": "model.onnx"})
    rows = read_table(card, "| class | precision | recall | F1 | samples |")
    assert [row[0] for row in rows] == [showable(name) for name in names]
    assert [len(row) for row in rows] == [5] * len(names)
    for line in card.splitlines():
        if line.startswith("An image classifier"):
            assert read_back(line) == f"An image classifier with 10 classes: {', '.join(map(showable, names))}."
    assert "\n# \\# &#60;b&#62;x&#60;/b&#62; &#124; y, trained on digits\n" in card
    assert "\n- fp32: sample &#60;i&#62;.png\\\\n# x\n" in card
    assert '\n- name: "# <b>x</b> | y"\n' in card
