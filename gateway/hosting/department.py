"""One plugin that can be asked: its connections, line, runner and guards, made from its package."""

from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from gateway.clock import Clock, instant, rfc3339
from gateway.contract.answer import CardAnswer, Empty, Probe
from gateway.contract.block import seconds
from gateway.contract.failure import CallOwner, TryAgain
from gateway.contract.hooks import Asked, CardAsk, Reply
from gateway.contract.ids import PluginId
from gateway.hosting.breaker import Breaker, Breakers
from gateway.hosting.broker import Broker
from gateway.hosting.call import Asking, Call, Guards, Watch, guarded
from gateway.hosting.draft import Charset, Draft
from gateway.hosting.failures import NoAnswer, Sent
from gateway.hosting.limits import Places, Rate, RetryBudget, share
from gateway.hosting.line import Base, Line
from gateway.hosting.outbound import Outbound, Received, Way, tls_context
from gateway.hosting.outcome import Reason
from gateway.hosting.package import Package
from gateway.hosting.recipes.places import Values as PlaceValues
from gateway.hosting.recipes.places import plain, template
from gateway.hosting.recipes.program import Given, program
from gateway.hosting.resolving import Resolver
from gateway.hosting.secrets import Secrets
from gateway.hosting.standard import Standard

TIMEOUT: Final = 3.0  # of a call, where the manifest names none
PROBE_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 15.0


class HasChildren(Protocol):
    """What runs code plugins; `gateway.hosting.children.pool.Children` is one."""

    async def card(
        self,
        package: Package,
        ask: CardAsk,
        *,
        broker: Callable[[Asked], Awaitable[Reply]],
        seconds: float,
        settings: Mapping[str, object],
        now: str,
    ) -> CardAnswer | Empty:
        """Ask a plugin's code for a card."""
        ...

    async def probe(
        self,
        package: Package,
        *,
        broker: Callable[[Asked], Awaitable[Reply]],
        seconds: float,
        settings: Mapping[str, object],
        now: str,
    ) -> Probe:
        """Ask a plugin's code whether its back end is there."""
        ...

    async def retire(self, plugin: PluginId, digest: str) -> None:
        """Let the child of an old package finish and end it."""
        ...


class HasDrops(Protocol):
    """Where the rows of dropped files are; `gateway.hosting.drops.Drops` is one."""

    async def row(self, package: Package, key: str) -> tuple[dict[str, str], datetime] | None:
        """The row of a key; raises `NoAnswer` where there is no file young enough."""
        ...


class Runs(Protocol):
    """What makes cards in the worker: a recipe's `Program`, or `Standard`."""

    async def card(self, ask: CardAsk, given: Given) -> CardAnswer | Empty:
        """One card."""
        ...

    async def probe(self, given: Given) -> Probe:
        """Whether the back end is there."""
        ...


@dataclass(frozen=True, slots=True)
class House:
    """What all departments of a worker share."""

    clock: Clock
    secrets: Secrets
    networks: Mapping[str, tuple[str, ...]]
    loopback: bool
    workers: int
    children: HasChildren | None
    drops: HasDrops | None
    breakers: Breakers
    resolver: Resolver
    threads: Executor


class Department:
    """One adopted plugin. `card` never raises but `CancelledError`.

    Raises, when made:
        BadRecipe, ValueError: the package cannot be brought to life; the text says why.
    """

    def __init__(self, package: Package, house: House, watch: Watch) -> None:
        manifest = package.manifest
        self.package = package
        self._house = house
        connect = manifest.connect
        self._charset: Charset = connect.charset if connect else "auto"
        self._timeout = seconds(connect.timeout) if connect else TIMEOUT
        self._runner = _runner(package)
        cap = share(manifest.limits.concurrency, house.workers)
        self._places = Places(house.clock, cap)
        self._outbound = self._way_out(cap)
        self._line: Line | None = None
        self._rate = Rate(house.clock, manifest.limits.per_minute, house.workers)
        self._retries = RetryBudget(house.clock)
        self.breaker_key = (manifest.department.id, Base.of(connect.base).host if connect else "")
        self.breaker: Breaker | None = house.breakers.of(self.breaker_key) if connect else None
        optional = frozenset(item.claim for item in manifest.data if not item.required)
        guards = Guards(house.clock, self._places, self.breaker, watch, optional)
        self.card: Call = guarded(self._work, guards)
        self._made_line()

    @property
    def timeout(self) -> float:
        """Seconds that a call may take."""
        return self._timeout

    @property
    def running(self) -> int:
        """How many asks run now."""
        return self._places.taken

    def _way_out(self, cap: int) -> Outbound | None:
        """Its own connections; None where nothing is called."""
        connect = self.package.manifest.connect
        if connect is None:
            return None
        fill = self._fill
        tls = None
        if connect.ca or connect.client_cert:
            certificate = fill(connect.client_cert).encode() if connect.client_cert else None
            key = fill(connect.client_key).encode() if connect.client_key else None
            ca = fill(connect.ca) if connect.ca else None
            tls = tls_context(ca=ca, certificate=certificate, key=key)
        way = Way(
            hosts=frozenset(self.package.network),
            networks=tuple(self._house.networks.get(self.package.id, ())),
            loopback=self._house.loopback,
            proxy=fill(connect.proxy) if connect.proxy else None,
            connections=max(2, cap),
            connect_seconds=seconds(connect.connect_timeout),
            max_body=connect.max_body,
            tls=tls,
        )
        return Outbound(clock=self._house.clock, hosts=(), resolver=self._house.resolver, way=way)

    def _made_line(self) -> None:
        if self._outbound is not None:
            self._line = Line(
                self.package,
                self._outbound,
                clock=self._house.clock,
                secret=self._secret,
                rate=self._rate,
                retries=self._retries,
            )

    def _secret(self, name: str) -> str:
        return self._house.secrets.get(self.package.id, name)

    def _fill(self, text: str) -> str:
        now = instant(self._house.clock.now())
        values = PlaceValues(None, now, self.package.settings, self._secret)
        return template(text).fill(values, plain)

    async def _work(self, asking: Asking) -> CardAnswer | Empty:
        """Make the card's values; raises whatever goes wrong."""
        if self._runner is not None:
            return await self._runner.card(asking.ask, self._given(asking.deadline))
        return await self._child(asking)

    def _given(self, deadline: float) -> Given:
        house = self._house

        def left() -> float:
            return deadline - house.clock.monotonic()

        return Given(
            settings=self.package.settings,
            secret=self._secret,
            now=instant(house.clock.now()),
            left=left,
            exchange=self._exchange,
            row=self._row,
            threads=house.threads,
        )

    async def _exchange(self, call: str, draft: Draft, seconds: float) -> Received:  # noqa: ARG002 - the protocol's
        if self._line is None:
            raise CallOwner(what="the manifest has no `connect`")
        return await self._line.exchange(draft, seconds)

    async def _row(self, key: str) -> tuple[dict[str, str], datetime] | None:
        if self._house.drops is None:
            raise NoAnswer(Reason.PARKED, Sent.NO, "drops are not read here")
        return await self._house.drops.row(self.package, key)

    async def _child(self, asking: Asking) -> CardAnswer | Empty:
        """A code plugin's card; a request that failed keeps its own reason."""
        children, given = self._house.children, self._given(asking.deadline)
        if children is None:
            raise NoAnswer(Reason.PARKED, Sent.NO, "code plugins do not run here")
        broker = Broker(given.exchange, self._charset, given.left)
        try:
            return await children.card(
                self.package,
                asking.ask,
                broker=broker,
                seconds=given.left(),
                settings=self.package.settings,
                now=rfc3339(self._house.clock.now()),
            )
        except (TryAgain, CallOwner) as error:
            if broker.last is None:
                raise
            known = broker.last
            if isinstance(known, NoAnswer) and error.words:
                known.words = error.words
            raise known from None

    async def probe(self) -> Probe:
        """Whether the back end is there; within a second, past breaker and places."""
        deadline = self._house.clock.monotonic() + PROBE_SECONDS
        given = self._given(deadline)
        if self._runner is not None:
            return await self._runner.probe(given)
        if self._house.children is None:
            return Probe(ok=False, note="code plugins do not run here")
        return await self._house.children.probe(
            self.package,
            broker=Broker(given.exchange, self._charset, given.left),
            seconds=PROBE_SECONDS,
            settings=self.package.settings,
            now=rfc3339(self._house.clock.now()),
        )

    async def close(self, *, drain: float = DRAIN_SECONDS) -> None:
        """Let asks in flight finish, then close the connections and end the child."""
        await self._places.idle(drain)
        if self._outbound is not None:
            await self._outbound.close()
        if self._runner is None and self._house.children is not None:
            await self._house.children.retire(self.package.id, self.package.digest)


def _runner(package: Package) -> Runs | None:
    """What makes the cards in the worker; None: a child does."""
    match package.manifest.kind:
        case "code":
            return None
        case "standard":
            if package.recipe is None:
                raise ValueError("the standard recipe is missing")
            return Standard(package.recipe)
        case "recipe":
            return program(package)


def same(one: Package, other: Package) -> bool:
    """Whether two packages are asked in the same way, so that nothing need be opened anew."""
    return (one.digest, one.settings, one.network) == (other.digest, other.settings, other.network)


def facts(department: Department | None) -> dict[str, Any]:
    """How a department's breaker stands, for the health page."""
    breaker = department.breaker if department else None
    standing = breaker.standing if breaker else "closed"
    return {"breaker": standing, "until": breaker.left if breaker else 0.0}
