"""`torchstone inspect`: what a bundle is, from its manifest alone; and its golden images, where they are wanted."""

from pathlib import Path
from typing import Any, Final

import click

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.manifest import MANIFEST_FILE, Manifest
from torchstone_runtime.bundle.provenance import describe_cascade, describe_origin
from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import BUNDLE_PATH, json_option
from torchstone_runtime.cli.output import print_result, require_writable, tell
from torchstone_runtime.errors import BundleError
from torchstone_runtime.images.input_spec import MAX_BITS, InputSpec
from torchstone_runtime.text import shortlist, showable_lines

_MOST_CLASSES: Final = 40


@command(examples=("torchstone inspect fashion", "torchstone inspect bundles/cnn3-1 --json"))
@click.argument("bundle", type=BUNDLE_PATH)
@json_option
@option(
    "--golden-images",
    group="Output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the golden images into this folder: golden-00.png, golden-01.png, ...",
)
def inspect(bundle: Path, json_file: Path | None, golden_images: Path | None) -> None:
    """Show what BUNDLE contains: classes, input, files, origin, measured results, certificate.

    BUNDLE is a directory that export wrote, or the built-in 'fashion'. Without --golden-images, the manifest is the
    only file that is read; `torchstone verify` checks the rest. The JSON document is the manifest.
    """
    require_writable([json_file])
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    if golden_images is not None:
        _write_golden_images(opened, golden_images)
    print_result(json_file, manifest.to_json, lambda: _text(manifest, bundle), ensure_ascii=True)


def _text(manifest: Manifest, bundle: Path) -> str:
    try:
        lines = _describe(manifest)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(
            f"'provenance', 'metrics' or 'certificate' in {bundle / MANIFEST_FILE} is not what an export writes: "
            f"{error!r}.",
            "See it as it is with --json, or export the bundle again.",
        ) from error
    return showable_lines(lines)


def _write_golden_images(opened: Bundle, folder: Path) -> None:
    from torchstone_runtime.bundle.golden import golden_images
    from torchstone_runtime.files import reported_as_output_error, write_atomic
    from torchstone_runtime.images.encode import encode_png

    images = golden_images(opened)
    with reported_as_output_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for index, pixels in enumerate(images):
        write_atomic(folder / f"golden-{index:02}.png", encode_png(pixels))
    tell(f"wrote {len(images)} golden images to {folder}")


def _describe(manifest: Manifest) -> list[str]:
    spec = manifest.input_spec
    size = f"N x {spec.channels} x {spec.height} x {spec.width}"
    normalised = f"mean {_numbers(spec.mean)}, std {_numbers(spec.std)} in the graph"
    depth = "" if spec.bits == MAX_BITS else f"; 16-bit pictures use {spec.bits} bits"
    temperature = "" if manifest.temperature == 1 else f" (temperature {manifest.temperature:.4g})"
    lines = [
        f"model        {manifest.name}",
        f"classes      {len(manifest.class_names)}: {shortlist(manifest.class_names, _MOST_CLASSES)}",
        f"input        uint8 {size}, {spec.color}, 0 to 255 ({_resizing(spec)}; {normalised}{depth})",
        f"output       logits and probabilities, float32 N x K{temperature}",
        "",
    ]
    for name, entry in (*manifest.variants.items(), *manifest.files.items()):
        default = " (default)" if name == manifest.default_variant else ""
        lines.append(f"{name:<12} {entry.name:<22} {entry.size:>11,} bytes  sha256 {entry.sha256[:16]}…{default}")
    return [*lines, "", *_origin(manifest.provenance), *_measured(manifest)]


def _origin(provenance: Any) -> list[str]:  # noqa: ANN401 - free-form JSON of the bundle
    dataset = provenance.get("dataset", {})
    origin = describe_origin(provenance)
    cascade = describe_cascade(provenance)
    lines = [f"origin       {origin}"] if origin else []
    lines += [f"cascade      {cascade}"] if cascade else []
    lines += [f"data         {dataset.get('kind', 'not stated')}"]
    present = [(split, dataset[split]) for split in ("train", "validation", "test") if split in dataset]
    return lines + [
        f"  {split:<11}{entry.get('samples', 0):,} images, fingerprint {entry.get('fingerprint', '')[:16]}…"
        for split, entry in present
    ]


def _measured(manifest: Manifest) -> list[str]:
    lines = []
    for split, values in manifest.metrics.items():
        low, high = values["accuracy_interval_95"]
        lines.append(f"{split:<12} accuracy {values['accuracy']:.4f} (95% interval {low:.4f} to {high:.4f})")
    lines += [f"certificate  {line}" for line in manifest.certificate.get("summary", ())]
    return lines


def _resizing(spec: InputSpec) -> str:
    # Stretching is what it says of all bundles of the first two versions.
    return f"{spec.resample} resize" if spec.format_version <= 2 else spec.geometry_text()  # noqa: PLR2004


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)
