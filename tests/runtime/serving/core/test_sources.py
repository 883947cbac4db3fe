"""What users type for a model, and what is found there."""

import shutil
from pathlib import Path

import pytest

from torchstone_runtime.errors import UsageError
from torchstone_runtime.serving.core.model_sources import Source, by_name


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("fashion", Source("fashion", "fashion")),
        ("bundles/fm", Source("fm", "bundles/fm")),
        ("bundles/fm/", Source("fm", "bundles/fm/")),
        ("model.onnx", Source("model", "model.onnx")),
        ("shoes=bundles/fm", Source("shoes", "bundles/fm")),
        ("shoes@2=bundles/fm", Source("shoes", "bundles/fm", "2")),
        ("shoes=a=b", Source("shoes", "a=b")),
        ("/a/b=c", Source("b=c", "/a/b=c")),
    ],
)
def test_what_users_type(text: str, source: Source) -> None:
    """A path, a name and a path, or a name, a version and a path."""
    assert Source.parse(text) == source


def test_a_path_with_an_equals_sign_that_exists_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the shell completes it."""
    monkeypatch.chdir(tmp_path)
    Path("lr=1").mkdir()
    assert Source.parse("lr=1") == Source("lr=1", "lr=1")


@pytest.mark.parametrize("text", ["m@0=x", "m@a=x", "m@=x", "m@-1=x", "m@1.5=x", "/"])
def test_what_is_refused(text: str) -> None:
    """Versions are whole numbers from 1 on, as in Triton's repositories."""
    with pytest.raises(UsageError):
        Source.parse(text)


@pytest.mark.parametrize(
    "texts", [["m=a", "m=b"], ["m@1=a", "m=b"], ["m=a", "m@1=b"], ["m@2=a", "m@2=b"], ["x/m", "y/m"], []]
)
def test_models_that_could_not_be_told_apart(texts: list[str]) -> None:
    """And no models at all."""
    with pytest.raises(UsageError):
        by_name(map(Source.parse, texts))


def test_a_folder_of_numbered_folders_holds_versions(digits_bundle: Path, tmp_path: Path) -> None:
    """As Triton has them; other names in it are left alone."""
    for version in ("1", "2", "10", "old", "03"):
        shutil.copytree(digits_bundle, tmp_path / "m" / version)
    found = Source.parse(str(tmp_path / "m")).versions()
    assert found == {version: str(tmp_path / "m" / version) for version in ("1", "2", "10")}


def test_a_bundle_is_its_only_version(digits_bundle: Path) -> None:
    """Version 1, unless it is stated."""
    assert Source.parse(str(digits_bundle)).versions() == {"1": str(digits_bundle)}
    assert Source.parse(f"m@7={digits_bundle}").versions() == {"7": str(digits_bundle)}
