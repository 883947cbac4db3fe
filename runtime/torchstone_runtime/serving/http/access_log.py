"""The access log: a line for each request on stderr, written by a thread, so that a slow reader holds up nobody."""

import json
import queue
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from torchstone_runtime.serving.http.request_record import RequestRecord
from torchstone_runtime.serving.http.settings import LogForm
from torchstone_runtime.text import showable

_MOST_WAITING: Final = 10_000
_LAST_SECONDS: Final = 2.0
"""Time that the end of the server waits for the last lines."""


class LineWriter:
    """Writes lines to stderr on a thread of its own; what comes faster than it is read is left out, and counted.

    Attributes:
        lost: number of lines that were left out.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write_all, name="torchstone-log", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Write a line, now or soon."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Write what waits, for two seconds at most."""
        try:
            self._lines.put(None, timeout=_LAST_SECONDS)
        except queue.Full:
            return
        self._thread.join(_LAST_SECONDS)

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                sys.stderr.write(line + "\n")
                if self._lines.empty():
                    sys.stderr.flush()
            except (OSError, ValueError):  # stderr is closed or full: the service goes on
                self.lost += 1


class Messages:
    """Writes lines for the operator: what went wrong on the server's side, and that a model was exchanged.

    Args:
        form: form of the access log, which they stand in: with `json` each is an object too.
        write: function that writes a line.
    """

    def __init__(self, form: LogForm, write: Callable[[str], None]) -> None:
        self._form = form
        self._write = write

    def tell(self, text: str) -> None:
        """Write some text, which may be of several lines."""
        if self._form == "json":
            text = json.dumps({"time": _now(), "message": text})
        self._write(text)


class AccessLog:
    """Writes a line for each request; never content, file names or query strings.

    Args:
        form: `text`, `json`, or `off` for none.
        write: function that writes a line.
    """

    def __init__(self, form: LogForm, write: Callable[[str], None]) -> None:
        self._form = form
        self._write = write

    def add(self, record: RequestRecord, method: str, path: str, seconds: float) -> None:
        """Write the line of a request that has ended."""
        if self._form == "off":
            return
        facts = _facts(record, method, path, seconds)
        if self._form == "json":
            self._write(json.dumps(facts, separators=(",", ":")))
            return
        model = f" {record.model}/{record.version}" if record.model else ""
        self._write(
            showable(
                f"{facts['time']} {record.status} {method} {path} {seconds * 1e3:.1f} ms{model} "
                f"{record.images} images id={record.request_id}"
            )
        )


def _facts(record: RequestRecord, method: str, path: str, seconds: float) -> dict[str, object]:
    facts: dict[str, object] = {
        "time": _now(),
        "id": record.request_id,
        "method": method,
        "path": path,
        "status": record.status,
        "ms": round(seconds * 1e3, 3),
    }
    if record.trace_id:
        facts["trace_id"] = record.trace_id
    if record.model:
        facts |= {"model": record.model, "version": record.version, "variant": record.variant, "images": record.images}
    if record.timings:
        facts |= {
            "batch": record.timings.batch_images,
            "queue_ms": round(record.timings.queue * 1e3, 3),
            "decode_ms": round(record.timings.decode * 1e3, 3),
            "compute_ms": round(record.timings.compute * 1e3, 3),
        }
    return facts


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
