"""A code plugin on the bench: run in a process of its own, watched, with recorded answers.

`plugin check` starts it (`gateway.conformance.bench`); it reads one JSON document from standard
input and writes one to its first standard output. Unlike the gateway's own cage this runs on every
machine a plugin is written on; it watches and does not confine.
"""

import asyncio
import json
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gateway.contract.answer import CardAnswer, Empty
from gateway.contract.failure import (
    AskCitizen,
    CallOwner,
    Failure,
    ShowLast,
    TryAgain,
    Unsure,
)
from gateway.contract.hooks import Asked, CardAsk, Context, Reply

FILE: Final = "plugin.py"
MOST_STEP: Final = 0.05  # seconds of work between two awaits
MOST_REQUESTS: Final = 20
WORDS: Final = {
    TryAgain: "try_again",
    ShowLast: "show_last",
    CallOwner: "call_owner",
    AskCitizen: "ask_citizen",
    Unsure: "unsure",
}
_REACHES: Final = {
    "socket.__new__": "opens a socket",
    "socket.connect": "opens a connection",
    "socket.bind": "opens a port",
    "socket.getaddrinfo": "looks up a host name",
    "subprocess.Popen": "starts a program",
    "os.system": "starts a program",
    "os.exec": "starts a program",
    "os.fork": "starts a process",
    "os.posix_spawn": "starts a process",
    "_thread.start_new_thread": "starts a thread",
}


class Guard:
    """Notes what the plugin's code reaches for while it is watched."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.during = ""  # "import", "hook" or "" (not watched)
        self.asking = False  # hooks are being called
        self.longest = 0.0
        self._own = tuple(
            str(Path(path).resolve())
            for path in (sys.prefix, sys.base_prefix, Path(__file__).parents[2])
        )

    def note(self, what: str) -> None:
        """Write down what was done and in which line of the plugin."""
        one = {"during": self.during, "what": what, "line": _line()}
        if one not in self.notes and len(self.notes) < MOST_REQUESTS:
            self.notes.append(one)

    def hook(self, event: str, given: tuple[Any, ...]) -> None:
        """An audit event of the interpreter."""
        if not self.during:
            return
        if event in _REACHES:
            self.note(_REACHES[event])
        elif event == "open" and not self._interpreters(given[0]):
            self.note("opens a file")
        elif event == "time.sleep":
            self.note("sleeps with time.sleep")

    def _interpreters(self, path: object) -> bool:
        """Whether a file is one that importing reads."""
        return not isinstance(path, str) or str(Path(path).resolve()).startswith(self._own)

    @contextmanager
    def watching(self, during: str) -> Iterator[None]:
        """Watch what happens inside."""
        self.during = during
        try:
            yield
        finally:
            self.during = ""

    def timed(self, run: Callable[[Any], None]) -> Callable[[Any], None]:
        """A loop's step that is timed: work, not waiting."""

        def step(handle: Any) -> None:
            begun = time.thread_time()
            run(handle)
            if self.asking:
                self.longest = max(self.longest, time.thread_time() - begun)

        return step


def _line() -> int:
    """The innermost line of the plugin that is running; 1 where none is."""
    for frame in reversed(traceback.extract_stack()):
        if frame.filename == FILE:
            return frame.lineno or 1
    return 1


class Recorder:
    """`ctx.http` that answers from a sample."""

    def __init__(self, answers: dict[str, list[dict[str, Any]]]) -> None:
        self.left = {key: list(row) for key, row in answers.items()}
        self.unknown: list[str] = []
        self.sent = 0

    async def send(self, asked: Asked) -> Reply:
        """The next recorded answer of that method and path."""
        await asyncio.sleep(0)
        self.sent += 1
        key = f"{asked.method} {asked.path.partition('?')[0]}"
        row = self.left.get(key)
        if self.sent > MOST_REQUESTS or not row:
            self.unknown.append(key)
            raise CallOwner(what=f"no recorded answer for {key}")
        one = row.pop(0) if len(row) > 1 else row[0]
        if one.get("lost"):
            raise TryAgain
        headers = {"content-type": one["content_type"]}
        return Reply(status=one["status"], headers=headers, text=one["text"])


async def _sample(module: types.ModuleType, told: dict[str, Any], guard: Guard) -> dict[str, Any]:
    """What the plugin makes of one sample."""
    recorder = Recorder(told["answers"])
    context = Context(http=recorder, settings=told["settings"], now=told["now"])
    ask = CardAsk(**told["ask"])
    out: dict[str, Any] = {}
    with guard.watching("hook"):
        try:
            if hasattr(module, "open"):
                await module.open(context)
            answer = await module.card(context, ask)
        except Failure as failure:
            out = {"failure": WORDS.get(type(failure), "call_owner")}
            out["words"] = getattr(failure, "words", None)
            out["what"] = getattr(failure, "what", "")
            out["need"] = getattr(failure, "need", None)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is said, not passed on
            out = {"bug": f"{type(error).__name__}: {str(error)[:200]}", "line": _raised(error)}
        else:
            out = _answered(answer)
    return {**out, "unknown": recorder.unknown}


def _answered(answer: object) -> dict[str, Any]:
    if isinstance(answer, CardAnswer | Empty):
        return {answer.kind: answer.model_dump(mode="json")}
    return {"bug": f"card() returned {type(answer).__name__}, not CardAnswer or Empty", "line": 1}


def _raised(error: Exception) -> int:
    """The line of the plugin from which an error came."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == FILE]
    return (lines[-1] if lines else 1) or 1


def _load(source: str, guard: Guard) -> tuple[types.ModuleType | None, dict[str, Any]]:
    """Import the plugin, timed and watched."""
    module = types.ModuleType("plugin")
    begun = time.thread_time()
    try:
        with guard.watching("import"):
            exec(compile(source, FILE, "exec"), module.__dict__)  # noqa: S102 - that is the task
    except BaseException as error:  # noqa: BLE001 - SystemExit at import is a finding too
        line = error.lineno or 1 if isinstance(error, SyntaxError) else 1
        if isinstance(error, Exception) and not isinstance(error, SyntaxError):
            line = _raised(error)
        return None, {"broken": f"{type(error).__name__}: {str(error)[:200]}", "line": line}
    return module, {"import_seconds": time.thread_time() - begun}


def run(told: dict[str, Any]) -> dict[str, Any]:
    """Import the plugin, run every sample; all that was seen."""
    guard = Guard()
    loop = asyncio.new_event_loop()  # opens its own sockets before anybody is watched
    asyncio.Handle._run = guard.timed(asyncio.Handle._run)  # type: ignore[method-assign, assignment]  # noqa: SLF001 - the only place where a step can be timed
    time.sleep = lambda _seconds: guard.hook("time.sleep", ())
    sys.addaudithook(guard.hook)
    module, report = _load(told["source"], guard)
    report["samples"] = {}
    if module is not None:
        guard.asking = True
        missing = not callable(getattr(module, "card", None))
        report["card_is_missing"] = missing
        for name, sample in {} if missing else told["samples"].items():
            report["samples"][name] = loop.run_until_complete(_sample(module, sample, guard))
    loop.close()
    return {**report, "notes": guard.notes, "longest_step": guard.longest}


def main() -> None:
    """Read what to do, do it, write what was seen."""
    out, sys.stdout = sys.stdout, sys.stderr
    told = json.load(sys.stdin)
    json.dump(run(told), out, default=_plain)
    out.flush()


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
