"""Jobs on Ray of which a process is killed: they end, say what died, and end equal when they are run again."""

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.ray_jobs import MANY, descendants, parts, score_with_ray

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="torchstone[ray] is not installed")

PROGRAMS = {"worker": "ray::RayWorker", "node": "raylet", "head": "gcs_server", "speaker": "spawn_main"}
"""What the processes of a job are known by; the speaker is the one that the command starts to speak with Ray."""


def victims(job: subprocess.Popen[str], kind: str) -> list[int]:
    """Return the processes of a job that are to be killed: its driver, one worker, or one that Ray depends on."""
    if kind == "driver":
        return [job.pid]
    family = descendants(job.pid)
    if kind in {"worker", "speaker"}:
        return [one for one, name in family.items() if PROGRAMS[kind] in name][:1]
    return [one for one, name in family.items() if name.split(" ")[0].endswith(f"/{PROGRAMS[kind]}")]


def interrupt(job: subprocess.Popen[str], out: Path, kind: str, moment: tuple[int, float]) -> tuple[int, str, int]:
    """Kill some time after a number of parts is there; return the exit code, what was said, and how many were killed.

    None is where that number is not reached: a busy machine may keep Ray from starting in its 30 seconds.
    """
    deadline = time.monotonic() + 60
    while len(parts(out)) < moment[0] and time.monotonic() < deadline and job.poll() is None:
        time.sleep(0.001)
    time.sleep(moment[1])
    killed = 0
    for one in victims(job, kind) if len(parts(out)) >= moment[0] else ():
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
            killed += 1
    try:
        said, _ = job.communicate(timeout=90)
    finally:
        job.kill()
    return job.returncode, said, killed


DEATHS = {
    "node": "Error: Ray's node on this machine died.",
    "head": "Error: Ray's node on this machine died.",
    "speaker": "Error: The process that speaks with Ray died (SIGKILL).",
}


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("victim", ["driver", "worker", *DEATHS])
@pytest.mark.parametrize("times", [1, pytest.param(50, marks=pytest.mark.study)])
def test_a_job_whose_driver_worker_or_node_is_killed_ends_equal(
    victim: str, times: int, many_pictures: Path, scored_locally: Path, tmp_path: Path
) -> None:
    """At random moments. One that lost a worker goes on by itself; others say what died, and end equal, run again."""
    chance = random.Random(f"{victim} {times}")  # noqa: S311 - moments, not secrets
    for number in range(times):
        out = tmp_path / f"out-{number}"
        moment = (chance.randrange(1, len(parts(scored_locally)) - 2), 0.02 * chance.random())
        code, said, killed = interrupt(score_with_ray(many_pictures, out), out, victim, moment)
        assert victim != "worker" or code == 0, said
        print(f"run {number}: killed {killed}, exit code {code}")  # noqa: T201 - a study's own record
        if victim in DEATHS and killed and code != 0:
            told = [DEATHS[victim], "Run the same command again: it continues with the missing parts."]
            assert (code, said.splitlines()) == (2, told), number
        again = run_in_process("score", "fashion", many_pictures, "--out", out, "--format", "jsonl", *MANY)
        assert again.returncode == 0, again.stderr
        assert parts(out) == parts(scored_locally), number
