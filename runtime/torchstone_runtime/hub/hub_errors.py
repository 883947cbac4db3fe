"""What goes wrong with the hub, in words that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from torchstone_runtime.components import require_component
from torchstone_runtime.errors import RemoteError, TorchstoneError, first_line
from torchstone_runtime.hub.hub_address import HubAddress
from torchstone_runtime.text import showable

_FORBIDDEN = (401, 403)


@contextmanager
def told_as_hub_errors(address: HubAddress) -> Iterator[None]:  # noqa: C901 - an error of theirs after the other
    """Turn errors of `huggingface_hub` inside the block into a `RemoteError` that says what to do.

    Raises:
        MissingComponentError: `huggingface_hub` isn't installed.
        RemoteError: the hub can't be reached, or refuses.
    """
    require_component("hub", "huggingface_hub")
    from huggingface_hub import errors  # noqa: PLC0415 - optional

    try:
        yield
    except TorchstoneError:
        raise
    except errors.GatedRepoError as error:
        raise RemoteError(f"{address} asks for consent to its terms.", "Give it on its page, logged in.") from error
    except errors.RepositoryNotFoundError as error:
        raise RemoteError(
            f"There is no {address}, or it is private and this token may not see it.",
            "Check owner and name; for a private one: hf auth login, or set HF_TOKEN.",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise RemoteError(f"{address.repository} has no revision '{address.revision}'.", "Name another one.") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise RemoteError(
            f"{address} cannot be fetched: no connection to the hub, or HF_HUB_OFFLINE, and no copy here.",
            "Connect, or give the path of a bundle on this machine.",
        ) from error
    except errors.EntryNotFoundError as error:
        raise RemoteError(f"{address} holds no whole bundle: a file of one is missing.", "Push it again.") from error
    except errors.LocalTokenNotFoundError as error:
        raise RemoteError("The hub wants a token.", "Get one: hf auth login, or set HF_TOKEN.") from error
    except errors.HfHubHTTPError as error:
        raise _refused(address, error, getattr(error.response, "status_code", None)) from error
    except OSError as error:
        raise RemoteError(f"No connection to the hub for {address}: {_short(error)}", "Try again later.") from error
    except Exception as error:
        # Its HTTP library's own errors have no common base with Python's.
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2"):
            raise
        raise RemoteError(f"No connection to the hub for {address}: {_short(error)}", "Try again later.") from error


def _refused(address: HubAddress, error: Exception, status: int | None) -> RemoteError:
    if status in _FORBIDDEN:
        return RemoteError(
            f"The hub refuses access to {address} ({status}).",
            "Log in with a token that may do this: hf auth login, or set HF_TOKEN.",
        )
    return RemoteError(f"The hub refuses {address}: {_short(error)}", "Try again later.")


def _short(error: Exception) -> str:
    return showable(first_line(error))[:300]
