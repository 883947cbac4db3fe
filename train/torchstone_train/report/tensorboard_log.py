"""A run's history for TensorBoard: `tensorboard --logdir runs` compares the runs below `runs`.

The event file follows `history.jsonl`: a resumed run writes it anew from the epochs that count, so that none shows
twice. Records are written at once and without TensorBoard's background thread, whose errors nobody would see.
"""

import shutil
import struct
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams

from torchstone_runtime.files import reported_as_output_error
from torchstone_train.report.epoch_scalars import epoch_scalars
from torchstone_train.training.observer import Record

_FILE_VERSION: Final = "brain.Event:2"
_RGBA: Final = 4


class TensorBoardLog:
    """Writes scalars as the epochs end; an observer of the training.

    Args:
        folder: holds nothing but the event file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / f"events.out.tfevents.{time.time_ns() // 10**9}.torchstone"

    def training_begins(self, history: Sequence[Record]) -> None:
        """Begin the event file anew, with the epochs that are done."""
        with reported_as_output_error(self._folder):
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
        # A TensorBoard that is looking on drops what it read of this run before.
        restart = Event(step=0, session_log=SessionLog(status=SessionLog.START), wall_time=time.time())
        self._append(Event(file_version=_FILE_VERSION, wall_time=time.time()), restart, *map(_epoch_event, history))

    def epoch_ended(self, record: Record) -> None:
        """Append an epoch's scalars."""
        self._append(_epoch_event(record))

    def training_ended(
        self, step: int, figures: Mapping[str, bytes], settings: Mapping[str, Any], final: Mapping[str, float]
    ) -> None:
        """Append what is known at the end.

        Args:
            step: the last epoch.
            figures: PNG files by name.
            settings: the hyper-parameters.
            final: figures of the weights that were kept, by which runs are compared.
        """
        named = {f"final/{key}": float(value) for key, value in final.items()}
        plain = {key: _plain(value) for key, value in settings.items()}
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in named.items()]
        values += [Summary.Value(tag=name, image=_image(png)) for name, png in figures.items()]
        now = time.time()
        events = [Event(step=step, wall_time=now, summary=Summary(value=values))]
        summaries = hparams(plain, named)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        events += [Event(wall_time=now, summary=summary) for summary in summaries]
        self._append(*events)

    def _append(self, *events: Event) -> None:
        with reported_as_output_error(self._file), self._file.open("ab") as file:
            writer = RecordWriter(file)
            for event in events:
                writer.write(event.SerializeToString())


def _epoch_event(record: Record) -> Event:
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in epoch_scalars(record)]
    ended = datetime.fromisoformat(record["ended"]).timestamp()
    return Event(step=record["epoch"], wall_time=ended, summary=Summary(value=values))


def _image(png: bytes) -> Summary.Image:
    width, height = struct.unpack(">II", png[16:24])  # the fields of the header chunk, which comes first
    return Summary.Image(width=width, height=height, colorspace=_RGBA, encoded_image_string=png)


def _plain(value: Any) -> str | float | bool:  # noqa: ANN401 - whatever a recipe holds
    return value if isinstance(value, str | bool) else float(value)
