"""Addresses of other file systems, and the paths that they stand for; nothing is asked over a network."""

import pytest

pytest.importorskip("pyarrow")

from torchstone_runtime.shards.storage import locate  # behind the check for pyarrow


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("s3://bucket/a/b.png?endpoint_override=localhost:9&scheme=http", "bucket/a/b.png"),
        ("gs://bucket/a/b.png?endpoint_override=localhost:9&scheme=http", "bucket/a/b.png"),
        ("gs://anonymous@bucket/a/b.png", "bucket/a/b.png"),
        ("abfs://container@account.dfs.core.windows.net/a/b.png", "container/a/b.png"),
    ],
)
def test_an_address_stands_for_the_path_within_its_file_system_and_back(address: str, path: str) -> None:
    """What comes before the bucket, and the server behind a container, is part of the address alone."""
    storage, found = locate(address)
    assert found == path
    assert storage.address(found) == address.partition("?")[0]
