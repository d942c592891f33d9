"""Sockets that citizens and consoles come in by: bound once, inherited by every worker."""

import errno
import socket
import time
from dataclasses import dataclass
from typing import Final

from gateway.running.lock import CannotStart
from gateway.settings import Settings

LEAVING_SECONDS: Final = 1.0  # that an earlier worker may take to end


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket and the zones that are answered on it."""

    socket: socket.socket
    zones: tuple[str, ...]

    @property
    def address(self) -> str:
        """`host:port` as bound."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_listeners(settings: Settings) -> list[Listener]:
    """Bind what the settings name; zones without a listener of their own share the citizen's.

    Raises:
        CannotStart: an address cannot be bound; the sentence names it and its setting.
    """
    citizen = ("citizen",) if settings.admin_listen else ("citizen", "admin")
    wanted = [("CITYGATE_LISTEN", part, citizen) for part in _parts(settings.listen)]
    wanted += [
        ("CITYGATE_ADMIN_LISTEN", part, ("admin",)) for part in _parts(settings.admin_listen)
    ]
    wanted += [
        ("CITYGATE_INTERNAL_LISTEN", part, ("internal",))
        for part in _parts(settings.internal_listen)
    ]
    opened: list[Listener] = []
    try:
        for name, part, zones in wanted:
            opened.append(Listener(_bind(name, part), zones))
    except CannotStart:
        for listener in opened:
            listener.socket.close()
        raise
    return opened


def _parts(listen: str) -> list[str]:
    return [part.strip() for part in listen.split(",") if part.strip()]


def _bind(setting: str, address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not port.isdigit() or int(port) > 65_535:  # noqa: PLR2004 - the highest port
        raise CannotStart(f"{setting}: {address!r} is not host:port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        _take(sock, host, int(port))
    except OSError as error:
        sock.close()
        raise CannotStart(_why(setting, address, error)) from None
    sock.set_inheritable(True)
    return sock


def _take(sock: socket.socket, host: str, port: int) -> None:
    """Bind and listen; workers of a killed supervisor may be dying just now and hold the port."""
    deadline = time.monotonic() + LEAVING_SECONDS
    while True:
        try:
            sock.bind((host, port))
            sock.listen(2048)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _why(setting: str, address: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"{address} is in use by another program; end it, or set {setting} to another address"
        )
    if error.errno == errno.EACCES:
        return f"no right to listen on {address}; choose a port above 1023 with {setting}"
    return f"{setting}: cannot listen on {address} ({error.strerror})"
