"""One child as its worker sees it: frames out, frames in, and who waits for which answer."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from typing_extensions import override

from gateway.clock import Clock
from gateway.contract.failure import CallOwner, Failure, TryAgain
from gateway.contract.hooks import Asked, CardAsk, Reply
from gateway.hosting.children.failing import ChildFailed, spelled
from gateway.hosting.children.forks import Forks
from gateway.hosting.children.frames import EXIT_CODES, HEAD, MAX_FROM_CHILD, MAX_TO_CHILD, Why
from gateway.hosting.children.stage import MAX_FOR_ONE
from gateway.hosting.failures import NoAnswer
from gateway.hosting.outcome import Reason

Broker = Callable[[Asked], Awaitable[Reply]]
Frame = dict[str, Any]
T = TypeVar("T")

MAX_CALLS: Final = 64  # at once in one child
MAX_STRAYS: Final = 500  # frames that nobody waits for, in a child's life
# A hook gets a little less than what is left, so that a stuck child is ended when its time is up.
NOTICE_SHARE, LONGEST_NOTICE = 0.15, 0.3
GRACE_SECONDS: Final = 0.35  # for saying that a call was given up
CODE_SECONDS: Final = 1.0  # until the nursery has told how a child ended
_ASKED: Final = TypeAdapter(Asked)
_PASSING: Final = frozenset(
    {Reason.TIMEOUT, Reason.UNREACHABLE, Reason.BUSY, Reason.PAUSED, Reason.TRY_LATER}
)
_CRASHES: Final = frozenset({-11, -4, -5, -6, -7, -8})  # SEGV ILL TRAP ABRT BUS FPE
_SIGSYS: Final = -31
_SIGXCPU: Final = -24


@dataclass(slots=True)
class Call:
    """One call of a hook, its requests to the department and what became of them."""

    broker: Broker
    answer: "asyncio.Future[Frame]"
    asks: dict[int, "asyncio.Task[None]"] = field(default_factory=dict)
    asked: int = 0
    errors: dict[int, Exception] = field(default_factory=dict)  # as the broker raised them


class Link(asyncio.Protocol):
    """The connection to one child. Whatever arrives is the plugin's word, and looked at as such."""

    def __init__(
        self, number: int, forks: Forks, ended: "asyncio.Future[int | None]", clock: Clock
    ) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.first: asyncio.Future[Frame] = loop.create_future()  # loaded, or why not
        self.over: asyncio.Future[ChildFailed] = loop.create_future()
        self.calls: dict[int, Call] = {}
        self.began = clock.monotonic()
        self.answered = 0
        self._printed = 0
        self._forks = forks
        self._ended = ended
        self._clock = clock
        self._cause: Why | None = None
        self._told = False
        self._closing = False
        self._buffer = bytearray()
        self._last = 0
        self._strays = 0
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # what the worker wants

    async def call(
        self,
        hook: str,
        *,
        broker: Broker,
        seconds: float,
        settings: Mapping[str, object],
        now: str,
        ask: CardAsk | None = None,
    ) -> tuple[Frame, Call]:
        """Call a hook and wait for what it answers, `seconds` at most.

        Raises:
            ChildFailed: the child did not survive it, or did not come back from it.
            TimeoutError: the department had not answered by then.
        """
        if self.over.done():
            raise self.over.result()
        if len(self.calls) >= MAX_CALLS:
            raise ChildFailed(Why.BUSY)
        self._last += 1
        number = self._last
        call = self.calls[number] = Call(broker, asyncio.get_running_loop().create_future())
        frame = {"do": hook, "id": number, "settings": dict(settings), "now": now}
        self.send(frame if ask is None else {**frame, "ask": asdict(ask)})
        try:
            async with self._clock.within(seconds - min(LONGEST_NOTICE, NOTICE_SHARE * seconds)):
                answer = await asyncio.shield(call.answer)
        except TimeoutError:
            waited = bool(call.asks)
            # A task of its own: whoever waits may leave, a stuck child must be ended all the same.
            failed = await asyncio.shield(self._spawn(self._give_up(number, call)))
            if failed is None and waited:
                raise
            raise failed or ChildFailed(Why.LATE) from None
        except BaseException:
            _ = self._spawn(self._give_up(number, call))
            raise
        self._over(number, call)
        return answer, call

    async def _give_up(self, number: int, call: Call) -> ChildFailed | None:
        """Cancel a call; a child that does not even say so is ended."""
        for task in call.asks.values():
            task.cancel()
        self.send({"do": "cancel", "id": number})
        if not await self._settled(call.answer, GRACE_SECONDS):
            self.kill(Why.BLOCKED)
            await self._settled(self.over, 2 * CODE_SECONDS)
        self._over(number, call)
        return self.over.result() if self.over.done() else None

    def _over(self, number: int, call: Call) -> None:
        self.calls.pop(number, None)
        for task in call.asks.values():
            task.cancel()

    def printed(self, frame: Frame) -> bool:
        """Whether the plugin has written to its output since this was last asked."""
        count = frame.get("printed")
        more = not isinstance(count, int) or count > self._printed
        self._printed = count if isinstance(count, int) else self._printed
        return more

    def send(self, value: object) -> None:
        """Send one frame, unless the child has gone."""
        if self._transport is not None and not self._transport.is_closing():
            body = orjson.dumps(value)
            self._transport.write(HEAD.pack(len(body)) + body)

    def send_source(self, source: bytes) -> None:
        """Send the plugin's text as it is."""
        if self._transport is not None:
            self._transport.write(HEAD.pack(len(source)) + source)

    def kill(self, why: Why, *, told: bool = False) -> None:
        """End it now, whatever it does; `told` where whoever asked is told already."""
        if self._cause is None:
            self._cause, self._told = why, told
        self._forks.end(self.number)
        if self._transport is not None:
            self._transport.abort()

    async def end(self) -> None:
        """Close our end, so that it ends by itself; kill it if it does not."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()
        if not await self._settled(self._ended, CODE_SECONDS):
            self._forks.end(self.number)
            await self._settled(self._ended, CODE_SECONDS)

    async def _settled(self, future: "asyncio.Future[Any]", seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with self._clock.within(seconds):
                await asyncio.wait([future])
        return future.done()

    # what the child sends

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # a stream's transport can write

    @override
    def data_received(self, data: bytes) -> None:
        """Cut the stream into frames."""
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            (size,) = HEAD.unpack_from(self._buffer)
            if size > MAX_FROM_CHILD:
                self.kill(Why.FRAMES)
                return
            if len(self._buffer) < HEAD.size + size:
                return
            body = bytes(self._buffer[HEAD.size : HEAD.size + size])
            del self._buffer[: HEAD.size + size]
            if not self._take(body):
                self.kill(Why.FRAMES)
                return

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """It ended: learn how, then tell everybody who waits."""
        _ = self._spawn(self._learn())

    def _take(self, body: bytes) -> bool:
        """One frame; False when it is not what was agreed."""
        try:
            frame = orjson.loads(body)
        except orjson.JSONDecodeError:
            return False
        if not isinstance(frame, dict) or not isinstance(frame.get("id", 0), int):
            return False
        if not self.first.done():
            self.first.set_result(frame)
            return True
        if frame.get("is") == "ask":
            return self._ask(frame)
        call = self.calls.get(frame.get("id", 0))
        if call is None or call.answer.done():
            self._strays += 1
            return self._strays <= MAX_STRAYS
        call.answer.set_result(frame)
        self.answered += 1
        return True

    def _ask(self, frame: Frame) -> bool:
        call, number = self.calls.get(frame.get("of", 0)), frame.get("id")
        if call is None or call.answer.done():
            self._strays += 1
            return self._strays <= MAX_STRAYS
        call.asked += 1
        if not isinstance(number, int) or number in call.asks or call.asked > MAX_FOR_ONE:
            return False
        try:
            asked = _ASKED.validate_python(frame.get("asked"))
        except ValidationError:
            self._refuse(number, CallOwner(what="a request that is none"))
            return True
        call.asks[number] = asyncio.create_task(self._bring(call, number, asked))
        return True

    async def _bring(self, call: Call, number: int, asked: Asked) -> None:
        try:
            reply = await call.broker(asked)
        except Exception as error:  # noqa: BLE001 - kept, and raised again if it leaves the hook
            call.errors[number] = error
            self._refuse(number, _in_contract(error))
        else:
            told = {"do": "reply", "id": number, **asdict(reply)}
            body = orjson.dumps(told)
            if len(body) > MAX_TO_CHILD:
                self._refuse(number, CallOwner(what="the answer is too big"))
            else:
                self.send(told)
        finally:
            call.asks.pop(number, None)

    def _refuse(self, number: int, failure: Failure) -> None:
        self.send({"do": "reply", "id": number, **(spelled(failure) or {})})

    async def _learn(self) -> None:
        if not await self._settled(self._ended, CODE_SECONDS / 2):
            self._forks.end(self.number)  # it closed its end and lives on: not agreed
            await self._settled(self._ended, CODE_SECONDS / 2)
        code = self._ended.result() if self._ended.done() else None
        failed = ChildFailed(self._cause or (Why.GONE if self._closing else why_of(code)))
        failed.told = self._told
        self.over.set_result(failed)
        if not self.first.done():
            self.first.set_exception(failed)
            self.first.exception()  # seen, also where nobody waits
        for call in self.calls.values():
            if not call.answer.done():
                call.answer.set_exception(failed)
                call.answer.exception()

    def _spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def why_of(code: int | None) -> Why:
    """Why a child ended that nobody had told to."""
    if code is None or code == -9:  # noqa: PLR2004 - SIGKILL: by the nursery's end or the system
        return Why.GONE
    if code in _CRASHES:
        return Why.CRASHED
    if code == _SIGSYS:
        return Why.FORBIDDEN
    if code == _SIGXCPU:
        return Why.BLOCKED
    return EXIT_CODES.get(code, Why.EXITED)


def _in_contract(error: Exception) -> Failure:
    """What a plugin is told of a request that brought no answer."""
    if isinstance(error, Failure):
        return error
    passing = isinstance(error, TimeoutError) or (
        isinstance(error, NoAnswer) and error.reason in _PASSING
    )
    if passing:
        return TryAgain()
    return CallOwner(what=f"no usable answer: {type(error).__name__}")
