"""Golden tolerances from what the piece `tolerances` measured, for new exports and for bundles that are there already.

    python -m benchmarks.gpu.limits FOLDER [BUNDLE ...]

FOLDER has `tolerances.json`, and `tensorrt_float32.json` where there is TensorRT. Printed is `GOLDEN_MULTIPLES` for
export/torchstone_export/certificate/error_limits.py: twice the worst honest export's multiple of float32's own error,
rounded up. The float variants of each BUNDLE get the tolerances that follow from their noise floor; a signature no
longer holds then, so sign such a bundle again. Variants in fp16 have a tolerance of their own, from their export.
"""

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu.steps import DONE, read_steps, result_file
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.manifest import MANIFEST_FILE, FileEntry
from torchstone_runtime.errors import UsageError
from torchstone_runtime.files import write_atomic
from torchstone_runtime.strict_json import strict_json

FEWEST_EXPORTS: Final = 50
_FACTOR: Final = 2.0
_KEYS: Final[Mapping[str, str]] = {
    "cuda": "cuda",
    "cuda, TF32": "cuda+tf32",
    "tensorrt": "tensorrt",
    "tensorrt, TF32": "tensorrt+tf32",
}
"""Keys of `golden_tolerances`, by the names of the piece's ways of computing."""


def multiples(results: Path) -> dict[str, float]:
    """Return the accepted multiples of float32's own error by the keys of a bundle's `golden_tolerances`.

    Raises:
        UsageError: the piece was not run to its end, or only tried.
    """
    found: dict[str, Any] = {}
    for piece in ("tolerances", "tensorrt_float32"):
        step = read_steps(results, piece).get("summary", {})
        if step.get("state") == DONE and not json.loads(result_file(results, piece).read_text())["dry_run"]:
            found |= step["result"]
    if not found:
        raise UsageError(f"There is no measured tolerances.json in {results}.", "Run the piece 'tolerances' on a GPU.")
    return limits(found)


def limits(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the multiples of a summary; a way that too few exports ran has none."""
    ran = {key: summary[way] for way, key in _KEYS.items() if summary.get(way, {}).get("exports", 0) >= FEWEST_EXPORTS}
    return {key: float(math.ceil(_FACTOR * found["max_multiple"]["100%"])) for key, found in ran.items()}


def add_tolerances(bundle: Bundle, accepted: Mapping[str, float]) -> None:
    """Write tolerances into the manifest of a bundle, in place of those that it states for the same providers."""
    floor = float(bundle.manifest.certificate["noise_floor"])
    own = {key: multiple * floor for key, multiple in accepted.items()}

    def changed(entry: FileEntry) -> FileEntry:
        if not entry.name.endswith(".onnx") or entry.golden_tolerance is not None:
            return entry
        return replace(entry, golden_tolerances={**entry.golden_tolerances, **own})

    variants = {name: changed(entry) for name, entry in bundle.manifest.variants.items()}
    manifest = replace(bundle.manifest, variants=variants)
    write_atomic(bundle.path / MANIFEST_FILE, strict_json(manifest.to_json(), indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Print the multiples, and write what follows from them into bundles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("bundles", type=Path, nargs="*")
    asked = parser.parse_args()
    accepted = multiples(asked.folder)
    print(f"GOLDEN_MULTIPLES: {accepted}")
    for path in asked.bundles:
        add_tolerances(Bundle.open(path), accepted)
        print(f"wrote {path / MANIFEST_FILE}")


if __name__ == "__main__":
    main()
