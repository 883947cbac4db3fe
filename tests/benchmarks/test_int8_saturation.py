"""The study of saturating sums reads the int8 files that the export writes."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from benchmarks.probes.int8_saturation import evaluate
from helpers.processors import HAS_EXACT_INT8
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.lossy.int8_file import Int8Config, quantize
from torchstone_export.lossy.production_run import serving
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.image_classifier import ImageClassifier

SPEC = InputSpec(color="L", height=8, width=8, mean=(0.286,), std=(0.353,))


@pytest.mark.skipif(not HAS_EXACT_INT8, reason="this processor's own sums may saturate")
@pytest.mark.parametrize("temperature", [1.0, 0.8])
def test_exact_sums_give_the_logits_of_onnx_runtime(temperature: float) -> None:
    """With a temperature behind the logits, as most exports have one, and without."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3)]
    model = ExportableClassifier(ImageClassifier(nn.Sequential(*layers), SPEC), temperature).eval()
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
    content = quantize(export_onnx(model, "small", ("a", "b", "c"), SPEC), images, Int8Config(folded_input=True))

    logits, _ = evaluate(onnx.load_from_string(content), images, saturate=False)

    with serving(content, 3) as engine:
        assert logits == pytest.approx(engine.run(images)[0], abs=1e-4)
