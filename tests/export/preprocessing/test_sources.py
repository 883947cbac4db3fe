"""`--preprocess SOURCE`: which source is meant, and an ONNX file's own metadata."""

from pathlib import Path

import onnx
import pytest

from helpers.support_foreign import onnx_model
from torchstone_export.foreign.read_spec import read_spec
from torchstone_export.preprocessing.stated_source import read_preprocessing, recognised
from torchstone_runtime.errors import UsageError

METADATA = {
    "author": "Ultralytics",
    "task": "classify",
    "imgsz": "[224, 224]",
    "names": "{0: 'cat', 1: 'dog', 2: \"horse's head\"}",
    "stride": "1",
}


def onnx_file(folder: Path, **metadata: str) -> Path:
    """An ONNX file with metadata."""
    model = onnx_model()
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_ultralytics_metadata_is_recognised(tmp_path: Path) -> None:
    """The shorter side to imgsz, the centre, pixels from 0 to 1, the names, and a softmax at the end."""
    found = recognised(onnx_file(tmp_path, **METADATA))

    assert found is not None
    assert found.fields == {
        "input": (3, 224, 224),
        "color": "RGB",
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "pixel_range": "0-1",
        "resize_filter": "bilinear",
        "fit": "crop",
        "resize": 224,
        "output": "probabilities",
        "classes": ("cat", "dog", "horse's head"),
    }


def test_another_side_is_stretched_to(tmp_path: Path) -> None:
    """As its transforms do where height and width differ."""
    found = recognised(onnx_file(tmp_path, **METADATA | {"imgsz": "[96, 128]"}))

    assert found is not None
    assert (found.fields["fit"], found.fields["input"]) == ("stretch", (3, 96, 128))


def test_other_metadata_is_left_alone(tmp_path: Path) -> None:
    """Unless it is asked for: then it is said what was looked for."""
    path = onnx_file(tmp_path, note="mine")

    assert recognised(path) is None
    with pytest.raises(UsageError, match="no task, names and imgsz"):
        read_preprocessing("onnx", Path(), path)


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"task": "detect"}, "a model for the task 'detect'"),
        ({"names": "{0: 'cat'"}, "a 'names' that can't be read"),
        ({"names": "{0: 'cat', 2: 'dog'}"}, "a 'names' that can't be read"),
        ({"imgsz": "large"}, "a 'imgsz' that can't be read"),
        ({"imgsz": "[1, 2, 3]"}, "imgsz is [1, 2, 3]"),
    ],
)
def test_metadata_of_no_classifier_or_damaged_is_refused(
    changes: dict[str, str], fragment: str, tmp_path: Path
) -> None:
    """One message each."""
    with pytest.raises(UsageError) as refused:
        recognised(onnx_file(tmp_path, **METADATA | changes))

    assert fragment in str(refused.value)


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("resnet50", ["not a preprocessing source", "timm:NAME"]),
        ("tim:resnet50", ["Did you mean 'timm'?"]),
        ("torchvision:", ["not a preprocessing source"]),
        ("nowhere.json", ["cannot be read"]),
        ("onnx", ["a module is exported"]),
    ],
)
def test_a_source_that_is_none_is_refused(text: str, fragments: list[str]) -> None:
    """With the forms that there are."""
    with pytest.raises(UsageError) as refused:
        read_preprocessing(text, Path())

    for fragment in fragments:
        assert fragment in str(refused.value)


def test_what_is_stated_beside_a_source_wins_and_is_told() -> None:
    """Field by field; what belongs to the source's fit goes with it."""
    told: list[str] = []
    stated = {"preprocess": "torchvision:ResNet50_Weights.IMAGENET1K_V2", "fit": "stretch", "mean": "0.5,0.5,0.5"}
    spec = read_spec(None, stated, tell=told.append)

    assert (spec.fit, spec.resize, spec.mean, spec.std) == ("stretch", None, (0.5,) * 3, (0.229, 0.224, 0.225))
    assert told[0].startswith("torchvision:ResNet50_Weights.IMAGENET1K_V2: --input 3x224x224, --fit crop")
    assert sorted(told[1:]) == [
        "--fit stretch is stated, and replaces what the source says (crop)",
        "--mean 0.5,0.5,0.5 is stated, and replaces what the source says (0.485,0.456,0.406)",
    ]


def test_the_other_order_of_colours_turns_mean_and_std_of_a_source() -> None:
    """They are per channel of the model."""
    spec = read_spec(None, {"preprocess": "torchvision:ResNet50_Weights.IMAGENET1K_V2", "color": "BGR"})

    assert spec.mean == (0.406, 0.456, 0.485)
    assert spec.input_spec().mean == pytest.approx((0.485, 0.456, 0.406))


def test_a_model_that_takes_uint8_has_the_geometry_of_a_source_alone() -> None:
    """It normalises the pixels itself."""
    spec = read_spec(None, {"preprocess": "torchvision:ResNet50_Weights.IMAGENET1K_V2", "dtype": "uint8"})

    assert (spec.fit, spec.resize, spec.mean) == ("crop", 232, (0.0, 0.0, 0.0))


def test_a_spec_file_names_a_source_relative_to_itself(tmp_path: Path) -> None:
    """As it does with @FILE of its classes."""
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "ViTImageProcessor"}')
    (tmp_path / "spec.toml").write_text('preprocess = "preprocessor_config.json"\nresize_filter = "bicubic"\n')
    spec = read_spec(tmp_path / "spec.toml", {})

    assert (spec.fit, spec.input, spec.resize_filter) == ("stretch", (3, 224, 224), "bicubic")
