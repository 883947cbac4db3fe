"""Bundles that come with the package, and the one place where names of bundles are understood.

Each sub-folder is a bundle as `torchstone export` wrote it (`make example` replaces `fashion`). Standard library only:
`torchstone inspect` stays light.
"""

import os
from pathlib import Path
from typing import Final

from torchstone_runtime.bundle.manifest import MANIFEST_FILE
from torchstone_runtime.hub.hub_address import is_hub_address

_FOLDER: Final = Path(__file__).parent


def builtin_names() -> list[str]:
    """Return the names of the built-in bundles, sorted."""
    return sorted(manifest.parent.name for manifest in _FOLDER.glob(f"*/{MANIFEST_FILE}"))


def bundle_argument(path: Path) -> str:
    """Return what to type for a bundle: the name of a built-in one, otherwise its path."""
    by_name = path.parent == _FOLDER and not os.path.lexists(path.name)
    return path.name if by_name else str(path)


def locate_bundle(given: str | os.PathLike[str]) -> Path:
    """Return where a bundle lies.

    Args:
        given: text is a path if something is there, else it may be the name of a built-in bundle (`./NAME` is always
            a path), or an address on the hub (`hf://owner/name`), which is fetched. What is not text, such as a `Path`,
            is always a path.

    Returns:
        The directory of the built-in bundle of that name, or of the copy of the hub's, or the path that was given;
        whether it exists is not checked.

    Raises:
        MissingComponentError, OutputError, RemoteError, UsageError: as for `hub.pull.pull_bundle`.
    """
    if isinstance(given, str) and is_hub_address(given):
        from torchstone_runtime.hub.pull import pull_bundle  # noqa: PLC0415 - only where one is asked for

        return pull_bundle(given)
    if isinstance(given, str) and not os.path.lexists(given) and given in builtin_names():
        return _FOLDER / given
    return Path(given)
