"""Which doors there are at an address that a connection came in by."""

import httpx
import pytest

from gateway.routes import ADMIN, CITIZEN, Router
from tests.gateway.web.front import ORIGIN, Front


@pytest.mark.parametrize(
    ("bound", "zone", "status"),
    [
        pytest.param("127.0.0.1", ADMIN, 401, id="by-name"),
        pytest.param("0.0.0.0", ADMIN, 401, id="every-address"),
        pytest.param("0.0.0.0", CITIZEN, 404, id="citizens-only"),
        pytest.param("::", ADMIN, 404, id="another-family"),
    ],
)
async def test_a_zone_is_answered_where_it_is_bound(
    front: Front, bound: str, zone: str, status: int
) -> None:
    """A listener on every address has its zones too: a connection names the one it came to."""
    router = Router(front.parts, front.app._door, {(bound, 8080): frozenset({zone})})

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        scope["server"] = ("127.0.0.1", 8080)  # as uvicorn says it: the accepted socket's own
        await router(scope, receive, send)  # type: ignore[arg-type]

    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as browser:
        assert (await browser.get("/admin/")).status_code == status
