"""`torchstone web`: a static site that runs a bundle's model in the browser."""

import shlex
from pathlib import Path

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.completion import VariantName
from torchstone_runtime.cli.options import BUNDLE_PATH, VARIANT_HELP, json_option, out_option
from torchstone_runtime.cli.output import print_result, require_writable, tell, warn
from torchstone_runtime.text import showable


@command(
    examples=(
        "npm install onnxruntime-web@1.30.0",
        "torchstone web fashion --out site --ort-web node_modules/onnxruntime-web",
        "python -m http.server --directory site --bind 127.0.0.1",
    )
)
@click.argument("bundle", type=BUNDLE_PATH)
@option(
    "--ort-web",
    group="Model",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="npm's copy of onnxruntime-web: node_modules/onnxruntime-web. Three of its files become part of the site.",
)
@option("--variant", group="Model", type=VariantName(), default="fp32", show_default=True, help=VARIANT_HELP)
@out_option("site")
@option(
    "--any-version",
    group="Advanced",
    is_flag=True,
    help="Accept a version of onnxruntime-web whose SHA-256 hashes are not known here.",
)
@json_option
def web(
    bundle: Path, ort_web: Path, variant: str, out: Path | None, json_file: Path | None, *, any_version: bool
) -> None:
    """Write a static site that runs the model of BUNDLE in the browser, with onnxruntime-web.

    Any web server can host it, and pictures don't leave the browser. It reads them as `torchstone predict` does, with
    Pillow's resizing bit for bit, and gives no answer before it has replayed the golden samples in that browser.
    An earlier site at --out is replaced. In browsers int8 is slower than fp32.
    """
    from torchstone_runtime.bundle.bundle import Bundle
    from torchstone_runtime.deployment.packaged_model import require_portable
    from torchstone_runtime.web.ort_web import OrtWeb
    from torchstone_runtime.web.site import site_files
    from torchstone_runtime.web.site_folder import write_folder

    require_writable([json_file])
    out = out or Path("site")
    opened = Bundle.open(bundle)
    variant = opened.runnable_variant(variant)
    require_portable(opened, variant)
    runtime = OrtWeb.read(ort_web, any_version=any_version)
    files = site_files(opened, variant, runtime)
    write_folder(out, files)
    size = sum(map(len, files.values())) / 1e6
    if not runtime.known:
        warn(f"Warning: the files of onnxruntime-web {runtime.version} are not known; they were taken as they are.")
    document = {"out": str(out), "files": {name: len(files[name]) for name in sorted(files)}}
    summary = f"wrote {len(files)} files ({size:.1f} MB, onnxruntime-web {runtime.version}) to {out}"
    print_result(
        json_file,
        lambda: {**document, "onnxruntime_web": runtime.version},
        lambda: showable(summary),
        ensure_ascii=True,
    )
    tell(f"to try it: python -m http.server --directory {shlex.quote(str(out))} --bind 127.0.0.1")
