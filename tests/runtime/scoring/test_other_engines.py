"""Ray and Spark, where they are installed (`make test-scale`): the rows of the local engine, whatever dies."""

import json
import math
import os
import pickle
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchstone
from helpers.in_process import run_in_process
from helpers.ray_jobs import parts, score_with_ray
from torchstone_runtime.bundle.builtin import locate_bundle

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="torchstone[ray] is not installed")
needs_spark = pytest.mark.skipif(
    find_spec("pyspark") is None or shutil.which("java") is None, reason="pyspark or Java is not installed"
)
needs_parquet = pytest.mark.skipif(find_spec("pyarrow") is None, reason="torchstone[scale] is not installed")


def answers(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return class and error of each picture by its name."""
    rows = [json.loads(line) for part in sorted(parts(folder).values()) for line in part.splitlines()]
    return {Path(row["id"]).name: (row["class"], row["error"]) for row in rows}


def test_a_scorer_gives_the_rows_of_the_local_engine(many_pictures: Path, scored_locally: Path) -> None:
    """Also where it was pickled, and made of a packed bundle; a broken picture is a row with an error."""
    scorer = pickle.loads(pickle.dumps(torchstone.Scorer(torchstone.pack_bundle("fashion"))))  # noqa: S301 - our own
    paths = sorted(many_pictures.iterdir())
    batch = {"bytes": np.array([path.read_bytes() for path in paths], object), "name": [path.name for path in paths]}
    found = scorer(batch)
    rows = zip(found["name"], zip(found["class"], found["error"], strict=True), strict=True)
    assert dict(rows) == answers(scored_locally)
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


def test_a_column_that_an_answer_would_replace_is_refused() -> None:
    """The right classes may be called `class`."""
    images = np.load(locate_bundle("fashion") / "golden.npz")["images"][:2]
    scorer = torchstone.Scorer("fashion", "image")
    with pytest.raises(torchstone.UsageError, match="would replace the 1 column class"):
        scorer({"image": images, "class": np.array(["Bag", "Coat"])})


@needs_parquet
def test_score_arrow_yields_the_kept_columns_and_the_answers(many_pictures: Path, scored_locally: Path) -> None:
    """As Spark calls it: batches in, batches out."""
    import pyarrow as pa

    paths = sorted(many_pictures.iterdir())
    columns = {"path": [path.name for path in paths], "content": [path.read_bytes() for path in paths]}
    made = torchstone.score_arrow("fashion")(iter([pa.RecordBatch.from_pydict(columns)]))
    rows = [row for batch in made for row in batch.to_pylist()]
    assert {row["path"]: (row["class"], row["error"]) for row in rows} == answers(scored_locally)


@needs_spark
@needs_parquet
@pytest.mark.slow
def test_spark_gives_the_same_rows(many_pictures: Path, scored_locally: Path) -> None:
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
    command = [sys.executable, "-c", program, str(many_pictures)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    found = {name: tuple(row) for name, row in json.loads(result.stdout.splitlines()[-1]).items()}
    assert found == answers(scored_locally)


@needs_ray
@pytest.mark.slow
def test_ray_data_gives_the_same_rows(many_pictures: Path, scored_locally: Path) -> None:
    """As `map_batches` calls the scorer, with one processor left for reading."""
    program = (
        "import sys, json, ray, torchstone\n"
        "ray.init('local', num_cpus=2, include_dashboard=False, log_to_driver=False)\n"
        "photos = ray.data.read_binary_files(sys.argv[1], include_paths=True)\n"
        "answers = photos.map_batches(torchstone.Scorer, fn_constructor_args=(torchstone.pack_bundle('fashion'),),\n"
        "  batch_size=256, num_cpus=1, compute=ray.data.ActorPoolStrategy(size=1))\n"
        "rows = answers.take_all()\n"
        "print(json.dumps({r['path'].rpartition('/')[2]: (r['class'], r['error']) for r in rows}))\n"
    )
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-c", program, str(many_pictures)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    found = {name: tuple(row) for name, row in json.loads(result.stdout.splitlines()[-1]).items()}
    assert found == answers(scored_locally)


@needs_ray
@pytest.mark.slow
def test_ray_gives_the_same_parts(many_pictures: Path, scored_locally: Path, tmp_path: Path) -> None:
    """Byte for byte."""
    job = score_with_ray(many_pictures, tmp_path / "out")
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 0, said
    assert parts(tmp_path / "out") == parts(scored_locally)


@needs_ray
def test_a_cluster_that_is_not_there_is_told(many_pictures: Path, tmp_path: Path) -> None:
    """One message, and nothing written but the record."""
    command = ["score", "fashion", str(many_pictures), "--out", str(tmp_path / "out"), "--format", "csv"]
    options = [*command, "--engine", "ray", "--address", "auto"]
    program = [sys.executable, "-m", "torchstone_runtime", *options]
    result = subprocess.run(program, capture_output=True, text=True, timeout=90, check=False)
    assert result.returncode == 2
    assert "Ray at auto cannot be used" in result.stderr


def test_an_option_of_ray_without_it_is_refused(many_pictures: Path, tmp_path: Path) -> None:
    """Nothing takes effect silently."""
    result = run_in_process(
        "score", "fashion", many_pictures, "--out", tmp_path / "out", "--format", "csv", "--ray-workers", "2"
    )
    assert result.returncode == 2
    assert "--ray-workers is for a Ray cluster" in result.stderr
