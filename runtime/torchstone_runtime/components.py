"""Optional parts of Torchstone: found, or named with the line that installs them."""

from importlib.util import find_spec

from torchstone_runtime.errors import MissingComponentError


def require_component(extra: str, *packages: str) -> None:
    """Check that the packages of an extra are installed, without importing them.

    Raises:
        MissingComponentError: one is not; the message has the line that installs the extra.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise MissingComponentError(
            f"This command needs the part '{extra}' of Torchstone; not installed: {', '.join(missing)}.",
            f"Install it: pip install 'torchstone[{extra}]' (in a clone: pip install '.[{extra}]')",
        )
