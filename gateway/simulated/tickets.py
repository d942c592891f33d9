"""The department's side of the ticket lane: its server redeems what the browser brought.

See WIRE.md, "Ticket lane". A department trusts nothing in the address but the ticket itself.
"""

import secrets
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from joserfc import jwt

from gateway.simulated.keys import department_key
from gateway.simulated.world import World

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What the gateway told about the person who came."""

    subject: str
    level: int
    name: str
    id_number: str
    function: str
    nonce: str


def assertion(world: World, department: str, audience: str) -> str:
    """The department's proof of itself, good for 60 s."""
    key = department_key(department)
    client = f"{department}/{department}"
    now = int(world.clock.seconds())
    claims: dict[str, Any] = {
        "iss": client,
        "sub": client,
        "aud": audience,
        "jti": secrets.token_urlsafe(16),
        "iat": now,
        "exp": now + 60,
    }
    return jwt.encode({"alg": "ES256", "kid": str(key.kid)}, claims, key)


async def redeem(world: World, department: str, ticket: str) -> Redeemed | None:
    """Exchange a ticket; None when the gateway refuses it or cannot be reached."""
    endpoint = f"{world.gateway}/api/v1/tickets/redeem"
    form = {
        "ticket": ticket,
        "address": f"{world.addresses[department]}/citygate/ticket",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion(world, department, endpoint),
    }
    try:
        answer = await world.http.post(endpoint, data=form)
        if answer.status_code != httpx.codes.OK:
            return None
        told = orjson.loads(answer.content)
        claims = told.get("claims") or {}
        return Redeemed(
            subject=str(told["subject"]),
            level=int(told.get("level", 0)),
            name=str(claims.get("name", "")),
            id_number=str(claims.get("id_number", "")),
            function=str(told.get("function") or ""),
            nonce=str(told.get("nonce") or ""),
        )
    except (httpx.HTTPError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
