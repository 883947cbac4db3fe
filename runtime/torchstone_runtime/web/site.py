"""A static site that runs a bundle's model in the browser: its files, and the folder that holds them."""

import hashlib
from typing import Any, Final

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.images.background import BackgroundRange
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.version import __version__
from torchstone_runtime.web.assets import STATIC
from torchstone_runtime.web.ort_web import OrtWeb
from torchstone_runtime.web.page_html import Shown, head, page_body, page_style

MODULES: Final = (
    *("engine.js", "geometry.js", "page.js", "picture.js", "planes.js", "png.js", "resample.js", "site.js"),
    "worker.js",
)
_INTERFACE: Final = "ort.wasm.min.js"
_LOADER: Final = "ort-wasm-simd-threaded.js"
"""Named .js, for many servers call .mjs something that no browser takes for JavaScript."""
_WASM: Final = "ort-wasm-simd-threaded.wasm"
_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_PLACE: Final = (
    "It runs in this browser: pictures are not sent anywhere. They are read as in training, and none is classified "
    "before the model has decided its golden samples here as it did at its export."
)


def site_files(bundle: Bundle, variant: str, runtime: OrtWeb) -> dict[str, bytes]:
    """Return the files of a site by name.

    Args:
        bundle: bundle of the model; the hashes of what is read are checked.
        variant: variant that the site runs, an ONNX file.
        runtime: onnxruntime-web.

    Raises:
        BundleError: a file of the bundle is missing, altered or not readable.
    """
    shown = Shown.of(bundle, variant)
    model, golden = bundle.read(bundle.manifest.variants[variant]), _golden_file(shown)
    files = {
        "index.html": _page(shown, runtime).encode(),
        "style.css": page_style().encode(),
        **{name: (STATIC / name).read_bytes() for name in MODULES},
        _INTERFACE: runtime.interface,
        _LOADER: runtime.loader,
        _WASM: runtime.wasm,
        "model.onnx": model,
        "golden.bin": golden,
    }
    described = strict_json(_description(shown, files, runtime), indent=2, ensure_ascii=True)
    return files | {"model.json": (described + "\n").encode()}


def _golden_file(shown: Shown) -> bytes:
    """Return images, uint8, then logits and probabilities, little-endian float32, each in C order."""
    golden = shown.golden
    outputs = (golden.logits.astype("<f4").tobytes(), golden.probabilities.astype("<f4").tobytes())
    return b"".join([golden.images.tobytes(), *outputs])


def _page(shown: Shown, runtime: OrtWeb) -> str:
    start = head(
        shown.manifest.name,
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<link rel="stylesheet" href="style.css">',
        '<script type="module" src="site.js"></script>',
    )
    run_by = f"onnxruntime-web {runtime.version}" + ("" if runtime.known else " (its files are not known)")
    return start + page_body(shown, place=_PLACE, more=[("Run by", run_by)]) + "\n</body>\n</html>\n"


def _description(shown: Shown, files: dict[str, bytes], runtime: OrtWeb) -> dict[str, Any]:
    manifest, known = shown.manifest, BackgroundRange.of(shown.golden.images)
    return {
        "format": "torchstone-site",
        "torchstone": __version__,
        "name": manifest.name,
        "classes": list(manifest.class_names),
        "input": manifest.input_spec.to_json(),
        "variant": shown.variant,
        "model": _entry(files, "model.onnx"),
        "golden": {
            **_entry(files, "golden.bin"),
            "count": len(shown.golden.images),
            "tolerance": shown.tolerance,
            # As GoldenSamples.check has it.
            "probability_tolerance": shown.tolerance * max(1.0, 0.5 / manifest.temperature),
        },
        "background": {"low": known.low, "high": known.high},
        "runtime": {
            "version": runtime.version,
            "interface": _entry(files, _INTERFACE),
            "loader": _entry(files, _LOADER),
            "wasm": _entry(files, _WASM),
        },
    }


def _entry(files: dict[str, bytes], name: str) -> dict[str, Any]:
    return {"file": name, "sha256": hashlib.sha256(files[name]).hexdigest(), "size": len(files[name])}
