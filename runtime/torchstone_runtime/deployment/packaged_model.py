"""The model that is packaged: its variant, its content, and the name that other systems know it by."""

import re
from dataclasses import dataclass
from typing import Final

from torchstone_runtime.bundle.bundle import Bundle, read_regular
from torchstone_runtime.bundle.golden import GoldenSamples, golden_of
from torchstone_runtime.bundle.manifest import MANIFEST_FILE
from torchstone_runtime.bundle.signature import SIGNATURE_FILE
from torchstone_runtime.class_names import MAX_MANIFEST_BYTES
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.system.openvino import OPENVINO
from torchstone_runtime.text import showable

FALLBACK: Final = "fp32"
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,98}[A-Za-z0-9])?")
_MAX_SIGNATURE_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A variant of a bundle under a name that directories, addresses and manifests can hold.

    Attributes:
        bundle: bundle that it is of.
        name: letters, digits, `_`, `.` and `-`, with a letter or digit at both ends.
        variant: name of the variant; content: its ONNX file, whose hash has been checked.
        golden: golden samples of the variant.
    """

    bundle: Bundle
    name: str
    variant: str
    content: bytes
    golden: GoldenSamples

    @property
    def is_default(self) -> bool:
        """Whether the variant is the default one: our own runtime then finds whether the processor can run it."""
        return self.variant == self.bundle.manifest.default_variant

    @property
    def extra(self) -> str:
        """Extra of our package whose ONNX Runtime runs the variant."""
        return "openvino" if self.bundle.manifest.variants[self.variant].provider == OPENVINO else "cpu"

    @classmethod
    def of(cls, bundle: Bundle, variant: str, name: str | None = None) -> "PackagedModel":
        """Read a variant of a bundle.

        Args:
            bundle: the bundle.
            variant: name of a variant that the runtime runs.
            name: name for the package; the model's own, with `-` for what a name can't hold, if None.

        Raises:
            BundleError: a file is missing, altered or not readable.
            UsageError: there is no such variant, or the name holds something else.
        """
        variant = bundle.runnable_variant(variant)
        content = bundle.read(bundle.manifest.variants[variant])
        golden, _ = golden_of(bundle.manifest, variant, bundle.read_file("golden"))
        if golden.images.shape[1:] != bundle.manifest.input_spec.shape:
            raise BundleError("The golden samples are not of the shape that the model takes.", "Export it again.")
        return cls(bundle, _checked_name(name, bundle.manifest.name), variant, content, golden)


def portable_variant(bundle: Bundle) -> tuple[str, str]:
    """Return the variant for servers that don't ask the processor for features, and why it isn't the default one.

    A variant in 8 bits gives wrong results on a processor without the instructions that it was certified with; our
    runtime then takes another, and other servers don't.

    Returns:
        The variant, and a sentence, empty for the default variant.
    """
    default = bundle.runnable_variant(None)
    entry = bundle.manifest.variants[default]
    needed = entry.requires_any
    if not (needed or entry.provider) or FALLBACK not in bundle.manifest.variants:
        return default, ""
    if entry.provider:
        return FALLBACK, f"{FALLBACK} in place of {default}, which only our own server runs, on {entry.provider}"
    return FALLBACK, (
        f"{FALLBACK} in place of {default}: {default} is correct only on processors with one of "
        f"{', '.join(needed)}, and this server does not check for them (--variant {default} packages it anyway)"
    )


def require_portable(bundle: Bundle, variant: str) -> None:
    """Refuse a variant that is more than its file: other runtimes would compute it in another precision.

    Raises:
        UsageError: it was certified on one provider.
    """
    entry = bundle.manifest.variants[variant]
    if entry.provider:
        raise UsageError(
            f"The variant '{variant}' was certified on '{entry.provider}', in {entry.precision}; its file computes "
            "something else there.",
            f"Use --variant {FALLBACK}.",
        )


def bundle_files(bundle: Bundle, folder: str | None = None) -> dict[str, bytes]:
    """Return every file of a bundle, checked, by its name, or by its path below a folder.

    Raises:
        BundleError: one is missing, altered or not readable.
    """
    entries = (*bundle.manifest.variants.values(), *bundle.manifest.files.values())
    files = {entry.name: bundle.read(entry) for entry in entries}
    files[MANIFEST_FILE] = read_regular(bundle.path / MANIFEST_FILE, MAX_MANIFEST_BYTES)
    if (bundle.path / SIGNATURE_FILE).is_file():
        files[SIGNATURE_FILE] = read_regular(bundle.path / SIGNATURE_FILE, _MAX_SIGNATURE_BYTES)
    return {name if folder is None else f"{folder}/{name}": content for name, content in files.items()}


def _checked_name(given: str | None, own: str) -> str:
    if given is None:
        given = re.sub(r"[^A-Za-z0-9_.-]+", "-", own).strip("-_.")[:100].rstrip("-_.") or "model"
    if not _NAME.fullmatch(given):
        raise UsageError(
            f"'{showable(given)}' cannot be the name of a model there.",
            "Use letters, digits, '_', '.' and '-', with a letter or digit at both ends.",
        )
    return given
