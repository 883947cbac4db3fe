"""In which form a server's model wants its pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.images.geometry import before_fitting
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.remote.deployed_model import DeployedModel, TensorMetadata

_USUAL: Final = "images"
_KINDS: Final = {"UINT8": "pixels", "FP32": "normalised", "FP64": "normalised", "FP16": "normalised", "BYTES": "files"}
"""What is sent to an input of a datatype; the earlier ones are preferred."""
_AXES: Final = 4


@dataclass(frozen=True, slots=True)
class PictureInput:
    """The input that takes the pictures.

    Attributes:
        name: name of the input; datatype: its datatype by the protocol's name.
        kind: `pixels` (uint8, 0 to 255), `normalised` (`(x / 255 - mean) / std` by the bundle's constants) or `files`
            (PNG).
        channels_last: whether the axes are [N, H, W, C].
        one_by_one: whether the batch axis is fixed to one image.
        axes: number of its axes; for `files` Triton's models often have a second one, of length 1.
    """

    name: str
    datatype: str
    kind: str
    channels_last: bool
    one_by_one: bool
    axes: int = _AXES

    @property
    def needs_binary(self) -> bool:
        """Whether JSON has no form for its values."""
        return self.kind == "files" or self.datatype == "FP16"

    def encode(self, images: Uint8Array, spec: InputSpec) -> npt.NDArray[Any] | Sequence[bytes]:
        """Return images, uint8 [n, C, H, W], in the form that the input wants."""
        if self.kind == "files":
            return [encode_png(before_fitting(pixels, spec)) for pixels in images]
        tensor: npt.NDArray[Any] = images
        if self.kind == "normalised":
            mean, std = (np.array(values).reshape(1, -1, 1, 1) for values in (spec.mean, spec.std))
            tensor = (images / 255.0 - mean) / std
        if self.channels_last:
            tensor = tensor.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(tensor)


def choose_input(model: DeployedModel, spec: InputSpec) -> PictureInput:
    """Return the input of a server's model that takes the bundle's pictures, and their form.

    Taken are `UINT8`, else `FP16`, `FP32` or `FP64`, of the bundle's size with channels first or last, else `BYTES`.
    Where the server doesn't describe its inputs, `images` of UINT8 is assumed.

    Raises:
        CheckFailedError: there is none.
    """
    if not model.inputs:
        return PictureInput(_USUAL, "UINT8", "pixels", channels_last=False, one_by_one=False)
    order = list(_KINDS)
    usable = [found for tensor in model.inputs if (found := _as_input(tensor, spec)) is not None]
    if usable:
        return min(usable, key=lambda found: (order.index(found.datatype), found.name != _USUAL))
    listed = [f"{tensor.name}: {tensor.datatype} {list(tensor.shape)}" for tensor in model.inputs]
    raise CheckFailedError(
        f"'{model.name}' takes no pictures as the bundle's model does: uint8, {spec.channels} x {spec.height} x "
        f"{spec.width}. It is another model, or wants a preprocessing that the protocol does not state.",
        "Name the right model with --model, or give the bundle that was deployed.",
        listed,
    )


def _as_input(tensor: TensorMetadata, spec: InputSpec) -> PictureInput | None:
    kind = _KINDS.get(tensor.datatype)
    if kind is None:
        return None
    if kind == "files":
        one = tensor.shape[:1] == (1,)
        axes = max(1, len(tensor.shape))
        return PictureInput(tensor.name, tensor.datatype, kind, channels_last=False, one_by_one=one, axes=axes)
    layout = _layout(tensor.shape, spec)
    if layout is None:
        return None
    last = layout == "NHWC"
    return PictureInput(tensor.name, tensor.datatype, kind, channels_last=last, one_by_one=tensor.shape[0] == 1)


def _layout(shape: tuple[int, ...], spec: InputSpec) -> Literal["NCHW", "NHWC"] | None:
    channels, height, width = spec.shape
    if len(shape) != _AXES or shape[0] not in (-1, 1):
        return None
    if _fits(shape[1:], (channels, height, width)):
        return "NCHW"
    return "NHWC" if _fits(shape[1:], (height, width, channels)) else None


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(length in (-1, needed) for length, needed in zip(shape, wanted, strict=True))
