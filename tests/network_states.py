"""Random states of a host that the Networking API could give, for properties of plans."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from networkd.plan.groups import PROTOCOLS
from networkd.port import (
    Address,
    AllowedPair,
    DhcpOption,
    FloatingAddress,
    Forwarding,
    Group,
    HostState,
    Network,
    Port,
    Route,
    Router,
    RouterPort,
    Rule,
    Subnet,
)

HOST = "here"


def uuid(kind: int, number: int) -> str:
    """An id that begins differently for each thing."""
    return f"{kind:04x}{number:04x}-0000-4000-8000-{kind:06x}{number:06x}"


GROUPS = [uuid(7, number) for number in range(4)]
FOUR = [f"10.{net}.0.0/24" for net in range(4)]
SIX = [f"2001:db8:{net}::/64" for net in range(4)]
CIDRS = ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.7/32", "192.0.2.0/24", "::/0", "2001:db8::/32"]
MODES = ["", "slaac", "dhcpv6-stateless", "dhcpv6-stateful"]


@st.composite
def rules(draw: Any) -> Rule:
    protocol = draw(st.sampled_from(["", "17", "255", *sorted(PROTOCOLS)]))
    low, high = sorted(draw(st.tuples(st.integers(1, 65_535), st.integers(1, 65_535))))
    ports = draw(st.sampled_from([(None, None), (low, high), (low, low), (8, 0)]))
    if "icmp" in protocol:
        ports = draw(st.sampled_from([(None, None), (8, None), (8, 0), (255, 255)]))
    if ports == (8, 0) and "icmp" not in protocol:
        ports = (None, None)
    return Rule(
        draw(st.sampled_from(["ingress", "egress"])),
        draw(st.sampled_from(["IPv4", "IPv6"])),
        protocol,
        *ports,
        remote_cidrs=tuple(draw(st.lists(st.sampled_from(CIDRS), max_size=2))),
        remote_group=draw(st.sampled_from(["", "", *GROUPS])),
    )


def addresses(net: int, number: int) -> tuple[Address, ...]:
    four = Address(uuid(2, net), f"10.{net}.0.{number + 10}")
    return (four, Address(uuid(3, net), f"2001:db8:{net}::{number + 10:x}"))


@st.composite
def ports(draw: Any, net: int, number: int) -> Port:
    pairs = st.builds(
        AllowedPair,
        st.sampled_from(["fa:16:3e:99:00:01", f"fa:16:3e:00:{net:02x}:{number:02x}"]),
        st.sampled_from(
            ["10.0.0.99/32", "10.0.0.0/16", "10.0.0.0/24", "2001:db8::/48", "0.0.0.0/0", "::/0"]
        ),
    )
    options = st.builds(
        DhcpOption, st.sampled_from(["tftp-server", "150", "bootfile-name"]), st.just("a.b")
    )
    return Port(
        uuid(5, net * 100 + number),
        uuid(1, net),
        f"fa:16:3e:00:{net:02x}:{number:02x}",
        draw(st.sampled_from([addresses(net, number), addresses(net, number)[:1], ()])),
        draw(st.sampled_from(["compute:nova", "compute:nova", ""])),
        host=draw(st.sampled_from([HOST, HOST, "there"])),
        up=draw(st.sampled_from([True, True, False])),
        guarded=draw(st.sampled_from([True, True, False])),
        pairs=tuple(draw(st.lists(pairs, max_size=2))),
        groups=tuple(draw(st.lists(st.sampled_from(GROUPS), max_size=3))),
        options=tuple(draw(st.lists(options, max_size=1))),
        hostname=draw(st.sampled_from(["", "web", "db-1"])),
    )


@st.composite
def networks(draw: Any, net: int) -> Network:
    found = [draw(ports(net, number)) for number in range(draw(st.integers(0, 4)))]
    dhcp = draw(st.booleans())
    if dhcp:
        own = addresses(net, 90)
        found.append(
            Port(uuid(6, net), uuid(1, net), "fa:16:3e:00:00:fe", own, "network:dhcp", host=HOST)
        )
    kind = draw(st.sampled_from(["vxlan", "vxlan", "local", "flat"]))
    mode = draw(st.sampled_from(MODES))
    gateway = draw(st.sampled_from(["", f"10.{net}.0.1"]))
    return Network(
        uuid(1, net),
        kind,
        1000 + net if kind == "vxlan" else 0,
        f"physical{net}" if kind == "flat" else "",
        draw(st.sampled_from([1450, 1500])),
        external=kind == "flat" and draw(st.booleans()),
        subnets=(
            Subnet(
                uuid(2, net),
                FOUR[net],
                4,
                gateway,
                routes=(Route("192.0.2.0/24", f"10.{net}.0.9"),),
            ),
            Subnet(uuid(3, net), SIX[net], 6, "", ipv6_ra_mode=mode, ipv6_address_mode=mode),
        ),
        ports=tuple(found),
        peers=tuple(draw(st.sets(st.sampled_from(["192.0.2.2", "192.0.2.3", "192.0.2.4"])))),
        dhcp_port=uuid(6, net) if dhcp else "",
    )


@st.composite
def routers(draw: Any, nets: list[int], number: int) -> Router:
    legs = []
    for net in nets:
        port = uuid(8, number * 10 + net)
        cidrs = (FOUR[net], SIX[net])
        both = ((f"10.{net}.0.{number + 1}", 24), (f"2001:db8:{net}::1", 64))
        legs.append(
            RouterPort(port, uuid(1, net), f"fa:16:3e:01:{number:02x}:{net:02x}", both, cidrs)
        )
    gateway = None
    if draw(st.booleans()):
        own = ((f"203.0.113.{10 + number}", 24),)
        gateway = RouterPort(
            uuid(9, number), uuid(1, nets[0] if nets else 0), "fa:16:3e:02:00:01", own
        )
    low = draw(st.integers(1, 65_000))
    width = draw(st.integers(0, 3))
    inside = draw(st.sampled_from([low, 1, 60_000]))
    return Router(
        uuid(4, number),
        up=draw(st.booleans()),
        ports=tuple(legs),
        gateway=gateway,
        gateway_addresses=("203.0.113.1",) if gateway else (),
        translate=draw(st.booleans()),
        routes=(Route("198.51.100.0/24", "10.0.0.77"),) if draw(st.booleans()) else (),
        floating=tuple(
            FloatingAddress(uuid(10, one), f"203.0.113.{100 + one}", f"10.0.0.{20 + one}")
            for one in range(draw(st.integers(0, 3)))
        ),
        forwardings=(
            Forwarding(
                uuid(11, 1),
                "203.0.113.99",
                draw(st.sampled_from(["tcp", "udp"])),
                (low, low + width),
                "10.0.0.30",
                (inside, inside + width),
            ),
        )
        if draw(st.booleans())
        else (),
    )


@st.composite
def states(draw: Any) -> HostState:
    """A state of the host `here`."""
    nets = draw(st.sets(st.integers(0, 3), max_size=3))
    members = st.sets(
        st.sampled_from(
            [
                "10.0.0.11",
                "10.0.0.0/16",
                "10.1.0.12",
                "2001:db8::11",
                "2001:db8::/64",
                "0.0.0.0/0",
                "::/0",
            ]
        )
    )
    groups = [
        Group(
            one,
            draw(st.sampled_from([True, True, False])),
            tuple(draw(st.lists(rules(), max_size=4))),
        )
        for one in GROUPS
    ]
    count = draw(st.integers(0, 2))
    return HostState(
        str(draw(st.integers())),
        HOST,
        tuple(draw(networks(net)) for net in sorted(nets)),
        tuple(draw(routers(sorted(nets), number)) for number in range(count)),
        tuple(groups),
        {one: tuple(draw(members)) for one in GROUPS[:2]},
    )
