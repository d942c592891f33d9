"""One request's feed: gate states first, one read, the missing ones asked, assembled.

Nothing here outlives the request; flights do, and land late. What is warm takes the shortest way:
no model, no parsing, no waiting for single items.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from gateway.cards.asking import Asked, Asking, Tools
from gateway.cards.copies import Copy, Kept, Shelf
from gateway.cards.gates import gate, hidden, listed, shown_now
from gateway.cards.item import Item
from gateway.cards.painting import paint, paint_sheets
from gateway.cards.present import gated
from gateway.cards.rows import Row
from gateway.cards.viewer import Viewer
from gateway.clock import instant
from gateway.contract.citizen import Citizen
from gateway.hosting.outcome import Failed, Reason
from gateway.observe.metrics import STORE_AWAY
from gateway.registry.generation import Generation
from gateway.store.away import Away, LedgerAway
from gateway.store.volatile import Command

_NOTHING: Mapping[str, int] = {}


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
        self._viewer = viewer
        self._rows = rows
        self._explicit = explicit  # asked for by name: what is absent in lists is explained
        self._fragments = fragments and tools.render is not None
        self._now = tools.clock.now()
        self._asking = Asking(tools, generation, viewer, self._now)
        self._items: list[Item | None] = [None] * len(rows)
        self._hers: list[tuple[int, Row]] = []
        self._everybodys: list[Asked] = []
        self._epoch = b""
        self._kept: Kept | None = None  # her consents; None: not known
        self._shelf: Shelf | None = None
        self._away = False
        self._copies: list[tuple[int, Row, Copy]] = []  # items whose HTML may be kept

    async def items(self, seconds: float) -> tuple[Item, ...]:
        """Every item; waits for departments so long and no longer. With 0 nobody is asked."""
        until = self._tools.clock.monotonic() + seconds
        for at, row in enumerate(self._rows):
            self._items[at] = self._early(at, row)
        if self._hers or self._everybodys:
            await self._read()
            missing = self._from_store()
            if missing:
                if seconds > 0:
                    await self._asking.ask(missing, self._epoch, until)
                for asked in missing:
                    self._items[asked.at] = self._asking.answered(asked)
                    if asked.copy is not None:
                        self._copies.append((asked.at, asked.row, asked.copy))
        if self._fragments:
            await self._paint()
        return tuple([item for item in self._items if item is not None])

    # ---- before anything is read

    def _early(self, at: int, row: Row) -> Item | None:
        """The item, where neither store nor department is needed; else it is noted as wanted."""
        viewer = self._viewer
        badges: tuple[str, ...] = ()
        if row.plain:
            if row.personal and (item := self._by_session(row)) is not None:
                return item
        else:
            moment = instant(self._now)
            shown = shown_now(row.entry, moment)
            if not listed(shown, viewer) and (hidden(shown) or not self._explicit):
                return None
            badges = row.badges(self._now)
            state = gate(row.entry, viewer, None, self._now)
            if state is not None:
                return gated(row.entry, state, shown, badges, viewer.language)
        if row.parked:
            return self._asking.unavailable(row, badges, Failed(Reason.PARKED))
        if row.personal:
            self._hers.append((at, row))
            return None
        if row.public:
            return self._public_early(Asked(at, row, badges))
        return row.sheet(badges, self._now)

    def _by_session(self, row: Row) -> Item | None:
        viewer = self._viewer
        if viewer.citizen is None:
            known = row.signed_out.get(viewer.store_away)
            if known is None:
                known = self._asking.gated(row, ())
                if known is not None:
                    row.signed_out[viewer.store_away] = known
            return known
        if viewer.citizen.level < row.level or row.by_proxy:
            return self._asking.gated(row, ())
        return None

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
            await self._know_her(citizen)
            return
        fields = [row.field for _, row in self._hers]
        services = [row.entry.id for _, row in self._hers] if self._fragments else []
        try:
            self._shelf, replies = await tools.copies.shelf(
                citizen.id, fields, self._viewer.language, services, *also
            )
            self._take_public(replies)
        except Away:
            self._store_away()
        await self._know_her(citizen)

    async def _read_public(self, also: Sequence[Command]) -> None:
        try:
            self._take_public(await self._tools.copies.others(*also))
        except Away:
            self._store_away()

    def _take_public(self, replies: Sequence[Any]) -> None:
        for asked, value in zip(self._everybodys, replies, strict=True):
            asked.copy = self._tools.public.take(asked.row, value, self._now)

    async def _settled(self, citizen: Citizen) -> bool:
        """Whether what she is owed could be done now."""
        try:
            await self._tools.copies.forget(citizen.id)
        except Away:
            self._store_away()
            return False
        self._tools.forgotten.owed.discard(citizen.id)
        return True

    async def _know_her(self, citizen: Citizen) -> None:
        """Her consents and her epoch: as kept, else from the ledger, then kept under the epoch."""
        copies, shelf = self._tools.copies, self._shelf
        if shelf is not None and shelf.epoch:
            self._epoch = shelf.epoch
            self._kept = copies.me(citizen.id, shelf.me)
            if self._kept is not None:
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
        self._kept = Kept.of(agreements)
        if not self._away and self._epoch:
            with suppress(Away):
                await copies.keep_me(citizen.id, self._epoch, self._kept)

    def _store_away(self) -> None:
        STORE_AWAY.labels("volatile").inc()
        self._away = True

    # ---- what the store had

    def _from_store(self) -> list[Asked]:
        """Items of everything that is fresh; what is left has to be asked."""
        missing = self._hers_from_store() if self._hers else []
        for asked in self._everybodys:
            copy = asked.copy
            if copy is None or self._now >= copy.fresh_until:
                missing.append(asked)
            else:
                self._items[asked.at] = asked.row.live(copy, asked.badges)
                self._copies.append((asked.at, asked.row, copy))
        return missing

    def _hers_from_store(self) -> list[Asked]:
        citizen, shelf, kept, now = self._viewer.citizen, self._shelf, self._kept, self._now
        values: Sequence[bytes | None] = shelf.values if shelf else [None] * len(self._hers)
        again = shelf.again if shelf else _NOTHING
        open_copy = self._tools.copies.opener(citizen.id if citizen else "")
        missing: list[Asked] = []
        for (at, row), value in zip(self._hers, values, strict=True):
            if kept is None:
                self._items[at] = self._asking.unavailable(row, row.badges(now), None)
                continue
            if not row.covered(kept.rows.get(row.entry.id)):
                self._items[at] = row.needs_consent(kept, self._viewer, now)
                continue
            copy = open_copy(row.field, value, now) if value is not None else None
            if copy is not None and now < copy.fresh_until:
                if not again or copy.asked > again.get(row.entry.id, -1):
                    self._items[at] = row.live(copy, row.badges(now))
                    self._copies.append((at, row, copy))
                    continue
                missing.append(Asked(at, row, row.badges(now), copy, again=True))
                continue
            missing.append(Asked(at, row, row.badges(now), copy))
        return missing

    async def _paint(self) -> None:
        tools, viewer, shelf = self._tools, self._viewer, self._shelf
        shown = [
            (item, row, copy)
            for at, row, copy in self._copies
            if (item := self._items[at]) is not None
        ]
        kept: dict[str, bytes | None] = {}
        if shelf is not None and shelf.fragments:
            names = (row.entry.id for _, row in self._hers)
            kept = dict(zip(names, shelf.fragments, strict=True))
        await paint(tools, viewer, shown, kept, b"" if self._away else self._epoch)
        paint_sheets(tools, viewer, self._items)
