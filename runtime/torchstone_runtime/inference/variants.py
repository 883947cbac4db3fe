"""Which model of a bundle runs here."""

from dataclasses import replace
from typing import Final

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.manifest import FileEntry
from torchstone_runtime.errors import ProviderError
from torchstone_runtime.inference.gpu_options import ON_NVIDIA
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.providers import OpenedSession, is_built_in, open_session
from torchstone_runtime.system.cpu import cpu_features, missing_features
from torchstone_runtime.system.nvidia_driver import ask_driver
from torchstone_runtime.system.openvino import ON_PROCESSOR

FALLBACK: Final = "fp32"
LOSSY: Final = ("int8", "fp16", "bf16")
"""Variants that are certified by their accuracy, not by computing what the PyTorch model computes."""


def open_variant(bundle: Bundle, options: LoadOptions) -> tuple[str, OpenedSession]:
    """Open a session for a variant, or for `fp32` where the default one can't run here, or not well.

    A variant that was certified on one provider, in one precision, runs there alone. A default one that was made and
    measured for processors gives way to `fp32` on a GPU: its speed was shown on a processor only.

    Args:
        bundle: the bundle that holds the variant.
        options: options, of which the variant, `check_hashes`, `features` and what `open_session` reads are used.

    Returns:
        The variant and its session; the session's reason names a fallback.

    Raises:
        ProviderError: the variant asked for by name needs another provider or a processor feature that is missing, or
            the provider is not available.
        BundleError, UsageError: as for `Bundle.runnable_variant`, `Bundle.read` and `open_session`.
    """
    chosen = bundle.runnable_variant(options.variant)
    entry = bundle.manifest.variants[chosen]
    final = options.variant is not None or chosen == FALLBACK or FALLBACK not in bundle.manifest.variants
    if not final and entry.requires_any and (opened := _open_on_gpu(bundle, options)):
        reason = f"{opened.reason}; {FALLBACK} in place of {chosen}, which was measured on a processor"
        return FALLBACK, replace(opened, reason=reason)
    here = cpu_features() if options.features is None else options.features
    missing = missing_features(entry.requires_any, here)
    try:
        opened = open_session(bundle.read(entry, check_hash=options.check_hashes), serving_options(entry, options))
        if not missing or opened.provider not in ON_PROCESSOR:
            return chosen, opened
    except ProviderError as error:
        if final or not entry.provider:
            raise
        missing = missing or error.problem.rstrip(".")
    if final:
        raise ProviderError(
            f"The variant '{chosen}' was certified on another kind of processor: {missing}.",
            f"Use the variant '{FALLBACK}'.",
        )
    other = bundle.manifest.variants[FALLBACK]
    fallback = open_session(bundle.read(other, check_hash=options.check_hashes), options)
    return FALLBACK, replace(fallback, reason=f"{fallback.reason}; {FALLBACK} in place of {chosen}: {missing}")


def _open_on_gpu(bundle: Bundle, options: LoadOptions) -> OpenedSession | None:
    """Return a session of `fp32` on a GPU that is wanted, or that `auto` may take; None where there is none."""
    if options.provider not in ON_NVIDIA and not (options.provider == "auto" and _gpu_answers()):
        return None
    content = bundle.read(bundle.manifest.variants[FALLBACK], check_hash=options.check_hashes)
    opened = open_session(content, options)
    return opened if opened.provider in ON_NVIDIA else None


def _gpu_answers() -> bool:
    return is_built_in("cuda") and bool(ask_driver()["devices"])


def serving_options(entry: FileEntry, options: LoadOptions) -> LoadOptions:
    """Return the options with the provider and the precision that a variant was certified in.

    Raises:
        ProviderError: another provider was asked for by name.
    """
    if not entry.provider:
        return options
    if options.provider not in ("auto", entry.provider):
        raise ProviderError(
            f"This variant was certified on '{entry.provider}', in {entry.precision}; '{options.provider}' computes "
            "something else.",
            f"Use --provider {entry.provider}, or the variant '{FALLBACK}'.",
        )
    return replace(options, provider=entry.provider, precision=entry.precision)


def missing_provider(entry: FileEntry, options: LoadOptions) -> str:
    """Return "" where a variant may run on what the options and the installation offer, else what is in the way.

    A provider that was asked for by name is taken at its word: whether it is there shows when it is opened.
    """
    if not entry.provider or options.provider == entry.provider:
        return ""
    if options.provider != "auto":
        return f"it was certified on '{entry.provider}', not on '{options.provider}'"
    return "" if is_built_in(entry.provider) else f"it was certified on '{entry.provider}', which is not installed"
