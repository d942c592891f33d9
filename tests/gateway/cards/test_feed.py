"""The feed answers whatever is down, asks no more than it must, and keeps what it learned."""

import asyncio
import random
from datetime import date
from pathlib import Path

import orjson
import pytest

from gateway.cards.item import Feed, envelope
from gateway.cards.state import Code
from gateway.cards.viewer import Viewer
from gateway.contract.answer import AnswerState, CardAnswer
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import ServiceId
from gateway.hosting.outcome import Answered, Failed, Outcome, Reason
from gateway.running import valkey
from gateway.store.away import Away, LedgerAway
from gateway.store.sealing import Keys
from gateway.store.volatile import Volatile, open_volatile
from tests.gateway.cards.stage import Stage, citizen, directory, entry, figure, generation

DUE = figure(state=AnswerState.ACTION_REQUIRED, due=date(2099, 12, 5), stage="补正材料")
SECOND = 1_000_000


async def test_a_first_look_asks_and_a_second_does_not(stage: Stage) -> None:
    """Within the fresh window a department is asked once."""
    city, who = generation(), citizen()
    stage.agree(who, city)

    first = await stage.feed(city, who)
    second = await stage.feed(city, who)

    assert [item.state.code for item in first.items] == [Code.READY, Code.READY]
    assert first.json() == second.json()
    assert first.complete
    assert len(stage.asks) == 1
    assert stage.asks[0].claims == {"name": "name of c1"}
    card = orjson.loads(envelope(first.items[0]))["card"]
    assert card["facts"][0]["value"] == "52,340.18 元"
    assert stage.told == [("c1", "gjj", ("name",))]
    assert stage.ledger_reads == 2  # once for the feed, once right before sending


async def test_only_consented_items_are_told(stage: Stage) -> None:
    """An item that is not required is told only where she agreed to it."""
    city, who = generation(), citizen()
    stage.agree(who, city, items=("name", "phone"))
    await stage.feed(city, who)
    assert stage.asks[0].claims == {"name": "name of c1", "phone": "10000000000"}
    assert stage.asks[0].subject == stage.keys.subject("fund", "c1")


async def test_a_slow_department_is_pending_and_lands_late(stage: Stage) -> None:
    """The feed does not wait longer than its budget; what lands late is there the next time."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    gate = asyncio.Event()

    async def slow(ask: CardAsk) -> Outcome:
        await gate.wait()
        return figure()

    stage.answer = slow
    first = await stage.feed(city, who, seconds=0.05)
    assert first.items[0].state.code is Code.PENDING
    assert not first.complete
    gate.set()
    await asyncio.sleep(0.05)

    second = await stage.feed(city, who, seconds=0.05)
    assert second.items[0].state.code is Code.READY
    assert len(stage.asks) == 1


async def test_a_late_failure_is_told_at_the_next_look(stage: Stage) -> None:
    """Pending does not begin anew for ever: the next look learns of the failure, the one after asks."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    gate = asyncio.Event()

    async def slow(ask: CardAsk) -> Outcome:
        await gate.wait()
        return Failed(Reason.TIMEOUT)

    stage.answer = slow
    assert (await stage.only(city, who, seconds=0.02)).state.code is Code.PENDING
    gate.set()
    await asyncio.sleep(0.02)
    assert (await stage.only(city, who, seconds=0.02)).state.reason == "timeout"
    stage.answer = figure()
    assert (await stage.only(city, who)).state.code is Code.READY


async def test_a_failure_without_a_copy_says_why_and_whom_to_call(stage: Stage) -> None:
    """An unavailable item has a reason, a time, a telephone and a trace."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    stage.answer = Failed(Reason.UNREACHABLE, retry_after=7.0)

    item = await stage.only(city, who, trace="t-1")

    assert item.state.code is Code.UNAVAILABLE
    assert item.state.reason == "unreachable"
    assert item.state.retry_after == 7.0
    assert item.state.until is not None
    assert item.trace == "t-1"
    assert [a.target for a in item.actions] == ["/s/gjj", "tel:10000002000"]
    assert "10000002000" in item.state.speak
    assert stage.told == [("c1", "gjj", ("name",))]


async def test_what_was_never_sent_was_never_told(stage: Stage) -> None:
    """A department that our own cap or breaker kept us from learned nothing."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    for reason in (Reason.BUSY, Reason.PAUSED):
        stage.answer = Failed(reason)
        assert (await stage.only(city, who)).state.reason == reason
    assert stage.told == []


async def test_a_dead_department_does_not_lower_what_is_to_do(stage: Stage) -> None:
    """An older answer is shown with its own state, its time, the reason and a retry; 待办 stays."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    stage.answer = DUE
    live = await stage.feed(city, who)
    assert (live.to_do, live.complete) == (1, True)

    stage.clock.offset = 600 * SECOND
    stage.answer = Failed(Reason.PAUSED)
    copy = await stage.feed(city, who)

    item = copy.items[0]
    assert copy.to_do == 1
    assert not copy.complete
    assert item.state == live.items[0].state
    assert item.body == live.items[0].body
    assert item.freshness is not None
    assert (item.freshness.source, item.freshness.reason) == ("copy", "paused")
    assert "retry" in [action.kind for action in item.actions]
    said = orjson.loads(envelope(item))["freshness"]
    assert said["as_of"] == orjson.loads(envelope(live.items[0]))["freshness"]["as_of"]

    stage.clock.offset = 86_500 * SECOND
    assert (await stage.only(city, who)).state.code is Code.UNAVAILABLE


async def test_a_slow_department_with_a_copy_shows_the_copy(stage: Stage) -> None:
    """A copy is better than waiting, and the flight goes on."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    await stage.feed(city, who)
    stage.clock.offset = 600 * SECOND

    async def slow(ask: CardAsk) -> Outcome:
        await asyncio.sleep(0.1)
        return figure(100)

    stage.answer = slow
    item = await stage.only(city, who, seconds=0.01)
    assert item.state.code is Code.READY
    assert item.freshness is not None
    assert (item.freshness.source, item.freshness.reason) == ("copy", "asked")
    assert item.in_air, "the page must know that something newer may come"
    await asyncio.sleep(0.15)
    item = await stage.only(city, who, seconds=0.01)
    assert item.freshness is not None
    assert item.freshness.source == "live"
    assert not item.in_air
    assert b"1.00" in (item.body or b"")


async def test_two_languages_are_two_copies(stage: Stage) -> None:
    """Each language is asked for and kept by itself."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    chinese = await stage.only(city, who)
    english = await stage.only(city, who, language="en")
    assert [ask.language for ask in stage.asks] == ["zh", "en"]
    assert (chinese.card and chinese.card.facts[0].value) == "52,340.18 元"
    assert (english.card and english.card.facts[0].value) == "¥52,340.18"
    await stage.only(city, who)
    await stage.only(city, who, language="en")
    assert len(stage.asks) == 2


async def test_a_changed_entry_is_asked_anew_and_replaces_its_copy(
    stage: Stage, volatile: Volatile
) -> None:
    """A copy belongs to one digest of its service; older ones do not pile up."""
    who = citizen()
    before, after = generation(entry("gjj")), generation(entry("gjj", "order: 5"))
    stage.agree(who, before)
    await stage.feed(before, who)
    await stage.feed(after, who)
    assert len(stage.asks) == 2
    (fields,) = await volatile.ask(("HKEYS", "cards:{c1}"))
    assert len([f for f in fields if not f.startswith(b".")]) == 1


async def test_a_launch_makes_its_service_be_asked_again(stage: Stage) -> None:
    """After she was over there the next view asks; where it is down the copy still shows."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    await stage.feed(city, who)
    stage.clock.offset = 1 * SECOND
    await stage.cards.launched(who.id, ServiceId("gjj"))
    stage.clock.offset = 2 * SECOND
    stage.answer = Failed(Reason.UNREACHABLE)
    item = await stage.only(city, who)
    assert item.freshness is not None
    assert (item.state.code, item.freshness.source) == (Code.READY, "copy")
    stage.answer = DUE
    assert (await stage.only(city, who)).state.code is Code.ACTION_REQUIRED
    assert len(stage.asks) == 3
    await stage.feed(city, who)
    assert len(stage.asks) == 3


async def test_many_callers_one_call(stage: Stage) -> None:
    """Ten pages of one citizen at once are one call, and one who leaves takes nobody's answer."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    gate = asyncio.Event()

    async def slow(ask: CardAsk) -> Outcome:
        await gate.wait()
        return figure()

    stage.answer = slow
    looks = [asyncio.create_task(stage.feed(city, who, seconds=2)) for _ in range(10)]
    await asyncio.sleep(0.05)
    looks[0].cancel()
    gate.set()
    feeds = await asyncio.gather(*looks, return_exceptions=True)
    assert isinstance(feeds[0], asyncio.CancelledError)
    assert [f.items[0].state.code for f in feeds[1:] if isinstance(f, Feed)] == [Code.READY] * 9
    assert len(stage.asks) == 1


@pytest.mark.row("B39")
async def test_nothing_lands_after_a_withdrawal(stage: Stage, volatile: Volatile) -> None:
    """Withdrawn while a flight is in the air: nothing is shown, nothing is kept, nothing returns."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    gate, sent = asyncio.Event(), asyncio.Event()

    async def slow(ask: CardAsk) -> Outcome:
        sent.set()
        await gate.wait()
        return figure()

    stage.answer = slow
    look = asyncio.create_task(stage.feed(city, who, seconds=2))
    await sent.wait()
    stage.withdraw(who, "gjj")
    await stage.cards.forget(who.id)
    gate.set()
    shown = await look
    assert shown.items[0].body is None
    assert await volatile.ask(("EXISTS", "cards:{c1}")) == [0]
    assert (await stage.only(city, who)).state.code is Code.NEEDS_CONSENT
    assert len(stage.asks) == 1


@pytest.mark.row("B39")
async def test_another_worker_cannot_land_after_a_withdrawal(
    stage: Stage, volatile: Volatile
) -> None:
    """The epoch decides, not the process: what another worker fetched lands nowhere."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    gate, sent = asyncio.Event(), asyncio.Event()

    async def slow(ask: CardAsk) -> Outcome:
        sent.set()
        await gate.wait()
        return figure()

    stage.answer = slow
    other, mine = stage.another(), stage.cards
    look = asyncio.create_task(stage.feed(city, who, seconds=2))
    await sent.wait()
    stage.withdraw(who, "gjj")
    await other.forget(who.id)
    gate.set()
    await look
    (fields,) = await volatile.ask(("HKEYS", "cards:{c1}"))
    assert [f for f in fields if not f.startswith(b".")] == []
    assert stage.cards is mine
    assert (await stage.only(city, who)).state.code is Code.NEEDS_CONSENT


async def test_consent_is_looked_at_again_right_before_sending(stage: Stage) -> None:
    """What is kept of her consents opens no call: the ledger has the last word."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    await stage.feed(city, who)
    stage.clock.offset = 600 * SECOND
    stage.withdraw(who, "gjj")  # and nobody told the store
    item = await stage.only(city, who)
    assert item.state.code is Code.NEEDS_CONSENT
    assert len(stage.asks) == 1


async def test_the_kept_consents_count_where_the_ledger_is_away(stage: Stage) -> None:
    """Reading goes on without the ledger, under an epoch that still stands; without either, not."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    await stage.feed(city, who)
    stage.clock.offset = 600 * SECOND
    stage.ledger_error = LedgerAway("gone")
    stage.answer = figure(100)
    item = await stage.only(city, who)
    assert (item.state.code, len(stage.asks)) == (Code.READY, 2)
    new = citizen("c2")
    stage.agree(new, city)
    item = await stage.only(city, new)
    assert (item.state.code, item.state.reason) == (Code.UNAVAILABLE, "store_away")
    assert len(stage.asks) == 2


async def test_answers_that_break_the_contract_are_refused(stage: Stage) -> None:
    """What the manifest does not promise is never shown; the owner is told, without values."""
    city, who = generation(), citizen()
    stage.agree(who, city)
    for facts in ({"secret": 1}, {"balance": "1"}, {}, {"balance": 1.5}, {"balance": True}):
        stage.answer = Answered(CardAnswer(facts=facts))
        item = await stage.only(city, who)
        assert (item.state.code, item.state.reason) == (Code.UNAVAILABLE, "contract")
    assert {reason for _, reason, _ in stage.reported} == {"contract"}
    assert len(stage.reported) == 5


async def test_a_card_for_everybody_is_asked_once_for_all(stage: Stage) -> None:
    """No person goes along, and every citizen and worker shares the answer."""
    city = generation(entry("events", service="events"))
    stage.answer = Answered(CardAnswer(items=({"what": "招聘会"},)))
    first = await stage.only(city)
    second = await stage.only(city, citizen())
    other, stage.cards = stage.cards, stage.another()
    third = await stage.only(city)
    assert envelope(first) == envelope(second) == envelope(third)
    assert len(stage.asks) == 1
    assert (stage.asks[0].subject, stage.asks[0].claims) == ("", {})
    stage.clock.offset = 290 * SECOND
    await stage.cards.refresh_public(city)
    assert [ask.because for ask in stage.asks[1:]] == ["refresh", "refresh"]  # both languages
    await other.close()


@pytest.mark.row("B38")
async def test_nobody_sees_anothers_card(stage: Stage) -> None:
    """P25: 60 citizens, shuffled, two workers, expiring copies: every card bears its owner's mark."""
    city = generation(
        entry("gjj"), entry("deep", service="deep"), entry("matters", service="matters")
    )
    people = [citizen(f"p{n}", level=3) for n in range(60)]
    owners = {stage.keys.subject("fund", who.id): n for n, who in enumerate(people)}
    for who in people:
        stage.agree(who, city)

    async def canary(ask: CardAsk) -> Outcome:
        await asyncio.sleep(random.random() * 0.002)
        mark = owners[ask.subject]
        if ask.card == "list":
            return Answered(CardAnswer(items=({"what": f"owner {mark}"},)))
        return figure(mark * 100)

    stage.answer = canary
    workers = [stage.cards, stage.another()]
    turns = [n for n in range(len(people)) for _ in range(12)]
    random.shuffle(turns)

    async def look(n: int) -> int:
        stage.cards = random.choice(workers)
        if random.random() < 0.1:
            await stage.cards.forget(people[n].id)
        feed = await stage.feed(city, people[n])
        seen = 0
        for item in feed.items:
            if item.body is None:
                continue
            seen += 1
            card = orjson.loads(item.body)
            told = card["items"][0]["title"] if card["items"] else card["facts"][0]["value"]
            assert told in (f"owner {n}", f"{n}.00 元")
        return seen

    seen = 0
    for at in range(0, len(turns), 40):
        seen += sum(await asyncio.gather(*(look(n) for n in turns[at : at + 40])))
        stage.clock.offset += 100 * SECOND
    assert seen > 1500


async def test_a_copy_opens_for_its_owner_and_place_only(stage: Stage, volatile: Volatile) -> None:
    """Bytes that stand under another's key, or another service's field, are a miss."""
    city = generation(entry("gjj"), entry("deep", service="deep"))
    one, two = citizen("c1", 3), citizen("c2", 3)
    stage.agree(one, city)
    stage.agree(two, city)
    await stage.feed(city, one)
    (theirs,) = await volatile.ask(("HGETALL", "cards:{c1}"))
    pairs = list(zip(theirs[::2], theirs[1::2], strict=True))
    await volatile.ask(*[("HSET", "cards:{c2}", field, value) for field, value in pairs])
    asked = len(stage.asks)
    await stage.feed(city, two)
    assert len(stage.asks) == asked + 2


async def test_kept_html_is_made_once_and_goes_with_its_card(stage: Stage, keys: Keys) -> None:
    """Fragments are kept beside the copies, made anew when anything in them changed."""
    drawn: list[str] = []

    def draw(item: object, language: str) -> bytes:
        drawn.append(language)
        return f"<article>{len(drawn)}</article>".encode()

    stage = Stage(stage.volatile, keys, render=draw)
    city, who = generation(entry("gjj")), citizen()
    stage.agree(who, city)
    first = await stage.only(city, who, fragments=True)
    again = await stage.only(city, who, fragments=True)
    assert first.fragment == again.fragment == b"<article>1</article>"
    stage.clock.offset = 600 * SECOND
    stage.answer = Failed(Reason.PAUSED)
    copy = await stage.only(city, who, fragments=True)
    assert copy.fragment == b"<article>2</article>"
    assert (await stage.only(city, who)).fragment is None
    await stage.cards.forget(who.id)
    assert await stage.volatile.ask(("EXISTS", "html:{c1}:zh")) == [0]


async def test_what_stands_in_the_store_is_sealed_and_dies(
    stage: Stage, volatile: Volatile
) -> None:
    """No personal value can be read in Valkey, and every key has a lifetime."""
    city, who = generation(entry("gjj")), citizen()
    stage.agree(who, city)
    await stage.feed(city, who)
    (values, ttl) = await volatile.ask(("HVALS", "cards:{c1}"), ("PTTL", "cards:{c1}"))
    assert not any(b"52,340.18" in value or b"name" in value for value in values)
    assert 0 < ttl <= 86_400_000


async def test_valkey_killed_mid_feed(tmp_path: Path, keys: Keys) -> None:
    """Without the store departments are asked all the same; it is mended without a hand."""
    running = valkey.start(tmp_path, memory_mb=64)
    try:
        async with open_volatile(running.url) as store:
            stage = Stage(store, keys)
            city, who = generation(entry("gjj"), directory()), citizen()
            stage.agree(who, city)
            await stage.feed(city, who)
            running.stop()
            stage.answer = figure(100)
            item = await stage.only(city, who)
            assert item.state.code is Code.READY
            assert b"1.00" in (item.body or b"")

            stage.withdraw(who, "gjj")
            await stage.cards.forget(who.id)
            assert (await stage.only(city, who)).state.code is Code.NEEDS_CONSENT
            await stage.cards.launched(who.id, ServiceId("gjj"))

            stage.claims_error = Away("gone")
            stage.agree(who, city)
            item = await stage.only(city, who)
            assert (item.state.code, item.state.reason) == (Code.UNAVAILABLE, "store_away")
            stage.claims_error = None

            running = valkey.start(tmp_path, memory_mb=64)
            async with asyncio.timeout(10):
                while not store.up:
                    await asyncio.sleep(0.02)
            # The store came back with what it had before: none of it may be believed.
            item = await stage.only(city, who)
            assert item.state.code is Code.READY
            assert b"1.00" in (item.body or b"")
            again = await stage.feed(city, who)
            assert again.complete
    finally:
        running.stop()


@pytest.mark.parametrize("services", [["gjj"], ["care", "gjj"], ["nothing"], []])
async def test_only_what_was_named(stage: Stage, services: list[str]) -> None:
    """Services are chosen by name, unknown ones left out, in showing order."""
    city = generation(entry("gjj"), directory())
    feed = await stage.feed(city, services=services)
    assert [item.service for item in feed.items] == [s for s in ("gjj", "care") if s in services]


async def test_a_topic(stage: Stage) -> None:
    """A topic's services alone."""
    city = generation(entry("gjj"), directory())
    feed = await stage.cards.feed(city, Viewer(), topic="health", seconds=1)
    assert [item.service for item in feed.items] == ["care"]


async def test_a_glance_asks_nobody(stage: Stage, volatile: Volatile) -> None:
    """Lists of names know what is shown and what is shut, without store or department."""
    city = generation(
        entry("gjj"), entry("deep", "visibility: {state: trial, testers: [staff]}", service="deep"),
        directory("care", "visibility: suspended"),
    )  # fmt: skip
    viewer = Viewer(citizen=citizen())
    seen = await stage.cards.glance(city, viewer, [ServiceId(s) for s in city.services])
    assert seen.keys() == {"gjj", "care"} == await stage.cards.visible(city, viewer)
    assert seen[ServiceId("gjj")] is None
    care = seen[ServiceId("care")]
    assert care is not None
    assert care.code is Code.SUSPENDED
    assert stage.asks == []


async def test_a_look_without_time_asks_nobody(stage: Stage) -> None:
    """Zero seconds: what is known, and nothing more."""
    city, who = generation(entry("gjj")), citizen()
    stage.agree(who, city)
    assert (await stage.only(city, who, seconds=0)).state.code is Code.PENDING
    assert stage.asks == []
    await stage.feed(city, who)
    assert (await stage.only(city, who, seconds=0)).state.code is Code.READY


async def test_twenty_silent_departments(stage: Stage) -> None:
    """[F3] 20 that never answer, 16 citizens at once: all pending, in time, then said in words."""
    city = generation(*(entry(f"s{n}") for n in range(20)))
    people = [citizen(f"c{n}") for n in range(16)]
    for who in people:
        stage.agree(who, city)
    gate = asyncio.Event()

    async def never(ask: CardAsk) -> Outcome:
        await gate.wait()
        return Failed(Reason.TIMEOUT)

    stage.answer = never
    feeds = await asyncio.gather(*(stage.feed(city, who, seconds=0.3) for who in people))
    assert {i.state.code for f in feeds for i in f.items} == {Code.PENDING}
    assert len(stage.asks) == 320
    gate.set()
    await asyncio.sleep(0.05)
    feed = await stage.feed(city, people[3], seconds=0.3)
    assert {i.state.reason for i in feed.items} == {"timeout"}
