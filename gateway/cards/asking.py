"""Ask departments for what a feed misses, side by side, and say in words what came of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.cards.coalesce import Flights, Full
from gateway.cards.copies import Copies, Copy
from gateway.cards.fetch import Agreements, Brought, Fetch, Question
from gateway.cards.forgotten import Forgotten
from gateway.cards.gates import consent_gate, personal_gate, shown_now
from gateway.cards.item import ASKED, Item
from gateway.cards.present import gated, pending, plugin_sentence, unavailable
from gateway.cards.public import Public
from gateway.cards.rows import Row
from gateway.cards.state import State
from gateway.cards.viewer import Me, Viewer
from gateway.clock import Clock, instant
from gateway.contract.ids import PluginId
from gateway.hosting.outcome import Failed, Reason
from gateway.registry.generation import Generation
from gateway.words.loader import Language

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
    again: bool = False  # she was over there since the copy was made
    key: object = None
    flight: "asyncio.Task[Brought] | None" = None
    brought: Brought | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """One request's questions to departments."""

    tools: Tools
    generation: Generation
    viewer: Viewer
    now: int

    async def ask(self, missing: Sequence[Asked], epoch: bytes, until: float) -> None:
        """Let all of them be asked at once; wait until `until` (monotonic) and no longer."""
        clock, flights = self.tools.clock, self.tools.flights
        joined: list[Asked] = []
        try:
            for asked in missing:
                self._join(asked, epoch)
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
        for asked in joined:
            if asked.flight is not None and asked.flight.done():
                asked.brought = _result(asked.flight)

    def _join(self, asked: Asked, epoch: bytes) -> None:
        flights, citizen, row = self.tools.flights, self.viewer.citizen, asked.row
        hers = citizen is not None and row.personal
        asked.key = (citizen.id, epoch, row.field) if citizen and hers else ("", b"", row.field)
        if asked.again and asked.copy is not None:
            asked.key = (*asked.key, asked.copy.mark)  # not a flight from before she was there
        asked.brought = flights.unseen(asked.key)
        if asked.brought is not None:
            return
        words = self._words(row)
        if words is None:
            asked.brought = Brought(failed=Failed(Reason.PARKED))
            return
        question = Question(row.entry, row.field, row.language, words, self.viewer.trace)
        fetch = self.tools.fetch
        try:
            if hers and citizen is not None:
                asked.flight = flights.join(
                    asked.key, lambda: fetch.personal(question, citizen, epoch)
                )
            else:
                asked.flight = flights.join(
                    asked.key, lambda: asking_for_everybody(self.tools, row, question)
                )
        except Full:
            asked.brought = Brought(failed=Failed(Reason.BUSY))

    def _words(self, row: Row) -> Mapping[str, str] | None:
        try:
            package = self.generation.package(PluginId(row.entry.plugin or ""))
        except KeyError:
            return None
        return package.words.get(row.language, {})

    def answered(self, asked: Asked) -> Item:
        """What came of asking: an answer, else a copy with its own state, else in words why not."""
        row, badges, brought = asked.row, asked.badges, asked.brought
        language = self.viewer.language
        if brought is not None and brought.copy is not None:
            asked.copy = brought.copy
            return row.live(brought.copy, badges)
        if brought is not None and brought.refused is not None:
            asked.copy = None
            state = consent_gate(row.entry, self.viewer, Me(brought.refused))
            return self.gated(row, badges, state) or pending(row.entry, badges, language)
        if brought is not None and brought.void:
            asked.copy = None
            return pending(row.entry, badges, language)
        failed = brought.failed if brought is not None else None
        if asked.copy is not None:
            return row.copied(asked.copy, badges, _why(asked, failed))
        if brought is None:
            return pending(row.entry, badges, language)
        return self.unavailable(row, badges, failed)

    def gated(self, row: Row, badges: tuple[str, ...], state: State | None = None) -> Item | None:
        """An item in one of the states 8-11; `state` None: in the one that holds, if any does."""
        state = state or personal_gate(row.entry, self.viewer, None)
        if state is None:
            return None
        shown = shown_now(row.entry, instant(self.now))
        return gated(row.entry, state, shown, badges, self.viewer.language)

    def unavailable(self, row: Row, badges: tuple[str, ...], failed: Failed | None) -> Item:
        """An item without an answer; `failed` None: our own stores are away."""
        viewer = self.viewer
        said = ""
        if failed is not None and failed.words is not None:
            said = plugin_sentence(failed, self._words(row) or {}, viewer.language)
        return unavailable(
            row.entry,
            failed,
            badges=badges,
            language=viewer.language,
            trace=viewer.trace,
            now=self.now,
            said=said,
        )


async def asking_for_everybody(tools: Tools, row: Row, question: Question) -> Brought:
    """A flight for a card that is the same for everybody."""
    brought = await tools.fetch.everybody(question)
    if brought.copy is not None:
        await tools.public.keep(row, brought.copy)
    return brought


def _why(asked: Asked, failed: Failed | None) -> str | None:
    """Why only a copy can be shown."""
    if failed is not None:
        return failed.reason
    if asked.brought is not None:
        return "store_away"
    return ASKED if asked.flight is not None else None


def _result(flight: "asyncio.Task[Brought]") -> Brought:
    """A flight's result; one that broke by a mistake of ours counts as failed (it was logged)."""
    if flight.cancelled() or flight.exception() is not None:
        return Brought(failed=Failed(Reason.PLUGIN))
    return flight.result()
