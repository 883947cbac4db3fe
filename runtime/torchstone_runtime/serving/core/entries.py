"""What a repository tells of its models."""

from dataclasses import dataclass
from typing import Literal

from torchstone_runtime.errors import TorchstoneError

State = Literal["READY", "UNAVAILABLE", "LOADING"]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A version of a model, as the index lists it.

    Attributes:
        name: name of the model.
        version: its version.
        state: `READY`; `LOADING`, before it was ready for the first time; or `UNAVAILABLE`.
        reason: cause of its not being ready, or of the failure of its last reload; empty where all is well.
    """

    name: str
    version: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """What came of loading a version of a model.

    Attributes:
        name: name of the model.
        version: its version.
        error: problem that was found, the model that served before going on; None where the new one serves now.
        removed: whether the version was taken out, because its folder is gone.
        seconds: time that it took.
    """

    name: str
    version: str
    error: TorchstoneError | None
    removed: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether what is on the disk now serves."""
        return self.error is None
