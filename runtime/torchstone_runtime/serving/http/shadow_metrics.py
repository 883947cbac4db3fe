"""How a shadow's decisions differ, as metrics."""

from typing import TYPE_CHECKING

from torchstone_runtime.serving.http.prometheus import Family

if TYPE_CHECKING:
    from torchstone_runtime.serving.core.shadow import Shadow


def shadow_metrics(shadow: "Shadow | None") -> list[Family]:
    """Return the metrics of a shadow; none where there is none."""
    if shadow is None:
        return []
    return [*_totals(shadow), *_by_class(shadow)]


def _totals(shadow: "Shadow") -> list[Family]:
    counted = shadow.statistics
    info = Family("torchstone_shadow_info", "gauge", "The shadow; always 1.")
    info.add(1, model=shadow.name, sha256=counted.sha256)
    images = Family(
        "torchstone_shadow_images_total", "counter", "Images that a request brought, by what became of them."
    )
    differing = counted.compared - counted.agreeing
    for result, count in (
        ("agreed", counted.agreeing),
        ("differed", differing),
        ("dropped", counted.dropped),
        ("incomparable", counted.incomparable),
    ):
        images.add(count, model=shadow.name, result=result)
    failures = Family("torchstone_shadow_failures_total", "counter", "Requests at which the shadow failed.")
    failures.add(counted.failures, model=shadow.name)
    seconds = Family("torchstone_shadow_seconds", "histogram", "Time that the shadow took for a request.")
    seconds.add(counted.compute_seconds, model=shadow.name)
    return [info, images, failures, seconds]


def _by_class(shadow: "Shadow") -> list[Family]:
    counted = shadow.statistics
    alone = Family("torchstone_shadow_differed_total", "counter", "Images of a class that one of the two alone chose.")
    p_value = Family(
        "torchstone_shadow_p_value", "gauge", "McNemar's p value of: both choose this class equally often."
    )
    for index, name in enumerate(counted.class_names):
        labels = {"model": shadow.name, "class": name}
        alone.add(counted.only_model[index], **labels, chosen_by="model")
        alone.add(counted.only_shadow[index], **labels, chosen_by="shadow")
        p_value.add(counted.p_value(index), **labels)
    return [alone, p_value]
