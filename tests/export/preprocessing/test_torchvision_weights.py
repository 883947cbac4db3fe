"""`--preprocess torchvision:WEIGHTS`: pixels and normalisation are those of the weights' own transform."""

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision.models import get_model_weights, list_models

from helpers.support_pictures import blocks
from torchstone_export.foreign.read_spec import read_spec
from torchstone_export.preprocessing.torchvision_weights import from_torchvision
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.decode import decode_image


def prepared(source: str, picture: Image.Image) -> torch.Tensor:
    """What a model is given of a picture, by the spec that a source states."""
    spec = read_spec(None, {"preprocess": source}).input_spec()
    mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (spec.mean, spec.std))
    return (torch.from_numpy(decode_image(picture, spec)).float() / 255 - mean) / std


def all_weights() -> list[str]:
    """One member of torchvision's weights for each transform that there is."""
    members = [item for name in list_models(module=torchvision.models) for item in get_model_weights(name)]
    return sorted({repr(item.transforms()): str(item) for item in members}.values())


WEIGHTS = all_weights()


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_input_is_that_of_the_weights_own_transform(weights: str) -> None:
    """To the rounding of float32, on a picture of another size; every transform of torchvision's classifiers."""
    picture = blocks(301, 422)

    expected = torchvision.models.get_weight(weights).transforms()(picture)

    np.testing.assert_allclose(prepared(f"torchvision:{weights}", picture), expected, atol=2e-4, rtol=1e-5)


def test_the_weights_are_named_in_the_words_of_a_spec() -> None:
    """Fields as they would be typed."""
    fields = from_torchvision("ResNet50_Weights.IMAGENET1K_V2").fields

    assert fields == {
        "fit": "crop",
        "resize": 232,
        "input": (3, 224, 224),
        "color": "RGB",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "pixel_range": "0-1",
        "resize_filter": "bilinear",
    }


def test_the_default_member_and_quantised_weights_are_known() -> None:
    """`DEFAULT` is an alias of a member; quantised networks have enumerations of their own."""
    assert from_torchvision("ResNet50_Weights.DEFAULT").source == "torchvision:ResNet50_Weights.IMAGENET1K_V2"
    assert from_torchvision("ResNet50_QuantizedWeights.IMAGENET1K_FBGEMM_V2").fields["resize"] == 232


@pytest.mark.parametrize(
    ("name", "fragments"),
    [
        ("ResNet50_Weight.IMAGENET1K_V1", ["no weights 'ResNet50_Weight'", "Did you mean 'ResNet50_Weights'?"]),
        ("ResNet50_Weights", ["names several weights", "ResNet50_Weights.IMAGENET1K_V1"]),
        ("ResNet50_Weights.IMAGENET1K", ["has no weights 'IMAGENET1K'", "ResNet50_Weights.IMAGENET1K_V2"]),
        ("resnet50", ["named with their set", "ResNet50_Weights.IMAGENET1K_V1"]),
        ("zzz", ["no weights 'zzz'", "For example"]),
    ],
)
def test_a_name_that_is_not_there_is_answered_by_those_that_are(name: str, fragments: list[str]) -> None:
    """One message, without a traceback of torchvision's."""
    with pytest.raises(UsageError) as refused:
        from_torchvision(name)

    for fragment in fragments:
        assert fragment in str(refused.value)
