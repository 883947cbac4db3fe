"""The options of every command that writes a bundle, and the packages that it needs."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

import click

from torchstone_runtime.cli.command import option
from torchstone_runtime.cli.options import out_option
from torchstone_runtime.cli.output import print_result, warn
from torchstone_runtime.text import showable_lines

if TYPE_CHECKING:
    from torchstone_export.pipeline import Exported

PACKAGES: Final = ("torch", "torchvision", "onnx", "onnxscript", "safetensors", "tqdm")

OUT_OPTION = out_option("bundles/NAME-1, the first number that is free")
SIGN_OPTION = option(
    "--sign",
    group="Output",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Sign the bundle with this private key (PEM, P-256, P-384 or P-521); needs torchstone[sign].",
)
TEMPERATURE_HELP: Final = "Fit a temperature on the validation split, so that probabilities match accuracy."
EXPECT_OPTION = option(
    "--expect-accuracy",
    group="Gates",
    metavar="A",
    type=click.FloatRange(0, 1),
    help="Expected accuracy: if the exported file's accuracy on the test split is lower, nothing is written, and the "
    "exit code is 1.",
)
CERTIFY_LIMIT_OPTION = option(
    "--certify-limit",
    group="Data",
    metavar="N",
    type=click.IntRange(min=1),
    help="Certify at most N validation and N test images, drawn at random; the certificate says so  [default: all]",
)
CHECK_SPEC_OPTION = option(
    "--check-spec/--no-check-spec",
    group="Advanced",
    default=True,
    show_default=True,
    help="Check on some images whether a preprocessing other than the spec's gives clearly more right answers.",
)


def report_bundle(exported: "Exported", out: Path, json_file: Path | None, dataset: str) -> None:
    """Print what was exported, and warn of what its owner should know.

    Args:
        exported: the bundle, and what is said of it.
        out: directory of the bundle, as it was given.
        json_file: the value of `--json`.
        dataset: data that it was measured on, as `--data` takes it.
    """
    for line in (*exported.warnings, *exported.rejected):
        warn(f"Warning: {line}")
    document: dict[str, Any] = {
        "bundle": str(out),
        "summary": exported.summary,
        "warnings": exported.warnings,
        "rejected": exported.rejected,
        "manifest": exported.bundle.manifest.to_json(),
    }
    ending = [f"bundle: {out}", f"next: torchstone evaluate {quote(str(out))} --data {quote(dataset)}"]
    print_result(json_file, lambda: document, lambda: showable_lines([*exported.summary, *ending]))
