"""Which addresses may be connected to, whatever they are dressed as."""

import pytest

from gateway.hosting.addresses import networks, reachable

NO = (
    "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:7f00:1:0:0:80ff:fffe", "::127.0.0.1", "0.0.0.0",
    "::", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe", "100.64.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "240.0.0.1",
    "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "2002:a00:1::",
)  # fmt: skip
YES = (
    "1.2.4.8",
    "114.114.114.114",
    "240e:1::1",
    "64:ff9b::102:408",
    "::ffff:1.2.4.8",
    "2002:102:408::",
)


@pytest.mark.parametrize("address", NO)
@pytest.mark.row("B1")
def test_what_is_not_public_is_refused(address: str) -> None:
    """Loopback, private, link-local, reserved and every disguise of them."""
    assert not reachable(address, (), loopback=False)


@pytest.mark.parametrize("address", YES)
def test_public_addresses_are_allowed(address: str) -> None:
    """The internet, also behind NAT64."""
    assert reachable(address, (), loopback=False)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::127.0.0.1"]
)
def test_loopback_needs_the_profile_and_no_grant_replaces_it(address: str) -> None:
    """A network that was granted by name never opens this machine."""
    granted = networks(["127.0.0.0/8", "::1/128", "::/0", "0.0.0.0/0"])

    assert not reachable(address, granted, loopback=False)
    assert reachable(address, (), loopback=True)


def test_a_private_network_is_reached_when_it_was_granted() -> None:
    """政务外网 by name, and nothing beside it."""
    granted = networks(["10.20.0.0/16"])

    assert reachable("10.20.0.8", granted, loopback=False)
    assert reachable("::ffff:10.20.0.8", granted, loopback=False)
    assert not reachable("10.21.0.8", granted, loopback=False)
    assert not reachable("0.0.0.0", networks(["0.0.0.0/0"]), loopback=False)
