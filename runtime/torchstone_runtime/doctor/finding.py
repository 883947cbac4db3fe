"""What a check found."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["ok", "note", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: name of the check.
        status: `ok`; `note`, where something is not there that need not be; or `broken`, where what is installed
            does not work.
        summary: finding in one sentence.
        remedy: steps that fix it; empty where nothing is to be done.
        details: values behind the finding, for programs.
    """

    check: str
    status: Status
    summary: str
    remedy: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return asdict(self)
