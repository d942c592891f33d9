"""From settings to a running worker: the one place where all packages meet.

`opened` brings up everything that lives as long as the process, in the order it depends on, and
closes it in reverse; `build` puts the router in front of it as an ASGI application.
"""

import asyncio
import ipaddress
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.cards.feed import Cards
from gateway.cards.search import Search
from gateway.cards.tail import Tail
from gateway.cases.feedback import Feedback
from gateway.clock import Clock
from gateway.contract.ids import CitizenId
from gateway.guards import Doorkeeper
from gateway.hosting.children.pool import Children
from gateway.hosting.departments import open_departments
from gateway.hosting.drops import DropRefused, Drops
from gateway.hosting.secrets import Secrets
from gateway.observe import log, metrics
from gateway.observe.background import Background, Work, every
from gateway.observe.board import Board
from gateway.registry.generation import Generation
from gateway.registry.live import Live
from gateway.registry.publish import Publisher
from gateway.registry.watch import Report, Watch
from gateway.registry.working_copy import WorkingCopy
from gateway.registry.workshop import Workshop
from gateway.routes import Router
from gateway.settings import Settings, variables
from gateway.sso.assertion import Assertions
from gateway.sso.consent import Consents
from gateway.sso.disclosure import Disclosures
from gateway.sso.kept import sweep
from gateway.sso.launch import Launches
from gateway.sso.preferences import Preferences
from gateway.sso.session import Sessions
from gateway.sso.signin import SignIn
from gateway.sso.staff import Staff
from gateway.sso.tickets import Tickets
from gateway.sso.upstreams import open_providers, read_upstreams
from gateway.store.away import Away, LedgerAway
from gateway.store.ids import new_id
from gateway.store.leader import Leader
from gateway.store.ledger import open_ledger
from gateway.store.sealing import BadKek, FileKek, open_keys
from gateway.store.volatile import WrongServer, open_volatile
from gateway.web import pages
from gateway.web.fragments import render_item
from gateway.web.parts import Parts

_BOARD_SECONDS: Final = 2.0
_DROPS_SECONDS: Final = 5.0
_PUBLIC_SECONDS: Final = 30.0
_SWEEP_SECONDS: Final = 300.0
_SWEPT: Final = (
    "session:",
    "sessions:",
    "claims:",
    "login:",
    "ticket:",
    "go:",
    "jti:",
    "rate:",
)  # no TTL there
_log = structlog.get_logger(__name__)


def build(
    settings: Settings, *, zones: Mapping[tuple[str, int], frozenset[str]], clock: Clock
) -> ASGIApp:
    """The ASGI application of one worker; everything is opened when its life begins."""
    writer = log.set_up(clock, settings.log_level)
    return _Application(settings, zones, clock, lambda: writer.dropped)


class _Application:
    """Answers the server's lifespan, then hands every request to the router."""

    def __init__(
        self,
        settings: Settings,
        zones: Mapping[tuple[str, int], frozenset[str]],
        clock: Clock,
        dropped: Callable[[], int],
    ) -> None:
        self._dropped = dropped
        self._settings = settings
        self._zones = zones
        self._clock = clock
        self._router: Router | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._router is not None and scope["type"] == "http":
            await self._router(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with opened(self._settings, clock=self._clock, dropped=self._dropped) as (
                parts,
                door,
            ):
                self._router = Router(parts, door, self._zones)
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except (BadKek, LedgerAway, WrongServer, ValueError) as error:
            if self._router is not None:
                raise
            sys.stderr.write(f"citygate: {error}\n")
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def opened(
    settings: Settings, *, clock: Clock, dropped: Callable[[], int] = lambda: 0
) -> AsyncIterator[tuple[Parts, Doorkeeper]]:
    """Everything that lives as long as the process, in the order it depends on.

    Raises:
        BadKek, LedgerAway, WrongServer, ValueError: it cannot start; the text says what to do.
    """
    production = settings.profile == "production"
    state = settings.state_dir.resolve()
    pages.read_footer(settings.footer_file)  # a mistake in it is said now, not on the first page
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(open_ledger(settings.ledger_url, clock=clock))
        keys = await open_keys(ledger, FileKek.load(settings.kek_path))
        volatile = await stack.enter_async_context(
            open_volatile(settings.volatile.get_secret_value())
        )
        board = Board(state / "run" / "health", clock)
        drops = Drops(ledger, keys, clock)
        stack.callback(drops.close)
        children = Children(
            clock=clock,
            report=board.report,
            accept_uncaged=settings.accept_uncaged,
            production=production,
        )
        stack.push_async_callback(children.close)
        departments = await stack.enter_async_context(
            open_departments(
                clock=clock,
                secrets=Secrets(settings.secrets_dir),
                networks=settings.allowed_networks,
                loopback=not production,
                workers=settings.workers,
                children=children,
                drops=drops,
                report=board.report,
            )
        )

        async def adopt(generation: Generation) -> None:
            await departments.adopt(generation.packages())
            metrics.REVISION.set(generation.revision)

        workshop = Workshop(state, settings.registry_environment, variables(), clock)
        live = Live(
            ledger=ledger,
            volatile=volatile,
            clock=clock,
            workshop=workshop,
            registry=settings.registry,
            plugins=settings.plugins,
            on_adopt=adopt,
        )
        copy = WorkingCopy(settings.registry, settings.plugins, state)
        publisher = Publisher(
            ledger, clock, workshop, live.announce, copy if settings.watching else None
        )

        async def forget(citizen: CitizenId) -> None:
            await cards.forget(citizen)

        sessions = Sessions(
            volatile=volatile,
            ledger=ledger,
            keys=keys,
            clock=clock,
            idle_minutes=settings.session_idle_min,
            hours=settings.session_hours,
            forgotten=forget,
        )
        providers = await stack.enter_async_context(
            open_providers(
                read_upstreams(settings),
                clock=clock,
                origin=settings.origin,
                loopback=not production,
            )
        )
        signin = SignIn(
            providers=providers, sessions=sessions, volatile=volatile, keys=keys, clock=clock
        )
        consents = Consents(ledger=ledger, clock=clock, forget=forget)
        disclosures = Disclosures(ledger=ledger, clock=clock)
        stack.push_async_callback(disclosures.flush)
        cards = Cards(
            departments_card=departments.card,
            volatile=volatile,
            keys=keys,
            clock=clock,
            agreements=consents.agreements,
            claims=sessions.claims,
            subject=keys.subject,
            disclosed=disclosures.note,
            render=render_item,
            report=board.report,
        )
        stack.push_async_callback(cards.close)
        tickets = Tickets(
            volatile=volatile,
            ledger=ledger,
            keys=keys,
            clock=clock,
            live=lambda: live.current,
            sessions=sessions.listed,
            claims=sessions.claims,
            disclosed=disclosures.note,
        )
        assertions = Assertions(
            volatile=volatile,
            keys=keys,
            clock=clock,
            origin=settings.origin,
            live=lambda: live.current,
        )
        staff = Staff(ledger=ledger, keys=keys, clock=clock)
        parts = Parts(
            settings=settings,
            clock=clock,
            ledger=ledger,
            volatile=volatile,
            keys=keys,
            live=live,
            publisher=publisher,
            watch_report=lambda: Report.load(state),
            departments=departments,
            cards=cards,
            search=Search(lambda: live.current),
            sessions=sessions,
            signin=signin,
            consents=consents,
            launches=Launches(
                volatile=volatile,
                ledger=ledger,
                keys=keys,
                clock=clock,
                agreements=consents.agreements,
                tickets=tickets,
                launched=cards.launched,
            ),
            tickets=tickets,
            disclosures=disclosures,
            preferences=Preferences(ledger=ledger, keys=keys, clock=clock),
            staff=staff,
            feedback=Feedback(
                ledger, keys.ledger, keys.for_citizen, clock, lambda: live.current.city.prefix
            ),
            board=board,
        )
        door = Doorkeeper(
            clock=clock,
            origin=settings.origin,
            secure=settings.origin.startswith("https://"),
            sessions=sessions,
            roles=staff.roles,
            prove=assertions.prove,
            bind=keys.blind,
            proxies=tuple(ipaddress.ip_network(n) for n in settings.trusted_proxies),
        )
        await asyncio.gather(live.start(), asyncio.to_thread(pages.warm))
        leader = Leader(ledger, state, clock, holder=new_id(clock))
        board.facts = lambda: {
            "pid": os.getpid(),
            "revision": live.current.revision,
            "leads": leader.leads,
            "plugins": departments.health(),
            "volatile": volatile.up,
            "log_dropped": _counted(dropped()),
        }
        children.start()
        watch = Watch(publisher=publisher, copy=copy, clock=clock, publishing=settings.watching)
        work: dict[str, Work] = {
            "registry": live.follow,
            "sessions": sessions.follow,
            "disclosures": disclosures.follow,
            "withdrawals": Tail(cards=cards, ledger=ledger, volatile=volatile, clock=clock).follow,
            "board": lambda: every(clock, _BOARD_SECONDS, lambda: asyncio.to_thread(board.write)),
            "leader": lambda: _lead(leader, parts, watch, drops),
        }
        await stack.enter_async_context(Background(clock, work))
        yield parts, door


def _counted(dropped: int) -> int:
    """Lost log lines, for the metrics as well as for the board."""
    metrics.LOG_DROPPED.set(dropped)
    return dropped


async def _lead(leader: Leader, parts: Parts, watch: Watch, drops: Drops) -> None:
    """What one worker does for all, as long as it leads."""
    clock, live = parts.clock, parts.live

    async def take_in() -> None:
        for package in live.current.packages().values():
            if package.recipe is not None and package.recipe.drop is not None:
                try:
                    await drops.take_in(package)
                except DropRefused as refused:
                    parts.board.report(package.id, "contract", str(refused))
                except LedgerAway:
                    return  # the files wait; the next round takes them

    async def public() -> None:
        await parts.cards.refresh_public(live.current)

    async def sweep_out() -> None:
        with suppress(Away):
            await sweep(parts.volatile, clock.now(), _SWEPT)
            await parts.tickets.sweep()  # visits are no plain values

    async with leader.turn() as lost:
        _log.info("leader.began")
        tasks = [
            asyncio.create_task(one)
            for one in (
                watch.run(),
                every(clock, _DROPS_SECONDS, take_in),
                every(clock, _PUBLIC_SECONDS, public),
                every(clock, _SWEEP_SECONDS, sweep_out),
                _until(lost),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            _log.info("leader.ended")


async def _until(event: asyncio.Event) -> None:
    await event.wait()
