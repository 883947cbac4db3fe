"""`--compile` where it can't be kept to: one message with exit code 2, before anything was done."""

import os
from pathlib import Path

import pytest
import torch
from torch._dynamo.exc import BackendCompilerFailed

from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.errors import UsageError
from torchstone_train.compute.compilation import compiling, require_compiler
from torchstone_train.recipes.recipe import FieldError, Recipe

CPU = torch.device("cpu")
DIGITS = ("train", "cnn3", "--data", "digits", "--epochs", "1", "--compile", "default")


def folder_of_tools(folder: Path, **programs: str) -> dict[str, str]:
    """Return the variables of a machine whose only programs are these shell scripts, and whose cache is empty."""
    tools = folder / "tools"
    tools.mkdir()
    for name, script in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    return {**os.environ, "PATH": str(tools), "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache")}


@pytest.mark.slow
def test_without_a_compiler_the_message_says_what_to_install(tmp_path: Path) -> None:
    """And that it goes without; no run was begun."""
    result = run_torchstone(*DIGITS, "--out", tmp_path / "run", env=folder_of_tools(tmp_path))

    assert_refused(result, "No working C++ compiler found")
    assert "--compile default was asked for" in result.stderr
    assert "apt install g++ python3-dev" in result.stderr
    assert "leave --compile out" in result.stderr
    assert "data " not in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_a_compiler_says_is_in_the_message(tmp_path: Path) -> None:
    """Such as the header that it misses, without its command line."""
    compiler = (
        'case "$*" in *-version*) echo "g++ (GCC) 12.2.0";; *) echo "a.cpp:1: fatal error: Python.h"; exit 1;; esac'
    )
    variables = folder_of_tools(tmp_path, **{"g++": compiler})
    result = run_torchstone(*DIGITS, "--out", tmp_path / "run", env=variables)

    assert_refused(result, "fatal error: Python.h.")
    assert not (tmp_path / "run").exists()


def test_kernels_that_are_tried_out_contradict_determinism() -> None:
    """The message names both ways out."""
    with pytest.raises(UsageError, match="two trainings may differ") as caught:
        require_compiler("max-autotune", CPU, deterministic=True)

    assert "--no-deterministic" in caught.value.remedy
    assert "--compile default" in caught.value.remedy


def test_an_apple_gpu_is_refused() -> None:
    """Nobody has tried it there."""
    with pytest.raises(UsageError, match="Apple GPUs"):
        require_compiler("default", torch.device("mps"), deterministic=False)


@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_cuda_graphs_do_not_gather_gradients(mode: str) -> None:
    """PyTorch's would be overwritten by the next batch's (its issue 169545)."""
    recipe = Recipe(name="", summary="", architecture="", accumulate=2)

    with pytest.raises(FieldError, match="compile must be off or default"):
        recipe.with_overrides({"compile": mode})
    assert recipe.with_overrides({"compile": "default"}).compile == "default"


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_memory_is_not_the_compilers_failure(wrapped: bool) -> None:
    """On a processor it has no class of its own; TorchDynamo wraps what its backends say."""
    full = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 20 bytes.")
    with pytest.raises(RuntimeError) as caught, compiling("default"):
        raise BackendCompilerFailed(print, full, None) if wrapped else full
    assert caught.value is full
