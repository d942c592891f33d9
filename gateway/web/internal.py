"""What machines ask: alive, ready, metrics. Never about departments: theirs is not our readiness."""

import orjson
from starlette.responses import Response

from gateway.observe.metrics import exposition
from gateway.store.away import LedgerAway
from gateway.store.schema import is_current
from gateway.web.visit import Visit

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_ASK_SECONDS = 1.0


async def metrics(_visit: Visit) -> Response:
    """All workers' numbers in the text format of Prometheus."""
    return Response(exposition(), media_type=_PROMETHEUS, headers={"Cache-Control": "no-store"})


async def live(_visit: Visit) -> Response:
    """Whether this process answers at all."""
    return _json({"status": "alive"})


async def ready(visit: Visit) -> Response:
    """Whether there is a registry to serve and both stores answer; 503 where not.

    What is missing is named with `?verbose` in zone internal only.
    """
    looked = {
        "registry": visit.parts.live.current.revision > 0,
        "ledger": await _ledger(visit),
        "volatile": visit.parts.volatile.up,
    }
    whole = all(looked.values())
    answer: dict[str, object] = {"status": "ready" if whole else "not-ready"}
    if "verbose" in visit.request.query_params and _internal(visit):
        answer["checks"] = {name: "ok" if good else "away" for name, good in looked.items()}
        answer["revision"] = visit.parts.live.current.revision
    return _json(answer, status=200 if whole else 503)


async def _ledger(visit: Visit) -> bool:
    try:
        async with visit.parts.clock.within(_ASK_SECONDS):
            return await visit.parts.ledger.read(is_current)
    except (LedgerAway, TimeoutError):
        return False


def _internal(visit: Visit) -> bool:
    zones: frozenset[str] = visit.request.scope.get("zones", frozenset())
    return "internal" in zones


def _json(answer: dict[str, object], status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(orjson.dumps(answer), status, headers, media_type="application/json")
