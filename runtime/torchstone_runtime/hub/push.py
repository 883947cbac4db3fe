"""A bundle to the hub, in one commit: whoever loads it meanwhile gets the former one or this one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from torchstone_runtime.hub.hub_address import HubAddress
from torchstone_runtime.hub.hub_errors import told_as_hub_errors
from torchstone_runtime.hub.pull import MANIFEST_FILE, SIGNATURE_FILE, file_names
from torchstone_runtime.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_OURS: Final = (MANIFEST_FILE, SIGNATURE_FILE)


def push_files(address: HubAddress, files: Mapping[str, bytes], message: str, *, private: bool) -> str:
    """Make a repository, where there is none, and commit the files of a bundle to it.

    Files of the bundle that was there before and that this one lacks are removed; others stay.

    Args:
        address: repository; a revision is a branch that is there.
        files: contents by name, the manifest among them.
        message: first line of the commit.
        private: whether a repository that is made is private.

    Returns:
        The commit's address.

    Raises:
        MissingComponentError: without `torchstone[hub]`.
        RemoteError: the hub can't be reached or refuses: without a token, say.
    """
    with told_as_hub_errors(address):
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi  # noqa: PLC0415 - optional
        from huggingface_hub.utils import disable_progress_bars  # noqa: PLC0415 - optional

        disable_progress_bars()
        api = HfApi(library_name="torchstone", library_version=__version__)
        api.create_repo(address.repository, private=private, exist_ok=True)
        former = _former(api, address)
        operations = [
            *(CommitOperationDelete(name) for name in sorted(former - files.keys())),
            *(CommitOperationAdd(name, content) for name, content in files.items()),
        ]
        made = api.create_commit(address.repository, operations, commit_message=message, revision=address.revision)
    return str(made.commit_url)


def _former(api: "HfApi", address: HubAddress) -> set[str]:
    """Return the files in the repository that belong to the bundle there."""
    present = set(api.list_repo_files(address.repository, revision=address.revision))
    if MANIFEST_FILE not in present:
        return set()
    path = api.hf_hub_download(address.repository, MANIFEST_FILE, revision=address.revision)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - what it returns is text
            listed = file_names(file.read())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
    return present & {*listed, *_OURS}
