"""What goes over the socketpair: four bytes of length, then JSON; both ends count the bytes.

Standard library only, because the nursery and its children import this.
"""

import json
import socket
import struct
from enum import StrEnum
from typing import Any, Final

HEAD: Final = struct.Struct(">I")
MAX_FROM_CHILD: Final = 1 << 20
MAX_TO_CHILD: Final = 8 << 20  # a department's answer of 1 MiB, escaped as badly as JSON can


class Why(StrEnum):
    """Why a child failed: the closed list that log, health page and tests share."""

    RAISED = "raised"  # something that is none of the contract's failures
    WRONG_ANSWER = "wrong_answer"  # neither CardAnswer nor Empty, or with wrong values
    PRINTED = "printed"  # it wrote to its output, where a citizen's data could be
    MEMORY = "memory"
    EXITED = "exited"  # sys.exit, os._exit
    CRASHED = "crashed"  # a segmentation fault or the like
    BLOCKED = "blocked"  # it did not hand back control in time and was ended
    LATE = "late"  # it handed back control, but waited for itself beyond the deadline
    SOCKET = "socket"  # it tried to open a connection of its own
    PROCESS = "process"  # it tried to start a process or a program
    FORBIDDEN = "forbidden"  # a system call that ends the child
    FRAMES = "frames"  # too big, too many, or not what was agreed
    UNLOADABLE = "unloadable"  # SyntaxError, an error at import, no card hook, a failing open
    UNCAGED = "uncaged"  # this machine cannot confine it and nobody accepted that
    PAUSED = "paused"  # it failed a moment ago and is not started again yet
    BUSY = "busy"  # as many asks as one child takes
    GONE = "gone"  # it or its nursery ended for a reason that is not the plugin's


EXIT_CODES: Final = {80: Why.EXITED, 81: Why.SOCKET, 82: Why.PROCESS, 83: Why.FRAMES}


def packed(value: Any) -> bytes:
    """One frame; plain ASCII, so that no text can fail to be encoded."""
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
    return HEAD.pack(len(body)) + body


def receive(sock: socket.socket, most: int) -> bytes:
    """The body of the next frame, waited for.

    Raises:
        EOFError: the other side has gone, or does not keep to what was agreed.
    """
    (size,) = HEAD.unpack(_exactly(sock, HEAD.size))
    if size > most:
        raise EOFError
    return _exactly(sock, size)


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = sock.recv(min(size, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
