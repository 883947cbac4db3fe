import re
from pathlib import Path

from torchstone_export.model_card import _edges_section
from torchstone_runtime.builtin import locate_bundle
from torchstone_runtime.edges import KnownEdges


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
    assert _edges_section(KnownEdges(3, 250)) == ""
    assert _edges_section(None) == ""
    assert "on black is not" in _edges_section(KnownEdges(200, 250))
