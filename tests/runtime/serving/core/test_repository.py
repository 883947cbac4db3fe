"""Models come and go without a failed request; what isn't proven never serves."""

import asyncio
import shutil
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import BundleError, CheckFailedError, UsageError
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.serving.core.entries import ModelEntry
from torchstone_runtime.serving.core.model_sources import Source
from torchstone_runtime.serving.core.refusals import NotReadyError, UnknownModelError
from torchstone_runtime.serving.core.repository import ModelRepository

EditManifest = Callable[[Path, Callable[[dict[str, Any]], object]], None]
ON_TWO = LoadOptions(provider="cpu", threads=2)


def run(work: Coroutine[Any, Any, Any]) -> None:
    """Run a test's clients, for 60 seconds at most."""
    asyncio.run(asyncio.wait_for(work, 60))


def serve(*sources: str, shadow: Source | None = None, share: float = 0.1) -> ModelRepository:
    """Return a repository that isn't started."""
    return ModelRepository(map(Source.parse, sources), ON_TWO, shadow=shadow, shadow_share=share)


def damage_golden(bundle: Path, edit: EditManifest) -> None:
    """Let the golden samples say other outputs, with all hashes right."""
    path = bundle / "golden.npz"
    with np.load(path) as arrays:
        changed = dict(arrays)
    changed["logits"] = changed["logits"][:, ::-1]
    with path.open("wb") as file:
        np.savez(file, **changed)
    edit(bundle, lambda _: None)


def test_a_bundle_is_ready_once_it_is_proven(digits_bundle: Path, images: Uint8Array) -> None:
    """And no earlier; after the end it isn't any more."""

    async def scene() -> None:
        repository = serve(f"digits={digits_bundle}")
        ready = [repository.ready]
        with pytest.raises(NotReadyError):
            repository.get("digits")
        await repository.start()
        ready.append(repository.ready)
        assert repository.index() == [ModelEntry("digits", "1", "READY")]
        model = repository.get("digits")
        await model.classify(images[:1])
        repository.begin_drain()
        ready.append(repository.ready)
        assert ready == [False, True, False]
        await repository.get("digits").classify(images[:1])
        await repository.drain()
        await repository.close()
        with pytest.raises(NotReadyError):
            repository.get("digits")

    run(scene())


def test_a_source_whose_versions_cannot_be_told_ends_the_start(
    digits_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any version is known."""
    monkeypatch.setenv("TORCHSTONE_LOAD_SECONDS", "5m")

    async def scene() -> None:
        repository = serve(f"m={digits_bundle}")
        with pytest.raises(UsageError, match="TORCHSTONE_LOAD_SECONDS is '5m'"):
            await repository.start()

    run(scene())


def test_a_reload_that_cannot_tell_the_versions_is_in_the_index(
    digits_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model goes on."""

    async def scene() -> None:
        repository = serve(f"m={digits_bundle}")
        await repository.start()
        monkeypatch.setenv("TORCHSTONE_LOAD_SECONDS", "5m")
        await repository.reload_all()
        [entry] = repository.index()
        assert entry.state == "READY"
        assert entry.reason.startswith("The last reload failed: TORCHSTONE_LOAD_SECONDS is '5m'")
        await repository.close()

    run(scene())


def test_what_fails_its_checks_ends_the_start(
    bundle_copy: Path, digits_bundle: Path, edit_manifest: EditManifest
) -> None:
    """By golden samples, by hashes, and by being no bundle."""

    async def scene(problem: type[Exception]) -> None:
        repository = serve(f"good={digits_bundle}", f"bad={bundle_copy}")
        with pytest.raises(problem):
            await repository.start()
        assert not repository.ready

    damage_golden(bundle_copy, edit_manifest)
    run(scene(CheckFailedError))
    (bundle_copy / "golden.npz").write_bytes(b"other")
    run(scene(BundleError))
    shutil.rmtree(bundle_copy)
    run(scene(BundleError))


def test_a_reload_that_fails_leaves_the_old_model_and_says_why(
    bundle_copy: Path, images: Uint8Array, edit_manifest: EditManifest
) -> None:
    """Its answers stay the same bits; a later reload that succeeds clears the reason."""

    async def scene() -> None:
        repository = serve(f"m={bundle_copy}")
        await repository.start()
        good = shutil.copytree(bundle_copy, bundle_copy.with_name("good"))
        before = await repository.get("m").classify(images)
        damage_golden(bundle_copy, edit_manifest)
        with pytest.raises(CheckFailedError):
            await repository.load("m")
        (result,) = await repository.reload_all()
        assert isinstance(result.error, CheckFailedError)
        (entry,) = repository.index()
        assert entry.state == "READY"
        assert entry.reason.startswith("The last reload failed: ")
        assert repository.ready
        after = await repository.get("m").classify(images)
        assert after.logits.tobytes() == before.logits.tobytes()
        shutil.rmtree(bundle_copy)
        assert not (await repository.reload_all())[0].ok
        shutil.copytree(good, bundle_copy)
        await repository.load("m")
        assert repository.index() == [ModelEntry("m", "1", "READY")]
        assert repository.get("m").statistics.success.count == 2
        await repository.close()

    run(scene())


def test_reloads_under_load_fail_no_request_and_leave_no_old_model(digits_bundle: Path, images: Uint8Array) -> None:
    """Whoever holds the model that was replaced gets the answer from it."""

    async def scene() -> None:
        repository = serve(f"m={digits_bundle}")
        await repository.start()
        expected = repository.get("m").classifier.predict(images).logits
        models = [weakref.ref(repository.get("m"))]
        ending = False
        answered = 0

        async def client(first: int) -> None:
            nonlocal answered
            while not ending:
                model = repository.get("m")
                await asyncio.sleep(0.001)
                answer = await model.classify(images[first : first + 3])
                assert answer.logits.tobytes() == expected[first : first + 3].tobytes()
                answered += 1

        async with asyncio.TaskGroup() as group:
            for first in range(0, 24, 3):
                group.create_task(client(first))
            for _ in range(5):
                await repository.load("m")
                models.append(weakref.ref(repository.get("m")))
            ending = True
        assert answered > 8
        assert repository.get("m").statistics.success.count == answered
        await asyncio.sleep(0.01)
        assert [model() is None for model in models] == [True] * 5 + [False]
        await repository.close()

    run(scene())


def test_a_model_is_unloaded_and_loaded_again(digits_bundle: Path, images: Uint8Array) -> None:
    """That was asked for, so that the server stays ready; a request in flight is answered."""

    async def scene() -> None:
        repository = serve(f"a={digits_bundle}", f"b={digits_bundle}")
        await repository.start()
        work = asyncio.ensure_future(repository.get("a").classify(images))
        await asyncio.sleep(0)
        await repository.unload("a")
        with pytest.raises(NotReadyError, match="unloaded"):
            repository.get("a")
        assert len((await work).logits) == len(images)
        assert repository.ready
        assert [entry.state for entry in repository.index()] == ["UNAVAILABLE", "READY"]
        assert [result.name for result in await repository.reload_all()] == ["b"]
        await repository.load("a")
        assert [entry.state for entry in repository.index()] == ["READY", "READY"]
        for name in ("c", ""):
            with pytest.raises(UnknownModelError):
                await repository.load(name)
        await repository.close()

    run(scene())


def test_versions_follow_the_folder(digits_bundle: Path, tmp_path: Path, edit_manifest: EditManifest) -> None:
    """The highest is the default; a new one that fails changes nothing, and one whose folder is gone is taken out."""

    async def scene() -> None:
        for version in ("1", "2"):
            shutil.copytree(digits_bundle, tmp_path / "m" / version)
        repository = serve(str(tmp_path / "m"))
        await repository.start()
        assert repository.get("m").version == "2"
        assert repository.get("m", "1").version == "1"
        with pytest.raises(UnknownModelError, match="no such version"):
            repository.get("m", "3")
        damage_golden(shutil.copytree(digits_bundle, tmp_path / "m" / "3"), edit_manifest)
        with pytest.raises(CheckFailedError):
            await repository.load("m")
        assert repository.get("m").version == "2"
        assert repository.ready
        with pytest.raises(NotReadyError, match="golden"):
            repository.get("m", "3")
        shutil.rmtree(tmp_path / "m" / "3")
        shutil.rmtree(tmp_path / "m" / "1")
        results = await repository.reload_all()
        assert {(result.version, result.removed) for result in results} == {("2", False), ("1", True), ("3", True)}
        assert [entry.version for entry in repository.index()] == ["2"]
        shutil.rmtree(tmp_path / "m" / "2")
        assert not any(result.ok for result in await repository.reload_all())
        assert repository.get("m").version == "2"
        await repository.close()

    run(scene())


def test_draining_waits_for_requests_in_flight(digits_bundle: Path, images: Uint8Array) -> None:
    """Also for those at a model that was replaced."""

    async def scene() -> None:
        repository = serve(f"m={digits_bundle}")
        await repository.start()
        many = np.tile(images, (20, 1, 1, 1))
        work = [asyncio.ensure_future(repository.get("m").classify(many)) for _ in range(1)]
        await asyncio.sleep(0)
        await repository.load("m")
        await repository.drain()
        assert repository.requests == 0
        assert all(one.done() for one in work)
        await repository.close()

    run(scene())


def test_a_shadow_of_none_of_several_models_is_refused(digits_bundle: Path) -> None:
    """And one with a share of the time that can't be."""
    shadow = Source.parse(f"c={digits_bundle}")
    with pytest.raises(UsageError, match="doesn't say whose"):
        serve(f"a={digits_bundle}", f"b={digits_bundle}", shadow=shadow)
    with pytest.raises(UsageError, match="share"):
        serve(f"a={digits_bundle}", shadow=shadow, share=0.0)
