"""Addresses of bundles on the hub: `hf://owner/name` or `hf://owner/name@revision`. Standard library only."""

import re
from dataclasses import dataclass
from typing import Final

from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable

SCHEME: Final = "hf://"
_PART: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(rf"hf://(?P<repository>{_PART}/{_PART})(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._/-]*))?")


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A repository of models and, where it is stated, a branch, tag or commit of it."""

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubAddress":
        """Read an address.

        Raises:
            UsageError: it is none.
        """
        found = _ADDRESS.fullmatch(text)
        if found is None or ".." in text or "--" in found["repository"]:
            raise UsageError(
                f"'{showable(text)}' is not the address of a bundle on the hub.",
                "Write it as hf://owner/name, or hf://owner/name@revision for a branch, tag or commit.",
            )
        return cls(found["repository"], found["revision"])

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}{f'@{self.revision}' if self.revision else ''}"


def is_hub_address(text: object) -> bool:
    """Return whether something given for a bundle means the hub."""
    return isinstance(text, str) and text.startswith(SCHEME)
