"""The command `train` as a program of its own: in a plain copy of the repository, `torchstone` knows the runtime's."""

from typing import Final

_PROGRAM: Final = """
import sys
{first}
from torchstone_runtime.errors import TorchstoneError
from torchstone_train.cli import train
try:
    train.main(sys.argv[1:], standalone_mode=False)
except TorchstoneError as error:
    print(f"{{error.problem}} {{error.remedy}}", *error.details, file=sys.stderr)
    sys.exit(error.exit_code)
"""
NO_PICTURES: Final = 'sys.modules["matplotlib"] = None'
"""Lines for a program whose training is shorter than drawing takes."""


def train_program(first: str) -> str:
    """Return the program, with lines that it begins with."""
    return _PROGRAM.format(first=first)
