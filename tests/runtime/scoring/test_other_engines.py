"""Ray and Spark, where they are installed (`make test-scale`): the rows of the local engine, whatever dies."""

import json
import math
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import torchstone
from helpers.in_process import run_in_process
from torchstone_runtime.bundle.builtin import locate_bundle

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="torchstone[ray] is not installed")
needs_spark = pytest.mark.skipif(
    find_spec("pyspark") is None or shutil.which("java") is None, reason="pyspark or Java is not installed"
)
needs_parquet = pytest.mark.skipif(find_spec("pyarrow") is None, reason="torchstone[scale] is not installed")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 300 pictures, and one that is none."""
    folder = tmp_path_factory.mktemp("engines") / "pictures"
    folder.mkdir()
    golden = np.load(locate_bundle("fashion") / "golden.npz")["images"][:, 0]
    random = np.random.default_rng(0)
    for index in range(300):
        noisy = golden[index % len(golden)] + random.integers(-20, 20, golden.shape[1:])
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{index:04}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def scored(pictures: Path) -> Path:
    """What the local engine writes of them."""
    result = run_in_process(
        "score", "fashion", pictures, "--out", pictures.parent / "local", "--format", "jsonl", *MANY
    )
    assert result.returncode == 0, result.stderr
    return pictures.parent / "local"


MANY = ("--per-shard", "10", "--probabilities")


def parts(folder: Path) -> dict[str, bytes]:
    """Return the parts of a job by name."""
    return {path.name: path.read_bytes() for path in folder.glob("part-*")}


def answers(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return class and error of each picture by its name."""
    rows = [json.loads(line) for part in sorted(parts(folder).values()) for line in part.splitlines()]
    return {Path(row["id"]).name: (row["class"], row["error"]) for row in rows}


def test_a_scorer_gives_the_rows_of_the_local_engine(pictures: Path, scored: Path) -> None:
    """Also where it was pickled, and made of a packed bundle; a broken picture is a row with an error."""
    scorer = pickle.loads(pickle.dumps(torchstone.Scorer(torchstone.pack_bundle("fashion"))))  # noqa: S301 - our own
    paths = sorted(pictures.iterdir())
    batch = {"bytes": np.array([path.read_bytes() for path in paths], object), "name": [path.name for path in paths]}
    found = scorer(batch)
    rows = zip(found["name"], zip(found["class"], found["error"], strict=True), strict=True)
    assert dict(rows) == answers(scored)
    assert math.isnan(found["probability"][found["name"].index("broken.png")])


def test_a_scorer_takes_arrays_and_missing_pictures() -> None:
    """Pixels as the model takes them; a cell without a picture is a row with an error."""
    images = np.load(locate_bundle("fashion") / "golden.npz")["images"]
    scorer = torchstone.Scorer("fashion", "image", top=2)
    found = scorer({"image": images})
    with torchstone.load("fashion") as classifier:
        assert found["class"].tolist() == classifier.predict(images).labels
    assert scorer.rows([None])["error"] == ["there is no picture"]
    with pytest.raises(torchstone.UsageError, match="no column 'image'"):
        scorer({"picture": images})


@needs_parquet
def test_score_arrow_yields_the_kept_columns_and_the_answers(pictures: Path, scored: Path) -> None:
    """As Spark calls it: batches in, batches out."""
    import pyarrow as pa

    paths = sorted(pictures.iterdir())
    columns = {"path": [path.name for path in paths], "content": [path.read_bytes() for path in paths]}
    made = torchstone.score_arrow("fashion")(iter([pa.RecordBatch.from_pydict(columns)]))
    rows = [row for batch in made for row in batch.to_pylist()]
    assert {row["path"]: (row["class"], row["error"]) for row in rows} == answers(scored)


@needs_spark
@needs_parquet
@pytest.mark.slow
def test_spark_gives_the_same_rows(pictures: Path, scored: Path) -> None:
    """With a real local Spark, in a process of its own."""
    program = (
        "import sys, json, torchstone\n"
        "from pyspark.sql import SparkSession\n"
        "spark = (SparkSession.builder.master('local[2]').config('spark.ui.enabled', 'false')\n"
        "  .config('spark.driver.host', '127.0.0.1').config('spark.driver.bindAddress', '127.0.0.1').getOrCreate())\n"
        "frame = spark.read.format('binaryFile').load(sys.argv[1]).coalesce(2)\n"
        "score = torchstone.score_arrow(torchstone.pack_bundle('fashion'))\n"
        "made = frame.mapInArrow(score, torchstone.spark_schema())\n"
        "rows = made.collect()\n"
        "print(json.dumps({r['path'].rpartition('/')[2]: (r['class'], r['error']) for r in rows}))\n"
    )
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    command = [sys.executable, "-c", program, str(pictures)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    found = {name: tuple(row) for name, row in json.loads(result.stdout.splitlines()[-1]).items()}
    assert found == answers(scored)


def score_with_ray(pictures: Path, out: Path) -> "subprocess.Popen[str]":
    """Begin a job on a Ray cluster of two workers."""
    engine = ["--engine", "ray", "--workers", "2", "--format", "jsonl", *MANY]
    command = [
        sys.executable,
        "-m",
        "torchstone_runtime",
        "score",
        "fashion",
        str(pictures),
        "--out",
        str(out),
        *engine,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def descendants(process: int) -> dict[int, str]:
    """Return the names of the processes that a process started, and those started, by their ids."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            names[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        parents[int(path.name)] = int(fields[1])
    found: dict[int, str] = {}
    while more := {one for one, parent in parents.items() if parent in {process, *found}} - found.keys():
        found |= {one: names[one] for one in more}
    return found


@needs_ray
@pytest.mark.slow
def test_ray_gives_the_same_parts(pictures: Path, scored: Path, tmp_path: Path) -> None:
    """Byte for byte."""
    job = score_with_ray(pictures, tmp_path / "out")
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 0, said
    assert parts(tmp_path / "out") == parts(scored)


PROGRAMS = {"worker": "ray::RayWorker", "node": "raylet", "head": "gcs_server", "speaker": "spawn_main"}
"""What the processes of a job are known by; the speaker is the one that the command starts to speak with Ray."""


def victims(job: "subprocess.Popen[str]", kind: str) -> list[int]:
    """Return the processes of a job that are to be killed: its driver, one worker, or one that Ray depends on."""
    if kind == "driver":
        return [job.pid]
    family = descendants(job.pid)
    if kind in {"worker", "speaker"}:
        return [one for one, name in family.items() if PROGRAMS[kind] in name][:1]
    return [one for one, name in family.items() if name.split(" ")[0].endswith(f"/{PROGRAMS[kind]}")]


def interrupt(job: "subprocess.Popen[str]", out: Path, kind: str, moment: tuple[int, float]) -> tuple[int, str, int]:
    """Kill some time after a number of parts is there; return the exit code, what was said, and how many were killed.

    None is, and the job may have gone wrong by itself, where a busy machine keeps Ray from starting in its 30 seconds.
    """
    deadline = time.monotonic() + 60
    while len(parts(out)) < moment[0] and time.monotonic() < deadline and job.poll() is None:
        time.sleep(0.001)
    time.sleep(moment[1])
    killed = 0
    for one in victims(job, kind):
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
    victim: str, times: int, pictures: Path, scored: Path, tmp_path: Path
) -> None:
    """At random moments. One that lost a worker goes on by itself; others say what died, and end equal, run again."""
    chance = random.Random(f"{victim} {times}")  # noqa: S311 - moments, not secrets
    for number in range(times):
        out = tmp_path / f"out-{number}"
        moment = (chance.randrange(1, len(parts(scored)) - 2), 0.02 * chance.random())
        code, said, killed = interrupt(score_with_ray(pictures, out), out, victim, moment)
        assert victim != "worker" or code == 0, said
        print(f"run {number}: killed {killed}, exit code {code}")  # noqa: T201 - a study's own record
        if victim in DEATHS and killed and code != 0:
            told = [DEATHS[victim], "Run the same command again: it continues with the missing parts."]
            assert (code, said.splitlines()) == (2, told), number
        again = run_in_process("score", "fashion", pictures, "--out", out, "--format", "jsonl", *MANY)
        assert again.returncode == 0, again.stderr
        assert parts(out) == parts(scored), number


@needs_ray
def test_a_cluster_that_is_not_there_is_told(pictures: Path, tmp_path: Path) -> None:
    """One message, and nothing written but the record."""
    command = ["score", "fashion", str(pictures), "--out", str(tmp_path / "out"), "--format", "csv"]
    options = [*command, "--engine", "ray", "--address", "auto"]
    program = [sys.executable, "-m", "torchstone_runtime", *options]
    result = subprocess.run(program, capture_output=True, text=True, timeout=90, check=False)
    assert result.returncode == 2
    assert "Ray at auto cannot be used" in result.stderr


def test_an_option_of_ray_without_it_is_refused(pictures: Path, tmp_path: Path) -> None:
    """Nothing takes effect silently."""
    result = run_in_process(
        "score", "fashion", pictures, "--out", tmp_path / "out", "--format", "csv", "--ray-workers", "2"
    )
    assert result.returncode == 2
    assert "--ray-workers is for a Ray cluster" in result.stderr
