"""Health, metadata, configuration and statistics: the routes of the protocol that only tell."""

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from torchstone_runtime.protocol.descriptions import model_config, model_metadata, server_metadata
from torchstone_runtime.serving.core.histogram import Duration
from torchstone_runtime.serving.core.refusals import NotReadyError
from torchstone_runtime.serving.core.served_model import ServedModel
from torchstone_runtime.serving.core.statistics import ModelStatistics
from torchstone_runtime.serving.http.errors_as_answers import json_answer
from torchstone_runtime.serving.http.shared_state import Site, asked_name
from torchstone_runtime.version import __version__

_UNAVAILABLE = 503


class ModelRoutes:
    """Tells what the server and its models are, and how they fare."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def server(self, request: Request) -> Response:
        """Tell the server's name, version and extensions."""
        del request
        return json_answer(server_metadata("torchstone", __version__, self._site.extensions.names))

    async def live(self, request: Request) -> Response:
        """Tell that the server runs."""
        del request
        return json_answer({"live": True})

    async def ready(self, request: Request) -> Response:
        """Tell whether the server is ready for requests."""
        del request
        ready = self._site.repository.ready
        return json_answer({"ready": ready}, 200 if ready else _UNAVAILABLE)

    async def models(self, request: Request) -> Response:
        """List the models that serve, as KServe does."""
        del request
        return json_answer({"models": list(dict.fromkeys(model.name for model in self._site.repository.models()))})

    async def metadata(self, request: Request) -> Response:
        """Tell a model's inputs and outputs."""
        return json_answer(model_metadata(self._site.describe(self._site.asked_model(request))))

    async def model_ready(self, request: Request) -> Response:
        """Tell whether a model is ready for requests."""
        name, _ = asked_name(request)
        try:
            self._site.asked_model(request)
        except NotReadyError:
            return json_answer({"name": name, "ready": False}, _UNAVAILABLE)
        ready = not self._site.repository.draining
        return json_answer({"name": name, "ready": ready}, 200 if ready else _UNAVAILABLE)

    async def config(self, request: Request) -> Response:
        """Tell a model's configuration in Triton's form."""
        return json_answer(model_config(self._site.describe(self._site.asked_model(request))))

    async def statistics(self, request: Request) -> Response:
        """Tell what a model has done, or what all have."""
        if "model" not in request.path_params:
            return json_answer({"model_stats": _all_statistics(self._site.repository.models())})
        name, version = asked_name(request)
        if version is not None:
            return json_answer({"model_stats": _all_statistics([self._site.asked_model(request)])})
        self._site.asked_model(request)
        versions = (model for model in self._site.repository.models() if model.name == name)
        return json_answer({"model_stats": _all_statistics(versions)})


def _all_statistics(models: Iterable[ServedModel]) -> list[dict[str, Any]]:
    return [{"name": model.name, "version": model.version, **_statistics(model.statistics)} for model in models]


def _statistics(counted: ModelStatistics) -> dict[str, Any]:
    """Return the counters in the form of Triton's extension "statistics"."""
    nothing = {"count": 0, "ns": 0}
    return {
        "last_inference": round((counted.last_answer or 0) * 1e3),
        "inference_count": counted.images,
        "execution_count": counted.batches,
        "inference_stats": {
            "success": _duration(counted.success),
            "fail": _duration(counted.failure),
            "queue": _duration(counted.queue),
            "compute_input": _duration(counted.decode),
            "compute_infer": _duration(counted.compute),
            "compute_output": {"count": counted.success.count, "ns": 0},
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "batch_stats": [
            {
                "batch_size": size,
                "compute_input": {"count": spent.count, "ns": 0},
                "compute_infer": _duration(spent),
                "compute_output": {"count": spent.count, "ns": 0},
            }
            for size, spent in sorted(counted.batch_sizes.items())
        ],
    }


def _duration(spent: Duration) -> dict[str, int]:
    return {"count": spent.count, "ns": round(spent.seconds * 1e9)}
