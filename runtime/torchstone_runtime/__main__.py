"""`python -m torchstone_runtime` is the command `torchstone`."""

from torchstone_runtime.cli.main import main

if __name__ == "__main__":
    main()
