"""The identity providers named in the settings, opened for as long as the process lives."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import orjson
from pydantic import ValidationError

from gateway.clock import Clock
from gateway.hosting.addresses import networks
from gateway.hosting.outbound import Outbound, Way
from gateway.settings import Settings, Upstream
from gateway.sso.client import CannotProve
from gateway.sso.upstream import Provider, hosts_of

MAX_UPSTREAMS: Final = 20
_MAX_BODY: Final = 256 << 10
_CONNECTIONS: Final = 32  # of one worker to one provider: all of the city comes in through it


class BadUpstreams(ValueError):
    """The file of identity providers cannot be used; the text says what to do."""


def read_upstreams(settings: Settings) -> tuple[Upstream, ...]:
    """The providers in the order of the file; none where no file is named.

    Raises:
        BadUpstreams: the file or one of its rows is wrong.
    """
    path = settings.upstreams_file
    if path is None:
        return ()
    try:
        rows = orjson.loads(path.read_bytes())
        if not isinstance(rows, list) or len(rows) > MAX_UPSTREAMS:
            raise BadUpstreams(f"{path} must hold a list of at most {MAX_UPSTREAMS} providers")
        found = tuple(Upstream.model_validate(row) for row in rows)
    except OSError as error:
        raise BadUpstreams(f"CITYGATE_UPSTREAMS_FILE {path}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise BadUpstreams(f"CITYGATE_UPSTREAMS_FILE {path} is no JSON: {error.msg}") from None
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        )
        raise BadUpstreams(f"CITYGATE_UPSTREAMS_FILE {path}: {told}") from None
    for one in found:
        _check(one, settings)
    if len({one.id for one in found}) < len(found):
        raise BadUpstreams(f"CITYGATE_UPSTREAMS_FILE {path}: an id stands twice")
    return found


def _check(upstream: Upstream, settings: Settings) -> None:
    parts = urlsplit(upstream.issuer)
    if parts.query or parts.fragment or parts.username is not None:
        raise BadUpstreams(f"identity provider {upstream.id}: the issuer is a plain address")
    if parts.scheme != "https" and settings.profile == "production":
        raise BadUpstreams(f"identity provider {upstream.id}: the issuer must be https://")
    if "openid" not in upstream.scopes.split():
        raise BadUpstreams(f"identity provider {upstream.id}: scopes must name openid")
    if any(not 0 <= level <= 5 for level in upstream.levels.values()):  # noqa: PLR2004
        raise BadUpstreams(f"identity provider {upstream.id}: levels are 0 to 5")
    try:
        hosts_of(upstream)
        networks(upstream.networks)
    except ValueError as error:
        raise BadUpstreams(f"identity provider {upstream.id}: {error}") from None


@asynccontextmanager
async def open_providers(
    upstreams: Sequence[Upstream], *, clock: Clock, origin: str, loopback: bool
) -> AsyncIterator[Mapping[str, Provider]]:
    """One `Provider` with connections of its own for each upstream, by id, in their order.

    `loopback`: profiles demo and test only.

    Raises:
        BadUpstreams: our key or secret for one cannot be read.
    """
    async with AsyncExitStack() as stack:
        opened = {}
        for one in upstreams:
            hosts = hosts_of(one)
            way = Way(hosts, one.networks, loopback, connections=_CONNECTIONS, max_body=_MAX_BODY)
            outbound = Outbound(clock=clock, hosts=hosts, way=way)
            stack.push_async_callback(outbound.close)
            try:
                opened[one.id] = Provider(one, way=outbound, clock=clock, origin=origin)
            except CannotProve as error:
                raise BadUpstreams(str(error)) from None
        yield opened
