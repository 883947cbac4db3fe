"""Options of an export that mean something only together: refused alone. Importing it loads no PyTorch."""

from collections.abc import Callable, Sequence

from torchstone_export.lossy.names import LOSSY_VARIANTS
from torchstone_runtime.errors import UsageError


def require_cascade(fast: object, threshold: float | None, *, mirror: bool, spelled: Callable[[str], str]) -> None:
    """Refuse the options of a cascade without its fast run.

    Args:
        fast: the fast model's run; None: not a cascade.
        threshold: confidence from which the fast model answers alone; None: not given.
        mirror: whether mirror images were asked for.
        spelled: function that returns an option as its user types it.

    Raises:
        UsageError: there is no fast run, but another option.
    """
    if fast is None and (threshold is not None or mirror):
        raise UsageError(
            f"{spelled('threshold')} and {spelled('mirror')} belong to a cascade.",
            f"Name the run of its faster model with {spelled('fast')}.",
        )


def require_variants(
    names: Sequence[str], given: Sequence[str], *, default: str, provider: str, spelled: Callable[[str], str]
) -> None:
    """Refuse options of lossy variants that were not asked for.

    Args:
        names: names of the variants that were asked for.
        given: names of the options that were given and are about variants.
        default: name of the variant that is to run where none is named.
        provider: provider that they are to be measured on.
        spelled: function that returns an option as its user types it.

    Raises:
        UsageError: an option is about a variant that was not asked for, or there is no such provider.
    """
    if provider not in ("cpu", "cuda"):
        raise UsageError(f"{spelled('provider')} {provider} is not known here.", "Give cpu or cuda.")
    if default not in ("fp32", *names):
        raise UsageError(
            f"{spelled('default_variant')} {default} names a variant that is not exported.",
            f"Add {spelled(default)}." if default in LOSSY_VARIANTS else f"Give {_either(('fp32', *LOSSY_VARIANTS))}.",
        )
    if given and not names:
        raise UsageError(
            f"No variant was asked for that {', '.join(map(spelled, given))} would be for.",
            f"Add {_either([spelled(name) for name in LOSSY_VARIANTS])}.",
        )


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
