"""`torchstone.load`, and what the other functions accept where they take a bundle."""

import os
from pathlib import Path

from torchstone.exporting import ExportedBundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.packed import pack_bundle as pack
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions, Mode

BundleLike = str | os.PathLike[str] | Bundle | ExportedBundle


def bundle_path(bundle: BundleLike) -> str | Path:
    """Return the path of a bundle: as text where it was text, which may name a built-in bundle."""
    if isinstance(bundle, Bundle | ExportedBundle):
        return bundle.path
    return bundle if isinstance(bundle, str) else Path(bundle)


def load(
    bundle: BundleLike,
    *,
    variant: str | None = None,
    provider: str = "auto",
    threads: int | None = None,
    mode: Mode = "auto",
    tf32: bool = False,
    cuda_graphs: bool = False,
    cpu_fallback: bool = False,
    replay_golden: bool = True,
    check_hashes: bool = True,
    public_key: str | os.PathLike[str] | None = None,
) -> Classifier:
    """Load a bundle, checked and ready to classify; close it, or use it as a context manager.

    Args:
        bundle: bundle that `export` returned, the path of one or of an ONNX file out of one, the name of a built-in
            bundle (`fashion`), or an address on the hub, such as `hf://owner/name`.
        variant: model of the bundle, by name; its default one if None.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        threads: number of calls that run at once; the processors this process may use if None.
        mode: aim on the CPU: `latency` (a single picture, on all threads), `throughput` (many pictures),
            or `auto`, which measures after a few calls of single pictures whether they gain.
        tf32: permission for a GPU to compute in TF32.
        cuda_graphs: permission for `cuda` to record each batch size once and replay it.
        cpu_fallback: permission for the CPU to run the nodes that a provider asked for by name cannot run.
        replay_golden: whether the golden samples are replayed.
        check_hashes: whether the SHA-256 of the files used is checked; their size always is.
        public_key: PEM file of the key whose signature is required; None for none.

    Raises:
        As for `Classifier.load`.
    """
    options = LoadOptions(
        variant=variant,
        provider=provider,
        threads=threads,
        mode=mode,
        tf32=tf32,
        cuda_graphs=cuda_graphs,
        cpu_fallback=cpu_fallback,
        replay_golden=replay_golden,
        check_hashes=check_hashes,
        public_key=public_key,
    )
    return Classifier.load_with(bundle_path(bundle), options)


def pack_bundle(bundle: BundleLike, *, variant: str | None = None) -> bytes:
    """Return what inference needs of a bundle as one piece, to be sent to other machines; `Scorer` takes it.

    Args:
        bundle: bundle that `export` returned, its path, the name of a built-in one, or an address on the hub.
        variant: name of the only model that is wanted; all that the runtime runs if None.

    Raises:
        BundleError: a file is missing, altered or not readable.
        UsageError: the bundle has no such variant, or it needs PyTorch.
    """
    return pack(Bundle.open(bundle_path(bundle)), variant)
