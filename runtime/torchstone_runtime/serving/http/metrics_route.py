"""`GET /metrics`: what the server and its models have done, under our own names or Triton's."""

from collections import Counter
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response

from torchstone_runtime.serving.core.served_model import ServedModel
from torchstone_runtime.serving.http.prometheus import CONTENT_TYPE, Family, exposition
from torchstone_runtime.serving.http.shadow_metrics import shadow_metrics
from torchstone_runtime.serving.http.shared_state import Site

Answered = Counter[tuple[str, str, int]]


class MetricsRoute:
    """Answers with the metrics.

    Args:
        site: models, settings and counters that the routes share.
        answered: answers by model, variant and status.
    """

    def __init__(self, site: Site, answered: Answered) -> None:
        self._site = site
        self._answered = answered

    async def metrics(self, request: Request) -> Response:
        """Return all metrics as text."""
        del request
        models = list(self._site.repository.models())
        names = self._site.settings.metric_names
        families = triton_metrics(models) if names == "triton" else own_metrics(self._site, models, self._answered)
        added = [family for make in self._site.extensions.metrics for family in make()]
        return Response(exposition([*families, *added]), headers={"Content-Type": CONTENT_TYPE})


def own_metrics(site: Site, models: Iterable[ServedModel], answered: Answered) -> list[Family]:
    """Return the metrics under our own names, with times in seconds."""
    served = list(models)
    shadow = shadow_metrics(site.repository.shadow)
    return [
        *_of_the_server(site, served, answered),
        *_counts(served),
        _foreign(site, served),
        *_histograms(served),
        *shadow,
    ]


def _of_the_server(site: Site, models: list[ServedModel], answered: Answered) -> list[Family]:
    ready = Family("torchstone_ready", "gauge", "Whether the server is ready for requests.")
    ready.add(int(site.repository.ready))
    requests = Family("torchstone_requests_total", "counter", "Answered requests by model and HTTP status.")
    for (name, variant, status), count in sorted(answered.items()):
        requests.add(count, model=name, variant=variant, code=str(status))
    reloads = Family("torchstone_reloads_total", "counter", "Models reloaded while the server runs.")
    for succeeded, result in ((True, "success"), (False, "failure")):
        reloads.add(site.reloads[succeeded], result=result)
    info = Family("torchstone_model_info", "gauge", "The models that serve; always 1.")
    for model in models:
        plan = model.classifier.plan
        facts = {"variant": plan.variant, "sha256": model.classifier.sha256, "provider": plan.provider}
        info.add(1, model=model.name, version=model.version, **facts)
    return [ready, requests, reloads, info]


def _counts(models: list[ServedModel]) -> list[Family]:
    images = Family("torchstone_images_total", "counter", "Images answered.")
    batches = Family("torchstone_batches_total", "counter", "Batches computed.")
    rejected = Family("torchstone_rejected_total", "counter", "Requests to a model that got no answer, by reason.")
    unanswered = Family("torchstone_unanswered_total", "counter", "Images whose outputs are not numbers.")
    failures = Family("torchstone_observer_failures_total", "counter", "Errors of drift, edges or shadow.")
    pending = Family("torchstone_pending_images", "gauge", "Images that wait, those being decoded included.")
    predictions = Family("torchstone_predictions_total", "counter", "Images by the class that was chosen.")
    for model in models:
        counted, labels = model.statistics, {"model": model.name, "version": model.version}
        images.add(counted.images, **labels)
        batches.add(counted.batches, **labels)
        unanswered.add(counted.unanswered, **labels)
        failures.add(counted.observer_failures, **labels)
        pending.add(model.pending_images, **labels)
        for reason, count in sorted(counted.rejected.items()):
            rejected.add(count, **labels, reason=reason)
        for name, count in zip(model.class_names, counted.predictions, strict=True):
            predictions.add(count, **labels, **{"class": name})
    return [images, batches, rejected, unanswered, failures, pending, predictions]


def _foreign(site: Site, models: list[ServedModel]) -> Family:
    family = Family("torchstone_bright_edges_total", "counter", "Images on another ground than the model knows.")
    for model in models:
        family.add(site.backgrounds.foreign(model), model=model.name, version=model.version)
    return family


def _histograms(models: list[ServedModel]) -> list[Family]:
    request = Family("torchstone_request_seconds", "histogram", "Time of a request to a model, from arrival to answer.")
    wait = Family("torchstone_queue_seconds", "histogram", "Time that a request waited for a worker.")
    decode = Family("torchstone_decode_seconds", "histogram", "Time until a request's pictures were decoded.")
    compute = Family("torchstone_compute_seconds", "histogram", "Time that a batch was computed.")
    batch = Family("torchstone_batch_images", "histogram", "Images in a batch.")
    confidence = Family("torchstone_confidence", "histogram", "Probability of the class that was chosen.")
    for model in models:
        counted, labels = model.statistics, {"model": model.name, "version": model.version}
        request.add(counted.request_seconds, **labels)
        wait.add(counted.queue_seconds, **labels)
        decode.add(counted.decode_seconds, **labels)
        compute.add(counted.compute_seconds, **labels)
        batch.add(counted.batch_images, **labels)
        confidence.add(counted.confidence, **labels)
    return [request, wait, decode, compute, batch, confidence]


def triton_metrics(models: Iterable[ServedModel]) -> list[Family]:
    """Return the metrics under Triton's names, with times in microseconds."""
    success = Family("nv_inference_request_success", "counter", "Number of successful inference requests")
    failure = Family("nv_inference_request_failure", "counter", "Number of failed inference requests")
    count = Family("nv_inference_count", "counter", "Number of inferences performed")
    executions = Family("nv_inference_exec_count", "counter", "Number of model executions performed")
    pending = Family("nv_inference_pending_request_count", "gauge", "Number of requests that wait")
    durations = {
        name: Family(f"nv_inference_{name}_duration_us", "counter", f"Cumulative {name} duration in microseconds")
        for name in ("request", "queue", "compute_input", "compute_infer", "compute_output")
    }
    for model in models:
        counted, labels = model.statistics, {"model": model.name, "version": model.version}
        success.add(counted.success.count, **labels)
        failed: Counter[str] = Counter()
        for reason, number in counted.rejected.items():
            failed[_TRITON_REASONS.get(reason, "OTHER")] += number
        for name, number in sorted(failed.items()):
            failure.add(number, **labels, reason=name)
        count.add(counted.images, **labels)
        executions.add(counted.batches, **labels)
        pending.add(model.pending_requests, **labels)
        spent = (counted.success, counted.queue, counted.decode, counted.compute)
        for family, one in zip(durations.values(), (*(part.seconds for part in spent), 0.0), strict=True):
            family.add(round(one * 1e6), **labels)
    return [success, failure, count, executions, *durations.values(), pending]


_TRITON_REASONS = {"queue_full": "REJECTED", "deadline": "REJECTED", "disconnected": "CANCELED", "failed": "BACKEND"}
