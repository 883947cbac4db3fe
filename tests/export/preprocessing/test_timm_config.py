"""`--preprocess timm:NAME`: the input is that of timm's own transform, or it is said why it can't be."""

from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from helpers.support_pictures import blocks
from torchstone_export.foreign.read_spec import read_spec
from torchstone_export.preprocessing.timm_config import from_timm, from_timm_config
from torchstone_runtime.errors import MissingComponentError, UsageError
from torchstone_runtime.images.decode import decode_image

pytestmark = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")

NAMES = (
    "resnet50.a1_in1k",
    "resnet18",
    "vit_base_patch16_224.augreg_in21k",
    "vit_base_patch16_clip_224.openai",
    "convnext_tiny.fb_in1k",
    "efficientnet_lite0.ra_in1k",
    "inception_v3.tv_in1k",
    "mobilenetv3_large_100.ra_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "regnety_008.pycls_in1k",
    "deit3_base_patch16_384.fb_in22k_ft_in1k",
    "coat_lite_medium_384.in1k",
    "csatv2.r512_in1k",
    "vit_base_patch16_siglip_224.webli",
)


def timms_own(name: str, picture: Image.Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """The picture as timm prepares it for evaluation."""
    import timm  # here, for it takes a second, and each process that shares the tests collects this file

    config = timm.data.resolve_data_config(pretrained_cfg=timm.models.get_pretrained_cfg(name).to_dict())
    return np.asarray(timm.data.create_transform(**config, is_training=False)(picture))


@pytest.mark.parametrize("name", NAMES)
def test_the_input_is_that_of_timms_own_transform(name: str) -> None:
    """Centre crop and squash, several filters and sizes; to the rounding of float32."""
    picture = blocks(333, 250)
    spec = read_spec(None, {"preprocess": f"timm:{name}"}).input_spec()
    mean, std = (np.array(values, dtype=np.float32).reshape(-1, 1, 1) for values in (spec.mean, spec.std))

    found = (decode_image(picture, spec).astype(np.float32) / 255 - mean) / std

    np.testing.assert_allclose(found, timms_own(name, picture), atol=1e-5)


def test_a_border_is_filled_with_the_mean() -> None:
    """As timm pads; a level is one number for all channels."""
    config = {"input_size": (3, 32, 32), "crop_mode": "border", "crop_pct": 1.0, "mean": (0.5,) * 3, "std": (0.5,) * 3}

    fields = from_timm_config(config, "here", {}).fields

    assert (fields["fit"], fields["fill"]) == ("pad", 128)


@pytest.mark.parametrize(
    ("config", "fragment"),
    [
        ({"crop_mode": "squash", "crop_pct": 0.9}, "stretches pictures to 248 x 248 and crops them after that"),
        ({"crop_mode": "border", "crop_pct": 1.0}, "pads pictures with a colour"),
        ({"crop_mode": "border", "crop_pct": 0.9, "mean": (0.5,) * 3}, "crops the padded picture"),
        ({"input_size": (3, 128, 256)}, "out of a picture that just covers them"),
        ({"interpolation": "box"}, "the filter box"),
        ({"crop_pct": 1.15}, "crops 224 x 224 pixels out of a picture whose shorter side is 194"),
        ({"crop_mode": "elsewhere"}, "the mode 'elsewhere'"),
        ({"input_size": (1, 28, 28)}, "takes 1 channels"),
    ],
)
def test_what_a_bundle_cannot_express_is_refused_with_the_reason(config: dict[str, object], fragment: str) -> None:
    """Nothing is taken for what comes near it."""
    with pytest.raises(UsageError) as refused:
        from_timm_config(config, "here", {})

    assert fragment in str(refused.value)


def test_a_larger_input_for_testing_is_told() -> None:
    """Timm's own evaluation takes it, if it is asked to."""
    notes = from_timm("resnet50.a1_in1k").notes

    assert notes == (
        "timm states 224 x 224 pixels, and 288 x 288 for testing; for these add --input 3x288x288 --resize 288",
    )


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("resnet5O", "Did you mean 'resnet50"),
        ("resnet50.a1_in1", "Did you mean 'resnet50.a1_in1k'?"),
        ("zz", "timm.list_models() lists them"),
        ("hf-hub:timm/resnet50.a1_in1k", "Download its config.json"),
    ],
)
def test_a_name_that_is_nearly_right_is_answered_by_the_nearest(name: str, fragment: str) -> None:
    """Or by where the names are."""
    with pytest.raises(UsageError) as refused:
        from_timm(name)

    assert fragment in str(refused.value)


def test_without_timm_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message, with the line that installs it."""
    monkeypatch.setattr("torchstone_runtime.components.find_spec", lambda _: None)
    with pytest.raises(MissingComponentError) as refused:
        from_timm("resnet50")

    assert "pip install '.[timm]'" in str(refused.value)
