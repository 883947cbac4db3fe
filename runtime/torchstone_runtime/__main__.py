"""The command `torchstone`, which is also `python -m torchstone_runtime`."""

from typing import NoReturn

from torchstone_runtime.system.garbage import start_unsearched


def run() -> NoReturn:
    """Run the command line and exit, as `torchstone_runtime.cli.main.main` says."""
    start_unsearched()
    from torchstone_runtime.cli.main import main  # noqa: PLC0415 - what it imports is part of the start

    main()


if __name__ == "__main__":
    run()
