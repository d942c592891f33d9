"""Which addresses a department may be reached at: decided on the address that is connected to.

Names and spellings (`127.1`, `0x7f.1`, a name that answers something else the second time) are not
looked at: what counts is the socket address, after every disguise of an IPv4 address is taken off.
"""

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

Network = IPv4Network | IPv6Network

_NAT64: Final = IPv6Network("64:ff9b::/96")  # Python counts it as global
_COMPATIBLE: Final = IPv6Network("::/96")
_UNICAST: Final = IPv6Network("2000::/3")  # what has ever been given out as global IPv6


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks that an operator granted by name.

    Raises:
        ValueError: one is no network.
    """
    return tuple(ip_network(text, strict=False) for text in texts)


def reachable(address: str, granted: Sequence[Network], *, loopback: bool) -> bool:
    """Whether a connection to this IP address is allowed.

    Public addresses are; private ones inside a granted network; loopback only where `loopback`
    says so (profiles demo and test), granted or not.
    """
    outer = ip_address(address.partition("%")[0])
    inner = _undisguised(outer)
    if inner.is_loopback:
        return loopback
    if any(ip in net for net in granted for ip in (outer, inner) if ip.version == net.version):
        return not inner.is_unspecified
    if inner.version == 6 and inner not in _UNICAST:  # noqa: PLR2004 - IPv6
        return False
    return inner.is_global and not inner.is_multicast


def _undisguised(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one (mapped, NAT64, 6to4, Teredo, compatible), else itself."""
    if isinstance(ip, IPv4Address) or ip.is_loopback or ip.is_unspecified:
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if ip in _NAT64 or ip in _COMPATIBLE:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
