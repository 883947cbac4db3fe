"""`_torchstone.json`: what a folder of parts belongs to, written before the first part, and compared by every run."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from torchstone_runtime.errors import DataError, OutputError, UsageError, first_line
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.json_text import json_text
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.parts import PartsFolder, output_told
from torchstone_runtime.shards.shard_list import ShardList
from torchstone_runtime.text import showable
from torchstone_runtime.version import __version__

RECORD_FILE: Final = "_torchstone.json"
FORMAT: Final = 1
_ANOTHER: Final = "Give another --out, or remove this one to start again."
_CHANGED: Final = "input: files were added, removed or changed, or another input is given"
_BACK: Final = "Give the files as they were, and the job continues. Otherwise give another --out, or remove this one."


def job_record(classifier: Classifier, shards: ShardList, job: ScoringJob) -> dict[str, Any]:
    """Return what identifies a job, as JSON data.

    Returns:
        `format`, `torchstone`, `model` (`name`, `sha256`, `variant`, `provider`, `precision`, `tf32`, `classes`),
        `input` (`shards`, `images`, `sha256`, `options`) and `output` (`OutputOptions`).
    """
    plan = classifier.plan
    return {
        "format": FORMAT,
        "torchstone": __version__,
        "model": {
            "name": classifier.name,
            "sha256": classifier.sha256,
            "variant": plan.variant,
            "provider": plan.provider,
            "precision": plan.precision,
            "tf32": plan.tf32,
            "classes": list(classifier.class_names),
        },
        "input": {
            "shards": len(shards),
            "images": shards.images,
            "sha256": shards.sha256,
            "options": job.reading.to_json(),
        },
        "output": job.output.to_json(),
    }


def claim_output(classifier: Classifier, shards: ShardList, job: ScoringJob) -> dict[str, Any]:
    """Write the record of a job into its folder, or check that the one there is of the same job.

    Returns:
        The record, see `job_record`.

    Raises:
        UsageError: the folder holds parts of another model, input or output.
        OutputError: it cannot be written, or holds parts without a record.
    """
    record = job_record(classifier, shards, job)
    folder = PartsFolder(job)
    path = folder.path(RECORD_FILE)
    with output_told(folder.address(RECORD_FILE)):
        if folder.storage.look_up(path).kind == "missing":
            if folder.done():
                raise OutputError(f"{job.out} holds parts, but no {RECORD_FILE} that says whose.", _ANOTHER)
            if folder.storage.create(path, f"{json_text(record)}\n".encode()):
                return record
    there = read_record(job)
    differences = list(_differences(there, record))
    if differences:
        remedy = _BACK if _CHANGED in differences else _ANOTHER
        raise UsageError(f"{job.out} holds the parts of another job.", remedy, differences)
    return record


def read_record(job: ScoringJob) -> dict[str, Any]:
    """Return the record of the folder that a job writes to.

    Raises:
        DataError: it is missing, not readable, or of another format.
    """
    folder = PartsFolder(job)
    try:
        data = json.loads(folder.storage.read(folder.path(RECORD_FILE)))
        if data["format"] == FORMAT and isinstance(data["model"], dict):
            return dict(data)
        reason = f"its format is {data['format']}, this version reads {FORMAT}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = first_line(error)
    raise DataError(f"{folder.address(RECORD_FILE)} cannot be read: {reason}.", _ANOTHER)


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    for group in ("model", "input", "output"):
        for key, wanted in here[group].items():
            found = there.get(group, {}).get(key)
            if key == "classes" or found == wanted:
                continue
            if group == "input" and key == "sha256" and there["input"].get("options") == here["input"]["options"]:
                yield _CHANGED
            elif key != "sha256" or group == "model":
                yield f"{group}, {key}: {_shown(found)} there, {_shown(wanted)} now"


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever the record holds
    text = json.dumps(value, ensure_ascii=False)
    return showable(text if len(text) <= 60 else f"{text[:57]}…")  # noqa: PLR2004 - a line's worth
