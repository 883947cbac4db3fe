"""Features of images, computed once and kept beside the runs by what they depend on."""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.errors import OutputError
from torchstone_runtime.files import atomic_writer, reported_as_output_error
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.strict_json import strict_json
from torchstone_train.networks.backbones.head import head_names

FOLDER: Final = ".features"
"""Folder beside a run that holds the features."""
_DIGEST: Final = 16
"""Bytes of the SHA-256 of an image by which its features are found."""
_HALF: Final = 2

Digests = npt.NDArray[np.bytes_]
_NOTHING: Final = (np.zeros(0, dtype=f"S{2 * _DIGEST}"), np.zeros((0, 0), dtype=np.float32))


@dataclass(slots=True)
class FeatureCache:
    """Features by the SHA-256 of an image's pixels, of one backbone with its weights and its input.

    Attributes:
        file: file that keeps them.
        digests: digests of the images that are known, [M].
        features: their features, float32 [M, F].
        added: number of images whose features were added since it was opened.
    """

    file: Path
    digests: Digests
    features: Float32Array
    added: int = 0

    @classmethod
    def open(cls, folder: Path, key: str) -> Self:
        """Read what is kept under a key; nothing where there is no such file, or it is damaged."""
        file = folder / f"{key}.npz"
        try:
            with np.load(file, allow_pickle=False) as found:
                digests, features = found["digests"], found["features"]
            if len(digests) == len(features) and features.ndim == _HALF:
                return cls(file, digests, features)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            pass
        return cls(file, *_NOTHING)

    def places(self) -> dict[bytes, int]:
        """Return the place of each image that is kept, by its digest."""
        return {digest: place for place, digest in enumerate(self.digests.tolist())}

    def add(self, digests: Digests, features: Float32Array) -> None:
        """Keep the features of more images, in memory; of two with the same pixels one is enough."""
        digests, first = np.unique(digests, return_index=True)
        features = features[first]
        self.features = np.concatenate([self.features, features]) if len(self.features) else features
        self.digests = np.concatenate([self.digests, digests])
        self.added += len(digests)

    def forget(self) -> None:
        """Keep nothing any more, in memory: what comes next is all that is written."""
        self.digests, self.features = _NOTHING

    def write(self, say: Callable[[str], None]) -> None:
        """Write the file; where it can't be written, say so: a probe can do without."""
        try:
            with reported_as_output_error(self.file.parent):
                self.file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_writer(self.file) as file:
                np.savez(file, digests=self.digests, features=self.features)
        except OutputError as error:
            say(f"features are not kept for another time: {error.lines[0]}")


def cache_key(network: nn.Module, architecture: str, head: str, spec: InputSpec, device: torch.device) -> str:
    """Return the SHA-256 (hex) of everything that features depend on but for the images.

    Args:
        network: backbone, whose tensors enter but for those of its last layer.
        architecture: name of the backbone.
        head: dotted name of the last layer.
        spec: input of the network.
        device: kind of device on which they are computed.
    """
    digest = hashlib.sha256(strict_json([architecture, head, spec.to_json(), device.type, torch.__version__]).encode())
    heads = tuple(f"{name}." for name in head_names(head))
    for name, tensor in sorted(network.state_dict().items()):
        if not name.startswith(heads):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def digests_of(images: Uint8Array) -> Digests:
    """Return the digest of each image's pixels, [n]."""
    found = [hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()[: 2 * _DIGEST] for image in images]
    return np.array(found, dtype=f"S{2 * _DIGEST}")
