"""(a) The warm feed: twenty cards of a citizen at random, through the real worker."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from benchmarks.house import House, cpu, house, nginx, plain
from benchmarks.seed import pattern, seed, stores
from tests.city import ROOT


@dataclass
class Peer:
    """One of those that are compared."""

    name: str
    port: int
    host: str
    pid: int
    valkey: int | None
    each: list[float] = field(default_factory=list)  # requests per CPU-second
    both: list[float] = field(default_factory=list)  # the same, Valkey's counted too
    wall: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    bad: int = 0
    size: int = 0


def drive(peer: Peer, tokens: Sequence[str], seconds: float, connections: int) -> dict[str, Any]:
    """Let a process of its own ask for a while; what it saw and what that cost."""
    order = {
        "port": peer.port,
        "tokens": list(tokens),
        "host": peer.host,
        "connections": connections,
        "seconds": seconds,
    }
    before = cpu(peer.pid), cpu(peer.valkey) if peer.valkey else 0.0
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=orjson.dumps(order), stdout=subprocess.PIPE, cwd=ROOT, check=True,
    )  # fmt: skip
    seen: dict[str, Any] = orjson.loads(done.stdout)
    seen["cpu"] = cpu(peer.pid) - before[0]
    seen["valkey"] = (cpu(peer.valkey) if peer.valkey else 0.0) - before[1]
    return seen


def note(peer: Peer, seen: dict[str, Any]) -> None:
    """Keep what one repetition showed."""
    peer.each.append(seen["good"] / seen["cpu"])
    peer.both.append(seen["good"] / (seen["cpu"] + seen["valkey"]))
    peer.wall.append(seen["good"] / seen["seconds"])
    peer.p50.append(seen["p50"])
    peer.p99.append(seen["p99"])
    peer.bad += seen["bad"]
    peer.size = seen["size"]


async def warm(
    *, citizens: int, awake: int, repetitions: int, seconds: float, say: Callable[[str], None]
) -> list[Peer]:
    """Measure the three beside each other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chmod(name, 0o755)  # noqa: PTH101 - nginx gives up its rights
        with house(folder, silent=0, memory_mb=1024 + citizens // 10) as one:
            async with stores(one) as here:
                like = await pattern(one, here)
                say(f"putting {citizens} citizens with 20 cards each into Valkey")
                tokens = await seed(one, here, like, citizens, awake)
            return _measure(one, tokens, repetitions, seconds, say)


def _measure(
    one: House, tokens: Sequence[str], repetitions: int, seconds: float, say: Callable[[str], None]
) -> list[Peer]:
    body = httpx.get(
        f"http://127.0.0.1:{one.street.port}/api/v1/cards",
        headers={"Host": one.host, "Cookie": f"citygate={tokens[0]}"},
        trust_env=False,
    ).content
    with plain(one) as (plain_port, plain_pid), nginx(one, body) as (nginx_port, nginx_pid):
        valkey = one.valkey_pid
        peers = [
            Peer("gateway", one.street.port, one.host, one.worker, valkey),
            Peer("plain", plain_port, "localhost", plain_pid, valkey),
            Peer("nginx", nginx_port, "localhost", nginx_pid, None),
        ]
        for peer in peers:  # first views cost more: everybody is known before it counts
            drive(peer, tokens, max(seconds, len(tokens) / 700), 64)
        for repetition in range(repetitions):
            for peer in peers:
                note(peer, drive(peer, tokens, seconds, 64))
            ratio = statistics.median(peers[0].each) / statistics.median(peers[1].each)
            say(f"warm feed, repetition {repetition + 1}: {ratio:.2f} × plain")
    return peers
