"""(e) Preparing and adopting a registry of 3,000 entries."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.registry.gather import gather
from gateway.registry.generation import Generation
from gateway.registry.workshop import Ready, Workshop
from tests.gateway.registry import samples

FILES: Final = 30
EACH: Final = 100


@dataclass
class Reload:
    """Seconds, by repetition."""

    whole: list[float] = field(default_factory=list)  # prepared in a child, as a publish does it
    one: list[float] = field(default_factory=list)  # the same with one changed entry
    adopt: list[float] = field(default_factory=list)  # opened by a worker that served the last one
    gap: list[float] = field(default_factory=list)  # longest time its loop did nothing else


def written(folder: Path) -> dict[str, bytes]:
    """3,000 directory entries in thirty files, and one with a plugin."""
    head = samples.HEAD + "include: [parts/*.yaml]\nservices:\n" + samples.GJJ
    parts = {
        f"parts/{n:02d}.yaml": (
            "services:\n" + "".join(samples.plain(f"e{n}-{k}") for k in range(EACH))
        ).encode()
        for n in range(FILES)
    }
    registry = samples.write(folder, samples.files(head, **parts))
    files, found = gather(registry, folder / "plugins")
    assert not found, found[:3]
    return files


async def _made(
    workshop: Workshop, files: dict[str, bytes], revision: int, before: Path | None
) -> tuple[Ready, float]:
    began = time.perf_counter()
    ready = await workshop.make(files, revision, before=before)
    took = time.perf_counter() - began
    assert ready.path is not None, ready.findings[:3]
    return ready, took


async def _longest_gap(until: asyncio.Event) -> float:
    longest, last = 0.0, time.perf_counter()
    while not until.is_set():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last - 0.001), now
    return longest


async def reload(*, repetitions: int, say: Callable[[str], None]) -> Reload:
    """Measure it as the program does it: the child `gateway prepare`, then a worker's load."""
    found = Reload()
    for repetition in range(repetitions):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = written(folder / "edit")
            workshop = Workshop(folder / "state", "demo")
            first, took = await _made(workshop, files, 1, None)
            found.whole.append(took)
            path = "parts/07.yaml"
            changed = {**files, path: files[path].replace("服务e7-7".encode(), "改名".encode(), 1)}
            second, took = await _made(workshop, changed, 2, first.path)
            found.one.append(took)
            assert first.path is not None
            assert second.path is not None
            before = Generation.load(first.path)
            ended = asyncio.Event()
            watching = asyncio.create_task(_longest_gap(ended))
            await asyncio.sleep(0.02)
            began = time.perf_counter()
            after = await asyncio.to_thread(Generation.load, second.path, before)
            after.packages()
            found.adopt.append(time.perf_counter() - began)
            ended.set()
            found.gap.append(await watching)
        say(
            f"3,000 entries, repetition {repetition + 1}: prepared in {found.whole[-1]:.2f} s, "
            f"one changed in {found.one[-1]:.2f} s, adopted in {found.adopt[-1] * 1000:.0f} ms"
        )
    return found
