"""What is known of a service before anybody looks: made once for each entry and language."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final

from gateway.cards.body import Maker
from gateway.cards.copies import Copy, Kept, agreement_in
from gateway.cards.gates import about_citizen, badges_of, consent_gate, shown_now
from gateway.cards.item import Action, Freshness, Item, envelope, head_json, tail_json
from gateway.cards.present import answer_actions, gated
from gateway.cards.state import Code
from gateway.cards.viewer import Me, Viewer
from gateway.clock import instant, microseconds
from gateway.contract.ids import ServiceId
from gateway.registry.agreed import agreed
from gateway.registry.entry import Entry, Visibility
from gateway.registry.generation import Generation
from gateway.words.loader import Language

_KINDS: Final = 64  # kinds of consent remembered
_AT_ONCE: Final = 100  # rows made before others get their turn
_Tail = tuple[tuple[Action, ...], bytes]


class Row:
    """One entry in one language, with everything about it that no viewer changes."""

    __slots__ = (
        "_covered", "_day", "_head", "_sheets", "_tails", "by_proxy", "entry", "field",
        "language", "level", "parked", "personal", "plain", "public", "signed_out",
    )  # fmt: skip

    def __init__(self, entry: Entry, language: Language) -> None:
        self.entry = entry
        self.language: Language = language
        self.field = f"{entry.id}:{language}:{entry.digest}"
        self.personal = about_citizen(entry)
        self.public = entry.public_card and entry.plugin is not None
        # Plain: no rule of time, place or host, so only the session decides.
        self.plain = (
            len(entry.shown) == 1
            and entry.shown[0].state is Visibility.PUBLISHED
            and entry.shown[0].since is None
            and entry.hours is None
            and not entry.maintenance
            and entry.min_host is None
            and not entry.region
        )
        self.parked = entry.parked is not None and (self.personal or self.public)
        self.level = entry.level
        self.by_proxy = entry.proxy == "only"
        self.signed_out: dict[bool, Item] = {}
        self._head = head_json(entry)
        self._covered: dict[tuple[str, ...], bool] = {}
        self._tails: dict[tuple[Code, bool, tuple[str, ...]], _Tail] = {}
        self._sheets: dict[tuple[str, ...], Item] = {}
        self._day = -1

    def tail(self, code: Code, badges: tuple[str, ...], *, copy: bool) -> _Tail:
        """Buttons, and their JSON with the badges."""
        key = (code, copy, badges)
        tail = self._tails.get(key)
        if tail is None:
            actions = answer_actions(self.entry, code, self.language, copy=copy)
            tail = self._tails[key] = (actions, tail_json(badges, actions))
        return tail

    def covered(self, kept: Sequence[Any] | None) -> bool:
        """Whether a consent as it is kept covers what is asked today; judged once for each kind."""
        if kept is None:
            return not self.entry.data
        key = (kept[0], *kept[1])
        known = self._covered.get(key)
        if known is None:
            if len(self._covered) >= _KINDS:
                self._covered.clear()
            known = self._covered[key] = agreed(self.entry, agreement_in(kept))
        return known

    def needs_consent(self, kept: Kept, viewer: Viewer, now: int) -> Item | None:
        """The item that asks for her consent."""
        state = consent_gate(self.entry, viewer, Me(kept.agreements()))
        if state is None:
            return None
        shown = shown_now(self.entry, instant(now))
        return gated(self.entry, state, shown, self.badges(now), self.language)

    def live(self, copy: Copy, badges: tuple[str, ...]) -> Item:
        """An item of what was answered within its fresh window."""
        return self._item(copy, badges, Freshness("live", copy.as_of, None, copy.as_of_text))

    def copied(self, copy: Copy, badges: tuple[str, ...], reason: str | None) -> Item:
        """An item of an older answer, with its own state."""
        return self._item(copy, badges, Freshness("copy", copy.as_of, reason, copy.as_of_text))

    def _item(self, copy: Copy, badges: tuple[str, ...], freshness: Freshness) -> Item:
        state = copy.state
        actions, tail = self.tail(state.code, badges, copy=freshness.source == "copy")
        return Item(
            self.entry, state, actions, badges, freshness, copy.body, "", None,
            self._head, copy.state_json, tail,
        )  # fmt: skip

    def sheet(self, badges: tuple[str, ...], now: int) -> Item:
        """The item of a service that shows no data; it is as of today."""
        day = instant(now).toordinal()
        if day != self._day:
            self._sheets.clear()
            self._day = day
        item = self._sheets.get(badges)
        if item is None:
            morning = instant(now).replace(hour=0, minute=0, second=0, microsecond=0)
            made = Maker(self.entry, self.language, {}, microseconds(morning)).sheet()
            actions, tail = self.tail(Code.READY, badges, copy=False)
            item = Item(self.entry, made.state, actions, badges, body=made.body, tail_json=tail)
            item.whole_json = envelope(item)
            self._sheets[badges] = item
        return item

    def badges(self, now: int) -> tuple[str, ...]:
        """At most two of trial, gray, new."""
        if self.plain:
            return ()
        moment = instant(now)
        return badges_of(self.entry, shown_now(self.entry, moment), moment)


class Rows:
    """Rows of the generations that are served; unchanged entries keep theirs."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._lists: dict[Language, tuple[Generation, list[Row]]] = {}

    async def all(self, generation: Generation, language: Language) -> Sequence[Row]:
        """A row for each service in showing order, hidden ones too."""
        known = self._lists.get(language)
        if known is not None and known[0] is generation:
            return known[1]
        rows: list[Row] = []
        for made, service in enumerate(generation.services):
            row = self.one(generation, service, language)
            if row is not None:
                rows.append(row)
            if made % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        self._lists[language] = (generation, rows)
        self._keep_only(generation)
        return rows

    def one(self, generation: Generation, service: ServiceId, language: Language) -> Row | None:
        """One service's row; None where there is none."""
        key = f"{service}:{language}:{generation.digest_of(service)}"
        row = self._rows.get(key)
        if row is None:
            entry = generation.entry(service)
            if entry is None:
                return None
            row = self._rows[key] = Row(entry, language)
        return row

    async def chosen(
        self,
        generation: Generation,
        language: Language,
        services: Collection[ServiceId] | None,
        topic: str | None,
    ) -> Sequence[Row]:
        """The rows wanted, in showing order."""
        if services is not None and len(services) == 1:
            row = self.one(generation, next(iter(services)), language)
            rows: Sequence[Row] = [row] if row is not None else []
        else:
            rows = await self.all(generation, language)
            if services is not None:
                wanted = frozenset(services)
                rows = [row for row in rows if row.entry.id in wanted]
        if topic is not None:
            rows = [row for row in rows if row.entry.topic == topic]
        return rows

    def _keep_only(self, generation: Generation) -> None:
        if len(self._rows) > 4 * len(generation.services) + 64:
            digests = {f"{s}:{generation.digest_of(s)}" for s in generation.services}
            self._rows = {
                key: row
                for key, row in self._rows.items()
                if f"{row.entry.id}:{row.entry.digest}" in digests
            }
