"""What a child is before the plugin's code runs in it, and how it ends.

The source comes as bytes and no file is opened. After `cage.shut` nothing here is trusted any more
by the worker: whatever this process sends is checked over there again.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from typing import Final, NoReturn

from gateway.hosting.children import cage, preload
from gateway.hosting.children.frames import EXIT_CODES, MAX_TO_CHILD, Why, packed, receive
from gateway.hosting.children.stage import Output, Stage

_SOCKET: Final = 3  # the only descriptor beside the three standard ones
_CODES: Final = {why: code for code, why in EXIT_CODES.items()}
_TATTLES: Final = {
    "socket.__new__": Why.SOCKET, "socket.connect": Why.SOCKET, "socket.bind": Why.SOCKET,
    "socket.getaddrinfo": Why.SOCKET, "socket.gethostbyname": Why.SOCKET,
    "socket.sendto": Why.SOCKET, "os.exec": Why.PROCESS, "os.fork": Why.PROCESS,
    "os.forkpty": Why.PROCESS, "os.posix_spawn": Why.PROCESS, "os.spawn": Why.PROCESS,
    "os.system": Why.PROCESS, "subprocess.Popen": Why.PROCESS,
}  # fmt: skip


def begin(descriptor: int, parent: int, without: tuple[str, ...]) -> NoReturn:
    """Be a child, from the fork to the end."""
    code = _CODES[Why.FRAMES]
    try:
        code = _live(descriptor, parent, without)
    except EOFError:
        code = 0  # the worker has gone
    except SystemExit:
        code = _CODES[Why.EXITED]
    except BaseException:  # noqa: BLE001 - nothing may run on into the nursery's code
        code = _CODES[Why.FRAMES]
    finally:
        os._exit(code)


def _live(descriptor: int, parent: int, without: tuple[str, ...]) -> int:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if descriptor != _SOCKET:
        os.dup2(descriptor, _SOCKET)
    os.closerange(_SOCKET + 1, 1 << 16)
    os.set_inheritable(_SOCKET, False)
    cage.named(b"citygate-plugin")
    sock = socket.socket(fileno=_SOCKET)
    sys.stdout = sys.stderr = output = Output()
    head = json.loads(receive(sock, MAX_TO_CHILD))
    source = receive(sock, MAX_TO_CHILD)
    preload.for_source(source)
    held = cage.shut(parent, without)
    if head["must_be_caged"] and not cage.confined(held):
        sock.sendall(packed({"is": "uncaged", "held": sorted(held)}))
        return 0
    # The loop makes its own socketpair before sockets are watched.
    with asyncio.Runner() as runner:
        runner.get_loop()
        sys.addaudithook(_watch)
        return runner.run(Stage(sock, output, sorted(held)).serve(source))


def _watch(event: str, _: object) -> None:
    # The system calls are refused by the kernel anyway; this gives the attempt its name.
    if (why := _TATTLES.get(event)) is not None:
        os._exit(_CODES[why])
