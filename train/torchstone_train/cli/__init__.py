"""The commands `train`, `recipes` and `download`. PyTorch is imported only when one runs."""

from torchstone_train.cli.recipes_command import download, recipes
from torchstone_train.cli.train_command import train

__all__ = ["download", "recipes", "train"]
