"""One request's feed: gate states first, one read, the missing ones asked side by side, assembled.

Nothing here outlives the request; flights do, and land late.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from gateway.cards.coalesce import Flights, Full
from gateway.cards.copies import Copies, Copy, Shelf
from gateway.cards.fetch import Agreements, Brought, Fetch, Question
from gateway.cards.forgotten import Forgotten
from gateway.cards.gates import consent_gate, gate, listed, personal_gate, shown_now
from gateway.cards.item import Item
from gateway.cards.present import gated, pending, plugin_sentence, unavailable
from gateway.cards.public import Public
from gateway.cards.rows import Row
from gateway.cards.state import State
from gateway.cards.viewer import Me, Viewer
from gateway.clock import Clock, instant
from gateway.contract.citizen import Citizen
from gateway.contract.ids import PluginId
from gateway.hosting.outcome import Failed, Reason
from gateway.observe.metrics import STORE_AWAY
from gateway.registry.generation import Generation
from gateway.store.away import Away, LedgerAway
from gateway.store.volatile import Command
from gateway.words.loader import Language

_log = structlog.get_logger(__name__)
_NOBODY: Final = Me()
Render = Callable[[Item, Language], bytes]


@dataclass(frozen=True, slots=True)
class Tools:
    """What all requests of a worker share."""

    clock: Clock
    copies: Copies
    forgotten: Forgotten
    public: Public
    fetch: Fetch
    flights: Flights[Brought]
    agreements: Agreements
    render: Render | None


@dataclass(slots=True)
class Asked:
    """One item that waits for its department."""

    at: int
    row: Row
    badges: tuple[str, ...]
    copy: Copy | None = None
    key: object = None
    flight: "asyncio.Task[Brought] | None" = None
    brought: Brought | None = None


class Assembly:
    """One feed in the making."""

    def __init__(
        self,
        tools: Tools,
        generation: Generation,
        viewer: Viewer,
        rows: Sequence[Row],
        *,
        explicit: bool,
        fragments: bool,
    ) -> None:
        self._tools = tools
        self._generation = generation
        self._viewer = viewer
        self._rows = rows
        self._explicit = explicit  # asked for by name: what is absent in lists is explained
        self._fragments = fragments and tools.render is not None
        self._now = tools.clock.now()
        self._items: list[Item | None] = [None] * len(rows)
        self._hers: list[Asked] = []
        self._everybodys: list[Asked] = []
        self._epoch = b""
        self._me: Me | None = None
        self._away = False
        self._copies: list[tuple[int, Row, Copy]] = []  # items whose HTML may be kept
        self._painted: dict[str, bytes | None] = {}

    async def items(self, until: float) -> tuple[Item, ...]:
        """Every item; waits for departments until `until` (monotonic) and no longer."""
        for at, row in enumerate(self._rows):
            self._items[at] = self._early(at, row)
        if self._hers or self._everybodys:
            await self._read()
            missing = self._from_store()
            if missing:
                await self._ask(missing, until)
            if self._fragments:
                await self._paint()
        if self._fragments:
            self._paint_sheets()
        return tuple(item for item in self._items if item is not None)

    # ---- before anything is read

    def _early(self, at: int, row: Row) -> Item | None:
        """The item, where neither store nor department is needed; else it is noted as wanted."""
        viewer = self._viewer
        badges: tuple[str, ...] = ()
        if row.plain:
            if row.personal and (state_item := self._by_session(row)) is not None:
                return state_item
        else:
            shown = shown_now(row.entry, instant(self._now))
            if not self._may_show(listed(shown, viewer), hidden=shown.state.value == "hidden"):
                return None
            badges = row.badges(self._now)
            state = gate(row.entry, viewer, None, self._now)
            if state is not None:
                return gated(row.entry, state, shown, badges, viewer.language)
        return self._wanted(at, row, badges)

    def _may_show(self, in_lists: bool, *, hidden: bool) -> bool:
        return in_lists or (self._explicit and not hidden)

    def _by_session(self, row: Row) -> Item | None:
        viewer = self._viewer
        if viewer.citizen is None:
            known = row.signed_out.get(viewer.store_away)
            if known is None:
                known = self._gated(row, (), None)
                if known is not None:
                    row.signed_out[viewer.store_away] = known
            return known
        if viewer.citizen.level < row.entry.level or row.entry.proxy == "only":
            return self._gated(row, (), None)
        return None

    def _gated(self, row: Row, badges: tuple[str, ...], state: State | None) -> Item | None:
        viewer = self._viewer
        state = state or personal_gate(row.entry, viewer, None)
        if state is None:
            return None
        shown = shown_now(row.entry, instant(self._now))
        return gated(row.entry, state, shown, badges, viewer.language)

    def _wanted(self, at: int, row: Row, badges: tuple[str, ...]) -> Item | None:
        if row.entry.parked is not None and (row.personal or row.public):
            return self._unavailable(row, badges, Failed(Reason.PARKED))
        if row.personal:
            self._hers.append(Asked(at, row, badges))
            return None
        if row.public:
            return self._public_early(Asked(at, row, badges))
        return row.sheet(badges, self._now)

    def _public_early(self, asked: Asked) -> Item | None:
        copy = self._tools.public.recall(asked.row, self._now)
        if copy is not None and self._now < copy.fresh_until:
            self._copies.append((asked.at, asked.row, copy))
            return asked.row.live(copy, asked.badges)
        asked.copy = copy
        self._everybodys.append(asked)
        return None

    # ---- one read

    async def _read(self) -> None:
        """One round trip; where the store is away, the ledger says what she agreed to."""
        tools, citizen = self._tools, self._viewer.citizen
        also = [tools.public.command(asked.row) for asked in self._everybodys]
        if citizen is None or not self._hers:
            await self._read_public(also)
            return
        if citizen.id in tools.forgotten.owed and not await self._settled(citizen):
            self._away = True
            await self._know_her(citizen, None)
            return
        fields = [asked.row.field for asked in self._hers]
        services = [asked.row.entry.id for asked in self._hers] if self._fragments else []
        try:
            shelf, replies = await tools.copies.shelf(
                citizen.id, fields, self._viewer.language, services, *also
            )
        except Away:
            self._store_away()
            shelf, replies = None, []
        self._take_public(replies)
        if shelf is not None:
            self._painted = dict(zip(services, shelf.fragments, strict=False))
            self._take_hers(citizen, shelf)
        await self._know_her(citizen, shelf)

    async def _read_public(self, also: Sequence[Command]) -> None:
        try:
            replies = await self._tools.copies.others(*also)
        except Away:
            self._store_away()
            return
        self._take_public(replies)

    def _take_public(self, replies: Sequence[Any]) -> None:
        for asked, value in zip(self._everybodys, replies, strict=False):
            asked.copy = self._tools.public.take(asked.row, value, self._now)

    def _take_hers(self, citizen: Citizen, shelf: Shelf) -> None:
        open_copy, now = self._tools.copies.open, self._now
        for asked, value in zip(self._hers, shelf.values, strict=True):
            if value is None:
                continue
            copy = open_copy(citizen.id, asked.row.field, value, now)
            if copy is not None and copy.asked <= shelf.again.get(asked.row.entry.id, -1):
                copy.fresh_until = 0  # she was over there since
            asked.copy = copy

    async def _settled(self, citizen: Citizen) -> bool:
        """Whether what she is owed could be done now."""
        try:
            await self._tools.copies.forget(citizen.id)
        except Away:
            self._store_away()
            return False
        self._tools.forgotten.owed.discard(citizen.id)
        return True

    async def _know_her(self, citizen: Citizen, shelf: Shelf | None) -> None:
        """Her consents and her epoch: as kept, else from the ledger, then kept under the epoch."""
        copies = self._tools.copies
        if shelf is not None and shelf.epoch:
            self._epoch = shelf.epoch
            kept = copies.me(citizen.id, shelf.me)
            if kept is not None:
                self._me = Me(kept)
                return
        try:
            if not self._away and not self._epoch:
                self._epoch = await copies.begin(citizen.id)
        except Away:
            self._store_away()
        try:
            agreements = await self._tools.agreements(citizen.id)
        except LedgerAway:
            STORE_AWAY.labels("ledger").inc()
            return
        self._me = Me(agreements)
        if not self._away and self._epoch:
            with suppress(Away):
                await copies.keep_me(citizen.id, self._epoch, agreements)

    def _store_away(self) -> None:
        STORE_AWAY.labels("volatile").inc()
        self._away = True

    # ---- what the store had

    def _from_store(self) -> list[Asked]:
        missing: list[Asked] = []
        viewer, now = self._viewer, self._now
        for asked in self._hers:
            if self._me is None:
                self._items[asked.at] = self._unavailable(asked.row, asked.badges, None)
                continue
            state = consent_gate(asked.row.entry, viewer, self._me)
            if state is not None:
                self._items[asked.at] = self._gated(asked.row, asked.badges, state)
            elif not self._fresh(asked, now):
                missing.append(asked)
        missing += [asked for asked in self._everybodys if not self._fresh(asked, now)]
        return missing

    def _fresh(self, asked: Asked, now: int) -> bool:
        copy = asked.copy
        if copy is None or now >= copy.fresh_until:
            return False
        self._items[asked.at] = asked.row.live(copy, asked.badges)
        self._copies.append((asked.at, asked.row, copy))
        return True

    # ---- asking departments

    async def _ask(self, missing: Sequence[Asked], until: float) -> None:
        clock, flights = self._tools.clock, self._tools.flights
        joined: list[Asked] = []
        try:
            for asked in missing:
                self._join(asked)
                if asked.flight is not None:
                    joined.append(asked)
            in_air = {asked.flight for asked in joined if asked.flight is not None}
            left = until - clock.monotonic()
            if in_air and left > 0:
                with suppress(TimeoutError):
                    async with clock.within(left):
                        await asyncio.wait(in_air)
        finally:
            for asked in joined:
                flights.leave(asked.key)
        for asked in missing:
            if asked.flight is not None and asked.flight.done():
                asked.brought = _result(asked.flight)
            self._items[asked.at] = self._answered(asked)

    def _join(self, asked: Asked) -> None:
        flights, citizen = self._tools.flights, self._viewer.citizen
        row = asked.row
        hers = citizen is not None and row.personal
        asked.key = (
            citizen.id if hers and citizen else "",
            self._epoch if hers else b"",
            row.field,
        )
        if asked.copy is not None and asked.copy.fresh_until == 0:
            asked.key = (*asked.key, asked.copy.mark)  # not a flight from before she was there
        asked.brought = flights.unseen(asked.key)
        if asked.brought is not None:
            return
        words = self._words(row)
        if words is None:
            asked.brought = Brought(failed=Failed(Reason.PARKED))
            return
        question = Question(row.entry, row.field, row.language, words, self._viewer.trace)
        fetch, epoch = self._tools.fetch, self._epoch
        try:
            if hers and citizen is not None:
                asked.flight = flights.join(
                    asked.key, lambda: fetch.personal(question, citizen, epoch)
                )
            else:
                asked.flight = flights.join(
                    asked.key, lambda: asking_for_everybody(self._tools, row, question)
                )
        except Full:
            asked.brought = Brought(failed=Failed(Reason.BUSY))

    def _words(self, row: Row) -> Mapping[str, str] | None:
        try:
            package = self._generation.package(PluginId(row.entry.plugin or ""))
        except KeyError:
            return None
        return package.words.get(row.language, {})

    def _answered(self, asked: Asked) -> Item:
        """What came of asking: an answer, else a copy with its own state, else in words why not."""
        row, badges, brought, language = (
            asked.row,
            asked.badges,
            asked.brought,
            self._viewer.language,
        )
        if brought is not None and brought.copy is not None:
            self._copies.append((asked.at, row, brought.copy))
            return row.live(brought.copy, badges)
        if brought is not None and brought.refused is not None:
            state = consent_gate(row.entry, self._viewer, Me(brought.refused))
            item = self._gated(row, badges, state)
            return item or pending(row.entry, badges, language)
        if brought is not None and brought.void:
            return pending(row.entry, badges, language)
        failed = brought.failed if brought is not None else None
        if asked.copy is not None:
            reason = failed.reason if failed is not None else Reason.TIMEOUT
            self._copies.append((asked.at, row, asked.copy))
            return row.copied(asked.copy, badges, reason)
        if brought is None:
            return pending(row.entry, badges, language)
        return self._unavailable(row, badges, failed)

    def _unavailable(self, row: Row, badges: tuple[str, ...], failed: Failed | None) -> Item:
        viewer = self._viewer
        said = ""
        if failed is not None and failed.words is not None:
            said = plugin_sentence(failed, self._words(row) or {}, viewer.language)
        return unavailable(
            row.entry,
            failed,
            badges=badges,
            language=viewer.language,
            trace=viewer.trace,
            now=self._now,
            said=said,
        )

    # ---- HTML

    async def _paint(self) -> None:
        """Take kept HTML where it is of this version; make and keep what is missing."""
        tools, citizen, language = self._tools, self._viewer.citizen, self._viewer.language
        made: list[tuple[str, bytes, bytes]] = []
        for at, row, copy in self._copies:
            item = self._items[at]
            if item is None or tools.render is None:
                continue
            version = _version(item, copy)
            if row.public:
                item.fragment = tools.public.fragment(version)
                if item.fragment is None:
                    item.fragment = tools.render(item, language)
                    tools.public.paint(version, item.fragment)
            elif citizen is not None:
                kept = self._painted.get(row.entry.id)
                item.fragment = tools.copies.fragment(
                    citizen.id, language, row.entry.id, kept, version
                )
                if item.fragment is None:
                    item.fragment = tools.render(item, language)
                    made.append((row.entry.id, version, item.fragment))
        if made and citizen is not None and self._epoch and not self._away:
            with suppress(Away):
                await tools.copies.paint(citizen.id, self._epoch, language, made)

    def _paint_sheets(self) -> None:
        """What is the same for everybody keeps its HTML on the item itself."""
        render = self._tools.render
        for item in self._items:
            if render is not None and item is not None and item.whole_json is not None:
                item.fragment = item.fragment or render(item, self._viewer.language)


async def asking_for_everybody(tools: Tools, row: Row, question: Question) -> Brought:
    """A flight for a card that is the same for everybody."""
    brought = await tools.fetch.everybody(question)
    if brought.copy is not None:
        await tools.public.keep(row, brought.copy)
    return brought


def _result(flight: "asyncio.Task[Brought]") -> Brought:
    """A flight's result; one that broke by a mistake of ours counts as failed (it was logged)."""
    if flight.cancelled() or flight.exception() is not None:
        return Brought(failed=Failed(Reason.PLUGIN))
    return flight.result()


def _version(item: Item, copy: Copy) -> bytes:
    """Everything that an item's HTML is made of, as 16 bytes."""
    freshness = item.freshness
    how = f"{freshness.source}:{freshness.reason}".encode() if freshness is not None else b""
    said = b"\0".join((copy.mark, how, item.tail_json or b"", item.entry.digest.encode()))
    return hashlib.blake2b(said, digest_size=16).digest()
