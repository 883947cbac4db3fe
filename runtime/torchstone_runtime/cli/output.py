"""Results on stdout."""

import os
import sys

import click


def echo_result(text: str) -> None:
    """Print a result; a reader who has left early (`| head`, `| grep -q`) is no error.

    What follows, such as a threshold that fails, then still decides the exit code.
    """
    try:
        click.echo(text)
    except BrokenPipeError:
        # Python flushes stdout once more at exit and would complain; now that goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
