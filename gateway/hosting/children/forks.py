"""The worker's side of its nursery: started when first needed, ended with the worker."""

import asyncio
import contextlib
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
    "import sys; sys.path.append({root!r}); "
    "from gateway.hosting.children.nursery import main; main({descriptor}, {parent})"
)


def command(descriptor: int) -> list[str]:
    """How a nursery is started: isolated, so that neither its folder nor its user adds code."""
    code = _CODE.format(root=_ROOT, descriptor=descriptor, parent=os.getpid())
    return [sys.executable, "-I", "-W", "ignore", "-c", code]


@dataclass(slots=True)
class Forks:
    """Asks the nursery for children, tells it to end them, hears how they ended."""

    clock: Clock
    without: tuple[str, ...] = ()
    command: Callable[[int], list[str]] = command
    _process: subprocess.Popen[bytes] | None = None
    _control: socket.socket | None = None
    _last: int = 0
    _ended: dict[int, asyncio.Future[int | None]] = field(default_factory=dict)

    def begin(self) -> None:
        """Start the nursery if there is none; it answers as soon as it has imported what it needs."""
        if self._control is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        # Not in a thread: the kernel ends the nursery with the thread that started it.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            self.command(theirs.fileno()),
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()
        self._control = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear)

    async def fork(self) -> tuple[int, socket.socket, asyncio.Future[int | None]]:
        """A new child: its number, our end of its socketpair, and how it will have ended.

        Raises:
            ChildFailed: the nursery does not take the order.
        """
        await self._reaped()
        self.begin()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._last += 1
        order = json.dumps({"start": self._last, "without": list(self.without)}).encode()
        try:
            if self._control is None:
                raise BrokenPipeError
            socket.send_fds(self._control, [order], [theirs.fileno()])
        except OSError:
            ours.close()
            raise ChildFailed(Why.GONE, "the nursery takes no orders") from None
        finally:
            theirs.close()
        ended = self._ended[self._last] = asyncio.get_running_loop().create_future()
        return self._last, ours, ended

    def end(self, number: int) -> None:
        """Kill a child, if it still lives."""
        if self._control is not None and number in self._ended:
            try:
                self._control.send(json.dumps({"end": number}).encode())
            except OSError:
                self._lost()  # a nursery that reads no more is ended, and all its children with it

    async def close(self) -> None:
        """End the nursery and with it whatever it has forked."""
        self._lost(kill=False)
        await self._reaped()

    def _hear(self) -> None:
        control = self._control
        if control is None:
            return
        try:
            message = control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._lost()
            return
        told = json.loads(message)
        if (waiting := self._ended.pop(told["ended"], None)) and not waiting.done():
            waiting.set_result(told["code"])

    def _lost(self, *, kill: bool = True) -> None:
        """The nursery is no more: every child has been ended by the kernel."""
        control, self._control = self._control, None
        if control is not None:
            asyncio.get_running_loop().remove_reader(control.fileno())
            control.close()
        if kill and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        for waiting in self._ended.values():
            if not waiting.done():
                waiting.set_result(None)
        self._ended.clear()

    async def _reaped(self) -> None:
        """Wait until a nursery that was told to end is no process any more."""
        process = self._process
        if process is None or self._control is not None:
            return
        until = self.clock.monotonic() + REAP_SECONDS
        while process.poll() is None:
            if self.clock.monotonic() > until:
                process.kill()
            await self.clock.sleep(0.005)
        self._process = None
