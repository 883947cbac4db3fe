"""`--preprocess preprocessor_config.json`: what Hugging Face's image processors do, in the terms of a spec.

The expected fields of the usual processors were compared with the processors themselves (transformers 5.24, their
Pillow backend): on pictures of several sizes, the inputs that they make differ by at most 4e-7.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchstone_export.preprocessing.hugging_face import from_hugging_face
from torchstone_runtime.errors import UsageError

HALF = (0.5, 0.5, 0.5)
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def write(folder: Path, config: object, name: str = "preprocessor_config.json") -> Path:
    """A configuration as a file; the path of it."""
    path = folder / name
    path.write_text(json.dumps(config))
    return path


def fields(folder: Path, processor: str, **config: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """What the configuration of a processor says."""
    return from_hugging_face(write(folder, {"image_processor_type": f"{processor}ImageProcessor", **config})).fields


@pytest.mark.parametrize(
    ("processor", "config", "expected"),
    [
        ("ViT", {}, {"fit": "stretch", "input": (3, 224, 224), "mean": HALF, "resize_filter": "bilinear"}),
        ("ViT", {"size": 384, "resample": 3}, {"fit": "stretch", "input": (3, 384, 384), "resize_filter": "bicubic"}),
        ("ViT", {"size": {"height": 192, "width": 256}}, {"fit": "stretch", "input": (3, 192, 256)}),
        ("ViT", {"do_normalize": False}, {"mean": (0.0,) * 3, "std": (1.0,) * 3}),
        ("ConvNext", {"size": {"shortest_edge": 224}}, {"fit": "crop", "resize": 256, "input": (3, 224, 224)}),
        ("ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 0.95}, {"fit": "crop", "resize": 235}),
        ("ConvNext", {}, {"fit": "stretch", "input": (3, 384, 384), "resize_filter": "bicubic"}),
        ("CLIP", {}, {"fit": "crop", "resize": 224, "mean": (0.48145466, 0.4578275, 0.40821073)}),
        ("Bit", {"size": {"shortest_edge": 256}, **IMAGENET}, {"fit": "crop", "resize": 256, "input": (3, 224, 224)}),
        ("MobileNetV2", {"size": 288, "crop_size": 256}, {"fit": "crop", "resize": 288, "input": (3, 256, 256)}),
        ("MobileViT", {"size": {"shortest_edge": 288}}, {"fit": "crop", "resize": 288, "color": "BGR"}),
        ("Levit", {}, {"fit": "crop", "resize": 256, "input": (3, 224, 224)}),
        ("PoolFormer", {}, {"fit": "crop", "resize": 248, "input": (3, 224, 224)}),
        ("Siglip", {"resample": 1}, {"fit": "stretch", "resize_filter": "lanczos"}),
    ],
)
def test_a_processor_is_told_in_fields_of_a_spec(
    processor: str, config: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    """Where the configuration is silent, the processor's own defaults hold."""
    found = fields(tmp_path, processor, **config)

    assert {name: found[name] for name in expected} == expected


def numbers(pixel: float, spec: dict[str, Any]) -> float:
    """What the model is given of a pixel."""
    return float((pixel / 255 - spec["mean"][0]) / spec["std"][0])


@pytest.mark.parametrize(
    ("processor", "config", "expected"),
    [
        ("ViT", {"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3}, lambda p: p / 127.5 - 1),
        ("ViT", {"rescale_factor": 1 / 127.5, "image_mean": 1.0, "image_std": 1.0}, lambda p: p / 127.5 - 1),
        (
            "EfficientNet",
            {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False, "include_top": False},
            lambda p: p / 127.5 - 1,
        ),
        ("EfficientNet", {"image_mean": [0.4] * 3, "image_std": [0.5] * 3}, lambda p: (p / 255 - 0.4) / 0.5 / 0.5),
    ],
)
def test_scaling_offset_and_normalisation_become_one_step(
    processor: str, config: dict[str, Any], expected: Callable[[float], float], tmp_path: Path
) -> None:
    """Whatever the processor's factor, the spec's mean and std are those of pixels from 0 to 1."""
    found = fields(tmp_path, processor, **config)

    assert [numbers(pixel, found) for pixel in (0, 100, 255)] == pytest.approx([expected(p) for p in (0, 100, 255)])


@pytest.mark.parametrize(
    ("config", "fragment"),
    [
        ({"image_processor_type": "ViTImageProcessor", "do_pad": True}, "pads pictures"),
        ({"image_processor_type": "ViTImageProcessor", "do_thumbnail": True}, "makes thumbnails"),
        ({"image_processor_type": "ViTImageProcessor", "do_resize": False}, "doesn't resize pictures"),
        ({"image_processor_type": "ViTImageProcessor", "resample": 4}, "the filter box"),
        ({"image_processor_type": "ViTImageProcessor", "size": "large"}, "size is 'large'"),
        ({"image_processor_type": "ViTImageProcessor", "image_mean": [1, 2]}, "not 3 numbers"),
        ({"image_processor_type": "DeiTImageProcessor"}, "stretches pictures to 256 x 256 and crops 224 x 224"),
        ({"image_processor_type": "CLIPImageProcessor", "do_center_crop": False}, "crops nothing"),
        ({"image_processor_type": "CLIPImageProcessor", "crop_size": 256}, "whose shorter side is 224"),
        (
            {"image_processor_type": "ViTImageProcessor", "size": {"shortest_edge": 224, "longest_edge": 900}},
            "limits the longer side",
        ),
        ({"image_processor_type": "ViTImageProcessor", "do_center_crop": True, "size": 224}, "but no 'crop_size'"),
        (
            {"image_processor_type": "MobileViTImageProcessor", "size": 288, "do_normalize": True},
            "do_normalize but no 'image_mean'",
        ),
        ({"image_processor_type": "VitsImageProcessor"}, "Did you mean 'ViTImageProcessor'?"),
        ({"image_processor_type": "DonutImageProcessor"}, "whose way with pictures is not known here"),
        ({"architectures": ["ViTForImageClassification"]}, "not the configuration of an image processor"),
        ([1, 2], "not the configuration of an image processor"),
    ],
)
def test_what_a_bundle_cannot_express_is_refused_with_the_reason(config: object, fragment: str, tmp_path: Path) -> None:
    """Nothing is taken for what comes near it."""
    with pytest.raises(UsageError) as refused:
        from_hugging_face(write(tmp_path, config))

    assert fragment in str(refused.value)
    assert len(str(refused.value).splitlines()) == 2


def test_a_folder_is_searched_and_older_and_newer_names_are_known(tmp_path: Path) -> None:
    """A saved model's folder, the earlier `feature_extractor_type`, `…Fast`, and a processor's nested part."""
    write(tmp_path, {"image_processor": {"image_processor_type": "ViTImageProcessorFast"}}, "processor_config.json")
    nested = from_hugging_face(tmp_path)
    write(tmp_path, {"feature_extractor_type": "ViTFeatureExtractor"})

    assert from_hugging_face(tmp_path).fields == nested.fields


def test_timms_configuration_in_the_same_place_is_read(tmp_path: Path) -> None:
    """A repository of timm's has a config.json with `pretrained_cfg`."""
    pretrained = {"input_size": [3, 224, 224], "crop_pct": 0.95, "interpolation": "bicubic", "mean": [0.5] * 3}
    write(tmp_path, {"architecture": "resnet50", "pretrained_cfg": pretrained}, "config.json")

    assert from_hugging_face(tmp_path).fields["resize"] == 235


def test_files_that_are_no_configuration_are_named(tmp_path: Path) -> None:
    """Not there, no JSON, and a folder without any."""
    (tmp_path / "weights.json").write_bytes(b"\x00\x01")
    (tmp_path / "empty").mkdir()
    for place, fragment in (
        ("none.json", "cannot be read"),
        ("weights.json", "is not a JSON file"),
        ("empty", "holds no preprocessor_config.json"),
    ):
        with pytest.raises(UsageError) as refused:
            from_hugging_face(tmp_path / place)

        assert fragment in str(refused.value)


def test_the_half_pixel_of_a_crop_is_told(tmp_path: Path) -> None:
    """The one difference that is left."""
    cropping = from_hugging_face(write(tmp_path, {"image_processor_type": "CLIPImageProcessor"}))
    stretching = from_hugging_face(write(tmp_path, {"image_processor_type": "ViTImageProcessor"}))

    assert "one pixel apart" in cropping.notes[0]
    assert stretching.notes == ()
