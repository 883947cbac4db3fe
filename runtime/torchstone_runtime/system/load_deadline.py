"""A bound on how long a model may take until it has answered its golden samples.

A graph without loops can still ask for hours: one enormous convolution is enough. Between two nodes ONNX Runtime
looks whether it shall stop; inside a node nothing stops it but the end of its process.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from torchstone_runtime.errors import BundleError, UsageError

DEFAULT_SECONDS: Final = 300.0
"""Bound on opening a model on the CPU, and another on its golden samples; large classifiers take some ten seconds."""
GRACE_SECONDS: Final = 10.0
"""Time at most that a node has to end after its run was told to stop; never longer than the bound itself."""
VARIABLE: Final = "TORCHSTONE_LOAD_SECONDS"

_REMEDY: Final = f"If the model is only slow, set {VARIABLE} to more seconds (0: no bound)."
_give_up: "Callable[[BundleError], NoReturn] | None" = None
_own: Final = threading.local()


def on_no_end(action: "Callable[[BundleError], NoReturn] | None") -> None:
    """Set what ends this process where a model doesn't stop; None, the default, waits for it.

    The command line exits with its message. A library must not end the process that it serves: see
    `torchstone_runtime.inference.isolated.check_in_own_process`.
    """
    global _give_up  # noqa: PLW0603 - one process has one way to end
    _give_up = action


@contextmanager
def own_no_end(action: "Callable[[BundleError], object]") -> Iterator[None]:
    """Set what is done where a model that is loaded inside, on this thread, doesn't stop: in place of `on_no_end`.

    Args:
        action: function of the error, called on another thread; the one that loads is left to itself.
    """
    _own.action = action
    try:
        yield
    finally:
        del _own.action


def bound_in_seconds() -> float:
    """Return the bound that is in force: that of the environment variable, or the default; 0 is none.

    Raises:
        UsageError: the variable is not a number of seconds.
    """
    stated = os.environ.get(VARIABLE, "")
    try:
        seconds = float(stated) if stated else DEFAULT_SECONDS
    except ValueError:
        seconds = -1
    if not 0 <= seconds < threading.TIMEOUT_MAX:
        raise UsageError(f"{VARIABLE} is '{stated}'; expected a number of seconds, or 0 for no bound.")
    return seconds


@contextmanager
def load_deadline(what: str, run_options: Any = None) -> Iterator[None]:  # noqa: ANN401 - onnxruntime ships no types
    """Bound the time of what is done inside.

    Args:
        what: phrase for the message that says what the model would be doing: "to open", "to answer its golden samples".
        run_options: the `RunOptions` of the calls inside, by which they are told to stop; or None.

    Raises:
        BundleError: it took longer, and ended.
    """
    seconds = bound_in_seconds()
    if not seconds:
        yield
        return
    error = BundleError(f"The model took longer than {seconds:g} s {what}.", _REMEDY)
    give_up: Callable[[BundleError], object] | None = getattr(_own, "action", _give_up)
    done, late = threading.Event(), threading.Event()

    def watch() -> None:
        if done.wait(seconds):
            return
        late.set()
        if run_options is not None:
            run_options.terminate = True
        if not done.wait(min(GRACE_SECONDS, seconds)) and give_up is not None:
            give_up(error)

    threading.Thread(target=watch, name="torchstone-deadline", daemon=True).start()
    try:
        yield
    except BundleError:
        if not late.is_set():
            raise
    finally:
        done.set()
    if late.is_set():
        raise error
