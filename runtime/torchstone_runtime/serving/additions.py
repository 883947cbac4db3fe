"""Which pages, metrics and facts a server has beside the protocol: one line for each room that adds some."""

from torchstone_runtime.serving.asked_sets import asked_members, asked_set
from torchstone_runtime.serving.core.repository import ModelRepository
from torchstone_runtime.serving.drift_watch import DriftWatch
from torchstone_runtime.serving.http.extensions import Extensions
from torchstone_runtime.serving.http.page_route import add_page


def all_additions(repository: ModelRepository) -> Extensions:
    """Return everything that is added to a server of these models, whose observers may be added to."""
    drift = DriftWatch(repository)
    repository.observers.append(drift)
    extensions = Extensions(
        metrics=[drift.metrics], additions=[asked_set, drift.told], outputs=[asked_members], names=["torchstone_sets"]
    )
    add_page(extensions, repository)
    return extensions
