"""For a fork: `torch.compile` without machine code, see `helpers.traced`."""

import torch

from helpers.traced import without_machine_code

torch.compile = without_machine_code(torch.compile)
