"""docs/tutorial/photos.md: its commands, run one after another on a small part of the photographs."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers.served import server_process
from helpers.support import run_torchstone
from torchstone_runtime.data.location import default_data_dir

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial" / "photos.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- photos -->\n```console\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^\$ torchstone (.*)$", "".join(BLOCKS), re.MULTILINE)
SERVICE = re.findall(r"<!-- service -->\n```console\n(.*?)```", PAGE, re.DOTALL)[0]
CLASSES = ("bonsai", "lotus", "airplanes")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder with `photos` and `inbox`: a dozen training pictures of three classes, four test pictures of each."""
    source = default_data_dir() / "caltech40"
    if not source.is_dir():
        pytest.skip("TORCHSTONE_DATA does not hold caltech40")
    for part, count in (("train", 12), ("test", 4)):
        for name in CLASSES:
            target = tmp_path / "photos" / part / name
            target.mkdir(parents=True)
            for picture in sorted((source / part / name).iterdir())[:count]:
                shutil.copy(picture, target)
    shutil.copytree(tmp_path / "photos" / "test" / "lotus", tmp_path / "inbox")
    return tmp_path


@pytest.mark.data
@pytest.mark.slow
def test_every_command_of_the_page_succeeds(photographs: Path) -> None:
    """With fresh weights, since none can be downloaded here, a smaller input, two epochs and two folds."""
    assert len(COMMANDS) == 8
    for command in COMMANDS:
        arguments = command.replace("--epochs 10", "--epochs 2").replace("--folds 5", "--folds 2").split()
        if "--backbone" in arguments:
            arguments += ["--weights", "none", "--image-size", "64", "--device", "cpu"]
        result = run_torchstone(*arguments, cwd=photographs, timeout=600)
        assert result.returncode == 0, (command, result.stderr)
    ask_the_service(photographs)
    assert {"data.html", "labels.html", "test.html"} <= {path.name for path in photographs.iterdir()}


def ask_the_service(folder: Path) -> None:
    """Run the commands of the last part: the server, a picture sent by curl, and the golden samples."""
    serve, *commands = re.findall(r"^\$ (.*)$", SERVICE, re.MULTILINE)
    bundle = serve.removeprefix("torchstone serve ").removesuffix(" &")
    with server_process(str(folder / bundle)) as server:
        assert len(commands) == 2
        for command in commands:
            words = shlex.split(command.replace("8000", str(server.port)))
            if words[0] == "torchstone":
                result = run_torchstone(*words[1:], cwd=folder, timeout=60)
            elif words[0] == "curl" and shutil.which("curl"):
                result = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
                assert json.loads(result.stdout)["label"] in CLASSES
            assert result.returncode == 0, (command, result.stderr)
