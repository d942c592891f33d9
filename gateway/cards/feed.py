"""The feed: every service as one viewer sees it now, whatever is down.

A request takes one generation, decides the gate states, reads once, asks side by side what is
missing, and answers within its budget; what comes later lands by itself (design 11).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import structlog

from gateway.cards.asking import Render, Tools, asking_for_everybody
from gateway.cards.assembly import Assembly
from gateway.cards.coalesce import Flights, Full
from gateway.cards.copies import Copies
from gateway.cards.fetch import (
    Agreements,
    AskDepartment,
    Brought,
    Claims,
    Fetch,
    Question,
    Report,
)
from gateway.cards.forgotten import Forgotten
from gateway.cards.gates import gate, listed, shown_now
from gateway.cards.item import Feed, Item
from gateway.cards.public import Public
from gateway.cards.rows import Row, Rows
from gateway.cards.state import State
from gateway.cards.viewer import Viewer
from gateway.clock import Clock, instant
from gateway.contract.ids import CitizenId, PluginId, ServiceId
from gateway.observe.metrics import card_child
from gateway.registry.entry import Entry
from gateway.registry.generation import Generation
from gateway.store.away import Away
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile
from gateway.words.loader import LANGUAGES

_log = structlog.get_logger(__name__)


def _unheard(plugin: str, reason: str, what: str) -> None:
    """Where nobody keeps a health page, the log alone tells of bad answers."""


class Cards:
    """Everything that shows cards asks here; one in each worker."""

    def __init__(  # noqa: PLR0913 - everything that a feed stands on
        self,
        *,
        departments_card: AskDepartment,
        volatile: Volatile,
        keys: Keys,
        clock: Clock,
        agreements: Agreements,
        claims: Claims,
        subject: Callable[[str, str], str],
        disclosed: Callable[[CitizenId, Entry, Collection[str]], None],
        render: Render | None = None,
        report: Report = _unheard,
    ) -> None:
        """Take what lies beside and below as plain callables."""
        self._clock = clock
        self._volatile = volatile
        self._rows = Rows()
        self._copies = Copies(volatile, keys.volatile)
        self._forgotten = Forgotten(clock)
        fetch = Fetch(
            departments_card=departments_card,
            copies=self._copies,
            forgotten=self._forgotten,
            clock=clock,
            agreements=agreements,
            claims=claims,
            subject=subject,
            disclosed=disclosed,
            report=report,
        )
        self._tools = Tools(
            clock=clock,
            copies=self._copies,
            forgotten=self._forgotten,
            public=Public(volatile, self._copies.states),
            fetch=fetch,
            flights=Flights(clock.monotonic, worth_keeping=_worth_keeping),
            agreements=agreements,
            render=render,
        )

    async def feed(
        self,
        generation: Generation,
        viewer: Viewer,
        *,
        services: Sequence[ServiceId] | None = None,
        topic: str | None = None,
        seconds: float,
        fragments: bool = False,
    ) -> Feed:
        """Every service that the viewer may see, in showing order; never raises for a department.

        Args:
            generation: the one that this request took.
            viewer: who looks, from where, in which language.
            services: only these; what is absent in lists is explained then, unknown and hidden
                ones are left out.
            topic: only services of this topic.
            seconds: how long departments may be waited for; 0: nobody is asked.
            fragments: also give each item its HTML where it can be kept.
        """
        rows = await self._rows.chosen(generation, viewer.language, services, topic)
        assembly = Assembly(
            self._tools,
            generation,
            viewer,
            rows,
            explicit=services is not None,
            fragments=fragments,
        )
        items = await assembly.items(seconds)
        for code, count in Counter([item.state.code for item in items]).items():
            card_child(code).inc(count)
        return Feed(items, generation.revision)

    async def one(
        self,
        generation: Generation,
        viewer: Viewer,
        service: ServiceId,
        *,
        seconds: float,
        fragments: bool = False,
    ) -> Item | None:
        """One service as the viewer sees it; None: unknown or hidden, the same 404."""
        feed = await self.feed(
            generation, viewer, services=(service,), seconds=seconds, fragments=fragments
        )
        return feed.items[0] if feed.items else None

    async def visible(self, generation: Generation, viewer: Viewer) -> frozenset[ServiceId]:
        """Services that stand in the viewer's lists, whatever their state; for search and topics."""
        now = instant(self._clock.now())
        rows = await self._rows.all(generation, viewer.language)
        return frozenset(
            row.entry.id for row in rows if row.plain or listed(shown_now(row.entry, now), viewer)
        )

    async def glance(
        self, generation: Generation, viewer: Viewer, services: Collection[ServiceId]
    ) -> dict[ServiceId, State | None]:
        """Of these services those in the viewer's lists, with the state 1-10 that holds, if one does.

        Nothing is read and nobody is asked.
        """
        now = self._clock.now()
        moment = instant(now)
        found: dict[ServiceId, State | None] = {}
        for row in await self._rows.chosen(generation, viewer.language, services, None):
            if row.plain or listed(shown_now(row.entry, moment), viewer):
                found[row.entry.id] = gate(row.entry, viewer, None, now)
        return found

    async def forget(self, citizen: CitizenId) -> None:
        """Remove everything fetched for her; what is in the air lands nowhere.

        Call it after the ledger has committed the withdrawal, step-down or sign-out. Where Valkey
        is away it holds in this worker at once and is made up for as soon as it is back.
        """
        self._forgotten.mark(citizen)
        self._forgotten.owed.add(citizen)
        self._tools.flights.drop_unseen(lambda key: isinstance(key, tuple) and key[0] == citizen)
        await self._pay(citizen)

    async def heard(self, citizen: CitizenId, at: int) -> None:
        """The ledger says that something of hers was withdrawn at `at` (microseconds).

        For the worker that did not do it itself; hearing it twice costs nothing.
        """
        if self._forgotten.known(citizen, at):
            return
        self._forgotten.mark(citizen, at)
        if not self._volatile.up:
            self._forgotten.owed.add(citizen)

    async def make_up(self, citizens: Collection[CitizenId] = ()) -> None:
        """Do what Valkey could not do before, and the same for `citizens`."""
        for citizen in citizens:
            self._forgotten.mark(citizen)
            self._forgotten.owed.add(citizen)
        for citizen in tuple(self._forgotten.owed):
            if not await self._pay(citizen):
                return

    async def _pay(self, citizen: CitizenId) -> bool:
        try:
            await self._copies.forget(citizen)
        except Away as away:
            _log.warning("cards.forget_owed", reason=str(away))
            return False
        self._forgotten.owed.discard(citizen)
        return True

    async def launched(self, citizen: CitizenId, service: ServiceId) -> None:
        """She went over there: her copy of this service is asked for again at the next view."""
        try:
            await self._copies.ask_again(citizen, service, self._clock.now())
        except Away as away:
            # The copy is as far away as the mark; what comes back with the store is at most one
            # fresh window old.
            _log.warning("cards.launch_not_marked", service=service, reason=str(away))

    async def refresh_public(self, generation: Generation) -> None:
        """Ask for the cards of everybody whose fresh window ends soon; the leader calls this."""
        now = self._clock.now()
        for language in LANGUAGES:
            for row in await self._rows.all(generation, language):
                if row.public and row.entry.parked is None and self._due(row, now):
                    await self._refresh(generation, row)

    def _due(self, row: Row, now: int) -> bool:
        known = self._tools.public.recall(row, now)
        return known is None or now >= known.fresh_until - int(row.entry.fresh * 1e6 / 4)

    async def _refresh(self, generation: Generation, row: Row) -> None:
        try:
            package = generation.package(PluginId(row.entry.plugin or ""))
        except KeyError:
            return
        words = package.words.get(row.language, {})
        question = Question(row.entry, row.field, row.language, words, "")
        key = ("", b"", row.field)
        try:
            flight = self._tools.flights.join(
                key, lambda: asking_for_everybody(self._tools, row, question)
            )
        except Full:
            return
        try:
            brought = await asyncio.shield(flight)
        finally:
            self._tools.flights.leave(key)
        if brought.failed is not None:
            _log.info("cards.not_refreshed", service=row.entry.id, reason=brought.failed.reason)

    async def close(self) -> None:
        """End what is in the air."""
        await self._tools.flights.close()


def _worth_keeping(brought: Brought) -> bool:
    """What landed in the store need not be kept beside it."""
    return not brought.kept and not brought.void
