"""Which model of a bundle runs here."""

from typing import Final

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.errors import ProviderError
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.providers import OpenedSession, open_session
from torchstone_runtime.system.cpu import cpu_features, missing_features

FALLBACK: Final = "fp32"
LOSSY: Final = ("int8", "fp16")
"""Variants that are certified by their accuracy, not by computing what the PyTorch model computes."""


def open_variant(bundle: Bundle, options: LoadOptions) -> tuple[str, OpenedSession]:
    """Open a session for a variant, or for `fp32` where the default one can't run on this processor.

    Args:
        bundle: the bundle that holds the variant.
        options: options, of which the variant, `check_hashes`, `features` and what `open_session` reads are used.

    Returns:
        The variant and its session; the session's reason names a fallback.

    Raises:
        ProviderError: the variant asked for by name needs a processor feature that is missing, or the provider can't be
            had.
        BundleError, UsageError: as for `Bundle.runnable_variant`, `Bundle.read` and `open_session`.
    """
    chosen = bundle.runnable_variant(options.variant)
    entry = bundle.manifest.variants[chosen]
    opened = open_session(bundle.read(entry, check_hash=options.check_hashes), options)
    here = cpu_features() if options.features is None else options.features
    missing = missing_features(entry.requires_any, here)
    if not missing or opened.provider != "cpu":
        return chosen, opened
    if options.variant is not None or chosen == FALLBACK or FALLBACK not in bundle.manifest.variants:
        raise ProviderError(
            f"The variant '{chosen}' was certified on another kind of processor: {missing}.",
            f"Use the variant '{FALLBACK}'.",
        )
    other = bundle.manifest.variants[FALLBACK]
    fallback = open_session(bundle.read(other, check_hash=options.check_hashes), options)
    reason = f"{fallback.reason}; {FALLBACK} in place of {chosen}: {missing}"
    return FALLBACK, OpenedSession(fallback.session, fallback.provider, reason)
