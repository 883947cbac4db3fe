"""`python -m torchstone_runtime` as if matplotlib weren't installed: pictures are most of a short training's time."""

import sys

from torchstone_runtime.cli.main import main

if __name__ == "__main__":
    sys.modules["matplotlib"] = None  # type: ignore[assignment]  # None: can't be imported
    main(sys.argv[1:])
