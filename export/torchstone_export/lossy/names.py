"""The lossy variants by name. Importing it loads no PyTorch."""

from typing import Final, Literal, get_args

LossyName = Literal["int8", "fp16", "bf16"]
LOSSY_VARIANTS: Final[tuple[LossyName, ...]] = get_args(LossyName)
