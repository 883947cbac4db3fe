"""Which pages, metrics and facts a server has beside the protocol: one line for each room that adds some."""

from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.http.extensions import Extensions


def all_additions(repository: ModelRepository) -> Extensions:
    """Return everything that is added to a server of these models, whose observers may be added to."""
    del repository
    return Extensions()
