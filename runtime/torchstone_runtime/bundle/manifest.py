"""The manifest of a bundle, formats 1 to 4 (docs/reference/bundle-format.md).

Standard library only: `inspect` stays light.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from torchstone_runtime.class_names import MAX_CLASSES
from torchstone_runtime.errors import BundleError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.system.openvino import OPENVINO, Precision
from torchstone_runtime.text import is_showable

FORMAT_NAME: Final = "torchstone-bundle"
_VERSIONS: Final = (1, 2, 3, 4)
"""Format versions that are read. The lowest that knows all of the input is written, see `InputSpec.format_version`."""
MANIFEST_FILE: Final = "manifest.json"
METADATA_KEY: Final = "torchstone"
"""Key in an ONNX file's own metadata that holds `Manifest.essentials` as JSON."""

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MAX_FEATURES: Final = 64


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a bundle: a plain name, SHA-256 (hex) and size in bytes.

    Attributes:
        requires_any: processor features one of which a lossy variant needs on the CPU; empty if it needs none.
        golden_tolerance: tolerance of a lossy variant, in place of the manifest's, see `golden.variant_golden`.
        provider: the only provider that a lossy variant is run on, such as `openvino`; empty for any.
        precision: number format in which that provider computes its products, `fp32` or `bf16`.
        golden_tolerances: tolerances by provider (`cuda`), or provider with TF32 (`cuda+tf32`), in place of both there.
    """

    name: str
    sha256: str
    size: int
    requires_any: tuple[str, ...] = ()
    golden_tolerance: float | None = None
    golden_tolerances: Mapping[str, float] = field(default_factory=dict)
    provider: str = ""
    precision: Precision = "fp32"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "FileEntry":
        """Read an entry of `files`, refusing names that could lead out of the bundle."""
        name, sha256, size = data["file"], data["sha256"], data["size"]
        if not (isinstance(name, str) and _PLAIN_NAME.fullmatch(name)):
            raise BundleError(f"The manifest names a file {name!r}; only plain names inside the bundle are read.")
        if not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
            raise BundleError(f"The manifest has no valid SHA-256 for {name}: {sha256!r}.")
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise BundleError(f"The manifest has no valid size for {name}: {size!r}.")
        tolerance = data.get("golden_tolerance")
        return cls(
            name,
            sha256,
            size,
            _features(data.get("requires_any", [])),
            None if tolerance is None else _positive(tolerance),
            {_text(key): _positive(value) for key, value in data.get("golden_tolerances", {}).items()},
            *_place(data.get("provider", ""), data.get("precision", "fp32")),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        data: dict[str, Any] = {"file": self.name, "sha256": self.sha256, "size": self.size}
        if self.requires_any:
            data["requires_any"] = list(self.requires_any)
        if self.golden_tolerance is not None:
            data["golden_tolerance"] = self.golden_tolerance
        if self.golden_tolerances:
            data["golden_tolerances"] = dict(self.golden_tolerances)
        if self.provider:
            data |= {"provider": self.provider, "precision": self.precision}
        return data


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a bundle holds.

    Attributes:
        name: name of the model (the recipe it was trained with).
        class_names: names of the classes, in the order of the model's outputs.
        input_spec: input specification of the model.
        temperature: temperature that the logits are divided by, inside the graph, before the softmax.
        default_variant: the variant used where none is asked for.
        variants: model files by variant name.
        files: the other files by purpose: `golden`, `certificate`, `model_card`, `validation`.
        golden_tolerance: largest accepted difference of a logit when the golden samples are replayed.
        provenance: origin of the model; metrics: figures measured at export; certificate: its summary.
    """

    name: str
    class_names: tuple[str, ...]
    input_spec: InputSpec
    temperature: float
    default_variant: str
    variants: Mapping[str, FileEntry]
    files: Mapping[str, FileEntry]
    golden_tolerance: float
    provenance: Mapping[str, Any]
    metrics: Mapping[str, Any]
    certificate: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the content of `manifest.json`."""
        return {
            "format": FORMAT_NAME,
            "format_version": self.input_spec.format_version,
            "name": self.name,
            "classes": list(self.class_names),
            "input": self.input_spec.to_json(),
            "outputs": {"logits": "float32 [N, K]", "probabilities": "float32 [N, K]"},
            "temperature": self.temperature,
            "default_variant": self.default_variant,
            "variants": {name: entry.to_json() for name, entry in self.variants.items()},
            "files": {name: entry.to_json() for name, entry in self.files.items()},
            "golden_tolerance": self.golden_tolerance,
            "provenance": dict(self.provenance),
            "metrics": dict(self.metrics),
            "certificate": dict(self.certificate),
        }

    def essentials(self) -> str:
        """Return the part that a lone ONNX file carries in its own metadata, as JSON."""
        return essentials_json(self.name, self.class_names, self.input_spec, self.temperature)


def essentials_json(name: str, class_names: tuple[str, ...], spec: InputSpec, temperature: float) -> str:
    """Return what makes a lone ONNX file usable, as JSON with sorted keys."""
    data = {
        "format": FORMAT_NAME,
        "format_version": spec.format_version,
        "name": name,
        "classes": list(class_names),
        "input": spec.to_json(),
        "temperature": temperature,
    }
    return json.dumps(data, sort_keys=True, ensure_ascii=True)


def parse_manifest(text: bytes) -> Manifest:
    """Read `manifest.json`.

    Raises:
        BundleError: not JSON, not a bundle's manifest, of a later format version, or a field is missing or invalid.
    """
    data = _parse_object(text, MANIFEST_FILE)
    _check_format(data, MANIFEST_FILE)
    try:
        manifest = Manifest(
            name=_text(data["name"]),
            class_names=_class_names(data["classes"]),
            input_spec=InputSpec.from_json(data["input"]),
            temperature=_positive(data["temperature"]),
            default_variant=_text(data["default_variant"]),
            variants={key: FileEntry.from_json(value) for key, value in data["variants"].items()},
            files={key: FileEntry.from_json(value) for key, value in data["files"].items()},
            golden_tolerance=_positive(data["golden_tolerance"]),
            provenance=dict(data["provenance"]),
            metrics=dict(data["metrics"]),
            certificate=dict(data["certificate"]),
        )
    except BundleError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BundleError(f"{MANIFEST_FILE} is not valid: {error!r}.", "Export the bundle again.") from error
    if manifest.default_variant not in manifest.variants:
        raise BundleError(f"{MANIFEST_FILE} names '{manifest.default_variant}' as default but has no such variant.")
    return manifest


def parse_essentials(text: str) -> tuple[str, tuple[str, ...], InputSpec]:
    """Read the metadata of a lone ONNX file: name, class names and input specification.

    Raises:
        BundleError: as for `parse_manifest`.
    """
    data = _parse_object(text.encode("utf-8", "surrogatepass"), "The metadata of the ONNX file")
    _check_format(data, "The metadata of the ONNX file")
    try:
        return _text(data["name"]), _class_names(data["classes"]), InputSpec.from_json(data["input"])
    except BundleError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"The metadata of the ONNX file is not valid: {error!r}.") from error


def parse_temperature(text: str) -> float | None:
    """Read the temperature from the metadata of a lone ONNX file; None if it doesn't say.

    Raises:
        BundleError: as for `parse_manifest`.
    """
    stated = _parse_object(text.encode("utf-8", "surrogatepass"), "The metadata of the ONNX file").get("temperature")
    try:
        return None if stated is None else _positive(stated)
    except (TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"The metadata of the ONNX file is not valid: {error!r}.") from error


def require_any(text: str, features: tuple[str, ...]) -> str:
    """Return the metadata of a lone ONNX file with the processor features of which it needs one on the CPU."""
    return json.dumps(json.loads(text) | {"requires_any": list(features)}, sort_keys=True, ensure_ascii=True)


def parse_requirements(text: str) -> tuple[str, ...]:
    """Read which processor features a lone ONNX file needs one of on the CPU; none if it doesn't say.

    Raises:
        BundleError: as for `parse_manifest`.
    """
    try:
        return _features(_parse_object(text.encode(), "The metadata of the ONNX file").get("requires_any", []))
    except (TypeError, ValueError) as error:
        raise BundleError(f"The metadata of the ONNX file is not valid: {error!r}.") from error


def _parse_object(text: bytes, what: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{what} is not valid JSON: {error}.", "Export or copy the bundle again.") from error
    if not isinstance(data, dict):
        raise BundleError(f"{what} is not a JSON object.", "Export or copy the bundle again.")
    return data


def _check_format(data: Mapping[str, Any], what: str) -> None:
    if data.get("format") != FORMAT_NAME:
        stated = f"its format is {data['format']!r}" if "format" in data else "no format is stated"
        raise BundleError(
            f"{what} is not a Torchstone bundle's: {stated}, '{FORMAT_NAME}' is expected.",
            "Give a directory that export wrote; if this is one, copy it again, or export its run again: "
            "torchstone export RUN",
        )
    version = data.get("format_version")
    if isinstance(version, int) and version > max(_VERSIONS):
        raise BundleError(
            f"The bundle has format version {version}; this installation reads versions up to {max(_VERSIONS)}.",
            "Update it: git pull, then pip install again, in your clone of Torchstone",
        )
    if type(version) is not int or version not in _VERSIONS:
        raise BundleError(f"The bundle's format version {version!r} is not known; expected 1 to {max(_VERSIONS)}.")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, not {value!r}")
    if not is_showable(value):
        raise ValueError(f"{value!r} holds control characters or is not valid Unicode")
    return value


def _class_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 2 <= len(value) <= MAX_CLASSES:  # noqa: PLR2004 - two classes at least
        raise TypeError("'classes' must be a list of 2 to 65,536 names")
    names = tuple(_text(name) for name in value)
    if len(set(names)) != len(names):
        raise ValueError("'classes' holds a name twice")
    return names


def _features(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MAX_FEATURES:
        raise TypeError("'requires_any' must be a short list of processor features")
    return tuple(_text(name) for name in value)


def _place(provider: object, precision: object) -> tuple[str, Precision]:
    known: tuple[Precision, ...] = get_args(Precision)
    found = next((item for item in known if item == precision), None)
    if provider not in ("", OPENVINO) or found is None or (not provider and found != "fp32"):
        raise ValueError(f"no variant is run on the provider {provider!r} in the precision {precision!r}")
    return str(provider), found


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"expected a positive number, not {value!r}")
    return float(value)
