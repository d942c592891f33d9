"""`make bench`: everything that is measured, as a table and as `benchmarks/results.md`."""

import argparse
import asyncio
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.cold import BUDGET, PAGES, Cold, cold
from benchmarks.house import COUNT, many_files
from benchmarks.reload import Reload, reload
from benchmarks.warm import Peer, warm
from gateway.clock import CITY_ZONE

RESULTS: Final = Path(__file__).with_name("results.md")
Row = Sequence[str]


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(text, file=sys.stderr, flush=True)


def three(values: Sequence[float], form: str = ".0f") -> str:
    """Min, median and max."""
    middle = statistics.median(values)
    return " / ".join(format(value, form) for value in (min(values), middle, max(values)))


def table(head: Row, rows: Sequence[Row]) -> str:
    """A table as Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def verdict(*, reached: bool) -> str:
    """Whether a goal stands."""
    return "reached" if reached else "**not reached**"


def about_warm(peers: Sequence[Peer], citizens: int, awake: int) -> str:
    """Part (a)."""
    gateway, plain, nginx = (statistics.median(peer.each) for peer in peers)
    head = ("peer", "bytes", "requests per CPU-second", "with Valkey's CPU", "requests/s",
            "p50 ms", "p99 ms", "bad")  # fmt: skip
    rows = [
        (peer.name, str(peer.size), three(peer.each), three(peer.both), three(peer.wall),
         three(peer.p50, ".1f"), three(peer.p99, ".1f"), str(peer.bad))
        for peer in peers
    ]  # fmt: skip
    return (
        f"## (a) Warm feed: {COUNT} cards, {awake:,} citizens at random out of {citizens:,}\n\n"
        f"{table(head, rows)}\n\n"
        f"{gateway / plain:.2f} × plain (goal ≥ 5: {verdict(reached=gateway >= 5 * plain)}); "
        f"{gateway / nginx * 100:.1f} % of nginx serving the same bytes.\n"
    )


def about_cold(peers: Sequence[Cold]) -> str:
    """Part (b)."""
    head = ("peer", "slowest page, ms", "fewest live cards of a page", "CPU ms a page")
    rows = [
        (peer.name, three(peer.slowest), three(peer.live), three(peer.cpu, ".1f")) for peer in peers
    ]
    gateway = peers[0]
    whole = min(gateway.live) >= COUNT - 2
    in_time, cheap = max(gateway.slowest) <= 1.05 * BUDGET, max(gateway.cpu) <= 15
    return (
        f"## (b) Cold feed: {COUNT} departments at 50 ms, two silent, {PAGES} pages at once\n\n"
        f"{table(head, rows)}\n\n"
        f"All 18 live cards on every page: {verdict(reached=whole)}. "
        f"Slowest page ≤ 1.05 × {BUDGET:.0f} ms: {verdict(reached=in_time)}. "
        f"≤ 15 ms CPU a page: {verdict(reached=cheap)}.\n"
    )


def about_reload(found: Reload) -> str:
    """Part (e)."""
    goals = (
        ("prepared whole, s (goal ≤ 2)", found.whole, 2.0, ".2f", 1),
        ("one changed entry, s (goal ≤ 0.3)", found.one, 0.3, ".2f", 1),
        ("adopted by a worker, ms (goal ≤ 50)", found.adopt, 0.05, ".0f", 1000),
        ("its loop busy meanwhile, ms", found.gap, 0.05, ".0f", 1000),
    )
    rows = [
        (
            name,
            three([value * by for value in values], form),
            verdict(reached=statistics.median(values) <= most),
        )
        for name, values, most, form, by in goals
    ]
    return (
        "## (e) A registry of 3,000 entries\n\n"
        f"{table(('what', 'min / median / max', 'median'), rows)}\n\n"
        "Preparing is the whole child process, its start and imports included.\n"
    )


def machine() -> str:
    """Where this was measured, in general words."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


async def measure(given: argparse.Namespace) -> str:
    """Everything, as one document."""
    repetitions = 2 if given.quick else 5
    citizens = 8192 if given.quick else given.citizens
    awake = min(4096, citizens)
    parts = [
        about_reload(await reload(repetitions=repetitions, say=say)),
        about_cold(await cold(repetitions=repetitions, say=say)),
        about_warm(
            await warm(
                citizens=citizens, awake=awake, repetitions=repetitions, seconds=3.0, say=say
            ),
            citizens,
            awake,
        ),
    ]
    day = datetime.now(CITY_ZONE).date().isoformat()
    return (
        "# What the gateway costs\n\n"
        f"Written by `make bench` on {day}: {machine()}. Min / median / max of {repetitions} "
        "interleaved repetitions; compare ratios, not numbers. One worker on the first core, "
        "all else on the last.\n\n" + "\n".join(reversed(parts))
    )


def main() -> None:
    """Measure, print, and keep what was found unless it was a quick look."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--citizens", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="fewer people, two repetitions")
    given = parser.parse_args()
    many_files()
    found = asyncio.run(measure(given))
    print(found)
    if not given.quick:
        why = Path(__file__).with_name("why.md").read_text("utf-8")
        RESULTS.write_text(f"{found}\n{why}", "utf-8")


if __name__ == "__main__":
    main()
