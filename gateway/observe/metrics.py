"""Counters and histograms, with labels of closed sets only (reliability B100).

With `PROMETHEUS_MULTIPROC_DIR` set (the supervisor does) every worker's values meet in files, and
whichever worker answers `/metrics` tells for all.
"""

import os
from functools import cache
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0, 2.5, 5.0)

REQUESTS: Final = Counter("citygate_requests", "Requests answered.", ["route", "method", "status"])
SECONDS: Final = Histogram(
    "citygate_request_seconds", "Time until the answer.", ["route"], buckets=_BUCKETS
)
CARDS: Final = Counter("citygate_cards", "Feed items by what they showed.", ["state"])
CALLS: Final = Counter("citygate_department_calls", "Calls to departments.", ["plugin", "outcome"])
CALL_SECONDS: Final = Histogram(
    "citygate_department_seconds", "Time departments took.", ["plugin"], buckets=_BUCKETS
)
STORE_AWAY: Final = Counter("citygate_store_away", "Times a store did not answer.", ["store"])
REVISION: Final = Gauge(
    "citygate_registry_revision",
    "Registry revision that is served.",
    multiprocess_mode="livemin",
)
LOG_DROPPED: Final = Gauge(
    "citygate_log_lines_dropped", "Log lines lost to a slow reader.", multiprocess_mode="livesum"
)


@cache
def request_children(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """The two children of one kind of request, looked up once."""
    return REQUESTS.labels(route, method, str(status)), SECONDS.labels(route)


@cache
def call_children(plugin: str, outcome: str) -> tuple[Counter, Histogram]:
    """The two children of one kind of department call."""
    return CALLS.labels(plugin, outcome), CALL_SECONDS.labels(plugin)


@cache
def card_child(state: str) -> Counter:
    """The child of one card state."""
    return CARDS.labels(state)


def exposition() -> bytes:
    """The text format of all workers' values."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # noqa: TID251 - the library's own variable
    if not folder:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]  # library without types
    return generate_latest(registry)
