"""`torchstone package --for lambda`: the handler, run with the events that AWS sends."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import variant_golden
from torchstone_runtime.images.encode import encode_png

FASHION = locate_bundle("fashion")
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import handler
for event in json.load(sys.stdin):
    print(json.dumps(handler.handler(event, None)))
"""


def answers(folder: Path, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """Call the packaged handler in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    given = json.dumps(events)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60, cwd="/")
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("variant", ["fp32", None])
def test_the_handler_answers_a_picture(tmp_path: Path, variant: str | None) -> None:
    """The event of a function URL (payload format 2.0): the body in base64; anything else is a bad request."""
    chosen = ["--variant", variant] if variant else []
    result = run_in_process("package", FASHION, "--for", "lambda", "--out", tmp_path / "function", *chosen)
    assert result.returncode == 0, result.stderr
    golden, _ = variant_golden(Bundle.open(FASHION), "fp32")
    picture = base64.b64encode(encode_png(golden.images[1])).decode()
    request = {"version": "2.0", "rawPath": "/", "headers": {"content-type": "image/png"}, "isBase64Encoded": True}
    right, wrong, empty = answers(
        tmp_path / "function",
        {**request, "body": picture},
        {**request, "isBase64Encoded": False, "body": "no picture"},
        {"version": "2.0", "rawPath": "/"},
    )
    names = Bundle.open(FASHION).manifest.class_names

    assert right["statusCode"] == 200
    assert json.loads(right["body"])["label"] == names[int(np.argmax(golden.logits[1]))]
    assert (wrong["statusCode"], empty["statusCode"]) == (400, 400)
    assert "error" in json.loads(wrong["body"])


def test_the_handler_is_short(tmp_path: Path) -> None:
    """Whoever deploys it can read it."""
    run_in_process("package", FASHION, "--for", "lambda", "--out", tmp_path / "function")
    code = (tmp_path / "function" / "handler.py").read_text().partition("import torchstone")[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
