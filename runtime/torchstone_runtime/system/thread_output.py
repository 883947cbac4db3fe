"""What one thread prints, sent elsewhere, while the others print as before.

`contextlib.redirect_stdout` takes the output of all threads: a service would lose its own lines meanwhile, and two
threads that use it at once can leave the process without its stdout.
"""

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, TextIO

StreamName = Literal["stdout", "stderr"]


class _Nowhere(io.TextIOBase):
    """Takes what is written where a process has no such stream."""

    def write(self, text: str, /) -> int:
        return len(text)


class _Switch:
    """A stream in the place of `sys.stdout` or `sys.stderr`: each thread's own, or the one that was there."""

    def __init__(self, usual: Any) -> None:  # noqa: ANN401 - whatever the process has as a stream, None too
        self.usual: Final = usual
        self.targets: Final[dict[int, list[TextIO | None]]] = {}

    def __getattr__(self, attribute: str) -> Any:  # noqa: ANN401 - whatever a stream has
        own = self.targets.get(threading.get_ident())
        stream = own[-1] if own else self.usual
        return getattr(_Nowhere() if stream is None else stream, attribute)


_lock: Final = threading.Lock()


@contextmanager
def own_output_to(target: TextIO | None, *names: StreamName) -> Iterator[None]:
    """Send what this thread writes to `sys.stdout`, or `sys.stderr`, to `target`.

    Args:
        target: stream that gets it; nothing does if None.
        names: streams that are meant.
    """
    me = threading.get_ident()
    switches = {name: _enter(name, me, target) for name in names}
    try:
        yield
    finally:
        for name, switch in switches.items():
            _leave(name, switch, me)


def _enter(name: StreamName, thread: int, target: TextIO | None) -> _Switch:
    with _lock:
        current = getattr(sys, name)
        switch = current if isinstance(current, _Switch) else _Switch(current)
        switch.targets.setdefault(thread, []).append(target)
        setattr(sys, name, switch)
        return switch


def _leave(name: StreamName, switch: _Switch, thread: int) -> None:
    with _lock:
        switch.targets[thread].pop()
        if not switch.targets[thread]:
            del switch.targets[thread]
        if not switch.targets and getattr(sys, name) is switch:  # else the owner of what is there puts it back
            setattr(sys, name, switch.usual)
