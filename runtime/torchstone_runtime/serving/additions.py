"""Which pages, metrics and facts a server has beside the protocol: one line for each room that adds some."""

from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.http.extensions import Extensions
from torchstone_runtime.serving.http.page_route import add_page


def all_additions(repository: ModelRepository) -> Extensions:
    """Return everything that is added to a server of these models, whose observers may be added to."""
    extensions = Extensions()
    add_page(extensions, repository)
    return extensions
