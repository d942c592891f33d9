"""The one endpoint that departments' servers call: a ticket in, who came out."""

import orjson
from starlette.responses import Response

from gateway.errors import NotSignedIn
from gateway.web.visit import Visit


async def redeem(visit: Visit) -> Response:
    """Exchange a ticket; the guard has already proved which department's server asks."""
    server = visit.visitor.department
    if server is None:
        raise NotSignedIn
    ticket, address = visit.form.get("ticket", ""), visit.form.get("address", "")
    told = await visit.parts.tickets.redeem(ticket, address, server)
    return Response(
        orjson.dumps(told.document()),
        media_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )
