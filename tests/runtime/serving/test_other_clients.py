"""Programs of others in environments of their own: KServe's client, and requests made up from /openapi.json."""

import sys
from pathlib import Path
from typing import Final

import pytest

from helpers.own_environment import make_environment, run_there
from helpers.served import server_process

pytestmark = pytest.mark.slow

_CLIENT: Final = ("kserve", "cloudevents", "deprecation", "httpcore", "httpx", "orjson", "psutil", "grpcio")
"""What KServe's client imports and this environment may lack."""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="KServe 0.21 has no release for Python 3.14")
def test_kserves_client_is_served(digits_bundle: Path, tmp_path: Path) -> None:
    """The unmodified client: health, and inference with binary and JSON, in and out."""
    make_environment(tmp_path / "kserve", *_CLIENT, dependencies=False)
    program = Path(__file__).with_name("kserve_calls.py")
    with server_process(f"m={digits_bundle}") as server:
        result = run_there(tmp_path / "kserve", str(program), server.address, str(digits_bundle / "golden.npz"))
    assert result.stdout == "all answered\n", result.stderr


def test_no_request_made_up_from_the_description_gets_a_wrong_answer(digits_bundle: Path, tmp_path: Path) -> None:
    """Schemathesis: no status 500, and no answer that /openapi.json does not describe, whatever is sent.

    That a request of the right form is accepted can't be demanded: a shape has to be the model's.
    """
    make_environment(tmp_path / "schemathesis", "schemathesis")
    with server_process(f"m={digits_bundle}") as server:
        result = run_there(
            tmp_path / "schemathesis",
            *("-m", "schemathesis.cli", "run", f"http://{server.address}/openapi.json", "--seed", "1"),
            *("--exclude-checks", "positive_data_acceptance", "--max-examples", "5", "--no-color"),
            *("--phases", "coverage,fuzzing"),
            timeout=240,
        )
        assert server.process.poll() is None
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr
