"""The peer: the feed as one would write it on an afternoon with the same libraries, and well.

One AsyncClient, one Redis pool, orjson, gather with deadlines; a session look-up, one MGET, missing
cards asked side by side, one answer. No gate states, consent, sealing, metrics or audit.
"""

import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import redis.asyncio
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SETUP: dict[str, Any] = json.loads(os.environ.get("PLAIN", "{}"))
SERVICES: list[str] = SETUP.get("services", [])
DEPARTMENTS: dict[str, str] = SETUP.get("departments", {})
BUDGET = 0.8

structlog.configure(
    processors=[structlog.processors.TimeStamper(), structlog.processors.JSONRenderer()],
    logger_factory=structlog.WriteLoggerFactory(sys.stdout),
    cache_logger_on_first_use=True,
)
log = structlog.get_logger()


async def feed(request: Request) -> Response:
    """Answer the cards of whoever's session this is."""
    began = time.perf_counter()
    store, client = request.app.state.store, request.app.state.client
    token = request.cookies.get("citygate", "")
    citizen = await store.get("plain:session:" + hashlib.sha256(token.encode()).hexdigest())
    if citizen is None:
        return Response(status_code=401)
    name = citizen.decode()
    kept = await store.mget([f"plain:card:{name}:{service}" for service in SERVICES])
    cards: dict[str, Any] = {
        service: orjson.loads(body) if body else None
        for service, body in zip(SERVICES, kept, strict=True)
    }
    missing = [service for service, card in cards.items() if card is None]
    if missing:
        found = await asyncio.gather(*(ask(store, client, name, service) for service in missing))
        cards |= dict(zip(missing, found, strict=True))
    items = [
        {
            "service": service,
            "state": {"code": "ready" if card else "unavailable"},
            "card": card,
        }
        for service, card in cards.items()
    ]
    answer = orjson.dumps({"cards": items, "complete": all(cards.values())})
    log.info("request", route="/api/v1/cards", status=200, ms=(time.perf_counter() - began) * 1000)
    return Response(answer, media_type="application/json")


async def ask(store: Any, client: httpx.AsyncClient, name: str, service: str) -> Any:
    """One department, within the budget."""
    try:
        async with asyncio.timeout(BUDGET):
            answer = await client.get(DEPARTMENTS[service], params={"citizen": name})
            answer.raise_for_status()
            card = orjson.loads(answer.content)
    except (TimeoutError, httpx.HTTPError):
        return None
    await store.set(f"plain:card:{name}:{service}", orjson.dumps(card), ex=300)
    return card


@asynccontextmanager
async def life(app: Starlette) -> AsyncIterator[None]:
    """The two things that are shared."""
    # Blocking: as many askers as there may be wait for a connection instead of failing.
    app.state.store = redis.asyncio.Redis(
        connection_pool=redis.asyncio.BlockingConnectionPool(
            connection_class=redis.asyncio.UnixDomainSocketConnection,
            path=SETUP["valkey"],
            max_connections=64,
            timeout=3,
        )
    )
    app.state.client = httpx.AsyncClient(
        limits=httpx.Limits(max_connections=400), timeout=3, trust_env=False
    )
    async with app.state.client:
        yield
    await app.state.store.aclose()


app = Starlette(routes=[Route("/api/v1/cards", feed)], lifespan=life)
