"""Files and processes of dnsmasq: what is in them, what never is, and when a lease is in the way."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from core.real import RealEnv
from networkd.agent.dnsmasq import (
    Dnsmasqs,
    configuration,
    in_the_way,
    parse_leases,
    process_of,
    replace,
)
from networkd.plan import advertising, dhcp
from networkd.port import Address, DhcpOption, Network, Port, Route, Router, RouterPort, Subnet
from tests.network_states import uuid

NET, SUB, SUB6 = uuid(1, 1), uuid(2, 1), uuid(3, 1)
OWN = Port(
    uuid(6, 1),
    NET,
    "fa:16:3e:00:00:fe",
    (Address(SUB, "10.0.0.2"), Address(SUB6, "2001:db8::2")),
    "network:dhcp",
)
GUEST = Port(
    uuid(5, 1),
    NET,
    "fa:16:3e:00:00:01",
    (Address(SUB, "10.0.0.5"), Address(SUB6, "2001:db8::5")),
    "compute:nova",
)


def network(subnet: Subnet, *ports: Port) -> Network:
    return Network(NET, "vxlan", 7, subnets=(subnet,), ports=(OWN, *ports), dhcp_port=OWN.id)


def options(subnet: Subnet) -> list[str]:
    return list(dhcp.subnet_options(network(subnet)))


def test_guests_are_told_their_routes() -> None:
    """Metadata by way of the DHCP port, the subnet's routes, the default route; all in option 121, which rules alone (RFC 3442)."""
    subnet = Subnet(SUB, "10.0.0.0/24", 4, "10.0.0.1", routes=(Route("192.0.2.0/24", "10.0.0.9"),))
    mark = f"tag:t-{SUB}"
    routes = "169.254.169.254/32,10.0.0.2,192.0.2.0/24,10.0.0.9,0.0.0.0/0,10.0.0.1"
    assert options(subnet) == [
        f"{mark},option:router,10.0.0.1",
        f"{mark},option:dns-server,10.0.0.2",
        f"{mark},option:classless-static-route,{routes}",
        f"{mark},249,{routes}",
    ]


def test_a_subnet_without_a_gateway_has_no_router() -> None:
    """An empty option, or dnsmasq would name itself; 0.0.0.0 as name server means none."""
    subnet = Subnet(SUB, "10.0.0.0/24", 4, nameservers=("0.0.0.0",))
    found = options(subnet)
    assert f"tag:t-{SUB},option:router" in found
    assert f"tag:t-{SUB},option:dns-server" in found
    assert not any("0.0.0.0/0" in line for line in found)


def test_hosts_and_names_are_of_ports() -> None:
    """A port's own name, or one of its address; options by the port's tag."""
    port = msgspec.structs.replace(GUEST, hostname="web", options=(DhcpOption("150", "10.9.9.9"),))
    service, faults = dhcp.service(
        network(
            Subnet(SUB, "10.0.0.0/24", 4),
            port,
        ),
        "space",
    )
    assert not faults
    assert f"{port.mac},web.openstacklocal,10.0.0.5\n" in service.files["hosts"]
    assert f"dhcp-mac=set:t-{port.id},{port.mac}" in service.config
    assert "10.0.0.5\tweb.openstacklocal web\n" in service.files["names"]
    assert "10.0.0.2\thost-10-0-0-2.openstacklocal host-10-0-0-2\n" in service.files["names"]
    assert f"tag:t-{port.id},150,10.9.9.9\n" in service.files["options"]
    assert (port.mac, "10.0.0.5") in service.leases


def test_only_subnets_with_dhcp_are_served() -> None:
    """Without DHCP, or with addresses that guests make themselves, nothing is given out."""
    for subnet in (
        Subnet(SUB, "10.0.0.0/24", 4, dhcp=False),
        Subnet(SUB6, "2001:db8::/64", 6, ipv6_ra_mode="slaac", ipv6_address_mode="slaac"),
    ):
        assert list(dhcp.ranges(network(subnet))) == []
    six = Subnet(SUB6, "2001:db8::/64", 6, ipv6_address_mode="dhcpv6-stateful")
    assert list(dhcp.ranges(network(six))) == [
        f"dhcp-range=set:t-{SUB6},2001:db8::,static,64,86400s"
    ]
    assert list(dhcp.host_lines(network(six), GUEST)) == [
        f"{GUEST.mac},host-2001-db8--5.openstacklocal,[2001:db8::5]"
    ]
    stateless = msgspec.structs.replace(six, ipv6_address_mode="dhcpv6-stateless")
    assert list(dhcp.ranges(network(stateless)))
    assert not list(dhcp.host_lines(network(stateless), GUEST))


@given(st.text(max_size=60), st.text(max_size=30), st.text(max_size=30))
def test_no_value_makes_a_line(value: str, name: str, hostname: str) -> None:
    """CVE-2021-40085: each file has as many lines as it should, whatever its owner wrote."""
    port = msgspec.structs.replace(GUEST, hostname=hostname, options=(DhcpOption(name, value),))
    service, faults = dhcp.service(network(Subnet(SUB, "10.0.0.0/24", 4), port), "space")
    bad_name = port.id in faults and not any(port.mac in line for line in service.files["hosts"])
    assert len(service.files["hosts"].splitlines()) <= 2
    assert len(service.files["names"].splitlines()) <= 4
    assert len(service.files["options"].splitlines()) <= 5
    assert bad_name or port.id in faults or value.isprintable()


def test_routers_advertise_what_their_subnets_want() -> None:
    """One range for each subnet of a leg with a mode; nothing without."""
    subnet = Subnet(SUB6, "2001:db8::/64", 6, ipv6_ra_mode="slaac")
    leg = RouterPort(
        uuid(8, 1), NET, "fa:16:3e:00:00:ff", (("2001:db8::1", 64),), ("2001:db8::/64",)
    )
    router = Router(uuid(4, 1), ports=(leg,))
    service = advertising.service(router, {NET: network(subnet)}, "space")
    assert service is not None
    assert "dhcp-range=2001:db8::,ra-only,64,1800s" in service.config
    plain = Subnet(SUB6, "2001:db8::/64", 6)
    assert advertising.service(router, {NET: network(plain)}, "space") is None


def test_a_lease_of_another_is_in_the_way() -> None:
    """An address that has changed hands; not one that nobody has any more."""
    text = (
        "1700000000 fa:16:3e:00:00:01 10.0.0.5 host *\n"
        "1700000000 fa:16:3e:00:00:02 10.0.0.6 * 01:fa:16:3e:00:00:02\n"
        "duid 00:01:00:01\n1700000000 1 2001:db8::5 host 00:01\n"
    )
    held = parse_leases(text)
    assert held == {("fa:16:3e:00:00:01", "10.0.0.5"), ("fa:16:3e:00:00:02", "10.0.0.6")}
    assert in_the_way(held, {("fa:16:3e:00:00:09", "10.0.0.5")}) == {"10.0.0.5"}
    assert in_the_way(held, {("fa:16:3e:00:00:01", "10.0.0.5")}) == set()


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    """And only when they differ."""
    path = tmp_path / "hosts"
    assert replace(path, "a\n")
    assert not replace(path, "a\n")
    assert replace(path, "b\n")
    assert [one.name for one in tmp_path.iterdir()] == ["hosts"]


def test_a_process_is_known_by_its_files(tmp_path: Path) -> None:
    """Another process with the number in the file is not taken for it."""
    assert process_of(tmp_path) is None
    (tmp_path / "pid").write_text("1\n")
    assert process_of(tmp_path) is None
    service, _ = dhcp.service(network(Subnet(SUB, "10.0.0.0/24", 4)), "space")
    text = configuration(service, tmp_path)
    assert f"dhcp-hostsfile={tmp_path / 'hosts'}\n" in text
    assert "no-resolv\n" in text


async def stops_nothing(tmp_path: Path) -> None:
    await Dnsmasqs(RealEnv(), "rs-none", tmp_path).stop_all()


def test_nothing_to_stop_is_no_failure(tmp_path: Path) -> None:
    """A host without networks."""
    import asyncio

    asyncio.run(stops_nothing(tmp_path))
