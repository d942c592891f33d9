"""One worker process: `python -m gateway worker --listener FD:ZONES … --beat FD --parent PID`.

Started by the supervisor only. It writes one byte a second into the beat pipe from its event loop:
`s` while starting, `r` when it serves; silence means that the loop hangs.
"""

import argparse
import contextlib
import os
import socket

from gateway.running.processes import die_with


def main(arguments: list[str]) -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="gateway worker")
    parser.add_argument("--listener", action="append", required=True, metavar="FD:ZONES")
    parser.add_argument("--beat", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args(arguments)
    die_with(given.parent)

    from gateway.app import build  # noqa: PLC0415 - a second of imports, after the lifeline is set
    from gateway.running.server import Server, configured  # noqa: PLC0415
    from gateway.settings import Settings  # noqa: PLC0415

    settings = Settings()
    sockets: list[socket.socket] = []
    zones: dict[tuple[str, int], frozenset[str]] = {}
    for part in given.listener:
        descriptor, _, names = part.partition(":")
        sock = socket.socket(fileno=int(descriptor))
        sockets.append(sock)
        host, port = sock.getsockname()[:2]
        zones[host, port] = frozenset(names.split(","))
    os.set_blocking(given.beat, False)

    def beat(serving: bool) -> None:
        with contextlib.suppress(OSError):
            os.write(given.beat, b"r" if serving else b"s")

    beat(serving=False)
    app = build(settings, zones=zones)
    Server(configured(app, drain_seconds=settings.drain_s), beat=beat).run(sockets)
    return 0
