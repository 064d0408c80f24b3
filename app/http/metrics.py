"""Prometheus metrics of the HTTP layer, and the answer of GET /metrics."""

import hmac
import os
from functools import lru_cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response

from app.errors import NotFound

# Labels come from our route table, known methods and five status classes: never from a caller,
# who could otherwise fill the memory with series.
UNMATCHED = "unmatched"
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

_requests = Counter(
    "http_requests_total",
    "Requests answered, by method, route template and status class.",
    ("method", "route", "status"),
)
_duration = Histogram(
    "http_request_duration_seconds",
    "Seconds from the request's head to the last byte of its answer.",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
in_flight = Gauge(
    "http_requests_in_flight", "Requests being handled now.", multiprocess_mode="livesum"
)
refused_connections = Counter(
    "http_refused_connections_total",
    "Connections ended before a request reached the application, by error code.",
    ("code",),
)

_page_cache = Counter(
    "page_cache_requests_total",
    "Requests for what may be kept, by outcome: hit, miss, bypass (while changes go unheard).",
    ("outcome",),
)
page_cache_hits = _page_cache.labels("hit")
page_cache_misses = _page_cache.labels("miss")
page_cache_bypasses = _page_cache.labels("bypass")
missing_objects = Counter(
    "storage_objects_missing_total",
    "Downloads of files that the store has lost or holds in another size. Any is an alarm.",
)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    method = method if method in _METHODS else "OTHER"
    counter, histogram = _series(method, route, status // 100)
    counter.inc()
    histogram.observe(seconds)


@lru_cache(maxsize=4096)
def _series(method: str, route: str, status_class: int) -> tuple[Counter, Histogram]:
    """The two series of one kind of request; looking them up costs more than counting."""
    return (
        _requests.labels(method, route, f"{status_class}xx"),
        _duration.labels(method, route),
    )


def metrics_response(
    request: Request, *, token: str | None, registry: CollectorRegistry | None = None
) -> Response:
    """Everything counted so far. Raises `NotFound` without the right Bearer token, if one is set.

    404 and not 401: whoever has no token learns nothing about the page.
    """
    if token is not None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            raise NotFound
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
    return Response(encode(registry or _all_counts()), headers=headers)


def _all_counts() -> CollectorRegistry:
    """The counts of this process, or of all API processes where they share a folder for them."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's own
    return registry
