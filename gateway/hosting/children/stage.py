"""Where a plugin's hooks are called inside its child: one task for each call, all on one loop."""

import asyncio
import inspect
import io
import json
import math
import socket
import sys
import types
from dataclasses import asdict
from typing import Any, Final

from pydantic import BaseModel
from typing_extensions import override

from gateway.contract.answer import CardAnswer, Empty, Probe
from gateway.contract.failure import CallOwner, Failure
from gateway.contract.hooks import Asked, CardAsk, Context, Reply
from gateway.hosting.children.failing import read, spelled
from gateway.hosting.children.frames import HEAD, MAX_FROM_CHILD, MAX_TO_CHILD, Why, packed

MAX_FOR_ONE: Final = 20  # requests that one call of a hook may send
FILE: Final = "plugin.py"
_HOOKS: Final = ("open", "card", "probe", "close")


class Output(io.TextIOBase):
    """Where the plugin's prints go: nowhere, but counted."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @override
    def writable(self) -> bool:
        """So that `print` takes it."""
        return True

    @override
    def write(self, text: str) -> int:
        """Count."""
        self.count += len(text)
        return len(text)


class Way:
    """`ctx.http` of one call: hands each request to the worker and waits for the reply."""

    def __init__(self, stage: "Stage", call: int) -> None:
        self._stage = stage
        self._call = call
        self._sent = 0
        self.came: list[tuple[Failure, int]] = []  # failures that came from the worker

    async def send(self, asked: Asked) -> Reply:
        """Send one request to the department; the worker adds credentials and signature."""
        if not isinstance(asked, Asked):
            raise TypeError
        self._sent += 1
        if self._sent > MAX_FOR_ONE:
            raise CallOwner(what=f"the plugin sent more than {MAX_FOR_ONE} requests for one call")
        number, reply = self._stage.expect()
        try:
            told = asdict(asked)
            self._stage.tell({"is": "ask", "id": number, "of": self._call, "asked": told})
            answer = await reply
        finally:
            self._stage.forget(number)
        if "failure" in answer:
            failure = read(answer)
            self.came.append((failure, number))
            raise failure
        return Reply(answer["status"], answer["headers"], answer["text"])

    def origin(self, failure: Failure) -> int | None:
        """The number of the request that failed so, if it came from the worker."""
        return next((number for one, number in self.came if one is failure), None)


class Stage:
    """Reads frames, runs hooks, sends what came of them."""

    def __init__(self, sock: socket.socket, output: Output, held: list[str]) -> None:
        self._sock = sock
        self._output = output
        self._held = held
        self._hooks: dict[str, Any] = {}
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._given_up: set[int] = set()
        self._last = 0

    async def serve(self, source: bytes) -> int:
        """Load the plugin and run its hooks until the worker closes; the exit code."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._sock, limit=1 << 16)
        if not self._load(source):
            await self._writer.drain()
            return 0
        while (frame := await _next(reader)) is not None:
            match frame["do"]:
                case "reply":
                    if (waiting := self._replies.get(frame["id"])) and not waiting.done():
                        waiting.set_result(frame)
                case "cancel":
                    if task := self._calls.get(frame["id"]):
                        self._given_up.add(frame["id"])
                        task.cancel()
                case hook:
                    task = asyncio.create_task(self._call(hook, frame))
                    self._calls[frame["id"]] = task
        return 0

    def expect(self) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        """A number for one more request, and where its reply will be."""
        self._last += 1
        self._replies[self._last] = asyncio.get_running_loop().create_future()
        return self._last, self._replies[self._last]

    def forget(self, number: int) -> None:
        """Nobody waits for that reply any more."""
        self._replies.pop(number, None)

    def tell(self, value: dict[str, Any]) -> None:
        """Send one frame.

        Raises:
            ValueError: it is too big, or holds what is no JSON.
        """
        frame = packed(value)
        if len(frame) > MAX_FROM_CHILD:
            raise ValueError
        self._writer.write(frame)

    def _load(self, source: bytes) -> bool:
        module = types.ModuleType("plugin")
        module.__file__ = FILE
        sys.modules["plugin"] = module
        try:
            exec(compile(source, FILE, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what the cage is for
        except BaseException as error:  # noqa: BLE001 - sys.exit() at import too
            why = Why.EXITED if isinstance(error, SystemExit) else Why.UNLOADABLE
            self._bug("unloadable", why, error)
            return False
        for name in _HOOKS:
            hook = module.__dict__.get(name)
            if inspect.iscoroutinefunction(hook):
                self._hooks[name] = hook
        if "card" not in self._hooks:
            self._bug("unloadable", Why.UNLOADABLE, None)
            return False
        self.tell({"is": "loaded", "held": self._held, "printed": self._output.count})
        return True

    async def _call(self, hook: str, frame: dict[str, Any]) -> None:
        number = frame["id"]
        way = Way(self, number)
        try:
            told = await self._answer(hook, frame, way)
        except asyncio.CancelledError:
            if number in self._given_up:  # otherwise the plugin has ended the loop
                self.tell({"is": "cancelled", "id": number})
            return
        except Failure as failure:
            told = _failure(failure, way)
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it would end the loop
            self._bug("bug", _why(error), error, number)
            return
        finally:
            self._calls.pop(number, None)
            self._given_up.discard(number)
        try:
            self.tell({**told, "id": number, "printed": self._output.count})
        except (ValueError, TypeError):
            self._bug("bug", Why.WRONG_ANSWER, None, number)

    async def _answer(self, hook: str, frame: dict[str, Any], way: Way) -> dict[str, Any]:
        ctx = Context(way, types.MappingProxyType(frame["settings"]), frame["now"])
        wanted: tuple[type[BaseModel], ...] = {"card": (CardAnswer, Empty), "probe": (Probe,)}.get(
            hook, ()
        )
        if hook not in self._hooks:
            return {"is": "absent"}
        if hook == "card":
            answer = await self._hooks[hook](ctx, CardAsk(**frame["ask"]))
        else:
            answer = await self._hooks[hook](ctx)
        if not wanted:
            return {"is": "done"}
        kind = next((one for one in wanted if type(answer) is one), None)
        if kind is None:
            raise _NotAnAnswer
        return {"is": kind.__name__, "value": _values(answer)}

    def _bug(self, kind: str, why: Why, error: BaseException | None, number: int = 0) -> None:
        told = {"is": kind, "id": number, "why": why, "printed": self._output.count}
        if error is not None:
            told |= {"error": type(error).__name__, "line": _line(error)}
        self.tell(told)


class _NotAnAnswer(Exception):
    """A hook returned something else."""


def _values(answer: BaseModel) -> dict[str, Any]:
    """An answer as JSON; whoever made one without its checks made none."""
    try:
        values: dict[str, Any] = type(answer).model_validate(answer.model_dump()).model_dump()
        rows = [values.get("facts") or {}, *(values.get("items") or ())]
        numbers = [one for row in rows for one in row.values() if isinstance(one, float)]
        if all(map(math.isfinite, numbers)):  # JSON would make nothing of NaN
            return answer.model_dump(mode="json")
    except Exception:  # noqa: BLE001 - whatever stands in the places of values
        raise _NotAnAnswer from None
    raise _NotAnAnswer


def _why(error: BaseException) -> Why:
    kinds = {_NotAnAnswer: Why.WRONG_ANSWER, MemoryError: Why.MEMORY, SystemExit: Why.EXITED}
    return next((why for kind, why in kinds.items() if isinstance(error, kind)), Why.RAISED)


def _line(error: BaseException) -> int:
    """The last line of the plugin that it came through; 0 if none."""
    if isinstance(error, SyntaxError) and error.filename == FILE:
        return error.lineno or 0
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _failure(failure: Failure, way: Way) -> dict[str, Any]:
    if (named := spelled(failure)) is None:
        return {"is": "bug", "why": Why.RAISED, "error": "Failure", "line": _line(failure)}
    return {"is": "failure", **named, "of": way.origin(failure)}


async def _next(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next frame; None when the worker has closed."""
    try:
        (size,) = HEAD.unpack(await reader.readexactly(HEAD.size))
        if size > MAX_TO_CHILD:
            return None
        frame: dict[str, Any] = json.loads(await reader.readexactly(size))
    except asyncio.IncompleteReadError:
        return None
    return frame
