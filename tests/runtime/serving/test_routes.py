"""What every route has in common, and the routes that only tell: health, index, metrics, description."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from helpers.served import Asked, ask
from torchstone_runtime.serving.core.histogram import Histogram
from torchstone_runtime.serving.core.statistics import REJECTIONS
from torchstone_runtime.serving.http.prometheus import Family, exposition
from torchstone_runtime.serving.http.settings import HttpSettings

ZEROS: Final = json.dumps(
    {"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, 1, 28, 28], "data": [0] * 784}]}
).encode()
TRACE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_health_is_told_under_both_paths(digits_bundle: Path) -> None:
    """A server that ends is alive, and not ready."""

    async def questions(asked: Asked) -> None:
        for start in ("/v2/health", "/health"):
            assert (await asked("GET", f"{start}/live")).json == {"live": True}
            assert (await asked("GET", f"{start}/ready")).json == {"ready": True}
        asked.app.site.repository.begin_drain()
        assert (await asked("GET", "/v2/health/live")).status == 200
        reply = await asked("GET", "/health/ready")
        assert (reply.status, reply.json) == (503, {"ready": False})

    ask(digits_bundle, questions)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v2/", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/m/versions/2/config", 404),
        ("GET", "/v2/models/m/versions/latest/ready", 404),
        ("GET", "/v2/models/%ff/ready", 400),
        ("GET", "/v2/models/a%2Fb/ready", 404),
        ("GET", "/predict", 405),
        ("DELETE", "/v2/models/m", 405),
        ("POST", "/v2/repository/models/m/load", 403),
        ("POST", "/v2/repository/models/m/unload", 403),
        ("GET", "/v2/systemsharedmemory/status", 404),
        ("GET", "/v2/trace/setting", 404),
    ],
)
def test_a_wrong_path_or_method_is_told_as_json(digits_bundle: Path, method: str, path: str, status: int) -> None:
    """As every other error."""

    async def questions(asked: Asked) -> None:
        reply = await asked(method, path)
        assert reply.status == status
        assert isinstance(reply.json["error"], str)

    ask(digits_bundle, questions)


def test_options_and_head_are_answered_and_nothing_is_opened_to_other_sites(digits_bundle: Path) -> None:
    """No header of CORS."""

    async def questions(asked: Asked) -> None:
        options = await asked("OPTIONS", "/v2/models/m/infer", headers={"Origin": "http://elsewhere.example"})
        assert (options.status, options.body) == (204, b"")
        assert options.headers["allow"] == "OPTIONS, POST"
        assert not any(name.startswith("access-control") for name in options.headers)
        assert (await asked("HEAD", "/v2/models/m")).status == 200

    ask(digits_bundle, questions)


@pytest.mark.parametrize(
    ("given", "kept"),
    [({"X-Request-Id": "mine"}, True), ({"X-Request-Id": "two words"}, False), ({"X-Request-Id": "a" * 129}, False)],
)
def test_a_request_has_an_id_the_clients_or_its_own(digits_bundle: Path, given: dict[str, str], kept: bool) -> None:
    """The client's if it is one word of reasonable length."""

    async def questions(asked: Asked) -> None:
        found = (await asked("GET", "/v2", headers=given)).headers["x-request-id"]
        assert (found == given["X-Request-Id"]) == kept
        assert re.fullmatch(r"[\x21-\x7e]{1,128}", found)

    ask(digits_bundle, questions)


def test_the_log_has_a_line_for_each_request(digits_bundle: Path) -> None:
    """With where the time went, and nothing of what was sent but the path."""

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", "/v2/models/m/infer?secret=1", ZEROS, {"traceparent": TRACE, "X-Request-Id": "7"})
        assert reply.headers["traceparent"] == TRACE
        await asked("GET", "/nothing", headers={"traceparent": "nonsense"})
        first, second = map(json.loads, asked.lines)
        assert first["trace_id"] == TRACE.split("-")[1]
        assert {
            "id": "7",
            "status": 200,
            "model": "m",
            "version": "1",
            "images": 1,
            "batch": 1,
        }.items() <= first.items()
        assert {"time", "ms", "queue_ms", "decode_ms", "compute_ms", "variant", "method", "path"} <= set(first)
        assert (second["status"], second["path"]) == (404, "/nothing")
        assert "trace_id" not in second
        assert "secret" not in "".join(asked.lines)

    ask(digits_bundle, questions, HttpSettings(log="json"))


def test_the_log_for_people_is_one_line_whatever_the_path_holds(digits_bundle: Path) -> None:
    """Nothing of it steers a terminal."""

    async def questions(asked: Asked) -> None:
        await asked("GET", "/a\x1b[2Jb\nc")
        (line,) = asked.lines
        assert "\n" not in line
        assert "\x1b" not in line
        assert " 404 GET /a" in line

    ask(digits_bundle, questions, HttpSettings(log="text"))


def test_a_fault_of_ours_is_answered_and_told_with_the_id_of_its_request(
    digits_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client learns the id; the operator, what happened."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inside")

    async def questions(asked: Asked) -> None:
        reply = await asked("GET", "/v2/models/m", headers={"X-Request-Id": "seven"})
        assert reply.status == 500
        assert "seven" in reply.json["error"]
        assert "inside" not in reply.json["error"]
        assert "ZeroDivisionError: inside" in "".join(asked.lines)

    monkeypatch.setattr("torchstone_runtime.serving.http.shared_state.Site.describe", fail)
    ask(digits_bundle, questions)


def test_the_index_can_be_asked_for_ready_models_alone(digits_bundle: Path) -> None:
    """As Triton's."""

    async def questions(asked: Asked) -> None:
        await asked.app.site.repository.unload("m")
        assert (await asked("POST", "/v2/repository/index")).json[0]["state"] == "UNAVAILABLE"
        assert (await asked("POST", "/v2/repository/index", b'{"ready": true}')).json == []
        assert (await asked("POST", "/v2/repository/index", b'{"ready": 1}')).status == 400

    ask(digits_bundle, questions)


def test_a_failed_load_keeps_what_serves_and_says_why(bundle_copy: Path) -> None:
    """And where a model comes from is not the client's to say."""

    async def questions(asked: Asked) -> None:
        (bundle_copy / "golden.npz").write_bytes(b"")
        reply = await asked("POST", "/v2/repository/models/m/load", b"{}")
        assert reply.status == 409
        assert "golden.npz" in reply.json["error"]
        assert (await asked("POST", "/v2/models/m/infer", ZEROS)).status == 200
        assert (await asked("POST", "/v2/repository/models/other/load")).status == 404
        elsewhere = json.dumps({"parameters": {"config": "{}"}}).encode()
        assert (await asked("POST", "/v2/repository/models/m/load", elsewhere)).status == 400
        metrics = (await asked("GET", "/metrics")).body.decode()
        assert 'torchstone_reloads_total{result="failure"} 1' in metrics

    ask(bundle_copy, questions, HttpSettings(allow_reload=True))


def test_half_a_character_in_a_parameter_is_refused(digits_bundle: Path) -> None:
    """UTF-8 has no form for a lone surrogate, which JSON can name."""

    async def questions(asked: Asked) -> None:
        reply = await asked("POST", "/v2/repository/models/m/load", b'{"parameters": {"\\ud800": 1}}')
        assert (reply.status, "is not taken" in reply.json["error"]) == (400, True)

    ask(digits_bundle, questions, HttpSettings(allow_reload=True))


def test_a_page_of_another_site_cannot_unload_a_model(digits_bundle: Path) -> None:
    """A browser sends such a request for any page, without asking first."""

    async def questions(asked: Asked) -> None:
        unload = "/v2/repository/models/m/unload"
        for origin in ("http://elsewhere.example", "null"):
            reply = await asked("POST", unload, headers={"Origin": origin, "Host": "127.0.0.1:8000"})
            assert reply.status == 403
        own = {"Origin": "http://127.0.0.1:8000", "Host": "127.0.0.1:8000"}
        assert (await asked("POST", unload, headers=own)).status == 200

    ask(digits_bundle, questions, HttpSettings(allow_reload=True))


SAMPLE: Final = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\S+)')


def samples(text: str) -> Iterator[tuple[str, str, float]]:
    """Read metrics: name, labels and value of each, checking the grammar of the format."""
    assert text.endswith("\n")
    for line in text.splitlines():
        if not re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .+", line):
            match = SAMPLE.fullmatch(line)
            assert match, line
            yield match[1], match[2] or "", float(match[3])


def test_the_metrics_count_what_happened(digits_bundle: Path) -> None:
    """All of them follow the grammar of the format."""

    async def questions(asked: Asked) -> None:
        for body in (ZEROS, ZEROS, b"{}"):
            await asked("POST", "/v2/models/m/infer", body)
        reply = await asked("GET", "/metrics")
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = {(name, labels): value for name, labels, value in samples(reply.body.decode())}
        own = 'model="m",version="1"'
        assert found["torchstone_ready", ""] == 1
        assert found["torchstone_images_total", own] == 2
        variant = asked.app.site.repository.get("m").classifier.plan.variant
        assert found["torchstone_requests_total", f'model="m",variant="{variant}",code="200"'] == 2
        assert found["torchstone_requests_total", f'model="m",variant="{variant}",code="400"'] == 1
        assert found["torchstone_request_seconds_count", own] == 2
        assert found["torchstone_request_seconds_bucket", f'{own},le="+Inf"'] == 2
        assert found["torchstone_confidence_count", own] == 2
        predicted = [value for (name, _), value in found.items() if name == "torchstone_predictions_total"]
        assert sorted(predicted) == [0] * 9 + [2]

    ask(digits_bundle, questions)


def test_the_metrics_may_have_tritons_names(digits_bundle: Path) -> None:
    """And then no others."""

    async def questions(asked: Asked) -> None:
        await asked("POST", "/v2/models/m/infer", ZEROS)
        found = {
            (name, labels): value for name, labels, value in samples((await asked("GET", "/metrics")).body.decode())
        }
        own = 'model="m",version="1"'
        assert found["nv_inference_request_success", own] == 1
        assert found["nv_inference_count", own] == 1
        assert found["nv_inference_exec_count", own] == 1
        assert found["nv_inference_request_duration_us", own] > found["nv_inference_compute_infer_duration_us", own] > 0
        assert found["nv_inference_request_failure", f'{own},reason="REJECTED"'] == 0
        assert not any(name.startswith("torchstone") for name, _ in found)

    ask(digits_bundle, questions, HttpSettings(metric_names="triton"))


def test_failures_of_one_kind_of_tritons_are_one_series(digits_bundle: Path) -> None:
    """Prometheus takes none of the metrics where one is there twice."""

    async def questions(asked: Asked) -> None:
        for reason in REJECTIONS:
            asked.app.site.repository.get("m").statistics.add_rejection(reason, 0.0)
        found = [(name, labels) for name, labels, _ in samples((await asked("GET", "/metrics")).body.decode())]
        assert sorted(set(found)) == sorted(found)

    ask(digits_bundle, questions, HttpSettings(metric_names="triton"))


def test_tritons_pending_requests_are_requests(digits_bundle: Path) -> None:
    """However many images each of them has."""

    async def questions(asked: Asked) -> None:
        admission = asked.app.site.repository.get("m")._admission
        with admission.enter(3), admission.enter(5):  # they wait
            found = {name: value for name, _, value in samples((await asked("GET", "/metrics")).body.decode())}
        assert found["nv_inference_pending_request_count"] == 2
        assert admission.waiting_requests == 0

    ask(digits_bundle, questions, HttpSettings(metric_names="triton"))


def test_names_that_need_it_are_escaped_in_metrics() -> None:
    """A class may be called anything."""
    family = Family("things", "gauge", "Things.")
    family.add(0.5, kind='a "b" \\ \n c')
    histogram = Histogram((1.0, 2.5))
    for value in (0.5, 2.0, 9.0):
        histogram.observe(value)
    sizes = Family("sizes", "histogram", "Sizes.")
    sizes.add(histogram)
    assert exposition([family, sizes, Family("none", "gauge", "None.")]).splitlines() == [
        "# HELP things Things.",
        "# TYPE things gauge",
        'things{kind="a \\"b\\" \\\\ \\n c"} 0.5',
        "# HELP sizes Sizes.",
        "# TYPE sizes histogram",
        'sizes_bucket{le="1"} 1',
        'sizes_bucket{le="2.5"} 2',
        'sizes_bucket{le="+Inf"} 3',
        "sizes_sum 11.5",
        "sizes_count 3",
    ]


def routes(asked: Asked) -> set[tuple[str, str]]:
    """Return path and method of each route."""
    found: set[tuple[str, str]] = set()
    for route in asked.app.asgi.router.routes:
        path: Any = getattr(route, "path", "")
        found |= {(path, method.lower()) for method in getattr(route, "methods", ()) if method != "HEAD"}
    return found


def test_the_description_has_every_route_and_no_other(digits_bundle: Path) -> None:
    """With their methods."""

    async def questions(asked: Asked) -> None:
        document = (await asked("GET", "/openapi.json")).json
        assert document["openapi"].startswith("3.1")
        described = {(path, method) for path, item in document["paths"].items() for method in item}
        assert described == routes(asked)

    ask(digits_bundle, questions)
