"""The worker's side of its nursery: started when first needed, ended with the worker."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.clock import Clock
from gateway.hosting.children.failing import ChildFailed
from gateway.hosting.children.frames import Why

REAP_SECONDS: Final = 2.0
_ROOT: Final = str(Path(__file__).parents[3])
_CODE: Final = (
    # The very package that the worker runs, whatever else is installed; then the path is as it was.
    "import sys; sys.path.insert(0, {root!r}); import gateway; del sys.path[0]; "
    "from gateway.hosting.children.nursery import main; main({descriptor}, {parent})"
)


def command(descriptor: int) -> list[str]:
    """How a nursery is started: isolated, so that neither its folder nor its user adds code."""
    code = _CODE.format(root=_ROOT, descriptor=descriptor, parent=os.getpid())
    return [sys.executable, "-I", "-W", "ignore", "-c", code]


@dataclass(slots=True, eq=False)
class _Nursery:
    """One nursery process and what was asked of it."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    ended: dict[int, "asyncio.Future[int | None]"] = field(default_factory=dict)


@dataclass(slots=True)
class Forks:
    """Asks the nursery for children, tells it to end them, hears how they ended."""

    clock: Clock
    without: tuple[str, ...] = ()
    command: Callable[[int], list[str]] = command
    _now: _Nursery | None = None
    _gone: list[_Nursery] = field(default_factory=list)  # ended, not yet reaped
    _last: int = 0

    def begin(self) -> _Nursery:
        """Start the nursery if there is none; it answers as soon as it has imported what it needs."""
        self._gone = [one for one in self._gone if one.process.poll() is None]
        if self._now is not None:
            return self._now
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        # Not in a thread: the kernel ends the nursery with the thread that started it.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            self.command(theirs.fileno()),
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()
        made = self._now = _Nursery(process, ours)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear, made)
        return made

    def fork(self) -> tuple[int, socket.socket, "asyncio.Future[int | None]"]:
        """A new child: its number, our end of its socketpair, and how it will have ended.

        Raises:
            ChildFailed: the nursery does not take the order.
        """
        nursery = self.begin()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._last += 1
        order = json.dumps({"start": self._last, "without": list(self.without)}).encode()
        try:
            socket.send_fds(nursery.control, [order], [theirs.fileno()])
        except OSError:
            ours.close()
            self._lost(nursery)
            raise ChildFailed(Why.GONE, "the nursery takes no orders") from None
        finally:
            theirs.close()
        ended = nursery.ended[self._last] = asyncio.get_running_loop().create_future()
        return self._last, ours, ended

    def end(self, number: int) -> None:
        """Kill a child, if it still lives."""
        nursery = self._now
        if nursery is not None and number in nursery.ended:
            try:
                nursery.control.send(json.dumps({"end": number}).encode())
            except OSError:
                self._lost(nursery)  # one that reads no more is ended, and its children with it

    async def close(self) -> None:
        """End the nursery and with it whatever it has forked; wait until it is no process any more."""
        if self._now is not None:
            self._lost(self._now, kill=False)
        until = self.clock.monotonic() + REAP_SECONDS
        while self._gone:
            if self.clock.monotonic() > until:
                for one in self._gone:
                    one.process.kill()
            await self.clock.sleep(0.005)
            self._gone = [one for one in self._gone if one.process.poll() is None]

    def _hear(self, nursery: _Nursery) -> None:
        try:
            message = nursery.control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._lost(nursery)
            return
        told = json.loads(message)
        if (waiting := nursery.ended.pop(told["ended"], None)) and not waiting.done():
            waiting.set_result(told["code"])

    def _lost(self, nursery: _Nursery, *, kill: bool = True) -> None:
        """A nursery is no more: every child of it has been, or is being, ended."""
        if self._now is not nursery:
            return
        self._now = None
        self._gone.append(nursery)
        asyncio.get_running_loop().remove_reader(nursery.control.fileno())
        nursery.control.close()
        if kill:
            nursery.process.kill()  # does nothing to one that was reaped
        for waiting in nursery.ended.values():
            if not waiting.done():
                waiting.set_result(None)
        nursery.ended.clear()
