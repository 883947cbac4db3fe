"""Networks that trouble PyTorch's exporter: those that are exported all the same, and the message for others."""

from typing import Any, cast

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier, TrainedModel
from torchstone_export.trained_files import build_files
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.image_classifier import ImageClassifier

SPEC = InputSpec(color="RGB", height=2, width=2, mean=(0.5,) * 3, std=(0.5,) * 3)
NAMES = ("a", "b", "c")


class BiasedAttention(nn.Module):
    """Attention of two heads over four pixels, with a bias that is computed from a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(3, 24)
        self.bias = nn.Parameter(torch.randn(2, 4, 4))
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 3)."""
        pixels = images.permute(0, 2, 3, 1).reshape(-1, 2, 2, 3)
        q, k, v = self.qkv(pixels).reshape(pixels.shape[0], 4, 3, 2, 4).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=(2 * self.bias).unsqueeze(0))
        mixed = mixed.transpose(1, 2).reshape(*pixels.shape[:-1], -1)
        return cast("Tensor", self.head(mixed).mean((1, 2)))


class Branching(nn.Module):
    """Takes a path by the values of the images, which no graph can."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 3)."""
        return images.mean((2, 3)) if images.sum() > 0 else -images.amax((2, 3))


def model_of(network: nn.Module) -> ExportableClassifier:
    """Return a network as it is exported."""
    return ExportableClassifier(ImageClassifier(network, SPEC)).eval()


def test_attention_with_a_learnt_bias_is_exported_and_can_be_trained_afterwards() -> None:
    """As in timm's MaxViT and CoAtNet; the parameters want their gradients again."""
    torch.manual_seed(0)
    model = model_of(BiasedAttention())
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 2, 2), dtype=np.uint8)

    content = export_onnx(model, "attention", NAMES, SPEC)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    logits: Any = session.run(["logits"], {"images": images})[0]

    np.testing.assert_allclose(logits, model(torch.from_numpy(images))[0].detach().numpy(), rtol=1e-4, atol=1e-5)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_network_that_pytorch_cannot_write_is_named_with_what_to_do(capfd: pytest.CaptureFixture[str]) -> None:
    """One message, and nothing of the exporter's own on the terminal."""
    provenance = {"recipe": {"architecture": "timm:branching"}}
    trained = TrainedModel("finetune", SPEC, NAMES, model_of(Branching()), "folder", provenance)

    with pytest.raises(DataError, match="cannot write the network timm:branching as ONNX") as refused:
        build_files(trained, torchscript=False)

    assert "Train another backbone" in refused.value.remedy
    assert len(refused.value.problem.splitlines()) == 1
    assert "Traceback" not in "".join(capfd.readouterr())
