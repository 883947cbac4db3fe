"""`WatchedProcess`: work that may hang or be killed, in another process; whoever waits for it always comes back."""

import multiprocessing
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

from torchstone_runtime.errors import RemoteError, TorchstoneError, first_line

_LOOK_SECONDS: Final = 1.0
_LEAVE_SECONDS: Final = 10.0
"""How long a process that did its work may take to tidy up."""

ProcessWork = Callable[[Connection, Connection], None]
"""What runs in the process. It is given the other end of what is said and asked, and one end for signs of life: empty
texts, or an error that tells why it must end."""


class WatchedProcess:
    """A process that is spoken with, and ended when it gives no sign of life.

    Every wait is for something that this process can end: a pipe is closed when the process ends, and a process that
    is silent is killed. Use it as a context manager: when the block ends, so has the process.

    Args:
        work: function that it runs; it must be one of a module.
        name: name of the process, for messages.
        silence: number of looks, a second each, without a sign of life after which it is killed. Looks are counted,
            not the time of a clock: where both processes were stopped, none passes.
        remedy: sentence that says what to do when it is lost.
    """

    def __init__(self, work: ProcessWork, name: str, *, silence: int, remedy: str) -> None:
        self._name = name
        self._silence = silence
        self._remedy = remedy
        context = multiprocessing.get_context("spawn")
        self._talk, self._its_talk = context.Pipe()
        self._signs, self._its_signs = context.Pipe(duplex=False)
        self._process = context.Process(target=work, args=(self._its_talk, self._its_signs), daemon=True)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._error: TorchstoneError | None = None

    def __enter__(self) -> Self:
        try:
            self._process.start()
        except OSError as error:
            raise RemoteError(f"{self._name} did not start: {first_line(error)}.", self._remedy) from error
        self._its_talk.close()
        self._its_signs.close()
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._process.join(_LEAVE_SECONDS)
        finally:
            self._process.kill()
            self._process.join()
            self._watcher.join()
            self._talk.close()
            self._signs.close()

    def send(self, said: Any) -> None:  # noqa: ANN401 - whatever can be pickled
        """Say something to the process.

        Raises:
            RemoteError: it died, or was killed for its silence.
            TorchstoneError: the error that it gave as its last sign.
        """
        try:
            self._talk.send(said)
        except OSError:
            raise self._lost() from None

    def receive(self) -> Any:  # noqa: ANN401 - as for `send`
        """Wait for what the process says next.

        Raises:
            As for `send`.
        """
        try:
            return self._talk.recv()
        except (EOFError, OSError):
            raise self._lost() from None

    def _watch(self) -> None:
        silent = 0
        with suppress(EOFError, OSError):
            while silent < self._silence:
                silent += 1
                if self._signs.poll(_LOOK_SECONDS):
                    silent = 0
                    self._error = self._signs.recv() or self._error
            seconds = round(silent * _LOOK_SECONDS)
            self._error = RemoteError(f"{self._name} did not respond for {seconds} seconds.", self._remedy)
            self._process.kill()

    def _lost(self) -> TorchstoneError:
        self._process.kill()
        self._process.join()
        self._watcher.join()  # its last sign
        if self._error is not None:
            return self._error
        code = self._process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return RemoteError(f"{self._name} died ({how}).", self._remedy)
