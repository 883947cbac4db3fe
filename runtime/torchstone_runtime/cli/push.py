"""`torchstone push`: a bundle to the Hugging Face Hub."""

from pathlib import Path

import click

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import BUNDLE_PATH, PUBLIC_KEY_OPTION, json_option
from torchstone_runtime.cli.output import print_result, require_writable, tell
from torchstone_runtime.text import showable_lines


@command(
    examples=(
        "torchstone push bundles/cnn3-1 hf://me/clothes",
        "torchstone push bundles/cnn3-1 hf://me/clothes@candidate --message 'Trained on the new pictures'",
    )
)
@click.argument("bundle", type=BUNDLE_PATH)
@click.argument("address", metavar="hf://OWNER/NAME[@BRANCH]")
@option("--private", group="Output", is_flag=True, help="Make the repository private if it does not exist yet.")
@option("--message", group="Output", help="First line of the commit  [default: the model's name and manifest]")
@PUBLIC_KEY_OPTION
@json_option
def push(
    bundle: Path, address: str, message: str | None, public_key: Path | None, json_file: Path | None, *, private: bool
) -> None:
    """Push BUNDLE, in one commit, to a repository of the Hugging Face Hub.

    Every file is checked against the manifest first. The bundle's model card is the repository's README.md. Commands
    and torchstone.load take the same address for a bundle, hf://owner/name or hf://owner/name@revision; what they
    fetch is checked like any bundle. HF_TOKEN, or hf auth login, identifies you.
    """
    from torchstone_runtime.deployment.packaged_model import bundle_files
    from torchstone_runtime.hub.hub_address import HubAddress
    from torchstone_runtime.hub.push import push_files

    require_writable([json_file])
    target, opened = HubAddress.parse(address), Bundle.open(bundle)
    if public_key is not None:
        from torchstone_runtime.bundle.signature import verify_signature

        verify_signature(opened, public_key)
    files = bundle_files(opened)
    digest = opened.manifest_sha256
    tell(f"pushing {len(files)} files, {sum(map(len, files.values())):,} bytes, to {target}")
    commit = push_files(target, files, message or f"{opened.manifest.name}, manifest {digest[:16]}", private=private)
    document = {"address": str(target), "commit": commit, "manifest_sha256": digest, "files": sorted(files)}
    lines = [f"pushed       {opened.manifest.name}: {commit}", f"next: torchstone verify {target}"]
    print_result(json_file, lambda: document, lambda: showable_lines(lines))
