"""What a network is built for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What a network is built for: images (channels, height, width) and the number of classes."""

    channels: int
    height: int
    width: int
    num_classes: int
