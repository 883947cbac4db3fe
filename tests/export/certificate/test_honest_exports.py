"""Honest exports pass: a few of the hundreds that the study made (benchmarks/certificate_study/collect.py)."""

import numpy as np
import pytest
import torch

from torchstone_export.certificate.reference import make_reference
from torchstone_export.certificate.runners import certify_files
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.formats.torchscript_file import export_torchscript
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.data.digits import CLASS_NAMES, load_digits
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.architectures import ARCHITECTURES
from torchstone_train.networks.image_classifier import build_classifier

SPEC = InputSpec(color="L", height=28, width=28, mean=(0.3,), std=(0.3,))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "images"), [(0, 100), *(pytest.param(seed, 240, marks=pytest.mark.study) for seed in (0, 1))]
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_honest_export_passes(architecture: str, seed: int, images: int) -> None:
    """Every architecture of the recipes, fresh weights (the smallest margins there are), both files."""
    torch.manual_seed(seed)
    model = ExportableClassifier(build_classifier(architecture, SPEC, 10)).eval()
    whole, third = load_digits(), images // 3
    parts = {"validation": (0, third), "test": (third, images)}
    splits = {name: whole.select(np.arange(*rows), name) for name, rows in parts.items()}
    contents = {"fp32": export_onnx(model, "m", CLASS_NAMES, SPEC), "torchscript": export_torchscript(model, SPEC)}

    for certificate in certify_files(contents, make_reference(model, splits)).values():
        assert certificate.failures == []
