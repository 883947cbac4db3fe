"""Random numbers of torchvision's transforms from a generator of one's own.

They draw from PyTorch's global generator, which all threads of a process share: several threads that augment would take
each other's numbers, and those of the dropout of the training beside them.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from torchstone_runtime.arrays import Uint8Array

_DRAWING: Final[frozenset[Callable[..., Any]]] = frozenset(
    {
        torch.rand,
        torch.randn,
        torch.randint,
        torch.randperm,
        torch.normal,
        torch.bernoulli,
        torch.multinomial,
        torch.Tensor.uniform_,
        torch.Tensor.normal_,
        torch.Tensor.random_,
        torch.Tensor.bernoulli_,
        torch.Tensor.exponential_,
    }
)
"""What draws, and takes a generator."""


class SeededDraws(TorchFunctionMode):
    """Inside the block, and in this thread alone, what draws without naming a generator draws from this one.

    The numbers are those that the global generator would give after `torch.manual_seed` of the same seed.

    Args:
        seed: 0 to 2**63 - 1.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    # Within the block every call of PyTorch goes through Python: these need no block, and take a fifth of the time.

    def share(self) -> float:
        """Return what `torch.rand` draws: at least 0, less than 1."""
        return torch.rand((), generator=self._generator).item()

    def uniform(self, low: float, high: float) -> Tensor:
        """Return what `Tensor.uniform_` draws, of one element."""
        return torch.empty(1).uniform_(low, high, generator=self._generator)

    def below(self, end: int) -> int:
        """Return what `torch.randint` draws: a whole number, at least 0, less than `end`."""
        return int(torch.randint(end, (), generator=self._generator).item())

    def bytes(self, *shape: int) -> Uint8Array:
        """Return what `torch.randint` draws: bytes of a shape."""
        drawn: Uint8Array = torch.randint(0, 256, shape, dtype=torch.uint8, generator=self._generator).numpy()
        return drawn

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        """Call a function of PyTorch, with the generator where it draws."""
        del types
        given = dict(kwargs or {})
        if func in _DRAWING and given.get("generator") is None:
            given["generator"] = self._generator
        return func(*args, **given)


def seed_of_image(seed: int, epoch: int, index: int, turn: int = 0) -> int:
    """Return the seed of an image's random changes, 0 to 2**63 - 1: it depends on nothing but the arguments.

    Args:
        seed: seed of the training.
        epoch: number of the epoch.
        index: index of the image in the training split.
        turn: number of times that the image came before in the epoch, where a sampler repeats images.
    """
    digest = hashlib.blake2b(f"{seed} {epoch} {index} {turn}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
