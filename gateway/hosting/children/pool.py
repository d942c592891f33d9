"""A worker's code plugins: one child for each package digest, on first call, ended when idle.

`Children` is all that the rest of hosting sees: values in, values out, the contract's failures, and
`ChildFailed` for whatever no contract allows.
"""

import asyncio
import contextlib
import platform
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
import structlog
from pydantic import BaseModel

from gateway.clock import Clock
from gateway.contract.answer import CardAnswer, Empty, Probe
from gateway.contract.failure import Failure
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import PluginId
from gateway.hosting.children import cage
from gateway.hosting.children.failing import ChildFailed, bug
from gateway.hosting.children.forks import Forks
from gateway.hosting.children.frames import Why
from gateway.hosting.children.link import Broker, Link
from gateway.hosting.children.reading import closed, read_frame, seen, without_claims
from gateway.hosting.children.slot import Slot
from gateway.hosting.outcome import Reason
from gateway.hosting.package import Package

Report = Callable[[str, str, str], None]

LOAD_SECONDS: Final = 5.0
OPEN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
DRAIN_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 600.0
SWEEP_SECONDS: Final = 30.0
MAX_ANSWERS: Final = 20_000  # then a fresh child takes over: whatever leaks, leaks no further
MAX_CHILDREN: Final = 256
# Says nothing of the plugin, or was said when it happened first.
_QUIET: Final = frozenset({Why.PAUSED, Why.BUSY})

log = structlog.get_logger(__name__)


class Children:
    """The code plugins of one worker."""

    def __init__(
        self,
        *,
        clock: Clock,
        report: Report,
        accept_uncaged: tuple[str, ...] = (),
        production: bool = True,
        without: tuple[str, ...] = (),
    ) -> None:
        """Start nothing yet; `without` leaves out parts of the cage, as on a machine without them."""
        self._clock = clock
        self._report = report
        self._accepted = accept_uncaged
        self._production = production
        self._forks = Forks(clock, without)
        self._usual = cage.available() - set(without)
        self._slots: dict[tuple[str, str, bytes], Slot] = {}
        self._said: dict[str, Why] = {}
        self._closed = False
        self._sweeper: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Let the nursery import what it needs, before the first question comes."""
        if platform.system() == "Linux":
            _ = self._forks.begin()
            if self._sweeper is None:
                self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    @property
    def confined(self) -> bool:
        """Whether code plugins are (or would be) caged here: what the health page shows."""
        held = [slot.held for slot in self._slots.values() if slot.held is not None]
        return all(cage.confined(one) for one in [*held, self._usual])

    async def card(
        self,
        package: Package,
        ask: CardAsk,
        *,
        broker: Broker,
        seconds: float,
        settings: Mapping[str, object],
        now: str,
    ) -> CardAnswer | Empty:
        """Ask a plugin for one citizen's card.

        Raises:
            Failure: one of the contract's five, as the plugin raised it; what the broker raised
                comes back as the very exception.
            ChildFailed: the plugin did what no contract allows, or cannot run.
            TimeoutError: the department had not answered by then.
        """
        hidden = tuple(value for value in ask.claims.values() if value)
        answer = await self._ask("card", package, broker, seconds, settings, now, ask)
        if isinstance(answer, Failure):
            raise without_claims(answer, hidden)
        if not isinstance(answer, CardAnswer | Empty):
            raise self._failed(package.id, ChildFailed(Why.WRONG_ANSWER))
        return answer

    async def probe(
        self,
        package: Package,
        *,
        broker: Broker,
        seconds: float,
        settings: Mapping[str, object],
        now: str,
    ) -> Probe:
        """Ask a plugin whether its back end is there; one without that hook is there once loaded.

        Raises:
            Failure, ChildFailed, TimeoutError: as for a card.
        """
        answer = await self._ask("probe", package, broker, seconds, settings, now, None)
        if isinstance(answer, Failure):
            raise answer
        if answer is None:
            return Probe(ok=True)
        if not isinstance(answer, Probe):
            raise self._failed(package.id, ChildFailed(Why.WRONG_ANSWER))
        return answer

    async def retire(self, plugin: PluginId, digest: str) -> None:
        """Let an old package's child finish what it has begun, then end it."""
        for key, slot in list(self._slots.items()):
            if (slot.plugin, slot.digest) == (plugin, digest):
                del self._slots[key]
                await self._let_go(slot, DRAIN_SECONDS, CLOSE_SECONDS)

    async def close(self) -> None:
        """End every child and the nursery; nothing is left over, and nothing starts again."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        slots = list(self._slots.values())
        self._slots.clear()
        await asyncio.gather(*(self._let_go(slot, 0.0, 1.0) for slot in slots))
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._forks.close()

    # one question

    async def _ask(
        self,
        hook: str,
        package: Package,
        broker: Broker,
        seconds: float,
        settings: Mapping[str, object],
        now: str,
        ask: CardAsk | None,
    ) -> BaseModel | Failure | None:
        until = self._clock.monotonic() + seconds
        again = True  # once: a read may be asked again where the child's end was nobody's doing
        while True:
            try:
                slot = self._slot(package, settings)
                left = max(0.001, until - self._clock.monotonic())
                link = await self._ready(slot, package, broker, settings, now, left)
                left = max(0.001, until - self._clock.monotonic())
                frame, call = await link.call(
                    hook, broker=broker, seconds=left, settings=settings, now=now, ask=ask
                )
                answer = read_frame(frame, call, link)
            except ChildFailed as failed:
                if failed.why is not Why.GONE or not again or self._closed:
                    raise self._failed(package.id, failed) from None
                again = False
            else:
                self._well(package.id)
                return answer

    def _slot(self, package: Package, settings: Mapping[str, object]) -> Slot:
        given = orjson.dumps(dict(settings), option=orjson.OPT_SORT_KEYS)
        key = (package.id, package.digest, given)
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = Slot(package.id, package.digest)
        slot.used = self._clock.monotonic()
        return slot

    async def _ready(
        self,
        slot: Slot,
        package: Package,
        broker: Broker,
        settings: Mapping[str, object],
        now: str,
        seconds: float,
    ) -> Link:
        """The package's child, started if there is none: all who ask meanwhile wait for one start."""
        if slot.link is not None and not slot.link.over.done():
            if slot.link.answered < MAX_ANSWERS:
                return slot.link
            self._renew(slot, slot.link)
        if slot.starting is None:
            if self._clock.monotonic() < slot.not_before:
                raise ChildFailed(Why.PAUSED)
            slot.starting = asyncio.get_running_loop().create_task(
                self._start(slot, package, broker, settings, now)
            )
            slot.starting.add_done_callback(seen)
        starting = slot.starting
        try:
            async with self._clock.within(seconds):
                await asyncio.wait([starting])
        except TimeoutError:
            raise ChildFailed(Why.LATE, "still starting") from None
        if starting.cancelled():
            raise ChildFailed(Why.GONE, "it is ended before it has begun")
        return starting.result()

    # one child's life

    async def _start(
        self,
        slot: Slot,
        package: Package,
        broker: Broker,
        settings: Mapping[str, object],
        now: str,
    ) -> Link:
        try:
            link = await self._load(slot, package)
            try:
                await self._open(link, broker, settings, now)
            except BaseException:
                link.kill(Why.UNLOADABLE, told=True)
                raise
        except ChildFailed as failed:
            slot.pause(self._clock.monotonic())
            raise self._failed(package.id, failed) from None
        finally:
            slot.starting = None
        slot.link = link
        link.over.add_done_callback(lambda over: self._ended(slot, link, over))
        return link

    async def _load(self, slot: Slot, package: Package) -> Link:
        if self._closed:
            raise ChildFailed(Why.GONE, "the worker ends")
        self._make_room()
        if platform.system() != "Linux":
            raise ChildFailed(Why.UNCAGED, "code plugins run on Linux only")
        self.start()
        number, sock, ended = self._forks.fork()
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(
            lambda: Link(number, self._forks, ended, self._clock), sock=sock
        )
        caged = self._production and package.id not in self._accepted
        link.send({"must_be_caged": caged})
        link.send_source(package.code or b"")
        try:
            async with self._clock.within(LOAD_SECONDS):
                first = await asyncio.shield(link.first)
        except TimeoutError:
            link.kill(Why.BLOCKED)
            raise ChildFailed(Why.BLOCKED, "its import does not end") from None
        except asyncio.CancelledError:
            link.kill(Why.GONE)
            raise
        slot.held = cage.named_parts(first.get("held"))
        if first.get("is") == "loaded" and not link.printed(first):
            return link
        link.kill(Why.UNLOADABLE, told=True)
        if first.get("is") == "uncaged":
            raise ChildFailed(Why.UNCAGED)
        raise ChildFailed(Why.PRINTED) if first.get("is") == "loaded" else bug(first)

    async def _open(
        self, link: Link, broker: Broker, settings: Mapping[str, object], now: str
    ) -> None:
        try:
            frame, call = await link.call(
                "open", broker=broker, seconds=OPEN_SECONDS, settings=settings, now=now
            )
            answer = read_frame(frame, call, link)
        except TimeoutError:
            raise ChildFailed(Why.UNLOADABLE, "open: no answer from the department") from None
        except ChildFailed:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the broker raised
            why = f"open failed: {type(error).__name__}"
            raise ChildFailed(Why.UNLOADABLE, why) from None
        if answer is not None:
            raise ChildFailed(Why.UNLOADABLE, f"open failed: {type(answer).__name__}")

    def _ended(self, slot: Slot, link: Link, over: "asyncio.Future[ChildFailed]") -> None:
        """A child ended: remember how often that happened lately."""
        if slot.link is not link:
            return  # drained on purpose
        slot.link = None
        slot.lived(self._clock.monotonic() - link.began)
        failed = over.result()
        if failed.why is not Why.GONE:
            slot.pause(self._clock.monotonic())
            self._failed(slot.plugin, failed)

    def _renew(self, slot: Slot, link: Link) -> None:
        """Take an aged child out of service; whoever asks it still gets an answer."""
        slot.link = None
        slot.old.append(link)
        self._later(self._finish(slot, link))

    async def _finish(self, slot: Slot, link: Link) -> None:
        await self._drain(link, DRAIN_SECONDS, CLOSE_SECONDS)
        slot.old.remove(link)

    async def _let_go(self, slot: Slot, drain: float, close: float) -> None:
        if slot.starting is not None:
            with contextlib.suppress(TimeoutError):
                async with self._clock.within(drain):
                    await asyncio.wait([slot.starting])
        if slot.starting is not None:
            slot.starting.cancel()
            await asyncio.wait([slot.starting])
        link, slot.link = slot.link, None
        if link is not None:
            await self._drain(link, drain, close)

    async def _drain(self, link: Link, drain: float, close: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with self._clock.within(drain):
                while link.calls:
                    answers = [call.answer for call in link.calls.values()]
                    await asyncio.wait(answers)
                    await self._clock.sleep(0)
        with contextlib.suppress(ChildFailed, TimeoutError, Failure):
            await link.call("close", broker=closed, seconds=close, settings={}, now="")
        await link.end()

    def _make_room(self) -> None:
        """Beyond the most children that one worker keeps, the one idle longest goes."""
        living = [slot for slot in self._slots.values() if slot.link is not None]
        if len(living) < MAX_CHILDREN:
            return
        idle = [slot for slot in living if slot.link is not None and not slot.link.calls]
        if not idle:
            raise ChildFailed(Why.BUSY, f"{MAX_CHILDREN} children are at work")
        self._forget(min(idle, key=lambda slot: slot.used))

    def _forget(self, slot: Slot) -> None:
        for key, one in list(self._slots.items()):
            if one is slot:
                del self._slots[key]
        self._later(self._let_go(slot, DRAIN_SECONDS, CLOSE_SECONDS))

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            now = self._clock.monotonic()
            for slot in list(self._slots.values()):
                working = slot.starting is not None or (slot.link and slot.link.calls)
                if now - slot.used > IDLE_SECONDS and not working:
                    self._forget(slot)

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # what is said of it

    def _failed(self, plugin: PluginId, failed: ChildFailed) -> ChildFailed:
        """Name it: on the health page each time, in the log when the reason is a new one."""
        if failed.told or failed.why in _QUIET:
            return failed
        failed.told = True
        self._report(plugin, Reason.PLUGIN, failed.what)
        if self._said.get(plugin) != failed.why:
            self._said[plugin] = failed.why
            log.warning("children.failed", plugin=plugin, why=str(failed.why), what=failed.what)
        return failed

    def _well(self, plugin: PluginId) -> None:
        if (why := self._said.pop(plugin, None)) is not None:
            log.info("children.well_again", plugin=plugin, why=str(why))
