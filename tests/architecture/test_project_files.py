import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

yaml = pytest.importorskip("yaml")  # comes with other packages of the environment
ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_the_wheel_carries_the_notices_of_others(tmp_path: Path) -> None:
    """The data that is shipped keeps its licences: MIT for Fashion-MNIST, CC BY for the digits."""
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("licenses/licenses/THIRD-PARTY.md"))
        notices = wheel.read(name).decode()

    assert "Copyright © 2017 Zalando SE" in notices
    assert "creativecommons.org/licenses/by/4.0" in notices


def test_the_citation_is_of_this_version() -> None:
    """The fields that the Citation File Format 1.2.0 requires are there."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="this is no clone")
def test_nothing_is_tracked_that_a_build_or_a_download_makes() -> None:
    """A wheel that was once committed stays in the history of every clone."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607 - the system's own
    made = (".whl", ".so", ".pyd", ".dylib", ".pyc", ".compiled", ".gz", ".zip")

    assert [name for name in listed.stdout.splitlines() if name.endswith(made)] == []


@pytest.mark.parametrize("form", [form for form in FORMS if form.name != "config.yml"], ids=lambda form: form.stem)
def test_an_issue_form_is_one(form: Path) -> None:
    """It has a name, a description, and fields with labels."""
    content = yaml.safe_load(form.read_text(encoding="utf-8"))

    assert {"name", "description", "body"} <= content.keys()
    assert all(field["attributes"]["label"] for field in content["body"])


def test_the_workflow_runs_the_make_target_of_all_checks() -> None:
    """What the forge runs is what contributors run."""
    content = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))

    assert content["jobs"]["test"]["steps"][-1] == {"run": "make test"}
