"""Who is calling: what a proxy says is believed only as far as the proxy itself is."""

import ipaddress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request

from gateway.guards import Doorkeeper, peer

DOOR = cast(Doorkeeper, SimpleNamespace(proxies=(ipaddress.ip_network("10.0.0.0/8"),)))


def request(client: str, *lines: str) -> Request:
    """A request from an address, with X-Forwarded-For lines in this order."""
    headers = [(b"x-forwarded-for", line.encode()) for line in lines]
    scope: dict[str, Any] = {"type": "http", "client": (client, 40_000), "headers": headers}
    return Request(scope)


@pytest.mark.parametrize(
    ("client", "lines", "said"),
    [
        pytest.param("203.0.113.9", ["6.6.6.6"], "203.0.113.9", id="no-proxy"),
        pytest.param("10.0.0.1", ["6.6.6.6, 203.0.113.9"], "203.0.113.9", id="one-line"),
        pytest.param("10.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9", id="two-lines"),
        pytest.param("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9", id="two-proxies"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="silent-proxy"),
    ],
)
def test_the_callers_address(client: str, lines: list[str], said: str) -> None:
    """The last word is the proxy's own, also where it adds a line of its own (as HAProxy does)."""
    assert peer(request(client, *lines), DOOR) == said
