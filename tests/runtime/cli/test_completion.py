"""What the shell is offered, and what it costs: neither NumPy nor PyTorch is loaded."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LINE = """
import sys
from torchstone_runtime.cli.main import _run
code = _run([], debug=False)
print("loaded:", *sorted({"numpy", "torch", "onnxruntime", "PIL"} & set(sys.modules)))
"""


def offered(words: str, cwd: Path) -> list[str]:
    """Return what is offered in place of the last word of a command line, in the shell bash."""
    environment = {
        **os.environ,
        "_TORCHSTONE_COMPLETE": "bash_complete",
        "COMP_LINE": words,
    }
    command = [sys.executable, "-c", LINE]
    result = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=True)
    *lines, loaded = result.stdout.splitlines()
    assert loaded == "loaded:"
    return [line.partition(",")[2] for line in lines if line]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("torchstone ver", ["verify"]),
        ("torchstone train cnn", ["cnn3"]),
        ("torchstone train cnn3 --data m", ["mnist"]),
        ("torchstone train cnn3 --amp b", ["bf16"]),
        ("torchstone evaluate fashion --data folder:ph", ["folder:photos"]),
        ("torchstone predict fa", ["fashion"]),
        ("torchstone evaluate fashion --variant ", ["fp32", "int8"]),
        ("torchstone compare mine fashion --variant-b i", ["int8"]),
        ("torchstone verify fashion --provider cu", ["cuda"]),
        ("torchstone evaluate nothing --variant ", []),
        ("torchstone evaluate --variant ", ["fp32", "int8", "fp16", "bf16"]),
        ("torchstone bench --variant i", ["int8"]),
        ("torchstone train cnn3 --set label", ["label_smoothing="]),
        ("torchstone train --set optimizer=ad", ["optimizer=adam", "optimizer=adamw"]),
        ("torchstone train cnn3 --set nesterov=", ["nesterov=true", "nesterov=false"]),
        ("torchstone train cnn3 --set no_field=", []),
    ],
)
def test_names_are_completed(words: str, expected: list[str], tmp_path: Path) -> None:
    """Commands, recipes, datasets, choices, bundles, and the variants of the bundle on the line."""
    (tmp_path / "photos").mkdir()

    assert offered(words, tmp_path) == expected


def test_bundles_of_the_usual_places_and_of_the_typed_folder_are_offered(digits_bundle: Path, tmp_path: Path) -> None:
    """Those in `bundles`, and in whatever folder is being typed."""
    for place in ("bundles/a", "elsewhere/b"):
        shutil.copytree(digits_bundle, tmp_path / place)

    assert offered("torchstone verify b", tmp_path) == ["bundles/a"]
    assert offered("torchstone verify elsewhere/", tmp_path) == ["elsewhere/b"]


@pytest.mark.parametrize(
    ("typed", "replies", "space"),
    [
        ("--data folder:ph", ["photos"], True),
        ("--data fol", ["folder:"], False),
        ("--set label", ["label_smoothing="], False),
        ("--set schedule=cos", ["cosine"], True),
        ("--amp b", ["bf16"], True),
    ],
)
def test_bash_completes_what_stands_behind_its_breaks(
    typed: str, replies: list[str], space: bool, tmp_path: Path
) -> None:
    """It cuts words at `=` and `:` and replaces the last piece; none that ends with either gets a space."""
    (tmp_path / "photos").mkdir()

    assert replies_in_bash(f"torchstone train cnn3 {typed}", tmp_path) == (replies, space)


def replies_in_bash(line: str, cwd: Path) -> tuple[list[str], bool]:
    """Return what the function that bash is given replies to a line, and whether a space is to follow."""
    (cwd / "torchstone").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m torchstone_runtime "$@"\n')
    (cwd / "torchstone").chmod(0o755)
    script = f"""
        PATH=$PWD:$PATH COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
        eval "$(_TORCHSTONE_COMPLETE=bash_source torchstone)"
        compopt() {{ echo "$@"; }}
        COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}
        _torchstone_completion torchstone
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    result = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, cwd=cwd, check=True)
    assert not result.stderr
    lines = result.stdout.splitlines()
    return [word for word in lines if word != "-o nospace"], "-o nospace" not in lines
