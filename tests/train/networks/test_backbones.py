"""Backbones of torchvision, timm and own code: opened, built again, and refused in one message."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn
from torchvision.models.vision_transformer import interpolate_embeddings

from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.backbones import timm_networks
from torchstone_train.networks.backbones.head import feature_extractor, head_of, head_parameters
from torchstone_train.networks.backbones.opening import (
    open_backbone,
    rebuild_backbone,
    resolve_architecture,
    stated_input,
)
from torchstone_train.networks.backbones.stages import stages_of
from torchstone_train.networks.backbones.torchvision_networks import adapt_weights
from torchstone_train.networks.image_classifier import BACKBONE_CHANNELS, ImageClassifier
from torchstone_train.networks.shape import ModelShape

SHAPE = ModelShape(3, 32, 32, 5)
OWN = "helpers.small_backbone:build"
SMALL = ["torchvision:mobilenet_v3_small", "torchvision:squeezenet1_1", "timm:mobilenetv3_small_050", OWN]


def save(file: Path, network: nn.Module) -> str:
    """Write a network's weights; return the path."""
    torch.save(network.state_dict(), file)
    return str(file)


@pytest.mark.parametrize("architecture", SMALL)
def test_backbone_is_built_again_from_its_weights_alone(architecture: str) -> None:
    """As export does it: the same names and shapes, so that the same images give the same logits."""
    opened = open_backbone(architecture, SHAPE, "none")
    again = rebuild_backbone(architecture, SHAPE, opened.head)
    again.load_state_dict(opened.network.state_dict())
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(again.eval()(images), opened.network.eval()(images))
    assert opened.origin["name"] == "none"


@pytest.mark.parametrize("architecture", [SMALL[0], SMALL[2], OWN])
def test_features_and_last_layer_make_the_logits(architecture: str) -> None:
    """What a probe relies on."""
    opened = open_backbone(architecture, SHAPE, "none")
    network, images = opened.network.eval(), torch.rand(3, 3, 32, 32)
    name, layer = head_of(network, opened.head)
    features = feature_extractor(network, opened.head)(images)
    assert name == opened.head
    assert features.ndim == 2
    logits = layer(features if isinstance(layer, nn.Linear) else features[:, :, None, None]).flatten(1)
    torch.testing.assert_close(logits, network(images))


@pytest.mark.parametrize("architecture", [*SMALL, "torchvision:densenet121"])
def test_each_parameter_is_in_one_stage_or_in_the_head(architecture: str) -> None:
    """Or it would be trained at a rate that nobody chose."""
    opened = open_backbone(architecture, SHAPE, "none")
    stages = stages_of(opened.network, opened.head)
    found = [id(item) for stage in stages for item in stage.parameters]
    found += map(id, head_parameters(opened.network, opened.head))
    assert sorted(found) == sorted(map(id, opened.network.parameters()))
    assert len(stages) > 1


def test_stages_of_a_residual_network_are_its_layers() -> None:
    """The first convolution and its norm are one."""
    with torch.device("meta"):  # no numbers are needed
        stages = stages_of(torchvision.models.resnet18(), "fc")
    assert [stage.names for stage in stages] == [["conv1", "bn1"], ["layer1"], ["layer2"], ["layer3"], ["layer4"]]


def test_stages_of_a_transformer_are_its_blocks() -> None:
    """The embedding of places belongs to the lowest, the last norm to the highest."""
    with torch.device("meta"):  # no numbers are needed
        network = torchvision.models.vit_b_32()
    stages = stages_of(network, "heads.head")
    assert len(stages) == 1 + 12
    assert any(parameter is network.encoder.pos_embedding for parameter in stages[0].parameters)
    assert stages[-1].names[-1] == "encoder.ln"


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "swin_t", "convnext_tiny", "vit_b_16"])
def test_stated_input_is_that_of_torchvisions_transform(name: str) -> None:
    """Size, crop, filter, mean and std."""
    transform = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    found = stated_input(f"torchvision:{name}")
    assert found is not None
    assert [found.height, found.width] == transform.crop_size * 2
    assert [found.resize] == transform.resize_size
    assert found.resample == transform.interpolation.value
    assert [*found.mean, *found.std] == [*transform.mean, *transform.std]


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_that_normalise_once_more_are_given_that_normalisation(name: str) -> None:
    """Published weights of the two take (x - 0.5) / 0.5; torchvision's own option makes it of ImageNet's."""
    found = stated_input(f"torchvision:{name}")
    options = {"init_weights": False, "aux_logits": False}
    own = torchvision.models.get_model(name, transform_input=True, **options).eval()
    ours = rebuild_backbone(f"torchvision:{name}", ModelShape(3, 96, 96, 1000), "fc")
    ours.load_state_dict(own.state_dict())
    pixels = torch.rand(1, 3, 96, 96)
    mean, std = (torch.tensor(value).reshape(3, 1, 1) for value in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert found is not None
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()((pixels - 0.5) / 0.5), own((pixels - mean) / std), rtol=1e-3, atol=1e-4)
    assert (found.mean, found.std) == ((0.5,) * 3, (0.5,) * 3)


def test_input_of_timms_weights_is_stated() -> None:
    """0.95 of the shorter side: 224 of 235 pixels."""
    found = stated_input(resolve_architecture("timm:resnet18"))
    assert found is not None
    assert (found.source, found.height, found.resize, found.resample) == (
        "timm:resnet18.a1_in1k",
        224,
        235,
        "bicubic",
    )


def test_gray_images_are_repeated_for_a_network_of_colours() -> None:
    """The answer is that for a picture of three equal channels."""
    opened = open_backbone(OWN, ModelShape(1, 32, 32, 5), "none")
    gray = InputSpec(color="L", height=32, width=32, mean=(0.4,), std=(0.2,))
    colour = InputSpec(color="RGB", height=32, width=32, mean=(0.4,) * 3, std=(0.2,) * 3)
    images = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    network = opened.network.eval()
    expected = ImageClassifier(network, colour)(images.repeat(1, 3, 1, 1))
    assert torch.equal(ImageClassifier(network, gray, BACKBONE_CHANNELS)(images), expected)


def test_head_of_another_size_is_replaced(tmp_path: Path) -> None:
    """And a note says so; everything else is the file's."""
    source = torchvision.models.mobilenet_v3_small(num_classes=11)
    file = save(tmp_path / "eleven.pth", source)
    opened = open_backbone(SMALL[0], SHAPE, file)
    assert opened.notes == ("the last layer of eleven.pth of 11 outputs was replaced by a fresh one of 5",)
    assert torch.equal(opened.network.state_dict()["features.0.0.weight"], source.features[0][0].weight)
    assert opened.origin["name"] == "eleven.pth"
    assert len(opened.origin["sha256"]) == 64


def test_head_of_the_same_size_is_kept(tmp_path: Path) -> None:
    """From safetensors, and behind a prefix, as other trainers write it."""
    source = torchvision.models.mobilenet_v3_small(num_classes=5)
    file = tmp_path / "five.safetensors"
    safetensors.torch.save_file({f"model.{name}": value for name, value in source.state_dict().items()}, file)
    opened = open_backbone(SMALL[0], SHAPE, str(file))
    assert torch.equal(opened.network.state_dict()["classifier.3.weight"], source.classifier[3].weight)
    assert "its last layer of 5 outputs as well" in opened.notes[0]


def test_auxiliary_outputs_of_a_checkpoint_are_left_out(tmp_path: Path) -> None:
    """As of published weights, although its names stand behind a prefix."""
    source = torchvision.models.googlenet(num_classes=11, aux_logits=True, init_weights=False)
    torch.save({"epoch": 3, "model": source.state_dict()}, tmp_path / "checkpoint.pt")
    opened = open_backbone("torchvision:googlenet", SHAPE, str(tmp_path / "checkpoint.pt"))
    assert torch.equal(opened.network.state_dict()["conv1.conv.weight"], source.conv1.conv.weight)


@pytest.mark.parametrize("prefix", ["", "module.", "model.module."])
def test_positions_of_a_transformer_are_fitted_to_the_images(prefix: str) -> None:
    """Behind a prefix as well: of 2 x 2 patches those of 3 x 3 are made."""
    generator = torch.Generator().manual_seed(0)
    given = {
        "encoder.pos_embedding": torch.randn(1, 5, 8, generator=generator),
        "conv_proj.weight": torch.zeros(8, 3, 16, 16),
    }
    expected = interpolate_embeddings(48, 16, OrderedDict(given))["encoder.pos_embedding"]
    found = adapt_weights("vit_b_16", {prefix + key: value for key, value in given.items()}, ModelShape(3, 48, 48, 5))
    assert torch.equal(found[f"{prefix}encoder.pos_embedding"], expected)
    assert set(found) == {prefix + key for key in given}


def test_weights_of_another_network_are_refused_with_what_differs(tmp_path: Path) -> None:
    """How many tensors are missing, and how many are of no use."""
    file = save(tmp_path / "resnet34.pth", torchvision.models.resnet34())
    with pytest.raises(DataError, match=r"resnet34.pth holds the weights of another network than resnet18") as refused:
        open_backbone("torchvision:resnet18", SHAPE, file)
    (detail,) = refused.value.details
    assert detail.startswith("80 of the file are not in the network: layer1.2.conv1.weight")


def test_weights_of_other_widths_are_refused_with_their_shapes(tmp_path: Path) -> None:
    """The same names, other shapes."""
    file = save(tmp_path / "wide.pth", torchvision.models.mnasnet0_75())
    with pytest.raises(DataError, match="another network than mnasnet0_5") as refused:
        open_backbone("torchvision:mnasnet0_5", SHAPE, file)
    assert "have another shape: layers.0.weight (24x3x3x3 in the file, 16x3x3x3 in the network)" in str(refused.value)


def test_pickled_module_is_refused(tmp_path: Path) -> None:
    """It could run any code."""
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(DataError, match="a pickled module or other objects"):
        open_backbone("torchvision:resnet18", SHAPE, str(tmp_path / "module.pt"))


def test_own_factory_gives_its_weights_unless_they_are_not_wanted() -> None:
    """By its parameter `pretrained`; the record names the factory and the tensors' SHA-256."""
    first, second = (open_backbone(OWN, SHAPE, "default") for _ in range(2))
    none = open_backbone(OWN, SHAPE, "none")
    kernels = [item.network.state_dict()["stem.0.weight"] for item in (first, second, none)]
    assert torch.equal(kernels[0], kernels[1])
    assert not torch.equal(kernels[0], kernels[2])
    assert first.origin == second.origin
    assert first.origin["name"] == OWN
    assert first.network(torch.rand(2, 3, 32, 32)).shape == (2, 5)


def test_head_that_is_not_plain_to_see_is_asked_for() -> None:
    """Two layers share the output."""
    with pytest.raises(
        UsageError, match=r"not plain to see. Layers of its 7 outputs: classifier, other.\nName it: --head"
    ):
        open_backbone("helpers.small_backbone:two_heads", SHAPE)


def test_named_head_that_does_not_exist_is_refused() -> None:
    """With the nearest layer."""
    with pytest.raises(UsageError, match=r"no layer 'clasifier'.\nDid you mean 'classifier'"):
        open_backbone(OWN, SHAPE, head="clasifier")


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("torchvision:resnet81", "torchvision has no classification network 'resnet81'.\nDid you mean 'resnet18'"),
        ("torchvision:efficientnet-b0", "Did you mean 'efficientnet_b0'"),
        (
            "timm:mobilenetv3_smal_050",
            "timm has no network 'mobilenetv3_smal_050'.\nDid you mean 'mobilenetv3_small_050",
        ),
        ("timm:resnet18.a9_in1k", "timm has no weights 'a9_in1k' of resnet18.\nDid you mean 'resnet18.a"),
    ],
)
def test_name_that_is_nearly_right_gets_a_suggestion(architecture: str, message: str) -> None:
    """In torchvision and timm, of a network and of its weights."""
    with pytest.raises(UsageError, match=message):
        resolve_architecture(architecture)


@pytest.mark.parametrize(
    ("architecture", "side", "message"),
    [
        ("torchvision:inception_v3", 64, "inception_v3 takes images of 75 x 75 or more, not 64 x 64"),
        ("torchvision:vit_b_32", 60, "vit_b_32 does not take images of 60 x 60"),
    ],
)
def test_images_that_a_network_does_not_take_are_refused(architecture: str, side: int, message: str) -> None:
    """Too small, or not divisible by its patches."""
    with pytest.raises(UsageError, match=message):
        open_backbone(architecture, ModelShape(3, side, side, 5), "none")


def test_weights_that_are_no_file_are_refused() -> None:
    """With the names that a network's published weights have."""
    with pytest.raises(UsageError, match="--weights is 'IMAGENET1K_V9', which is not a file"):
        open_backbone("torchvision:resnet50", SHAPE, "IMAGENET1K_V9")


def test_factory_that_fails_is_told_as_its_owners_error() -> None:
    """With the class and message of what it raised."""
    with pytest.raises(DataError, match=r"The factory helpers.small_backbone:fails failed .*no such checkpoint"):
        open_backbone("helpers.small_backbone:fails", SHAPE)


def test_network_of_timm_without_a_last_layer_is_refused() -> None:
    """It is an encoder, and its configuration names none."""
    network: Any = nn.Linear(2, 2)
    network.pretrained_cfg = {"architecture": "deepseek_vit", "classifier": None}
    with pytest.raises(UsageError, match="deepseek_vit has no last layer"):
        timm_networks.head_of(network)


def test_network_of_timm_that_nobody_has_trained_is_opened_by_the_name_that_is_recorded() -> None:
    """Timm gives it the tag "untrained" all the same, by which there are no weights."""
    pytest.importorskip("timm")
    name = resolve_architecture("timm:mixer_s32_224")

    assert resolve_architecture(name) == name
