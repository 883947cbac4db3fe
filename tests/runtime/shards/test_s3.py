"""A bucket of a real S3 server on this machine: moto's."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.images.encode import encode_png

if TYPE_CHECKING:
    from pyarrow import fs


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a server with one empty bucket; yield the parameters of its address."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("flask_cors")
    # Here, for it takes a second, and each process that shares the tests collects this file.
    moto_server = pytest.importorskip("moto.server")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"endpoint_override={host}:{port}&scheme=http&allow_bucket_creation=true"
    finally:
        server.stop()


def pictures_in(bucket: str, count: int) -> "fs.FileSystem":
    """Write pictures `in/00.png` and so on into a new bucket `data`; return the server's file system."""
    from pyarrow import fs

    files, _ = fs.FileSystem.from_uri(f"s3://data/?{bucket}")
    files.create_dir("data")
    for number in range(count):
        with files.open_output_stream(f"data/in/{number:02}.png") as file:
            file.write(encode_png(np.full((1, 28, 28), number, np.uint8)))
    return files


def test_pictures_of_a_bucket_are_scored_into_a_bucket(bucket: str, tmp_path: Path) -> None:
    """Pictures of a bucket are scored into a bucket."""
    from pyarrow import fs

    np.savez(tmp_path / "a.npz", images=np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8))
    files, _ = fs.FileSystem.from_uri(f"s3://data/?{bucket}")
    files.create_dir("data")
    with files.open_output_stream("data/in/a.npz") as file:
        file.write((tmp_path / "a.npz").read_bytes())
    with files.open_output_stream("data/in/broken.png") as file:
        file.write(b"no picture")
    given = ["score", "fashion", f"s3://data/in?{bucket}", "--out", f"s3://data/out?{bucket}", "--per-shard", "20"]
    result = run_in_process(*given)
    assert result.returncode == 0, result.stderr
    again = run_in_process(*given)
    assert "4 parts already existed" in again.stdout
    import pyarrow.dataset as ds

    table = ds.dataset("data/out", filesystem=files, exclude_invalid_files=True).to_table()
    assert table.num_rows == 61
    assert table["id"].to_pylist()[-1] == "s3://data/in/broken.png"


def test_a_bucket_that_is_not_there_is_one_message(bucket: str, tmp_path: Path) -> None:
    """A bucket that is not there is one message."""
    result = run_in_process("score", "fashion", f"s3://none/in?{bucket}", "--out", tmp_path / "out", "--format", "csv")
    assert result.returncode == 2
    assert result.stderr.count("Error:") == 1


def test_a_list_of_pictures_in_a_bucket_that_is_not_there_is_one_message(bucket: str, tmp_path: Path) -> None:
    """A missing object alone is a row with an error; a missing bucket is a slip of whoever wrote the list."""
    (tmp_path / "list.txt").write_text("".join(f"s3://none/{number}.png?{bucket}\n" for number in range(3)))
    given = ("score", "fashion", f"@{tmp_path / 'list.txt'}", "--out", tmp_path / "out", "--format", "csv")
    result = run_in_process(*given)
    assert (result.returncode, result.stderr.count("Error:")) == (2, 1)
    assert "its bucket does not exist" in result.stderr


def test_a_bucket_that_answers_no_more_is_one_message_and_later_the_job_goes_on(bucket: str, tmp_path: Path) -> None:
    """Where nobody listens, then where the bucket is again: the place of its server is no part of a name."""
    pictures_in(bucket, 30)

    def listed(parameters: str) -> list[str]:
        text = "".join(f"s3://data/in/{number:02}.png?{parameters}\n" for number in range(30))
        (tmp_path / "list.txt").write_text(text)
        return ["score", "fashion", f"@{tmp_path / 'list.txt'}", "--format", "csv", "--per-shard", "10"]

    assert run_in_process(*listed(bucket), "--out", tmp_path / "whole").returncode == 0
    assert run_in_process(*listed(bucket), "--out", tmp_path / "out", "--share", "1/3").returncode == 0
    nobody = "endpoint_override=127.0.0.1:9&scheme=http"
    result = run_in_process(*listed(nobody), "--out", tmp_path / "out")
    assert (result.returncode, result.stderr.count("Error:")) == (2, 1)
    assert "nothing that was written is lost" in result.stderr
    assert run_in_process(*listed(bucket), "--out", tmp_path / "out").returncode == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("part-*")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("part-*")} == whole


def test_a_job_over_a_list_goes_on_where_an_object_vanished(bucket: str, tmp_path: Path) -> None:
    """The list is the plan: a lost object is a row with an error, and the parts that are there stay."""
    files = pictures_in(bucket, 4)
    (tmp_path / "list.txt").write_text("".join(f"s3://data/in/{number:02}.png?{bucket}\n" for number in range(4)))
    given = ("score", "fashion", f"@{tmp_path / 'list.txt'}", "--out", tmp_path / "out", "--format", "csv")
    assert run_in_process(*given, "--per-shard", "2", "--share", "1/2").returncode == 0
    for number in (1, 3):
        files.delete_file(f"data/in/{number:02}.png")
    result = run_in_process(*given, "--per-shard", "2")
    assert result.returncode == 0, result.stderr
    rows = [line for part in sorted((tmp_path / "out").glob("part-*")) for line in part.read_text().splitlines()[1:]]
    assert ["the file does not exist" in row for row in rows] == [False, False, False, True]


def test_a_bucket_that_refuses_is_one_message_with_its_name_and_the_action(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under credentials that allow nothing, of a folder and of a list; no picture becomes an error for it."""
    boto3, requests = pytest.importorskip("boto3"), pytest.importorskip("requests")
    server = f"http://{bucket.split('&', maxsplit=1)[0].partition('=')[2]}"
    boto3.client("s3", endpoint_url=server).create_bucket(Bucket="data")
    users = boto3.client("iam", endpoint_url=server)
    users.create_user(UserName="nobody")
    key = users.create_access_key(UserName="nobody")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    (tmp_path / "list.txt").write_text(f"s3://data/in/a.png?{bucket}\n")
    requests.post(f"{server}/moto-api/reset-auth", data="0", timeout=10)  # credentials count from now on
    try:
        for given in (f"s3://data/in?{bucket}", f"@{tmp_path / 'list.txt'}"):
            result = run_in_process("score", "fashion", given, "--out", tmp_path / "out", "--format", "csv")
            assert (result.returncode, result.stderr.count("Error:")) == (2, 1)
            assert "the bucket 'data' refuses HeadObject" in result.stderr
    finally:
        requests.post(f"{server}/moto-api/reset-auth", data="inf", timeout=10).raise_for_status()
