"""The part of a dataset that a model is measured on, as it is asked for. Importing it loads no NumPy."""

from typing import Literal

SplitChoice = Literal["auto", "test", "train", "all"]
