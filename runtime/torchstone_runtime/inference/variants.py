"""Which model of a bundle runs here."""

from typing import Final

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.errors import ProviderError
from torchstone_runtime.inference.gpu_options import GpuChoices
from torchstone_runtime.inference.providers import OpenedSession, open_session
from torchstone_runtime.system.cpu_features import missing_features

FALLBACK: Final = "fp32"
LOSSY: Final = ("int8", "fp16")
"""Variants that are certified by their accuracy, not by computing what the PyTorch model computes."""


def open_variant(
    bundle: Bundle,
    wanted: str | None,
    provider: str,
    features: frozenset[str],
    *,
    gpu: GpuChoices = GpuChoices(),  # noqa: B008 - immutable
    check_hash: bool = True,
) -> tuple[str, OpenedSession]:
    """Open a session for a variant, or for `fp32` where the default one can't run on this processor.

    Args:
        bundle: that holds it.
        wanted: the variant asked for by name; the default one if None.
        provider: as for `open_session`.
        features: of the processor.
        gpu: what a session on a GPU may do.
        check_hash: whether the file's SHA-256 is checked.

    Returns:
        The variant and its session; the session's reason names a fallback.

    Raises:
        ProviderError: `wanted` needs a processor feature that is missing, or the provider can't be had.
        BundleError, UsageError: as for `Bundle.runnable_variant`, `Bundle.read` and `open_session`.
    """
    chosen = bundle.runnable_variant(wanted)
    entry = bundle.manifest.variants[chosen]
    opened = open_session(bundle.read(entry, check_hash=check_hash), provider, gpu)
    missing = missing_features(entry.requires_any, features)
    if not missing or opened.provider != "cpu":
        return chosen, opened
    if wanted is not None or chosen == FALLBACK or FALLBACK not in bundle.manifest.variants:
        raise ProviderError(
            f"The variant '{chosen}' was certified on another kind of processor: {missing}.",
            f"Use the variant '{FALLBACK}'.",
        )
    other = bundle.manifest.variants[FALLBACK]
    fallback = open_session(bundle.read(other, check_hash=check_hash), provider, gpu)
    reason = f"{fallback.reason}; {FALLBACK} in place of {chosen}: {missing}"
    return FALLBACK, OpenedSession(fallback.session, fallback.provider, reason)
