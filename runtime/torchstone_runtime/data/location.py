"""Where downloaded datasets lie. Apart from the readers, so that building a command line loads no NumPy."""

import os
from pathlib import Path
from typing import Final

DEFAULT_DATA_DIR: Final = Path("data")


def default_data_dir() -> Path:
    """Return `TORCHSTONE_DATA`, or `data` in the current directory where it is not set."""
    return Path(os.environ.get("TORCHSTONE_DATA") or DEFAULT_DATA_DIR).expanduser()
