"""What a Prometheus server asks for: requests, jobs, and what the process uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from flask import Flask, Response, g, request
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 100)


Numbers = Callable[[], Mapping[str, int]]


class _Counted(Collector):
    """Things by a label, counted when somebody asks."""

    def __init__(self, name: str, text: str, label: str, count: Numbers) -> None:
        self._described = name, text, label
        self._count = count

    def collect(self) -> Iterator[GaugeMetricFamily]:
        name, text, label = self._described
        family = GaugeMetricFamily(name, text, labels=[label])
        for value, number in self._count().items():
            family.add_metric([value], number)
        yield family


def add_metrics(app: Flask, jobs: Numbers, workers: Numbers, media: Callable[[], int]) -> None:
    """Measure the requests to ``app``, and answer ``GET /metrics``.

    Args:
        app: to which nothing has been added that may refuse requests: refused ones count too.
        jobs: numbers of jobs by status.
        workers: numbers of workers by state.
        media: bytes of the media on the disk.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(_Counted("keytrack_jobs", "Jobs that are not at their end", "status", jobs))
    registry.register(_Counted("keytrack_workers", "Workers, by what they do", "state", workers))
    held = Gauge("keytrack_media_bytes", "Bytes of fetched media on the disk", registry=registry)
    held.set_function(media)
    seconds = Histogram(
        "keytrack_request_seconds", "Time to answer a request", ["endpoint"], buckets=_SECONDS, registry=registry
    )
    answers = Counter("keytrack_requests", "Requests answered", ["endpoint", "status"], registry=registry)

    def start() -> None:
        g.started = time.perf_counter()

    def end(response: Response) -> Response:
        # Not the path: anybody can ask for any path, and each would be kept.
        endpoint = request.endpoint or "none"
        answers.labels(endpoint, str(response.status_code)).inc()
        seconds.labels(endpoint).observe(time.perf_counter() - g.started)
        return response

    app.before_request(start)
    app.after_request(end)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
