"""A process that has imported what a child needs and forks one whenever the worker asks.

It runs no plugin's code, has one thread and no event loop, and lives as long as its worker: the
kernel ends it with the worker, and its children with it.

Over its control socket (whole messages): the worker sends `{"start": id, …}` with the child's end of
a socketpair, or `{"end": id}`; it is told `{"ended": id, "code": n}` when a child has been reaped.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Final

from gateway.hosting.children import cage, child, preload

MAX_MESSAGE: Final = 4096


class Nursery:
    """Forks, ends and reaps children; the only parent that they have."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, int] = {}  # process id -> the worker's id for it
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to be woken
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until the worker closes the control socket."""
        while True:
            control = self._control.fileno()
            ready, _, _ = select.select([control, self._woken], [], [])
            if self._woken in ready:
                with suppress(BlockingIOError):
                    os.read(self._woken, 4096)
                self._reap()
            if control in ready and not self._serve():
                break
        for process in self._children:
            os.kill(process, signal.SIGKILL)
        while self._children:
            self._children.pop(os.wait()[0], None)

    def _serve(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, MAX_MESSAGE, 1)
        if not message:
            return False
        asked: dict[str, Any] = json.loads(message)
        if descriptors:
            self._start(asked, descriptors[0])
        else:
            # Not reaped yet, so the number is still this child's and nobody else's.
            for process, number in self._children.items():
                if number == asked["end"]:
                    os.kill(process, signal.SIGKILL)
        return True

    def _start(self, asked: dict[str, Any], descriptor: int) -> None:
        parent = os.getpid()
        process = os.fork()
        if process == 0:
            child.begin(descriptor, parent, tuple(asked["without"]))
        os.close(descriptor)
        self._children[process] = asked["start"]

    def _reap(self) -> None:
        while self._children:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            number = self._children.pop(process)
            told = {"ended": number, "code": os.waitstatus_to_exitcode(status)}
            with suppress(BrokenPipeError, ConnectionResetError):
                self._control.send(json.dumps(told).encode())


def main(descriptor: int, parent: int) -> None:
    """Be a worker's nursery; returns when the worker has gone."""
    cage.die_with(parent)
    cage.named(b"citygate-nurse")
    preload.warm()
    gc.collect()
    gc.freeze()  # what is shared with the children stays shared
    Nursery(socket.socket(fileno=descriptor)).run()
    sys.exit(0)
