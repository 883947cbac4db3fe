"""Searches for garbage in a process of our own: none while it starts, and the usual ones afterwards."""

import json
import subprocess
import sys
from typing import Any

import pytest

BEGIN = "import gc, json\nfrom torchstone_runtime.system.garbage import end_start, start_unsearched, unsearched\n"
SAY = "print(json.dumps([gc.isenabled(), list(gc.get_threshold()), gc.get_freeze_count() > 0, found]))\n"
USUAL = json.loads(
    subprocess.run(
        [sys.executable, "-c", "import gc; print(list(gc.get_threshold()))"], capture_output=True, text=True, check=True
    ).stdout
)


def state_after(program: str) -> tuple[bool, list[int], bool, Any]:
    """Run a program that sets `found`; return whether searches are on, their thresholds, what is frozen, and that."""
    command = [sys.executable, "-c", BEGIN + program + SAY]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    on, thresholds, frozen, found = json.loads(done.stdout)
    return on, thresholds, frozen, found


@pytest.fixture
def searches() -> str:
    """Lines that count searches in `found[0]`."""
    return "found = [0]\ngc.callbacks.append(lambda phase, _: found.__setitem__(0, found[0] + (phase == 'stop')))\n"


def test_what_a_start_allocates_is_not_searched(searches: str) -> None:
    """Twenty thousand lists that stay would be searched two dozen times."""
    on, _, frozen, found = state_after("start_unsearched()\n" + searches + "kept = [[] for _ in range(20_000)]\n")

    assert (on, frozen, found) == (True, False, [0])


def test_the_first_search_ends_the_start() -> None:
    """What is there then is left out of all later ones, which come as often as before."""
    _, thresholds, frozen, _ = state_after("start_unsearched()\nfound = [[] for _ in range(100_000)][:0]\n")

    assert (thresholds, frozen) == (USUAL, True)


def test_garbage_after_the_start_is_found() -> None:
    """A cycle that nobody holds any more is gone after enough others."""
    program = (
        "import weakref\nstart_unsearched()\nend_start()\n"
        "class Node: pass\nnode = Node(); node.itself = node; found = weakref.ref(node); del node\n"
        "kept = [[] for _ in range(100_000)]\nfound = found() is None\n"
    )

    assert state_after(program)[3] is True


def test_a_start_is_ended_once() -> None:
    """Where none is under way, nothing is frozen."""
    on, thresholds, frozen, _ = state_after("end_start()\nfound = None\n")

    assert (on, thresholds, frozen) == (True, USUAL, False)


def test_an_import_is_not_searched_and_ends_the_start() -> None:
    """What was imported is frozen, without the search that would come next."""
    program = (
        "start_unsearched()\nwith unsearched():\n    found = gc.isenabled()\n    kept = [[] for _ in range(200_000)]\n"
    )
    on, thresholds, frozen, within = state_after(program)

    assert (within, on, thresholds, frozen) == (False, True, USUAL, True)


def test_an_import_in_a_process_of_somebody_else_freezes_nothing() -> None:
    """It has no start of ours."""
    on, thresholds, frozen, _ = state_after("with unsearched():\n    found = None\n")

    assert (on, thresholds, frozen) == (True, USUAL, False)


def test_a_collector_that_is_off_stays_off() -> None:
    """Whoever turned it off has reasons."""
    on, thresholds, frozen, _ = state_after("gc.disable()\nstart_unsearched()\nwith unsearched():\n    found = None\n")

    assert (on, thresholds, frozen) == (False, USUAL, False)


@pytest.mark.parametrize("bindings", [True, False])
def test_what_was_frozen_goes_at_the_end_where_bindings_would_complain_of_it(bindings: bool) -> None:
    """Triton's name on stderr what is left of them; without Triton the last search is not worth its time."""
    program = (
        "import os, sys, types\nfrom torchstone_runtime.system.garbage import end_start, start_unsearched\n"
        f"sys.modules |= dict.fromkeys(['triton'] if {bindings} else [], types.ModuleType('triton'))\n"
        "class Node:\n    def __del__(self): os.write(1, b'gone')\n"
        "start_unsearched()\nnode = Node(); node.itself = node; del node\nend_start()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == ("gone" if bindings else "")
