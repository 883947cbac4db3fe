"""Golden samples: raw images with the outputs they must give, replayed on the very session that serves."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.manifest import Manifest
from torchstone_runtime.errors import BundleError, CheckFailedError

_MAX_BYTES: Final = 1 << 30


@dataclass(frozen=True, eq=False, slots=True)
class GoldenSamples:
    """A few images and what the PyTorch model makes of them.

    Attributes:
        images: uint8 [n, C, H, W].
        logits: float32 [n, K].
        probabilities: float32 [n, K].
    """

    images: Uint8Array
    logits: Float32Array
    probabilities: Float32Array

    def to_bytes(self, lossy: Mapping[str, "GoldenSamples"] | None = None) -> bytes:
        """Return an npz file with the three arrays.

        Args:
            lossy: samples of lossy variants, by variant, whose outputs are not the PyTorch model's; their arrays are
                called `images.VARIANT` and so on.
        """
        arrays = {"images": self.images, "logits": self.logits, "probabilities": self.probabilities}
        for variant, own in (lossy or {}).items():
            arrays[f"images.{variant}"] = own.images
            arrays[f"logits.{variant}"], arrays[f"probabilities.{variant}"] = own.logits, own.probabilities
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # the stubs take the names for options
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, variant: str | None = None) -> "GoldenSamples":
        """Read what `to_bytes` wrote; nothing is unpickled.

        Args:
            content: the npz file.
            variant: a lossy variant, whose own samples are wanted.

        Raises:
            BundleError: another format, or arrays that don't belong together.
        """
        suffix = f".{variant}" if variant else ""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if sum(info.file_size for info in archive.infolist()) > _MAX_BYTES:
                    raise ValueError(f"they unpack to more than {_MAX_BYTES:,} bytes")
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                samples = cls(*(arrays[f"{name}{suffix}"] for name in ("images", "logits", "probabilities")))
            if samples.images.dtype != np.uint8 or samples.images.ndim != 4 or len(samples.images) == 0:  # noqa: PLR2004
                raise ValueError("images must be uint8 [n, C, H, W]")
            if samples.logits.dtype != np.float32 or samples.probabilities.dtype != np.float32:
                raise ValueError("logits and probabilities must be float32")
            if not len(samples.images) == len(samples.logits) == len(samples.probabilities):
                raise ValueError("the arrays have different lengths")
        except Exception as error:  # A damaged archive makes zipfile, zlib and NumPy raise a dozen unrelated classes.
            raise BundleError(f"The golden samples cannot be read: {error}.", "Export the bundle again.") from error
        return samples

    def check(
        self, logits: Float32Array, probabilities: Float32Array, tolerance: float, temperature: float = 1.0
    ) -> float:
        """Compare outputs with the expected ones.

        Args:
            logits: float32 [n, K], what the session gave.
            probabilities: float32 [n, K], likewise.
            tolerance: largest accepted absolute difference of a logit.
            temperature: temperature that the model divides its logits by before the softmax.

        Returns:
            The largest absolute difference of a logit.

        Raises:
            CheckFailedError: a class differs, or a difference is not finite or above the tolerance.
        """
        if logits.shape != self.logits.shape or probabilities.shape != self.probabilities.shape:
            raise CheckFailedError(f"The model gives outputs of shape {logits.shape}, expected {self.logits.shape}.")
        error = float(np.abs(logits - self.logits).max())
        # A probability moves by at most half as much as the divided logits do: the softmax is 1/2-Lipschitz in this
        # norm. Only a temperature below 1/2 makes that more than the logits' own tolerance.
        probability_tolerance = tolerance * max(1.0, 0.5 / temperature)
        probability_error = float(np.abs(probabilities - self.probabilities).max())
        flipped = int((probabilities.argmax(axis=1) != self.probabilities.argmax(axis=1)).sum())
        # Two comparisons: max() would lose a NaN that stands second.
        if flipped or not (error <= tolerance and probability_error <= probability_tolerance):
            raise CheckFailedError(
                f"On this machine the model does not do what it did when it was exported: of {len(logits)} golden "
                f"samples {flipped} change class; the largest logit difference is {error:.3g}, accepted is "
                f"{tolerance:.3g}.",
                "Don't serve it here. Try another provider, or update ONNX Runtime.",
            )
        return error


def golden_images(bundle: Bundle) -> Uint8Array:
    """Return the golden images of a bundle, uint8 [n, C, H, W], as its model takes them.

    Raises:
        BundleError: they are missing, altered, not readable, or of another shape than the model takes.
    """
    images = GoldenSamples.from_bytes(bundle.read_file("golden")).images
    if images.shape[1:] != bundle.manifest.input_spec.shape:
        raise BundleError("The golden samples are not of the shape that the model takes.", "Export it again.")
    return images


def variant_golden(
    bundle: Bundle, variant: str, *, check_hash: bool = True, provider: str = "cpu", tf32: bool = False
) -> tuple[GoldenSamples, float]:
    """Return the golden samples of a variant and the largest accepted difference of a logit.

    A variant that decides as the PyTorch model does shares the bundle's. A lossy one, whose entry states a tolerance,
    has its own: its outputs on the machine of the export, so that a processor that computes it wrongly is noticed.
    Where the entry states a tolerance for the provider that serves, with TF32 or without, that one holds.

    Raises:
        BundleError: they are missing, altered or not readable.
    """
    content = bundle.read_file("golden", check_hash=check_hash)
    return golden_of(bundle.manifest, variant, content, provider=provider, tf32=tf32)


def golden_of(
    manifest: Manifest, variant: str, content: bytes, *, provider: str = "cpu", tf32: bool = False
) -> tuple[GoldenSamples, float]:
    """Return the same as `variant_golden`, from the content of the golden file.

    Raises:
        BundleError: it is not readable.
    """
    entry = manifest.variants[variant]
    own = entry.golden_tolerance
    samples = GoldenSamples.from_bytes(content, None if own is None else variant)
    usual = manifest.golden_tolerance if own is None else own
    # What was measured without TF32 says nothing about it: the provider's own tolerance doesn't stand in for it.
    return samples, entry.golden_tolerances.get(f"{provider}+tf32" if tf32 else provider, usual)
