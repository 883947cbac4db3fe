"""How the pictures of a training are loaded: what is kept of them, where, and by how many threads they are decoded."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, get_args

import torch

from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.data.shard_store import ShardStore
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import UsageError
from torchstone_train.compute.distributed import World
from torchstone_train.data.augmented_batches import AugmentedBatches
from torchstone_train.data.batches import Batches, make_batches, resident_budget
from torchstone_train.data.cached_pictures import CachedPictures, CachedStore, MemoryCache
from torchstone_train.data.disk_cache import DiskCache
from torchstone_train.data.pictures import ArrayPictures, FilePictures, PictureSource, shorter_side_of_crops
from torchstone_train.data.training_data import TrainingData
from torchstone_train.data.training_size import training_spec
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.recipes.transforms import CacheName, parse_transforms

DEFAULT_DISK_BYTES: Final = 20 << 30
"""Size of the cache on disk where none is stated: 20 GiB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loading:
    """What a person asks for.

    Attributes:
        cache: `memory`: decoded pictures are kept in memory as far as they fit; `disk`: in files that runs share;
            `off`: each is decoded in every epoch.
        cache_size: bytes that the cache may take; half of the available memory, or `DEFAULT_DISK_BYTES`, if None.
        cache_dir: directory of the cache on disk; `default_cache_dir()` if None.
        workers: number of threads that decode and augment, of each process; its share of the processors if None.
    """

    cache: CacheName = "memory"
    cache_size: int | None = None
    cache_dir: Path | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.cache not in get_args(CacheName):
            raise UsageError(f"--cache must be one of {', '.join(get_args(CacheName))}.")
        if self.cache_size is not None and (self.cache_size < 1 or self.cache == "off"):
            raise UsageError("--cache-size must be greater than 0, with --cache memory or disk.")
        if self.cache_dir is not None and self.cache != "disk":
            raise UsageError("--cache-dir is for --cache disk.", "Add --cache disk, or leave --cache-dir out.")
        if self.workers is not None and self.workers < 1:
            raise UsageError("--workers must be 1 or more.")

    def memory_bytes(self, stated: int | None) -> int | None:
        """Return the bytes of images that may be held in memory: `stated` (None: half of what is free) or fewer."""
        if self.cache != "memory":
            return 0
        return stated if self.cache_size is None else self.cache_size


@dataclass(frozen=True, slots=True)
class Opener:
    """Makes batches of a training's splits.

    Attributes:
        loading: wishes of a person.
        memory: bytes of images that this process may hold in memory; half of what is free, shared by the processes of
            this machine, if None.
        device: device that batches are handed out on.
        world: processes that train together.
        say: function that prints a line.
    """

    loading: Loading
    memory: int | None
    device: torch.device
    world: World
    say: Callable[[str], None]

    def open(self, data: TrainingData, recipe: Recipe, seed: int) -> tuple[Batches, Batches]:
        """Return the batches of the training split, with the recipe's transforms, and of the validation split.

        Args:
            data: splits of the training.
            recipe: its `transforms`.
            seed: seed of the random changes.
        """
        disk = self._disk_cache()
        # First of all: what it takes of the memory is known only then.
        validation = make_batches(self._kept(data.validation, disk), self.device, self._budget())
        if not recipe.transforms:
            return make_batches(self._kept(data.train, disk), self.device, self._budget()), validation
        # Loads torchvision, which takes as long as PyTorch itself: not for trainings that don't need it.
        from torchstone_train.data.transforms import PictureTransforms  # noqa: PLC0415

        spec = training_spec(data.spec, recipe.train_size)
        transforms = PictureTransforms(parse_transforms(recipe.transforms), spec)
        shortest = shorter_side_of_crops(spec.height, spec.width) if transforms.crops else None
        pictures = self._pictures(data.train, disk, shortest)
        made = (data.train.labels, transforms, spec)
        train = AugmentedBatches(pictures, *made, seed=seed, device=self.device, workers=self._workers)
        return train, validation

    @property
    def _workers(self) -> int:
        return self.loading.workers or self.world.threads

    def _budget(self) -> int:
        if self.memory is not None:
            return self.memory
        return resident_budget() // self.world.local_size

    def _disk_cache(self) -> DiskCache | None:
        if self.loading.cache != "disk":
            return None
        directory = self.loading.cache_dir or default_cache_dir()
        size = self.loading.cache_size or DEFAULT_DISK_BYTES
        return DiskCache(directory, size, self.say, self.world.local_size)

    def _kept(self, split: Split, disk: DiskCache | None) -> Split:
        """Return a split whose images come from the cache on disk, where there is one and they are files."""
        if disk is None or not isinstance(split.store, FileStore | ShardStore):
            return split
        files = FilePictures(split.store)
        kept = CachedPictures(files, disk, files.key)
        return replace(split, store=CachedStore(kept, split.image_shape, self._workers))

    def _pictures(self, split: Split, disk: DiskCache | None, shortest: int | None) -> PictureSource:
        if not isinstance(split.store, FileStore | ShardStore):
            return ArrayPictures(split.store)
        files = FilePictures(split.store, shortest)
        if disk is not None:
            return CachedPictures(files, disk, files.key)
        budget = self._budget()
        return CachedPictures(files, MemoryCache(budget)) if budget else files


def default_cache_dir() -> Path:
    """Return `torchstone/pictures` in the user's cache directory: `XDG_CACHE_HOME`, or `~/.cache`."""
    stated = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(stated) if os.path.isabs(stated) else Path.home() / ".cache"  # noqa: PTH117 - "" is no path
    return base / "torchstone" / "pictures"
