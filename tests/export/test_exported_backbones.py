"""Backbones from a step of fine-tuning to a certified bundle, and to ONNX Runtime: a short form, and the whole list."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import torchstone

SHORT = [("mobilenet_v3_small", 32), ("timm:mobilenetv3_small_050", 32)]
WHOLE = [
    *(("resnet18", 64), ("resnet50", 64), ("efficientnet_b0", 64), ("convnext_tiny", 64), ("vit_b_16", 32)),
    *(("swin_t", 64), ("inception_v3", 80), ("googlenet", 64)),
    *((f"timm:{name}", 64) for name in ("resnet18", "tf_efficientnet_lite0", "mobilenetv4_conv_small_050")),
    *((f"timm:{name}", 64) for name in ("convnext_atto", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224")),
    *((f"timm:{name}", 64) for name in ("regnetx_002", "ghostnet_100", "repvgg_a0", "edgenext_xx_small")),
    *((f"timm:{name}", 64) for name in ("mobilevit_xxs", "efficientvit_b0", "poolformer_s12", "mixer_s32_224")),
    *((f"timm:{name}", 64) for name in ("deit_tiny_distilled_patch16_224", "rexnet_100", "inception_next_atto")),
    *(("timm:levit_128s", 224), ("timm:maxvit_pico_rw_256", 256), ("timm:coatnet_pico_rw_224", 224)),
]


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time and is not looked at here."""
    monkeypatch.setattr("torchstone_train.report.run_results.RunResults.write", lambda *_: None)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 coloured pictures of several shapes, in three classes."""
    generator, root = np.random.default_rng(0), tmp_path_factory.mktemp("photos")
    for name, colour in (("red", (200, 60, 60)), ("green", (60, 190, 70)), ("blue", (60, 60, 210))):
        (root / name).mkdir()
        for index in range(10):
            pixels = np.array(colour) + generator.normal(0, 50, (40 + index, 56, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{index}.png")
    return root


def goes_all_the_way(backbone: str, side: int, photos: Path, folder: Path) -> None:
    """Train two epochs, the second of all layers; export with proof; and let ONNX Runtime decide every picture."""
    data = f"folder:{photos}"
    options: dict[str, Any] = {"image_size": (side, side), "epochs": 2, "batch_size": 8, "device": "cpu"}
    run = torchstone.train("finetune", backbone=backbone, weights="none", data=data, out=folder / "run", **options)
    bundle = torchstone.export(run, out=folder / "bundle")
    assert set(bundle.variants) == {"fp32", "torchscript"}
    result = torchstone.evaluate(bundle, data=data)
    assert (result.predicted >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "side"), SHORT)
def test_backbone_goes_from_training_to_the_runtime(backbone: str, side: int, photos: Path, tmp_path: Path) -> None:
    """One of torchvision's, and one of timm's."""
    goes_all_the_way(backbone, side, photos, tmp_path)


@pytest.mark.study
@pytest.mark.parametrize(("backbone", "side"), WHOLE)
def test_each_kind_of_backbone_does(backbone: str, side: int, photos: Path, tmp_path: Path) -> None:
    """Those that people use most, with auxiliary outputs, attention, and heads of several layers."""
    goes_all_the_way(backbone, side, photos, tmp_path)
