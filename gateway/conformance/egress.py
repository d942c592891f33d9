"""C08: a plugin calls only hosts that it declares, and none of them is this machine's own."""

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from gateway.conformance.finding import Finding
from gateway.conformance.folder import Folder
from gateway.conformance.reader import Loc
from gateway.hosting.package import Package

_PORTS: Final = {"http": 80, "https": 443}


def calls_declared_hosts(folder: Folder) -> Iterator[Finding]:
    """C08: every host is in `network`; none is loopback, link-local or a metadata address."""
    seen: set[Finding] = set()
    for environment, package in folder.packages.items():
        for finding in (*_network(folder, environment, package), *_targets(folder, package)):
            if finding not in seen:
                seen.add(finding)
                yield finding


def _network(folder: Folder, environment: str, package: Package) -> Iterator[Finding]:
    """Hosts in `network` that no plugin may have."""
    document = folder.documents["plugin.yaml"]
    own: Loc = ("environments", environment, "network")
    base: Loc = own if own in document.places else ("network",)
    for number, (host, _) in enumerate(package.network):
        loc = (*base, number)
        word = forbidden(host)
        if word == "loopback":
            message = f"{host!r} is this machine itself"
            demo = environment == "demo" and base == own
            cure = "name the department's host; this one belongs under environments.demo"
            if demo or folder.softened:
                cure = "right on one machine, refused in production"
            finding = folder.at("plugin.yaml", loc, message, cure)
            yield replace(finding, severity="warning") if demo or folder.softened else finding
        elif word:
            yield folder.at("plugin.yaml", loc, f"{host!r} is a {word} address", "remove it")


def _targets(folder: Folder, package: Package) -> Iterator[Finding]:
    """Addresses in `connect` and `auth` whose host and port are not in `network`."""
    manifest = package.manifest
    wanted: list[tuple[Loc, str]] = []
    if manifest.connect is not None:
        wanted.append((("connect", "base"), manifest.connect.base))
        if manifest.connect.proxy:
            wanted.append((("connect", "proxy"), manifest.connect.proxy))
    token = getattr(manifest.auth, "token_url", None)
    if token:
        wanted.append((("auth", "token_url"), token))
    for loc, address in wanted:
        pair = target(address)
        if pair is None:
            yield folder.at("plugin.yaml", loc, "no http or https address", "write https://…")
        elif pair not in package.network:
            has = ", ".join(f"{host}:{port}" for host, port in package.network) or "nothing"
            message = f"{pair[0]}:{pair[1]} is not in `network`, which holds {has}"
            yield folder.at("plugin.yaml", loc, message, "add it there")


def target(address: str) -> tuple[str, int] | None:
    """Host and port of an http address; None where it is none."""
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or not port:
        return None
    return parts.hostname.lower(), port


def forbidden(host: str) -> str:
    """`loopback`, `link-local` or `metadata` for a host that no plugin may call; else ""."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return "loopback"
    if name in ("metadata", "metadata.google.internal"):
        return "metadata"
    try:
        literal = ipaddress.ip_address(name)
    except ValueError:
        return ""
    address = getattr(literal, "ipv4_mapped", None) or literal
    if address.is_loopback or address.is_unspecified:
        return "loopback"
    return "link-local" if address.is_link_local else ""
