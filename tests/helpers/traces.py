"""Searching a bundle for what the machine that made it may have left there."""

import base64
import io
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def traces_of_this_machine() -> set[str]:
    """Home, working, source and interpreter paths, the host name, and what a stack trace or an environment leaves."""
    here = {str(Path.home()), str(Path.cwd()), str(ROOT), sys.prefix, sys.base_prefix, os.uname().nodename}
    here |= {"site-packages", "stack_trace", "torchstone_train/", '.py"'}
    return {trace for trace in here if len(trace) > 3}


def contents(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Give a file, and what archives and signatures in it hold, unpacked."""
    yield name, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                yield f"{name}/{member.filename}", member.filename.encode() + member.extra + member.comment
                yield from contents(f"{name}/{member.filename}", archive.read(member))
    if name.endswith(".sig"):
        yield f"{name}/payload", base64.b64decode(json.loads(content)["dsseEnvelope"]["payload"])


def found_in(bundle: Path, traces: set[str]) -> list[tuple[str, str]]:
    """Return where a trace stands in a bundle, in UTF-8 or in UTF-16."""
    return [
        (name, trace)
        for path in bundle.iterdir()
        for name, content in contents(path.name, path.read_bytes())
        for trace in traces
        if trace.encode() in content or trace.encode("utf-16-le") in content
    ]
