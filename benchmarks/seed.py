"""People, sessions and cards, put into the stores by the gateway's own code."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson

from benchmarks.house import House
from gateway.cards.copies import FORMAT, Copies, Copy, Kept, new_copy
from gateway.cards.rows import Rows
from gateway.cards.state import read_state
from gateway.clock import SystemClock
from gateway.contract.citizen import Agreement
from gateway.contract.ids import CitizenId
from gateway.registry.generation import Generation
from gateway.sso.citizens import find_or_make
from gateway.sso.consent import Consents
from gateway.sso.session import Sessions
from gateway.sso.shelf import Told
from gateway.store.ids import digest, new_id
from gateway.store.ledger import Ledger, open_ledger
from gateway.store.sealing import FileKek, Keys, open_keys
from gateway.store.volatile import Volatile, open_volatile

DAY: Final = 86_400.0
AT_ONCE: Final = 100
FIGURE: Final = b"12,345,678.00"  # as every department says


@dataclass
class Stores:
    """The gateway's stores, opened a second time."""

    ledger: Ledger
    keys: Keys
    volatile: Volatile
    clock: SystemClock
    sessions: Sessions
    consents: Consents
    copies: Copies
    generation: Generation

    async def person(self, sub: str, old: str | None = None) -> tuple[CitizenId, str]:
        """Somebody with a session who agreed to everything: id and token."""
        opened = await self.sessions.enter(
            lambda c: find_or_make(c, self.keys, self.clock, upstream="anlan", sub=sub),
            level=3,
            upstream="anlan",
            told=Told({"name": "测试"}, ""),
            old=old,
        )
        return opened.citizen.id, opened.token

    async def agrees(self, citizen: CitizenId) -> None:
        """Give every consent, in the ledger."""
        for service in self.generation.services:
            entry = self.generation.entry(service)
            assert entry is not None
            await self.consents.give(citizen, entry, {item.id for item in entry.data})


@contextlib.asynccontextmanager
async def stores(house: House) -> AsyncIterator[Stores]:
    """Open them beside the running gateway."""
    clock, state = SystemClock(), house.street.state
    async with (
        open_ledger(f"sqlite:///{state}/ledger.db", clock=clock) as ledger,
        open_volatile(f"unix://{house.valkey}") as volatile,
    ):
        keys = await open_keys(ledger, FileKek.load(state / "kek"))
        sessions = Sessions(
            volatile=volatile, ledger=ledger, keys=keys, clock=clock, idle_minutes=30, hours=12
        )
        copies = Copies(volatile, keys.volatile)
        consents = Consents(ledger=ledger, clock=clock, forget=copies.forget)
        (path,) = (state / "generations").glob("*.generation")
        generation = Generation.load(path)
        yield Stores(ledger, keys, volatile, clock, sessions, consents, copies, generation)


async def feed(house: House, token: str) -> dict[str, Any]:
    """One feed through the front door, until it is complete."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(20):
            answer = await client.get(
                f"http://127.0.0.1:{house.street.port}/api/v1/cards",
                headers={"Host": house.host, "Cookie": f"citygate={token}"},
            )
            found: dict[str, Any] = answer.json()
            if found["complete"]:
                return found
            await asyncio.sleep(0.5)
    raise AssertionError(f"no whole feed: {orjson.dumps(found).decode()[:2000]}")


@dataclass
class Pattern:
    """What one citizen was answered: everybody's cards are made after it."""

    fields: list[str]
    bodies: list[bytes]
    states: list[bytes]
    whole: list[bytes]  # the items as the gateway sends them

    def bodies_of(self, number: int) -> Iterable[bytes]:
        """The bodies of another citizen: other figures, as many bytes."""
        return (self._other(body, number) for body in self.bodies)

    @staticmethod
    def _other(body: bytes, number: int) -> bytes:
        return body.replace(FIGURE, b"%02d,%03d,678.00" % divmod(number % 100_000, 1000))

    def plain_of(self, number: int) -> Iterable[bytes]:
        """The same for the plain program."""
        return (self._other(item, number) for item in self.whole)


async def pattern(house: House, here: Stores) -> Pattern:
    """Ask the departments once, as a citizen would."""
    citizen, token = await here.person("pattern")
    await here.agrees(citizen)
    found = await feed(house, token)
    rows = {row.entry.id: row.field for row in await Rows().all(here.generation, "zh")}
    items = found["cards"]
    assert [item["service"] for item in items] == house.services, house.street.log()[-3000:]
    assert all(item["state"]["code"] == "ready" for item in items), items
    assert all(FIGURE in orjson.dumps(item["card"]) for item in items), items[0]
    return Pattern(
        [rows[item["service"]] for item in items],
        [orjson.dumps(item["card"]) for item in items],
        [orjson.dumps(item["state"]) for item in items],
        [orjson.dumps({k: v for k, v in item.items() if k != "service"}) for item in items],
    )


async def seed(
    house: House, here: Stores, like: Pattern, citizens: int, awake: int
) -> Sequence[str]:
    """Cards for all of these citizens in both programs' keys, sessions for some; their tokens."""
    signed_in = set(random.Random(1).sample(range(citizens), awake))
    agreements = Kept.of(
        {
            service: Agreement(entry.consent_digest, frozenset({"name"}), here.clock.now())
            for service in here.generation.services
            if (entry := here.generation.entry(service)) is not None and entry.data
        }
    )
    me = orjson.dumps(agreements.rows)
    states = [read_state(state) for state in like.states]
    tokens: list[str] = []
    for first in range(0, citizens, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, citizens))
        people = await asyncio.gather(*(_enter(here, n, n in signed_in) for n in numbers))
        tokens += [token for _, token in people if token]
        commands: list[tuple[Any, ...]] = []
        for number, (citizen, token) in zip(numbers, people, strict=True):
            now = here.clock.now()
            copies = [
                new_copy(state, body, asked=now, as_of=now, fresh=DAY, keep=DAY)
                for state, body in zip(states, like.bodies_of(number), strict=True)
            ]
            commands += _gateway(here, citizen, like, copies, me)
            commands += _plain(house, like, number, token)
        await asyncio.gather(
            *(here.volatile.ask(*commands[n : n + 50], deadline=10) for n in range(0, len(commands), 50))
        )  # fmt: skip
    return tokens


async def _enter(here: Stores, number: int, signed_in: bool) -> tuple[CitizenId, str]:
    if not signed_in:
        return CitizenId(new_id(here.clock)), ""
    return await here.person(f"bench-{number}")


def _gateway(
    here: Stores, citizen: CitizenId, like: Pattern, copies: Sequence[Copy], me: bytes
) -> Iterable[tuple[Any, ...]]:
    """As `Copies.land` and `keep_me` leave it, in one command instead of twenty-two."""
    seal = here.keys.volatile.seal
    words: list[str | bytes] = [".epoch", new_id(here.clock)]
    words += [".me", FORMAT + seal(me, aad=f"cards:{citizen}:.me".encode())]
    for name, copy in zip(like.fields, copies, strict=True):
        words += [name, FORMAT + seal(copy.packed(), aad=f"cards:{citizen}:{name}".encode())]
    yield ("HSET", f"cards:{{{citizen}}}", *words)
    yield ("PEXPIRE", f"cards:{{{citizen}}}", int(DAY * 1000))


def _plain(house: House, like: Pattern, number: int, token: str) -> Iterable[tuple[Any, ...]]:
    name = f"c{number}"
    if token:
        yield ("SET", f"plain:session:{digest(token)}", name, "EX", int(DAY))
    for service, card in zip(house.services, like.plain_of(number), strict=True):
        yield ("SET", f"plain:card:{name}:{service}", card, "EX", int(DAY))
