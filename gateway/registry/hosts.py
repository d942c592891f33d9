"""Addresses, telephone numbers and codes that may not stand in an environment.

The simulated city lives on loopback, with telephone numbers of a block that no carrier assigns and
credit codes that begin with 00: right in environment demo, refused by name in production.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.conformance.finding import Finding
from gateway.conformance.reader import Loc
from gateway.registry.reading import EntrySource

_HTTP: Final = re.compile(r"^https?://", re.IGNORECASE)
_INVENTED_PHONE: Final = re.compile(r"^100[0-9]{8}$")


def is_loopback(host: str) -> bool:
    """Whether a host name or literal is this machine itself."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _literal(name)
    return address is not None and (address.is_loopback or address.is_unspecified)


def is_metadata(host: str) -> bool:
    """Whether it is link-local, where clouds keep their secrets."""
    address = _literal(host.strip("[]").lower())
    return address is not None and address.is_link_local


def _literal(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def is_invented(text: str) -> bool:
    """Whether a telephone number is of the simulated city."""
    return bool(_INVENTED_PHONE.match(re.sub(r"[ \-]", "", text)))


def host_of(address: str) -> str:
    """The host of an address or of "host:port"; "" where there is none."""
    try:
        if _HTTP.match(address):
            return urlsplit(address).hostname or ""
        return urlsplit(f"//{address}").hostname or ""
    except ValueError:
        return ""


def host_findings(source: EntrySource, value: Mapping[str, Any], environment: str) -> list[Finding]:
    """Loopback and link-local hosts, addresses without TLS, invented numbers of one entry."""
    found: list[Finding] = []
    for loc, text in _texts(value, ()):
        section = str(loc[1]) if loc[0] == "environments" and len(loc) > 1 else ""
        if section == "demo":
            continue
        found += _address(source, loc, text, section or environment)
        last = loc[-1]
        if last == "phone" and environment == "production" and is_invented(text):
            found.append(source.finding(loc, "invented", value=repr(text)))
    return found


def _address(source: EntrySource, loc: Loc, text: str, environment: str) -> Iterator[Finding]:
    in_network = "network" in loc
    if not in_network and not _HTTP.match(text):
        return
    host = host_of(text)
    if is_metadata(host):
        yield source.finding(loc, "metadata-host", value=repr(host))
    elif is_loopback(host):
        finding = source.finding(loc, "loopback-host", value=repr(host))
        yield finding if environment != "demo" else softened(finding)
    elif text.lower().startswith("http://") and "privacy" not in loc:
        yield source.finding(loc, "plain-http", value=repr(text))


def softened(finding: Finding) -> Finding:
    """The same as a warning."""
    return Finding(
        finding.file, finding.line, finding.column, finding.code, "warning", finding.field,
        finding.message, finding.cure,
    )  # fmt: skip


def _texts(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(value, str):
        yield loc, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*loc, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, (*loc, number))
