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
    os.set_blocking(given.beat, False)

    def beat(serving: bool) -> None:
        with contextlib.suppress(OSError):
            os.write(given.beat, b"r" if serving else b"s")

    beat(serving=False)
    # A second of imports, after the lifeline is set.
    from gateway.app import build
    from gateway.clock import OffsetClock, SystemClock
    from gateway.running.server import Server, configured
    from gateway.settings import Settings

    settings = Settings()
    sockets, zones = _listeners(given.listener)
    clock = OffsetClock() if settings.profile == "test" else SystemClock()
    app = build(settings, zones=zones, clock=clock)
    config = configured(app, drain_seconds=settings.drain_s)
    control = settings.control_socket if settings.profile == "test" else None
    Server(config, beat=beat, clock=clock, control=control).run(sockets)
    return 0


def _listeners(
    given: list[str],
) -> tuple[list[socket.socket], dict[tuple[str, int], frozenset[str]]]:
    sockets: list[socket.socket] = []
    zones: dict[tuple[str, int], frozenset[str]] = {}
    for part in given:
        descriptor, _, names = part.partition(":")
        sock = socket.socket(fileno=int(descriptor))
        sockets.append(sock)
        host, port = sock.getsockname()[:2]
        zones[host, port] = frozenset(names.split(","))
    return sockets, zones
