"""Structured log: one JSON object a line on stdout, written by a thread that nobody waits for.

A reader that stopped (a full disk, a paused pipe) costs lines, counted, never a request. What is
logged once at the beginning and once at the end of a trouble is `Trouble`.
"""

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, Final

import orjson
import structlog
from typing_extensions import override

from gateway.clock import Clock, rfc3339
from gateway.observe.scrub import scrub

QUEUE_LINES: Final = 4096
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

trace_id: ContextVar[str] = ContextVar("trace_id", default="")


class Writer:
    """A bounded queue of lines and the thread that writes them."""

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._filled = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def put(self, line: bytes) -> None:
        """Queue one line, or drop and count it when the reader does not keep up."""
        if len(self._lines) >= QUEUE_LINES:
            self.dropped += 1
            return
        self._lines.append(line)
        self._idle.clear()
        self._filled.set()

    def flush(self, seconds: float = 1.0) -> None:
        """Wait a moment for what is queued."""
        self._idle.wait(seconds)

    def _run(self) -> None:
        while True:
            self._filled.wait()
            self._filled.clear()
            while self._lines:
                batch = b"".join(self._lines.popleft() for _ in range(min(256, len(self._lines))))
                try:
                    while batch:
                        batch = batch[os.write(self._descriptor, batch) :]
                except OSError:
                    self.dropped += 1
            self._idle.set()


def set_up(clock: Clock, level: str, descriptor: int | None = None) -> Writer:
    """Make structlog and the standard library's loggers write through one `Writer`."""
    writer = Writer(sys.stdout.fileno() if descriptor is None else descriptor)

    def stamp(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line: dict[str, Any] = {"at": rfc3339(clock.now()), "level": method}
        if trace := trace_id.get():
            line["trace"] = trace
        line["event"] = str(event.pop("event", ""))[:200]
        for key, value in event.items():
            if key == "trace":
                line[key] = value
                continue
            name = f"{key}_" if key in line else key  # no fact hides when and how grave
            line[name] = scrub({key: value})[key]  # type: ignore[index]  # scrub keeps a dict a dict
        return line

    def render(_: Any, __: str, event: MutableMapping[str, Any]) -> bytes:
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE, default=str)

    structlog.configure(
        processors=[stamp, render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=_Factory(writer.put),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(logging.WARNING)
    return writer


class _Line:
    """The sink that structlog calls by level name."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = put
        self.msg = put


class _Factory:
    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._line = _Line(put)

    def __call__(self, *_: object) -> _Line:
        return self._line


class _Bridge(logging.Handler):
    """Lines of libraries: the logger's name and the message's template, never its arguments."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write one line of a library."""
        log = structlog.get_logger()
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        write = log.error if record.levelno >= logging.ERROR else log.warning
        write("library", logger=record.name, text=str(record.msg)[:200], error=error)


class Trouble:
    """Logs when something begins to fail and when it works again, not every attempt."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._since: dict[str, int] = {}

    def bad(self, key: str, **facts: object) -> None:
        """Note one more failure of `key`."""
        count = self._since.get(key, 0)
        self._since[key] = count + 1
        if count == 0 and len(self._since) <= QUEUE_LINES:
            structlog.get_logger().warning(self._event, of=key, **facts)

    def good(self, key: str) -> None:
        """Note that `key` works."""
        if (count := self._since.pop(key, 0)) > 0:
            structlog.get_logger().info(f"{self._event}_ended", of=key, failures=count)
