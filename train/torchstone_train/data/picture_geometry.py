"""How the pictures of a folder come to the size of a model's input, as a person asks for it."""

from dataclasses import dataclass, replace

from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import Decoding, Fit, InputSpec, ResampleFilter

_ELSEWHERE = {
    "stretch": "stretch distorts them",
    "crop": "crop shows the middle",
    "pad": "pad shows all of them with a border",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureGeometry:
    """What was asked for; None wherever nothing was.

    Attributes:
        fit: treatment of pictures of another shape.
        resize: pixels of the shorter side before `crop` cuts the centre out.
        fill: gray level of the border of `pad`, 0 to 255.
        resize_filter: filter for pictures of another size.
        antialias: whether pictures that shrink are smoothed.
        decode: size at which JPEG files are decoded, as in `InputSpec`.
    """

    fit: Fit | None = None
    resize: int | None = None
    fill: int | None = None
    resize_filter: ResampleFilter | None = None
    antialias: bool | None = None
    decode: Decoding | None = None

    @property
    def stated(self) -> bool:
        """Whether anything was asked for."""
        return self != PictureGeometry()

    def apply(self, spec: InputSpec) -> InputSpec:
        """Return an input specification of the same size with this geometry, its own wherever nothing is asked for.

        Raises:
            UsageError: a value that there isn't, or one that goes with another fit.
        """
        fit = self.fit or spec.fit
        if self.resize is not None and fit != "crop":
            raise UsageError(f"--resize is for --fit crop; the fit is {fit}.", "Add --fit crop, or leave --resize out.")
        if self.fill is not None and fit != "pad":
            raise UsageError(f"--fill is for --fit pad; the fit is {fit}.", "Add --fit pad, or leave --fill out.")
        try:
            return replace(
                spec,
                fit=fit,
                resize=self._resize(spec) if fit == "crop" else None,
                fill=(spec.fill if self.fill is None else self.fill) if fit == "pad" else 0,
                resample=self.resize_filter or spec.resample,
                antialias=spec.antialias if self.antialias is None else self.antialias,
                decode=self.decode or spec.decode,
            )
        except (ValueError, TypeError) as error:
            raise UsageError(f"The pictures cannot be resized like that: {error}.") from error

    def _resize(self, spec: InputSpec) -> int:
        least = max(spec.height, spec.width)
        if self.resize is None:
            return least if spec.resize is None else spec.resize
        if self.resize < least:
            raise UsageError(
                f"--resize {self.resize} is smaller than the image of {spec.height} x {spec.width} that is cut out.",
                f"Give {least} or more.",
            )
        return self.resize


def describe_fit(spec: InputSpec, others: int, *, stated: bool) -> str | None:
    """Return a line on how pictures are fitted; None where no picture needs it.

    Args:
        spec: input specification of the model.
        others: number of pictures of another shape than the input.
        stated: whether a person chose the fit.
    """
    if not others:
        return None
    how = spec.geometry_text()
    if stated:
        return f"fit      {how}"
    choices = ", ".join(f"--fit {text}" for fit, text in _ELSEWHERE.items() if fit != spec.fit)
    return f"fit      {how}: {others:,} pictures have another shape than the model's input ({choices})"
