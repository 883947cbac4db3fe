"""Whether a manifest says of its model what the model's own file says: that file has a hash, the manifest has none."""

from torchstone_runtime.bundle.manifest import Manifest, parse_essentials, parse_temperature
from torchstone_runtime.errors import BundleError


def require_agreement(manifest: Manifest, metadata: str, file: str) -> None:
    """Check classes, input and temperature of a manifest against an ONNX file's metadata.

    Args:
        manifest: the bundle's manifest.
        metadata: value of `METADATA_KEY` in the file's metadata.
        file: the file's name in messages.

    Raises:
        BundleError: they say different things, or the metadata is not valid.
    """
    _, class_names, spec = parse_essentials(metadata)
    temperature = parse_temperature(metadata)
    same = {
        "classes": class_names == manifest.class_names,
        "input": spec == manifest.input_spec,
        "temperature": temperature in (None, manifest.temperature),
    }
    if differing := [f"'{field}'" for field, agrees in same.items() if not agrees]:
        raise BundleError(
            f"manifest.json and {file} contradict each other in {' and '.join(differing)}: "
            "one of them was changed after the export.",
            "Take both from one export, or export again.",
        )
