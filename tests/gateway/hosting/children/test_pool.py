"""Whatever a plugin's code does: it is named, its own cards fail, nothing else does."""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from gateway.contract.answer import AnswerState, CardAnswer, Empty, EmptyReason
from gateway.contract.failure import AskCitizen, CallOwner, Failure, ShowLast, TryAgain, Unsure
from gateway.contract.hooks import Asked, Reply
from gateway.contract.ids import PluginId
from gateway.hosting.children import pool as pools
from gateway.hosting.children.failing import ChildFailed
from gateway.hosting.failures import NoAnswer, Sent
from gateway.hosting.outcome import Reason
from tests.gateway.hosting.children.conftest import (
    NAME,
    STILL,
    Nursery,
    echo,
    living,
    package,
    pool,
    processes,
)

GOOD = """
    from gateway.contract import Asked, CardAnswer

    async def card(ctx, ask):
        reply = await ctx.http.send(Asked("POST", "/cases", json={"of": ask.claims["name"]}))
        return CardAnswer(facts={"of": reply.json()["of"]})
"""


async def test_a_plugin_asks_its_department_and_answers(either: Nursery) -> None:
    """Claims go in, a request comes out, its reply goes in, values come out."""
    asked: list[Asked] = []

    async def department(one: Asked) -> Reply:
        asked.append(one)
        return await echo(one)

    answer = await either.card(GOOD, broker=department)

    assert answer == CardAnswer(facts={"of": NAME})
    assert asked == [Asked("POST", "/cases", json={"of": NAME})]
    assert either.reports == []


async def test_everything_a_hook_is_given(nursery: Nursery) -> None:
    """Settings, the gateway's clock, the ask; `open` once before the first card."""
    source = """
        from gateway.contract import CardAnswer, Empty, EmptyReason
        opened = []

        async def open(ctx):
            opened.append(ctx.settings["place"])

        async def card(ctx, ask):
            if ask.claims["name"] == "-":
                return Empty(reason=EmptyReason.NOT_ELIGIBLE, words="none.here")
            facts = {"now": ctx.now, "opened": ",".join(opened), "subject": ask.subject}
            return CardAnswer(facts=facts, items=({"n": 1, "f": True},), state="in_progress",
                              due="2026-12-03", stage="@stage.x")
    """
    settings: dict[str, object] = {"place": "here", "number": 7}

    first = await nursery.card(source, settings=settings)
    second = await nursery.card(source, settings=settings, name="-")

    assert isinstance(first, CardAnswer)
    assert first.facts == {
        "now": "2026-11-23T10:00:00+08:00",
        "opened": "here",
        "subject": "s" * 26,
    }
    assert first.items == ({"n": 1, "f": True},)
    assert first.state is AnswerState.IN_PROGRESS
    assert str(first.due) == "2026-12-03"
    assert second == Empty(reason=EmptyReason.NOT_ELIGIBLE, words="none.here")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("TryAgain(after=30, words='busy')", TryAgain(30, "busy")),
        ("TryAgain(after=1e300, words='Not a key')", None),
        (
            "ShowLast('nightly', until=datetime(2026, 11, 24, 6, tzinfo=timezone.utc))",
            ShowLast("nightly", datetime(2026, 11, 24, 6, tzinfo=UTC)),
        ),
        ("ShowLast(until=datetime(2026, 11, 24))", None),
        ("CallOwner(f'no {ask.claims[\"name\"]} there', 'w')", CallOwner("no [hidden] there", "w")),
        ("AskCitizen('binding')", AskCitizen("binding")),
        ("AskCitizen('money')", None),
        ("Unsure('later')", Unsure("later")),
        ("Failure()", None),
    ],
)
async def test_the_contracts_failures_come_through(
    raised: str, expected: Failure | None, nursery: Nursery
) -> None:
    """With the very values, unless those are none that the contract allows."""
    source = f"""
        from datetime import datetime, timezone
        from gateway.contract import *
        from gateway.contract.failure import *

        async def card(ctx, ask):
            raise {raised}
    """
    with pytest.raises((Failure, ChildFailed)) as caught:
        await nursery.card(source)

    if expected is None:
        assert isinstance(caught.value, ChildFailed)
    else:
        assert type(caught.value) is type(expected)
        assert vars(caught.value) == vars(expected)
        assert nursery.reports == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NoAnswer(Reason.UNREACHABLE, Sent.NO, "refused"), "TryAgain"),
        (NoAnswer(Reason.ENCODING, Sent.YES, "bytes"), "CallOwner"),
        (TimeoutError(), "TryAgain"),
        (TryAgain(7.0), "TryAgain"),
        (ShowLast("down", datetime(2026, 11, 24, tzinfo=UTC)), "ShowLast"),
        (LookupError(NAME), "CallOwner"),
    ],
)
async def test_what_the_broker_raises_reaches_the_plugin_and_comes_back(
    error: Exception, told: str, nursery: Nursery
) -> None:
    """In the contract's words over there; as the very exception if the plugin lets it pass."""

    async def broken(_: Asked) -> Reply:
        raise error

    source = """
        from gateway.contract import Asked, CardAnswer, Failure

        async def card(ctx, ask):
            try:
                await ctx.http.send(Asked("GET", "/x"))
            except Failure as failure:
                if ask.claims["name"] == "catch":
                    return CardAnswer(facts={"caught": type(failure).__name__})
                raise
    """
    caught = await nursery.card(source, broker=broken, name="catch")
    with pytest.raises(type(error)) as passed:
        await nursery.card(source, broker=broken, name="pass")

    assert caught == CardAnswer(facts={"caught": told})
    assert passed.value is error


async def test_a_slow_department_is_not_the_plugins_fault(nursery: Nursery) -> None:
    """The request is given up with the ask, the child lives and nothing is reported."""
    given_up = asyncio.Event()

    async def silent(_: Asked) -> Reply:
        try:
            await asyncio.sleep(60)
        finally:
            given_up.set()
        raise AssertionError

    await nursery.card(GOOD, broker=echo)
    before = living()
    with pytest.raises(TimeoutError):
        await nursery.card(GOOD, broker=silent, seconds=0.4)

    assert given_up.is_set()
    assert await nursery.card(GOOD, broker=echo) == CardAnswer(facts={"of": NAME})
    assert living() == before
    assert nursery.reports == []


async def test_whoever_leaves_does_not_save_a_stuck_child(nursery: Nursery) -> None:
    """The caller is cancelled; the child that spins is ended and named all the same."""
    spin = package("async def card(c, a):\n    while True: pass", "bad")
    task = asyncio.create_task(nursery.card(spin, seconds=30))
    await _until(lambda: len(living()) == 2)
    await asyncio.sleep(0.2)

    task.cancel()

    await _until(lambda: nursery.whys() == ["blocked"])
    assert list(living().values()) == ["citygate-nurse"]


async def test_thirty_two_at_once_share_one_child(either: Nursery) -> None:
    """One start for all; each gets its own answer."""

    async def slowly(asked: Asked) -> Reply:
        await asyncio.sleep(0.02)
        return await echo(asked)

    names = [f"person {n}" for n in range(32)]
    answers = await asyncio.gather(
        *(either.card(GOOD, broker=slowly, seconds=8, name=name) for name in names)
    )

    assert answers == [CardAnswer(facts={"of": name}) for name in names]
    assert sorted(living().values()) == ["citygate-nurse", "citygate-plugin"]


async def test_one_child_takes_so_many_and_says_so(nursery: Nursery) -> None:
    """Beyond the cap a call is refused at once, quietly."""
    release = asyncio.Event()

    async def held(asked: Asked) -> Reply:
        await release.wait()
        return await echo(asked)

    await nursery.card(GOOD, broker=echo)
    waiting = [asyncio.create_task(nursery.card(GOOD, broker=held, seconds=9)) for _ in range(64)]
    await asyncio.sleep(0.05)
    with pytest.raises(ChildFailed) as caught:
        await nursery.card(GOOD, broker=held)
    release.set()

    assert caught.value.why == "busy"
    assert len(await asyncio.gather(*waiting)) == 64
    assert nursery.reports == []


async def test_new_code_is_live_at_once_and_loses_no_call(nursery: Nursery) -> None:
    """[A6] Six swaps under load: nothing lost, every version seen, one child left."""

    def version(n: int) -> Any:
        return package(
            f"""
            import asyncio
            from gateway.contract import CardAnswer
            async def card(ctx, ask):
                await asyncio.sleep(0.01)
                return CardAnswer(facts={{"version": {n}}})
            """
        )

    current, stop, seen = version(0), asyncio.Event(), []

    async def lane() -> None:
        while not stop.is_set():
            answer = await nursery.card(current, seconds=8)
            assert isinstance(answer, CardAnswer)
            seen.append(answer.facts["version"])

    lanes = [asyncio.create_task(lane()) for _ in range(16)]
    for n in range(1, 7):
        await _until(lambda n=n: bool(seen) and seen[-1] == n - 1)
        old, current = current, version(n)
        await nursery.children.retire(old.id, old.digest)
    await _until(lambda: seen[-1] == 6)
    stop.set()
    await asyncio.gather(*lanes)

    assert set(seen) == set(range(7))
    assert nursery.reports == []
    assert sorted(living().values()) == ["citygate-nurse", "citygate-plugin"]


async def test_close_hook_runs_after_the_last_ask(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retiring waits for what is asked, then calls `close`."""
    order: list[str] = []

    async def seen(asked: Asked) -> Reply:
        order.append(asked.path)
        if asked.path == "/card":
            await asyncio.sleep(0.2)
            order.append("answered")
        return Reply(200, {}, "")

    monkeypatch.setattr(pools, "closed", seen)
    source = package("""
        from gateway.contract import Asked, CardAnswer
        async def card(ctx, ask):
            await ctx.http.send(Asked("GET", "/card"))
            return CardAnswer()
        async def close(ctx):
            await ctx.http.send(Asked("GET", "/close"))
    """)
    asking = asyncio.create_task(nursery.card(source, broker=seen))
    await _until(lambda: order == ["/card"])

    await nursery.children.retire(source.id, source.digest)

    assert await asking == CardAnswer()
    assert order == ["/card", "answered", "/close"]


async def test_a_crashing_plugin_burns_no_processor(nursery: Nursery) -> None:
    """[A6] Asked all the time for two seconds, it is started a handful of times."""
    bad = package("import os\nasync def card(c, a): os._exit(1)")
    until, whys = time.monotonic() + 2.0, []
    while time.monotonic() < until:
        with pytest.raises(ChildFailed) as caught:
            await nursery.card(bad)
        whys.append(caught.value.why)
        await asyncio.sleep(0.005)

    assert 3 <= nursery.children._forks._last <= 5
    assert whys[:2] == ["exited", "exited"]
    assert whys.count("paused") > 100
    assert set(nursery.whys()) == {"exited"}


async def test_a_plugin_that_loads_again_is_well_again(nursery: Nursery) -> None:
    """The log says once that it fails and once that it works."""
    source = (
        "from gateway.contract import CardAnswer\nasync def card(c, a): return {}[a.claims['name']]"
    )
    mended = package(STILL)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(ChildFailed):
                await nursery.card(source)
        await nursery.card(mended)

    assert [line["event"] for line in lines] == ["children.failed", "children.well_again"]
    assert len(nursery.reports) == 3


async def test_an_idle_child_is_ended(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asked for a while: it goes, and comes back with the next ask."""
    monkeypatch.setattr(pools, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(pools, "IDLE_SECONDS", 0.2)
    await nursery.card(STILL)
    assert len(living()) == 2

    await _until(lambda: len(living()) == 1)

    assert await nursery.card(STILL) == CardAnswer(facts={"of": NAME})
    assert nursery.reports == []


async def test_an_old_child_is_renewed(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many answers a fresh one takes over; what leaked is gone."""
    monkeypatch.setattr(pools, "MAX_ANSWERS", 5)
    source = """
        from gateway.contract import CardAnswer
        leak = []
        async def card(ctx, ask):
            leak.append(1)
            return CardAnswer(facts={"leaked": len(leak)})
    """
    counts = [(await nursery.card(source)) for _ in range(12)]

    assert max(one.facts["leaked"] for one in counts if isinstance(one, CardAnswer)) <= 6
    await _until(lambda: len(living()) == 2)


async def test_the_most_children_a_worker_keeps(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more plugin than places: the one idle longest makes room."""
    monkeypatch.setattr(pools, "MAX_CHILDREN", 3)
    for n in range(5):
        await nursery.card(package(STILL, f"plugin-{n}"))

    await _until(lambda: len(living()) == 4)


async def test_the_nursery_is_killed(nursery: Nursery) -> None:
    """Its children die with it; what was asked is asked once more of a new one."""
    hold, asked = asyncio.Event(), 0

    async def held(one: Asked) -> Reply:
        nonlocal asked
        asked += 1
        await hold.wait()
        return await echo(one)

    asking = asyncio.create_task(nursery.card(GOOD, broker=held, seconds=9))
    await _until(lambda: asked == 1)
    before = living()
    nurse = next(number for number, name in before.items() if name == "citygate-nurse")
    os.kill(nurse, signal.SIGKILL)
    await _until(lambda: asked == 2)
    hold.set()

    assert await asking == CardAnswer(facts={"of": NAME})
    assert len(living()) == 2
    assert not set(living()) & set(before)
    assert nursery.reports == []


async def test_a_child_is_killed_from_outside(nursery: Nursery) -> None:
    """The next ask has a new one at once."""
    await nursery.card(STILL)
    child = next(number for number, name in living().items() if name == "citygate-plugin")
    os.kill(child, signal.SIGKILL)

    await _until(lambda: child not in processes())

    assert await nursery.card(STILL) == CardAnswer(facts={"of": NAME})


async def test_closing_in_the_middle_of_everything_leaves_nothing() -> None:
    """Starting, answering, spinning: all gone after close, whoever waits is told."""
    made = pool()
    sources = [
        STILL,
        "async def card(c, a):\n    while True: pass",
        "import time\ntime.sleep(60)",
        "import asyncio\nasync def open(c): await asyncio.sleep(60)\nasync def card(c, a): pass",
    ]
    tasks = [
        asyncio.create_task(made.card(package(source, f"plugin-{n}"), seconds=20))
        for n, source in enumerate(sources)
    ]
    assert isinstance(await tasks[0], CardAnswer)
    await _until(lambda: len(living()) == 5)
    begun = time.monotonic()

    await made.children.close()

    assert time.monotonic() - begun < 5
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in told[1:]] == [ChildFailed] * 3
    assert living() == {}


async def test_probe(nursery: Nursery) -> None:
    """Its own hook, or simply that the code loads."""
    source = """
        from gateway.contract import Asked, Probe
        async def card(ctx, ask): pass
        async def probe(ctx):
            return Probe(ok=(await ctx.http.send(Asked("GET", "/health"))).status == 200)
    """
    given: dict[str, Any] = {"broker": echo, "seconds": 1.0, "settings": {}, "now": ""}

    assert (await nursery.children.probe(package(source), **given)).ok
    assert (await nursery.children.probe(package(STILL), **given)).ok
    with pytest.raises(ChildFailed):
        await nursery.children.probe(package("async def card(c, a) 1"), **given)


async def test_an_uncaged_machine_refuses_until_somebody_accepts_it_by_name() -> None:
    """Production only; the page can say 未隔离 everywhere."""
    bare = ("landlock", "user")
    for more, works in (
        ({"production": True}, False),
        ({"production": True, "accept_uncaged": ("other",)}, False),
        ({"production": True, "accept_uncaged": ("legal",)}, True),
        ({"production": False}, True),
    ):
        made = pool(without=bare, **more)
        assert not made.children.confined
        if works:
            assert await made.card(STILL) == CardAnswer(facts={"of": NAME})
        else:
            with pytest.raises(ChildFailed) as caught:
                await made.card(STILL)
            assert caught.value.why == "uncaged"
            assert made.whys() == ["uncaged"]
        assert not made.children.confined
        await made.children.close()
        assert living() == {}


async def test_another_system_refuses_clearly(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Linux, no children: one sentence, no process."""
    monkeypatch.setattr("platform.system", lambda: "Windows")
    with pytest.raises(ChildFailed) as caught:
        await nursery.card(STILL)
    monkeypatch.undo()

    assert caught.value.what == "uncaged: code plugins run on Linux only"
    assert living() == {}


async def test_id_of_a_retired_package_is_forgotten(nursery: Nursery) -> None:
    """Retiring what is not there does nothing."""
    await nursery.children.retire(PluginId("nobody"), "0" * 64)
    assert living() == {}


async def _until(true: Any, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come"
        await asyncio.sleep(0.01)
