"""How a backbone is named: `resnet18`, `timm:resnet18.a1_in1k`, or `package.module:factory`. Free of PyTorch."""

from typing import Final

from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable
from torchstone_train.recipes.own_code import is_reference

TORCHVISION: Final = "torchvision"
TIMM: Final = "timm"


def architecture_of(backbone: str) -> str:
    """Return the architecture that a backbone's name stands for; a bare name is one of torchvision's.

    Raises:
        UsageError: the text is not a name.
    """
    source, colon, name = backbone.strip().partition(":")
    if not colon and source:
        return f"{TORCHVISION}:{source}"
    if (source in (TORCHVISION, TIMM) and name) or is_reference(backbone):
        return backbone.strip()
    raise UsageError(
        f"--backbone is '{showable(backbone)}'; expected a torchvision name, timm:NAME, or package.module:factory.",
        "Such as resnet18, timm:resnet18.a1_in1k, or models.mine:build.",
    )
