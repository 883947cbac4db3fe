"""What a person states of a model: read from TOML and options, and refused where it can't be right."""

from pathlib import Path
from typing import Any

import pytest

from torchstone_export.foreign.read_spec import read_spec
from torchstone_runtime.errors import UsageError

GOOD: dict[str, Any] = {"input": "3x224x200", "mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}


def test_a_toml_file_and_options_give_the_same_spec(tmp_path: Path) -> None:
    """Numbers as arrays or as text, the classes in the file, in a file beside it, or on the line."""
    (tmp_path / "names.txt").write_text("a\n\nb c\n")
    (tmp_path / "spec.toml").write_text(
        'input = [3, 224, 200]\nmean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\nclasses = "@names.txt"\n'
    )

    assert read_spec(tmp_path / "spec.toml", {}) == read_spec(None, GOOD | {"classes": "a, b c"})


def test_a_byte_order_mark_is_no_part_of_a_spec_or_a_name(tmp_path: Path) -> None:
    """Windows' editors write one, and end lines with CR and LF."""
    for name, text in (("names.txt", "a\r\nb\r\n"), ("spec.toml", 'classes = "@names.txt"\r\n')):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())

    assert read_spec(tmp_path / "spec.toml", GOOD).classes == ("a", "b")


def test_an_option_replaces_the_files_field(tmp_path: Path) -> None:
    """And an option that was not given does not."""
    (tmp_path / "spec.toml").write_text('input = "1x8x8"\nmean = 0.5\nstd = 0.5\noutput = "probabilities"\n')
    spec = read_spec(tmp_path / "spec.toml", {"output": "logits", "mean": None})

    assert (spec.output, spec.mean, spec.color) == ("logits", (0.5,), "L")


def test_an_option_replaces_what_hangs_on_the_files_field(tmp_path: Path) -> None:
    """Another fit has no use for the file's resize and fill, pixels of uint8 none for its mean and std."""
    (tmp_path / "crop.toml").write_text('input = "3x8x8"\nmean = 0.5\nstd = 0.5\nfit = "crop"\nresize = 9\n')
    (tmp_path / "pad.toml").write_text('input = "3x8x8"\nmean = 0.5\nstd = 0.5\nfit = "pad"\nfill = 9\n')
    stretched = read_spec(tmp_path / "crop.toml", {"fit": "stretch"})
    cropped = read_spec(tmp_path / "pad.toml", {"fit": "crop"})
    pixels = read_spec(tmp_path / "crop.toml", {"dtype": "uint8"})

    assert (stretched.fit, stretched.resize) == ("stretch", None)
    assert (cropped.fit, cropped.fill) == ("crop", 0)
    assert (pixels.mean, pixels.resize) == ((0.0,) * 3, 9)


def test_a_files_resize_stays_where_an_option_states_the_crop(tmp_path: Path) -> None:
    """It belongs to that fit."""
    (tmp_path / "spec.toml").write_text('input = "3x8x8"\nmean = 0.5\nstd = 0.5\nresize = 9\n')

    assert read_spec(tmp_path / "spec.toml", {"fit": "crop"}).resize == 9


@pytest.mark.parametrize("one", ["0.5", 0.5, [0.5]])
def test_one_number_stands_for_all_channels(one: object) -> None:
    """As text, as a number, and as an array of one."""
    spec = read_spec(None, GOOD | {"mean": one, "std": one})

    assert (spec.mean, spec.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_the_input_spec_is_in_rgb_and_in_units_of_one() -> None:
    """A BGR model with a mean in units of 255."""
    spec = read_spec(None, GOOD | {"color": "BGR", "pixel_range": "0-255", "mean": "51,102,153", "std": "255,127.5,51"})
    stated = spec.input_spec()

    assert (stated.color, stated.height, stated.width) == ("RGB", 224, 200)
    assert stated.mean == pytest.approx((0.6, 0.4, 0.2))
    assert stated.std == pytest.approx((0.2, 0.5, 1.0))


def test_a_model_that_takes_uint8_is_given_the_pixels() -> None:
    """Its mean and std are those that change nothing."""
    stated = read_spec(None, {"input": "1x8x8", "dtype": "uint8"}).input_spec()

    assert (stated.mean, stated.std) == ((0.0,), (1 / 255,))


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"input": None}, "lacks 'input'"),
        ({"mean": None}, "lacks mean"),
        ({"mean": None, "std": None}, "lacks mean and std"),
        ({"mean": "0.5,0.5"}, "'mean' has 2 values, but input has 3 channels"),
        ({"mean": True}, "'mean' is True"),
        ({"std": "0.5,0,0.5"}, "std greater than 0"),
        ({"std": "0.5,nan,0.5"}, "finite"),
        ({"mean": "a,b,c"}, "'mean' is 'a,b,c'"),
        ({"input": "224"}, "channels x height x width"),
        ({"input": "4x8x8"}, "has 4 channels"),
        ({"input": "3x0x8"}, "height and width"),
        ({"input": "3x9000x8"}, "height and width"),
        ({"color": "L"}, "contradicts itself: color L has 1 channels, but input has 3"),
        ({"color": "CMYK"}, "'color' is 'CMYK'"),
        ({"output": "scores"}, "'output' is 'scores'"),
        ({"resize_filter": "cubic"}, "'resize_filter' is 'cubic'"),
        ({"dtype": "uint8"}, "normalises its input itself"),
        ({"classes": "a"}, "at least two"),
        ({"classes": "a,b,a"}, "has 'a' twice"),
        ({"classes": "a,,b"}, "empty"),
        ({"classes": [1, 2]}, "expected names"),
        ({"classes": "@nowhere.txt"}, "cannot be read"),
        ({"means": "1"}, "has a field 'means'"),
        ({"name": "a\x1b[2J"}, "without control characters"),
    ],
)
def test_a_wrong_spec_is_refused(change: dict[str, Any], fragment: str) -> None:
    """With a message that names the field."""
    with pytest.raises(UsageError) as refused:
        read_spec(None, GOOD | change)

    assert fragment in str(refused.value)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    """Neither one that is missing."""
    (tmp_path / "spec.toml").write_text("input = 3x8x8")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_spec(tmp_path / "spec.toml", {})
    with pytest.raises(UsageError, match="cannot be read"):
        read_spec(tmp_path / "none.toml", {})
