"""The functions of a JavaScript module, called from Python: one process of Node.js for all calls."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pytest

from torchstone_runtime.arrays import Uint8Array

NODE = shutil.which("node")
NEEDS_NODE = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
_DRIVER: Final = """
import {createInterface} from 'node:readline';
const decode = (_, value) => value && value.$bytes !== undefined
  ? new Uint8Array(Buffer.from(value.$bytes, 'base64')) : value;
const encode = (_, value) => value instanceof Uint8Array
  ? {$bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')} : value;
for await (const line of createInterface({input: process.stdin})) {
  const {module, name, values} = JSON.parse(line, decode);
  let answer;
  try {
    answer = {result: await (await import('./' + module))[name](...values)};
  } catch (error) {
    answer = {error: error.message};
  }
  console.log(JSON.stringify(answer, encode));
}
"""


class JavaScriptError(Exception):
    """What a function threw."""


class Node:
    """Calls functions of the modules of a folder, which is copied."""

    def __init__(self, modules: Path, folder: Path) -> None:
        shutil.copytree(modules, folder, dirs_exist_ok=True)
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / "driver.js").write_text(_DRIVER)
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([str(NODE), "driver.js"], cwd=folder, stdin=pipe, stdout=pipe, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=20)

    def call(self, module: str, name: str, *values: Any) -> Any:  # noqa: ANN401 - whatever JSON holds, and bytes
        """Return what a function returns, awaited: Uint8Array is bytes here."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps({"module": module, "name": name, "values": values}, default=_encode)
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline(), object_hook=_decode)
        if "error" in answer:
            raise JavaScriptError(answer["error"])
        return answer.get("result")


def as_picture(pixels: Uint8Array) -> dict[str, Any]:
    """Return uint8 [h, w] or [h, w, C] as the modules have a picture."""
    height, width, *channels = pixels.shape
    return {"width": width, "height": height, "channels": (channels or [1])[0], "data": pixels.tobytes()}


def from_picture(picture: dict[str, Any]) -> Uint8Array:
    """Return a picture of the modules as uint8 [h, w, C]."""
    shape = picture["height"], picture["width"], picture["channels"]
    return np.frombuffer(picture["data"], np.uint8).reshape(shape)


def _encode(value: object) -> dict[str, str]:
    assert isinstance(value, bytes)
    return {"$bytes": base64.b64encode(value).decode()}


def _decode(value: dict[str, Any]) -> Any:  # noqa: ANN401 - bytes, or the object
    return base64.b64decode(value["$bytes"]) if "$bytes" in value else value
