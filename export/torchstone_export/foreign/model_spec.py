"""What a model of another origin takes and gives, as its owner states it. Free of PyTorch: `--help` stays quick."""

from dataclasses import dataclass, fields
from typing import Final, Literal

from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import Decoding, Fit, InputSpec, ResampleFilter

ChannelOrder = Literal["L", "RGB", "BGR"]
OutputKind = Literal["logits", "probabilities", "log-probabilities"]
PixelRange = Literal["0-1", "0-255"]
Layout = Literal["NCHW", "NHWC"]
Dtype = Literal["float32", "uint8"]

EXAMPLE: Final = 'For example: input = "3x224x224", mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225].'
"""An example of a spec, for messages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """A model's input and output.

    Attributes:
        input: channels, height and width of one image.
        mean: per channel, subtracted from the pixels; in the model's channel order and in units of `pixel_range`.
        std: per channel, what the difference is divided by; likewise.
        color: `L`, `RGB` or `BGR`: the channels in the order in which the model takes them.
        pixel_range: range of the pixels before mean and std: `0-1` (divided by 255, as torchvision has it) or `0-255`.
        resize_filter: Pillow's filter for pictures of another size.
        fit: way in which these become height x width, as in `InputSpec`; None: not stated, which is enough where no
            picture has another size.
        resize: pixels of the shorter side before a centre crop; with `crop` alone. None there: the crop's longer side.
        fill: level, 0 to 255, around a picture that is fitted in; with `pad` alone.
        antialias: whether pictures are smoothed where they are made smaller, as Pillow does it.
        decode: size at which JPEG files are decoded, as in `InputSpec`.
        classes: names of the classes in the order of the outputs; None: those of the data.
        output: kind of the model's output. Probabilities are turned into logits by the logarithm.
        output_stated: whether the owner stated `output`; else it is the default, which a final sigmoid overrides.
        positive_threshold: probability above which a model of one output, which tells two classes apart, answers with
            the second class; None: 0.5.
        output_name: name of the class outputs where there are several outputs: an ONNX name, a dictionary's key, an
            attribute, or a position in a tuple.
        layout: order of the axes of an ONNX file's input; None: found out from its shape.
        dtype: data type of an ONNX file's input; None: the file's.
        name: name of the model; None: that of the factory or file.
    """

    input: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    color: ChannelOrder
    pixel_range: PixelRange = "0-1"
    resize_filter: ResampleFilter = "bilinear"
    fit: Fit | None = None
    resize: int | None = None
    fill: int = 0
    antialias: bool = True
    decode: Decoding = "full"
    classes: tuple[str, ...] | None = None
    output: OutputKind = "logits"
    output_stated: bool = False
    positive_threshold: float | None = None
    output_name: str | None = None
    layout: Layout | None = None
    dtype: Dtype | None = None
    name: str | None = None

    def input_spec(self) -> InputSpec:
        """Return what a caller has to know: RGB or L, mean and std in that order and in units of 0 to 1.

        Raises:
            UsageError: a number is out of range.
        """
        unit = 1.0 if self.pixel_range == "0-1" else 255.0
        order = -1 if self.color == "BGR" else 1
        try:
            return InputSpec(
                color="L" if self.color == "L" else "RGB",
                height=self.input[1],
                width=self.input[2],
                resample=self.resize_filter,
                fit=self.fit or "stretch",
                resize=(self.resize or max(self.input[1:])) if self.fit == "crop" else None,
                fill=self.fill,
                antialias=self.antialias,
                decode=self.decode,
                mean=tuple(value / unit for value in self.mean)[::order],
                std=tuple(value / unit for value in self.std)[::order],
            )
        except ValueError as error:
            raise UsageError(f"The input specification is not valid: {error}.", EXAMPLE) from error


FIELDS: Final = tuple(field.name for field in fields(ModelSpec) if field.name != "output_stated")
"""What a spec file may state."""
