"""A published directory is there whole or not at all."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from torchstone_export.bundle.publish import published_directory
from torchstone_runtime import directories
from torchstone_runtime.bundle.manifest import MANIFEST_FILE, FileEntry, Manifest
from torchstone_runtime.errors import OutputError, UsageError
from torchstone_runtime.images.input_spec import InputSpec


def write_bundle(folder: Path, content: str) -> None:
    """Write a bundle: a valid manifest, with `content` as the model's name, and a model file."""
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST_FILE).write_text(manifest_text(content))
    (folder / "model.onnx").write_text(content)


def manifest_text(name: str) -> str:
    """Return a manifest that lists `model.onnx` as its only file."""
    spec = InputSpec(color="L", height=8, width=8, mean=(0.5,), std=(0.5,))
    manifest = Manifest(
        name=name,
        class_names=("a", "b"),
        input_spec=spec,
        temperature=1.0,
        default_variant="fp32",
        variants={"fp32": FileEntry("model.onnx", "0" * 64, 3)},
        files={},
        golden_tolerance=1.0,
        provenance={},
        metrics={},
        certificate={},
    )
    return json.dumps(manifest.to_json())


def contents(folder: Path) -> dict[str, str]:
    """Return file names and texts of a directory."""
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def fail_after_writing(target: Path) -> None:
    """Publish a whole bundle, but with an error at the end of the block."""
    with published_directory(target) as folder:
        write_bundle(folder, "new")
        _ = 1 / 0


OLD, NEW = ({MANIFEST_FILE: manifest_text(text), "model.onnx": text} for text in ("old", "new"))


def test_a_new_directory_appears_with_all_its_files(tmp_path: Path) -> None:
    """Parents are made, and nothing else is left beside the target."""
    target = tmp_path / "deep" / "bundle"
    with published_directory(target) as folder:
        write_bundle(folder, "new")

        assert not target.exists()

    assert contents(target) == NEW
    assert [path.name for path in target.parent.iterdir()] == ["bundle"]


def test_an_earlier_directory_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """The earlier one is gone, and nothing is left beside the target."""
    target = tmp_path / "bundle"
    write_bundle(target, "old")
    with published_directory(target) as folder:
        write_bundle(folder, "new")

    assert contents(target) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_an_error_leaves_the_earlier_directory_untouched(tmp_path: Path) -> None:
    """The error comes through, and the half-written directory is gone."""
    target = tmp_path / "bundle"
    write_bundle(target, "old")
    with pytest.raises(ZeroDivisionError):
        fail_after_writing(target)

    assert contents(target) == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_readers_may_enter_the_published_directory(tmp_path: Path) -> None:
    """Its mode follows the process's mask instead of the private mode of a temporary directory."""
    target = tmp_path / "bundle"
    with published_directory(target) as folder:
        write_bundle(folder, "new")

    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o777 & ~mask


def test_files_that_are_no_bundle_are_never_replaced(tmp_path: Path) -> None:
    """A directory with anything else in it is refused, unchanged."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not part of a bundle"), published_directory(tmp_path):
        pass

    assert contents(tmp_path) == {"thesis.txt": "years of work"}


def test_a_web_applications_manifest_is_not_taken_for_a_bundles(tmp_path: Path) -> None:
    """Other programs have a manifest.json too: their directory is refused, unchanged."""
    (tmp_path / MANIFEST_FILE).write_text('{"name": "app"}')
    (tmp_path / "app.js").write_text("code")
    with pytest.raises(UsageError, match=r"app\.js"), published_directory(tmp_path):
        pass

    assert contents(tmp_path) == {MANIFEST_FILE: '{"name": "app"}', "app.js": "code"}


def test_a_bundle_with_a_foreign_file_is_not_replaced(tmp_path: Path) -> None:
    """Notes that somebody put beside the model would be lost."""
    target = tmp_path / "bundle"
    write_bundle(target, "old")
    (target / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"), published_directory(target):
        pass

    assert contents(target) == {**OLD, "notes.txt": "mine"}


def test_behind_a_link_the_directory_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    """A link to the place where bundles are served from goes on leading there."""
    real, link = tmp_path / "real", tmp_path / "link"
    write_bundle(real, "old")
    link.symlink_to(real)
    with published_directory(link) as folder:
        write_bundle(folder, "new")

    assert link.is_symlink()
    assert contents(real) == NEW
    assert {path.name for path in tmp_path.iterdir()} == {"real", "link"}


def test_a_file_as_target_is_refused(tmp_path: Path) -> None:
    """A bundle is a directory."""
    (tmp_path / "bundle").write_text("a file")
    with pytest.raises(UsageError, match="is a file"), published_directory(tmp_path / "bundle"):
        pass


def test_an_unwritable_place_is_one_clear_error(tmp_path: Path) -> None:
    """A parent that is a file can't hold a bundle."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"), published_directory(tmp_path / "file" / "bundle"):
        pass


WRITE_AND_WAIT = """
import sys, time
from pathlib import Path
from torchstone_export.bundle.publish import published_directory
with published_directory(Path(sys.argv[1])) as folder:
    (folder / "model.onnx").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def start_writer(target: Path) -> "subprocess.Popen[str]":
    """Start a process that has written half a bundle and waits."""
    writer = subprocess.Popen([sys.executable, "-c", WRITE_AND_WAIT, str(target)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def test_a_killed_writer_leaves_the_earlier_directory_and_is_cleaned_up_later(tmp_path: Path) -> None:
    """After kill -9 the earlier bundle is whole; the next publication succeeds and removes what was left."""
    target = tmp_path / "bundle"
    write_bundle(target, "old")
    with start_writer(target) as writer:
        writer.send_signal(signal.SIGKILL)
        writer.wait()

    assert contents(target) == OLD
    assert len(list(tmp_path.iterdir())) == 2

    with published_directory(target) as folder:
        write_bundle(folder, "new")

    assert contents(target) == NEW
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    """A second export to the same target doesn't remove what the first is still writing."""
    target = tmp_path / "bundle"
    with start_writer(target) as writer:
        (partial,) = tmp_path.iterdir()
        with published_directory(target) as folder:
            write_bundle(folder, "new")

        assert (partial / "model.onnx").read_text() == "half"
        writer.kill()
        writer.wait()


class TestWhereDirectoriesCannotBeExchanged:
    @pytest.fixture(autouse=True)
    def no_exchange(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pretend that the file system has no atomic exchange."""
        monkeypatch.setattr(directories, "_exchange", lambda *_: False)

    def test_the_earlier_directory_is_replaced(self, tmp_path: Path) -> None:
        """Two renames do it."""
        target = tmp_path / "bundle"
        write_bundle(target, "old")
        with published_directory(target) as folder:
            write_bundle(folder, "new")

        assert contents(target) == NEW
        assert [path.name for path in tmp_path.iterdir()] == ["bundle"]

    def test_a_kill_between_the_renames_is_mended_by_the_next_call(self, tmp_path: Path) -> None:
        """The earlier bundle, under its backup name, is brought back before anything else happens."""
        target = tmp_path / "bundle"
        write_bundle(tmp_path / ".bundle.previous", "old")
        with pytest.raises(ZeroDivisionError), published_directory(target):
            _ = 1 / 0

        assert contents(target) == OLD


def test_a_full_disk_leaves_the_earlier_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while the files are flushed is reported as what it is, and the target is as it was."""
    target = tmp_path / "bundle"
    write_bundle(target, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"), published_directory(target) as folder:
        write_bundle(folder, "new")

    assert contents(target) == OLD
