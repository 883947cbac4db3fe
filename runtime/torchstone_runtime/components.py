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
            f"Install it: {install_line(extra)}",
        )


def install_line(extras: str) -> str:
    """Return what installs extras, such as `cpu,export`: from a clone, as long as there is no release."""
    return f"pip install '.[{extras}]' in a clone of Torchstone"
