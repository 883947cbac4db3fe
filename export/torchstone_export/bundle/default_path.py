"""Where a bundle goes where no place was given."""

import re
from pathlib import Path

from torchstone_runtime.files import numbered_directory


def default_bundle(source: str) -> Path:
    """Return the first free numbered directory for a source: `runs/cnn3-4` becomes `bundles/cnn3-1`.

    Args:
        source: name of the run, file or factory that the bundle is made from.
    """
    name = re.sub(r"[^\w.-]+", "-", source).strip("-.")
    return numbered_directory(Path("bundles"), re.sub(r"(?<=.)-\d+$", "", name) or "model")
