"""(b) The cold feed: twenty departments at 50 ms, two silent, sixteen pages at once."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from benchmarks.house import COUNT, cpu, house, plain
from benchmarks.seed import stores
from gateway.store.ids import digest

PAGES: Final = 16
SILENT: Final = 2
BUDGET: Final = 800.0  # milliseconds: `page_budget_ms` as it is installed


@dataclass
class Cold:
    """What one peer showed."""

    name: str
    port: int
    host: str
    pid: int
    slowest: list[float] = field(default_factory=list)  # ms of the slowest page, by repetition
    live: list[int] = field(default_factory=list)  # fewest live cards of a page, by repetition
    cpu: list[float] = field(default_factory=list)  # ms of CPU a page, by repetition


async def _page(client: httpx.AsyncClient, peer: Cold, token: str) -> tuple[float, int]:
    began = time.perf_counter()
    answer = await client.get(
        f"http://127.0.0.1:{peer.port}/api/v1/cards",
        headers={"Host": peer.host, "Cookie": f"citygate={token}"},
    )
    took = (time.perf_counter() - began) * 1000
    items = answer.json()["cards"] if answer.status_code == httpx.codes.OK else []
    return took, sum(item["state"]["code"] == "ready" for item in items)


async def _at_once(peer: Cold, tokens: Sequence[str]) -> None:
    before = cpu(peer.pid)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        pages = await asyncio.gather(*(_page(client, peer, token) for token in tokens))
        await asyncio.sleep(3.2)  # what is still in the air costs too
    peer.slowest.append(max(took for took, _ in pages))
    peer.live.append(min(live for _, live in pages))
    peer.cpu.append((cpu(peer.pid) - before) * 1000 / len(tokens))


async def cold(*, repetitions: int, say: Callable[[str], None]) -> list[Cold]:
    """Measure the two beside each other; every page belongs to somebody who was never here."""
    with (
        tempfile.TemporaryDirectory() as name,
        house(Path(name), silent=SILENT, memory_mb=256) as one,
        plain(one) as (port, pid),
    ):
        peers = [
            Cold("gateway", one.street.port, one.host, one.worker),
            Cold("plain", port, "localhost", pid),
        ]
        async with stores(one) as here:
            for repetition in range(repetitions + 1):
                tokens = []
                for page in range(PAGES):
                    sub = f"cold-{repetition}-{page}"
                    citizen, token = await here.person(sub)
                    await here.agrees(citizen)
                    key = f"plain:session:{digest(token)}"
                    await here.volatile.ask(("SET", key, sub, "EX", 3600))
                    tokens.append(token)
                for peer in peers:
                    await _at_once(peer, tokens)
                    if repetition == 0:  # imports and connections are made once
                        peer.slowest.clear()
                        peer.live.clear()
                        peer.cpu.clear()
                if repetition:
                    gateway = peers[0]
                    say(
                        f"cold feed, repetition {repetition}: slowest page "
                        f"{gateway.slowest[-1]:.0f} ms, {gateway.live[-1]} of {COUNT} live, "
                        f"{gateway.cpu[-1]:.1f} ms CPU a page"
                    )
    return peers
