"""How many images a network decides at once where no gradients are kept: as many as are fast, in bounded memory."""

from typing import Final

import torch
from torch import Tensor

_CPU_VALUES: Final = 4 << 20
_GPU_VALUES: Final = 16 << 20
"""Values of the input. An efficient network at 224 x 224 has maps of up to 30 times its input's values: in batches of
512 such images it took 8 GB."""


def inference_batches(images: Tensor) -> tuple[Tensor, ...]:
    """Cut images [N, C, H, W] into batches of at most 4 million values, 16 million on a GPU; at least one image each.

    At 224 x 224 in colour these are 27 images, and 111 on a GPU.
    """
    most = _CPU_VALUES if images.device.type == "cpu" else _GPU_VALUES
    return torch.split(images, max(1, most // max(1, images[0].numel())))
