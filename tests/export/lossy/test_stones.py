"""What of the stones reaches the exported file."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.image_classifier import build_classifier

SPEC = InputSpec(color="L", height=28, width=28, mean=(0.5,), std=(0.5,))


@pytest.mark.parametrize("name", ["stone-s", "stone-m", "stone-l", "sprint"])
def test_batch_norm_is_folded_into_the_convolutions(name: str) -> None:
    """The file has none left, and gives the logits that the model gives with its running statistics."""
    torch.manual_seed(0)
    classifier = build_classifier(name, SPEC, 10)
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.running_mean, 0, 0.1)
    model = ExportableClassifier(classifier).eval()
    file = export_onnx(model, name, tuple("0123456789"), SPEC)
    images = torch.randint(0, 256, (5, *SPEC.shape), dtype=torch.uint8)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"images": images.numpy()})[0]

    kinds = {node.op_type for node in onnx.load_from_string(file).graph.node}
    assert "BatchNormalization" not in kinds
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(images)[0].numpy(), rtol=1e-3, atol=1e-4)
