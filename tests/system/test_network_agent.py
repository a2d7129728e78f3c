"""Two hosts of a cloud in namespaces, with real agents, bridges, tunnels, rules and guests: what tenants get, and what they do not."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from core.namespace import named
from networkd.agent.inside import within
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
from tests.network_lab import Guest, Host, Lab, laboratory, run, until

pytestmark = pytest.mark.slow


def uuid(kind: int, number: int) -> str:
    """An id that begins differently for each thing."""
    return f"{kind:02x}{number:02x}{kind:02x}{number:02x}-0000-4000-8000-0000000000{number:02x}"


NET_A, NET_B, PUBLIC = uuid(0xA, 1), uuid(0xB, 1), uuid(0xE, 1)
SUB_A, SUB_B, SUB_P = uuid(0xA, 2), uuid(0xB, 2), uuid(0xE, 2)
SUB_A6, SUB_B6 = uuid(0xA, 6), uuid(0xB, 6)
A1, A2, A3, B1, B2 = (uuid(0xC, n) for n in range(1, 6))
DA1, DA2, DB1, DB2 = (uuid(0xD, n) for n in range(1, 5))
LEG_A, GATE, LEG_A6 = (uuid(0xF, n) for n in range(1, 4))
ROUTER = uuid(0x10, 1)
OPEN, WEB, OTHER = (uuid(0x20, n) for n in range(1, 4))
MACS = {A1: "fa:16:3e:00:0a:01", A2: "fa:16:3e:00:0a:02", A3: "fa:16:3e:00:0a:03"}
MACS |= {B1: "fa:16:3e:00:0a:01", B2: "fa:16:3e:00:0b:02"}
IPS = {A1: "10.0.0.11", A2: "10.0.0.12", A3: "10.0.0.13", B1: "10.0.0.11", B2: "10.0.0.22"}
OUTSIDE = "203.0.113.1"
ESTABLISHED = 1  # of tcpi_state
FLOATING, FORWARDED, OWN = "203.0.113.50", "203.0.113.60", "203.0.113.10"
A6, B6 = "2001:db8:a::/64", "2001:db8:b::/64"
IPS6 = {A1: "2001:db8:a:0:f816:3eff:fe00:a01", A2: "2001:db8:a:0:f816:3eff:fe00:a02"}
IPS6 |= {A3: "2001:db8:a:0:f816:3eff:fe00:a03", B1: "2001:db8:b::11", B2: "2001:db8:b::22"}
ANY = (Rule("egress", "IPv4"), Rule("egress", "IPv6"))
ALL_IN = (Rule("ingress", "IPv4"), Rule("ingress", "IPv6"))


def guest_port(port_id: str, network: str, host: str, **other: object) -> Port:
    """A guest's port; its groups are OPEN unless said otherwise."""
    subnets = (SUB_A, SUB_A6) if network == NET_A else (SUB_B, SUB_B6)
    addresses = (Address(subnets[0], IPS[port_id]), Address(subnets[1], IPS6[port_id]))
    fields = {"owner": "compute:nova", "host": host, "groups": (OPEN,), **other}
    return Port(port_id, network, MACS[port_id], addresses, **fields)


def service_port(port_id: str, network: str, address: str, host: str) -> Port:
    """The port of a host's DHCP."""
    mac = f"fa:16:3e:ff:{port_id[:2]}:{port_id[2:4]}"
    subnets = (SUB_A, SUB_A6) if network == NET_A else (SUB_B, SUB_B6)
    six = ("2001:db8:a::" if network == NET_A else "2001:db8:b::") + address[-1]
    addresses = (Address(subnets[0], address), Address(subnets[1], six))
    return Port(port_id, network, mac, addresses, "network:dhcp", host=host)


SUBNETS = {
    NET_A: (
        Subnet(SUB_A, "10.0.0.0/24", 4, "10.0.0.1"),
        Subnet(SUB_A6, A6, 6, "2001:db8:a::1", ipv6_ra_mode="slaac", ipv6_address_mode="slaac"),
    ),
    NET_B: (
        Subnet(SUB_B, "10.0.0.0/24", 4, routes=(Route("192.0.2.0/24", "10.0.0.9"),)),
        Subnet(SUB_B6, B6, 6, ipv6_address_mode="dhcpv6-stateful"),
    ),
}


class Cloud:
    """What the API would say; tests change it and have it made."""

    def __init__(self) -> None:
        self.version = 0
        self.ports = {
            A1: guest_port(A1, NET_A, "one", options=(DhcpOption("tftp-server", "10.9.9.9"),)),
            A2: guest_port(A2, NET_A, "two", hostname="second"),
            A3: guest_port(A3, NET_A, "one"),
            B1: guest_port(B1, NET_B, "one"),
            B2: guest_port(B2, NET_B, "two"),
            DA1: service_port(DA1, NET_A, "10.0.0.2", "one"),
            DA2: service_port(DA2, NET_A, "10.0.0.3", "two"),
            DB1: service_port(DB1, NET_B, "10.0.0.2", "one"),
            DB2: service_port(DB2, NET_B, "10.0.0.3", "two"),
        }
        self.groups = {OPEN: Group(OPEN, rules=ANY + ALL_IN)}
        self.members: dict[str, tuple[str, ...]] = {}
        self.router = Router(
            ROUTER,
            ports=(
                RouterPort(
                    LEG_A, NET_A, "fa:16:3e:00:0a:ff", (("10.0.0.1", 24),), ("10.0.0.0/24",)
                ),
                RouterPort(LEG_A6, NET_A, "fa:16:3e:00:06:ff", (("2001:db8:a::1", 64),), (A6,)),
            ),
            gateway=RouterPort(GATE, PUBLIC, "fa:16:3e:00:0e:ff", ((OWN, 24),)),
            gateway_addresses=(OUTSIDE,),
            floating=(FloatingAddress(uuid(0x30, 1), FLOATING, IPS[A1]),),
            forwardings=(
                Forwarding(uuid(0x31, 1), FORWARDED, "tcp", (2222, 2222), IPS[A2], (22, 22)),
            ),
        )

    def network(self, host: str, network: str) -> Network:
        letter = "A" if network == NET_A else "B"
        dhcp = {("A", "one"): DA1, ("A", "two"): DA2, ("B", "one"): DB1, ("B", "two"): DB2}
        return Network(
            network,
            "vxlan",
            1001 if letter == "A" else 1002,
            subnets=SUBNETS[network],
            ports=tuple(port for port in self.ports.values() if port.network_id == network),
            peers=("172.31.0.2",) if host == "one" else ("172.31.0.1",),
            dhcp_port=dhcp[letter, host],
        )

    def state(self, host: str) -> HostState:
        networks = [self.network(host, NET_A), self.network(host, NET_B)]
        if host == "one":
            subnet = Subnet(SUB_P, "203.0.113.0/24", 4, OUTSIDE, dhcp=False)
            networks.append(
                Network(PUBLIC, "flat", 0, "public", 1500, external=True, subnets=(subnet,))
            )
        return HostState(
            f"v{self.version}",
            host,
            tuple(networks),
            (self.router,) if host == "one" else (),
            tuple(self.groups.values()),
            self.members,
        )


class Site:
    """Both hosts, all guests, and the cloud that they are of."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cloud = Cloud()
        self.one, self.two = lab.host("one", "172.31.0.1"), lab.host("two", "172.31.0.2")
        lab.join(self.one, self.two)
        for host in (self.one, self.two):
            host.start()
        self.make()
        places = {A1: self.one, A2: self.two, A3: self.one, B1: self.one, B2: self.two}
        self.guests = {
            port: lab.guest(host, f"g{number}", port, MACS[port])
            for number, (port, host) in enumerate(places.items())
        }
        for guest in self.guests.values():
            guest.plug()
        self.got = {port: guest.dhcp() for port, guest in self.guests.items()}

    def make(self) -> None:
        """Have the cloud's state made by both hosts."""
        self.cloud.version += 1
        for host in (self.one, self.two):
            report = host.want(self.cloud.state(host.name))
            assert not report.faults, report.faults

    def set_port(self, port_id: str, **change: object) -> None:
        port = self.cloud.ports[port_id]
        self.cloud.ports[port_id] = msgspec.structs.replace(port, **change)

    def set_group(self, group_id: str, *rules: Rule, stateful: bool = True) -> None:
        self.cloud.groups[group_id] = Group(group_id, stateful, rules)

    def outside(self, *command: str, check: bool = True) -> str:
        """A command on the first machine, which is the world outside."""
        return run("nsenter", f"--net=/run/netns/{self.one.machine}", *command, check=check)

    def comes_in(self, address: str, port: int) -> bool:
        """From outside a connection can be made."""
        command = ("nc", "-z", "-w", "1", address, str(port))
        done = subprocess.run(
            ("nsenter", f"--net=/run/netns/{self.one.machine}", *command), check=False
        )
        return done.returncode == 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two hosts with five guests of two tenants, all with addresses."""
    with laboratory(tmp_path_factory.mktemp("lab")) as lab:
        yield Site(lab)


def test_guests_get_their_addresses_routes_and_names_by_dhcp(site: Site) -> None:
    """Each the address of its port, with routes, MTU and name service; two tenants have the same one."""
    for port, got in site.got.items():
        assert got == f"{IPS[port]}/24"
    routes = site.guests[A1]("ip", "route")
    assert "default via 10.0.0.1" in routes
    assert "169.254.169.254 via 10.0.0.2" in routes
    assert "192.0.2.0/24 via 10.0.0.9" in site.guests[B1]("ip", "route")
    assert "default" not in site.guests[B1]("ip", "route")
    assert "mtu 1450" in site.guests[A1]("ip", "link", "show", "eth0")
    found = site.guests[A1]("busybox", "nslookup", "second.openstacklocal", "10.0.0.2")
    assert IPS[A2] in found


def test_guests_get_addresses_of_version_6(site: Site) -> None:
    """By advertisement of the router, which is then the way out; by DHCPv6 where the subnet says so."""
    a1, b1 = site.guests[A1], site.guests[B1]
    until(lambda: IPS6[A1] in a1("ip", "-6", "addr", "show", "eth0"))
    until(lambda: "default via fe80::" in a1("ip", "-6", "route"))
    until(lambda: IPS6[A2] in site.guests[A2]("ip", "-6", "addr", "show", "eth0"))
    until(lambda: a1.pings(IPS6[A2]))
    assert a1.pings("2001:db8:a::1")
    assert advertised(b1) == IPS6[B1]


def advertised(guest: Guest) -> str:
    """The address that DHCPv6 offers a guest (RFC 8415 sections 18.2.1 and 18.2.9)."""
    mac = bytes.fromhex(guest.mac.replace(":", ""))
    client = struct.pack("!HHHH", 1, 10, 3, 1) + mac
    wanted = struct.pack("!HHIII", 3, 12, 1, 0, 0)
    solicit = b"\x01abc" + client + wanted + struct.pack("!HHH", 8, 2, 0)
    index = int(guest("cat", "/sys/class/net/eth0/ifindex"))
    until(lambda: "tentative" not in guest("ip", "-6", "addr", "show", "eth0"))
    with within(guest.name, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as asker:
        asker.bind(("::", 546))
        asker.settimeout(2)
        asker.sendto(solicit, ("ff02::1:2", 547, 0, index))
        answer = asker.recv(2048)
    assert answer[0] == 2
    at = answer.index(struct.pack("!HH", 5, 24))
    return socket.inet_ntop(socket.AF_INET6, answer[at + 4 : at + 20])


def test_two_tenants_with_the_same_addresses_do_not_meet(site: Site) -> None:
    """Over the tunnel each reaches its own, at full MTU; nobody reaches the other's."""
    a1, b1 = site.guests[A1], site.guests[B1]
    assert a1.pings(IPS[A2], "-M", "do", "-s", "1422")
    assert b1.pings(IPS[B2])
    assert not a1.pings(IPS[B2])
    assert not b1.pings(IPS[A2])
    assert not b1.pings("10.0.0.1")  # the router is A's


def test_guests_reach_the_world_and_are_reached_by_floating_address(site: Site) -> None:
    """SNAT for the rest, the floating address both ways, hairpin, a forwarded port; nothing else comes in."""
    a1, a2, a3 = (site.guests[port] for port in (A1, A2, A3))
    a1.serve(22)
    a2.serve(22)
    a1.serve(2222)
    assert a2.pings(OUTSIDE)
    assert site.comes_in(FLOATING, 22)
    assert site.comes_in(FORWARDED, 2222)
    assert not site.comes_in(FORWARDED, 22)
    assert a2.reaches(FLOATING, 22)
    assert a3.reaches(FLOATING, 22)
    assert a1.reaches(FLOATING, 22)
    sources = seen_sources(site, {A1: FLOATING, A3: OWN})
    assert sources == {A1: FLOATING, A3: OWN}
    site.outside("ip", "route", "add", "10.0.0.0/24", "via", OWN)
    assert not site.comes_in(IPS[A1], 22)
    assert not site.comes_in("169.254.169.254", 80)
    site.outside("ip", "route", "del", "10.0.0.0/24")


def test_connections_by_a_floating_address_end_with_it(site: Site) -> None:
    """When it moves they do not go on to the one that had it; others are left alone."""
    a1, a3 = site.guests[A1], site.guests[A3]
    listener = within(site.one.machine, lambda: socket.create_server((OUTSIDE, 7002)))
    inward, shared = Talk(site.one.machine, FLOATING, 22), Talk(a3.name, OUTSIDE, 7002)
    assert inward.goes_on()
    router = site.cloud.router
    moved = (msgspec.structs.replace(router.floating[0], inside=IPS[A2]),)
    site.cloud.router = msgspec.structs.replace(router, floating=moved)
    site.make()
    assert not inward.goes_on()
    assert shared.goes_on()
    assert site.comes_in(FLOATING, 22)
    site.cloud.router = router
    site.make()
    assert seen_sources(site, {A1: FLOATING}) == {A1: FLOATING}
    for one in (inward, shared):
        one.end()
    listener.close()
    assert a1.reaches(FLOATING, 22)


def seen_sources(site: Site, wanted: dict[str, str]) -> dict[str, str]:
    """From which address the world sees guests."""
    listener = within(site.one.machine, lambda: socket.create_server((OUTSIDE, 7000)))
    found = {}
    with listener:
        listener.settimeout(5)
        for port in wanted:
            site.guests[port].reaches(OUTSIDE, 7000)
            connection, address = listener.accept()
            connection.close()
            found[port] = address[0]
    return found


def test_metadata_is_told_to_whom_it_belongs(site: Site) -> None:
    """By the network path: two guests with one address get their own; headers of guests are dropped; errors are plain."""
    url = "http://169.254.169.254/openstack/latest/meta_data.json"
    asks = (
        "curl",
        "-s",
        "-m",
        "5",
        "-H",
        f"X-Instance-ID: {B2}",
        "-H",
        "X-Forwarded-For: 10.0.0.13",
    )
    for port, host in ((A1, site.one), (B1, site.one), (A2, site.two)):
        answer = site.guests[port](*asks, url)
        assert f"/compute/metadata/{port}/openstack/latest/meta_data.json" in answer
        headers = {name.lower() for name in host.api.questions[-1][2]}
        assert headers == {"host", "connection", "x-auth-token"}
    a3 = site.guests[A3]
    a3("ip", "route", "del", "169.254.169.254")
    assert f"/compute/metadata/{A3}/" in a3(*asks, url)  # by the router
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    assert a3(*asks, *code, "--path-as-is", "http://169.254.169.254/../x") == "404"
    holding = [within(a3.name, socket.socket) for _ in range(20)]
    for one in holding:
        one.settimeout(0.2)
    taken = [one.connect_ex(("169.254.169.254", 80)) == 0 for one in holding]
    assert sum(taken) == 16  # of one guest
    assert f"/compute/metadata/{A1}/" in site.guests[A1](*asks, url)
    for one in holding:
        one.close()
    site.one.api.compute_up = False
    until(lambda: a3(*asks, *code, url, check=False) == "503")
    site.one.api.compute_up = True


def test_security_groups_allow_and_deny(site: Site) -> None:
    """What no rule allows is dropped; a removed rule ends what it allowed; members of a remote group come and go."""
    a1, a2, a3 = (site.guests[port] for port in (A1, A2, A3))
    a2.serve(80)
    site.set_group(WEB, *ANY, Rule("ingress", "IPv4", "tcp", 80, 80))
    site.set_port(A2, groups=(WEB,))
    site.make()
    assert a1.reaches(IPS[A2], 80)
    assert not a1.reaches(IPS[A2], 22)
    assert not a1.pings(IPS[A2])
    assert a2.reaches(IPS[A1], 22)  # answers come back
    talk = Talk(a1.name, IPS[A2], 80)
    assert talk.goes_on()
    site.set_group(WEB, *ANY, Rule("ingress", "IPv4", "icmp", 8, 0, remote_group=OTHER))
    site.cloud.members = {OTHER: (IPS[A3],)}
    site.make()
    assert not talk.goes_on()
    talk.end()
    assert a3.pings(IPS[A2])
    assert not a1.pings(IPS[A2])
    site.set_group(WEB, Rule("ingress", "IPv4"), Rule("egress", "IPv4", "udp"), stateful=False)
    site.make()
    assert not a1.pings(IPS[A2])  # without state the answer needs a rule of its own
    site.set_port(A2, groups=(OPEN,))
    site.make()
    assert a1.pings(IPS[A2])


class Talk:
    """A TCP connection between guests that is asked to carry bytes."""

    def __init__(self, place: str, address: str, port: int) -> None:
        self.socket = within(place, lambda: socket.create_connection((address, port), timeout=2))

    def goes_on(self) -> bool:
        """Sent bytes are acknowledged within a second."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(b"x" * 100)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            state, unacknowledged = self.information()
            if state != ESTABLISHED:
                return False
            if unacknowledged == 0:
                return True
            time.sleep(0.02)
        return False

    def information(self) -> tuple[int, int]:
        """State of the connection, segments in flight (tcp_info: tcpi_state, tcpi_unacked)."""
        found = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return found[0], int(struct.unpack_from("I", found, 24)[0])

    def end(self) -> None:
        self.socket.close()


def ethernet(target: str, source: str, kind: int, payload: bytes) -> bytes:
    return (
        bytes.fromhex(target.replace(":", ""))
        + bytes.fromhex(source.replace(":", ""))
        + struct.pack("!H", kind)
        + payload
    )


def arp(source_mac: str, source: str, target: str) -> bytes:
    mac = bytes.fromhex(source_mac.replace(":", ""))
    return (
        struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
        + mac
        + socket.inet_aton(source)
        + b"\xff" * 6
        + socket.inet_aton(target)
    )


def udp4(source: str, target: str, sport: int, dport: int) -> bytes:
    data = struct.pack("!HHHH", sport, dport, 12, 0) + b"mark"
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 1, 0, 64, 17, 0)
    head += socket.inet_aton(source) + socket.inet_aton(target)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", checksum) + head[12:] + data


def icmp6(source: str, target: str, kind: int, rest: bytes) -> bytes:
    body = struct.pack("!BBH", kind, 0, 0) + rest
    own, far = socket.inet_pton(socket.AF_INET6, source), socket.inet_pton(socket.AF_INET6, target)
    pseudo = own + far + struct.pack("!II", len(body), 58) + body + b"\0" * (len(body) % 2)
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]
    return struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + own + far + body


def passes(sender: Guest, receiver: Guest, frame: bytes) -> bool:
    """A frame that one guest sends is heard by another."""

    def packet() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.bind(("eth0", 0))
        return made

    with within(sender.name, packet) as mouth, within(receiver.name, packet) as ear:
        ear.settimeout(0.25)
        mouth.send(frame)
        deadline = time.monotonic() + 0.25
        while time.monotonic() < deadline:
            try:
                heard = ear.recv(2048)
            except TimeoutError:
                return False
            if heard[6:].startswith(frame[6:50]):
                return True
        return False


LINK_1 = "fe80::f816:3eff:fe00:a01"
BROADCAST, ALL_NODES = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"
M1, M3 = MACS[A1], MACS[A3]
TARGET = socket.inet_pton(socket.AF_INET6, "2001:db8::13")
OWN_TARGET = socket.inet_pton(socket.AF_INET6, LINK_1)
HONEST = {
    "its own ARP": ethernet(BROADCAST, M1, 0x0806, arp(M1, IPS[A1], IPS[A3])),
    "its own address": ethernet(M3, M1, 0x0800, udp4(IPS[A1], IPS[A3], 1000, 1000)),
    "its own neighbour advertisement": ethernet(
        ALL_NODES, M1, 0x86DD, icmp6(LINK_1, "ff02::1", 136, b"\x20\0\0\0" + OWN_TARGET)
    ),
}
FORGED = {
    "another MAC": ethernet(M3, M3, 0x0800, udp4(IPS[A1], IPS[A3], 1000, 1000)),
    "another address": ethernet(M3, M1, 0x0800, udp4("10.0.0.99", IPS[A3], 1000, 1000)),
    "ARP for the router's address": ethernet(BROADCAST, M1, 0x0806, arp(M1, "10.0.0.1", IPS[A3])),
    "ARP with another sender": ethernet(BROADCAST, M1, 0x0806, arp(M3, IPS[A1], IPS[A3])),
    "a DHCP server's answer": ethernet(M3, M1, 0x0800, udp4(IPS[A1], IPS[A3], 67, 68)),
    "a router advertisement": ethernet(
        ALL_NODES, M1, 0x86DD, icmp6(LINK_1, "ff02::1", 134, b"\x40\0\x07\x08" + b"\0" * 8)
    ),
    "a redirect": ethernet(
        ALL_NODES, M1, 0x86DD, icmp6(LINK_1, "ff02::1", 137, b"\0" * 4 + TARGET * 2)
    ),
    "another's neighbour advertisement": ethernet(
        ALL_NODES, M1, 0x86DD, icmp6(LINK_1, "ff02::1", 136, b"\x20\0\0\0" + TARGET)
    ),
    "another IPv6 address": ethernet(
        ALL_NODES, M1, 0x86DD, icmp6("2001:db8::13", "ff02::1", 128, b"\0" * 4)
    ),
    "a tagged frame": ethernet(
        M3, M1, 0x8100, b"\0\x0a\x08\0" + udp4(IPS[A1], IPS[A3], 1000, 1000)
    ),
    "another protocol": ethernet(BROADCAST, M1, 0x88CC, b"\x02\x07\x04" + b"\0" * 60),
}


def test_what_a_guest_forges_is_dropped(site: Site) -> None:
    """CVE-2021-20267, CVE-2021-38598: forged ARP, addresses, neighbour and router advertisements, DHCP servers."""
    a1, a3 = site.guests[A1], site.guests[A3]
    for what, frame in HONEST.items():
        assert passes(a1, a3, frame), f"{what} does not pass"
    for what, frame in FORGED.items():
        assert not passes(a1, a3, frame), f"{what} passes"
    pair = AllowedPair(M1, "10.0.0.99")
    site.set_port(A1, pairs=(pair,))
    site.make()
    assert passes(a1, a3, FORGED["another address"])
    site.set_port(A1, pairs=(), guarded=False)
    site.make()
    assert passes(a1, a3, FORGED["another address"])
    site.set_port(A1, guarded=True)
    site.make()
    assert not passes(a1, a3, FORGED["another address"])


def test_a_line_break_in_an_option_reaches_no_file(site: Site) -> None:
    """CVE-2021-40085: such a value is left out and reported; the network's DHCP goes on."""
    evil = DhcpOption("tftp-server", "x\ndhcp-script=/bin/sh")
    site.set_port(A3, options=(evil,))
    site.cloud.version += 1
    report = site.one.want(site.cloud.state("one"))
    assert list(report.faults) == [A3]
    files = Path("/run/ringstack", site.one.space, NET_A)
    assert not any(b"dhcp-script" in one.read_bytes() for one in files.iterdir())
    assert site.guests[A3].dhcp() == f"{IPS[A3]}/24"
    site.set_port(A3, options=(DhcpOption("mtu", "1400"),))
    site.make()
    assert site.guests[A3].dhcp() == f"{IPS[A3]}/24"
    assert "mtu 1400" in site.guests[A3]("ip", "link", "show", "eth0")
    processes = site.one.dnsmasqs()
    site.set_port(A3, hostname="third")
    site.make()
    assert site.guests[A3].dhcp() == f"{IPS[A3]}/24"
    assert site.one.dnsmasqs() == processes  # read again, not started again


def test_an_admin_can_turn_a_port_off(site: Site) -> None:
    """Its tap goes down, it is reported as not wired, and comes back."""
    site.set_port(A3, up=False)
    site.make()
    assert not site.one.wired(A3)
    assert not site.guests[A3].pings(IPS[A1])
    site.set_port(A3, up=True)
    site.make()
    until(lambda: site.one.wired(A3))
    until(lambda: site.guests[A3].pings(IPS[A1]))


SENDER = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as out:
    deadline = time.monotonic() + float(sys.argv[3])
    while time.monotonic() < deadline:
        out.sendall(b"x" * 4096)
        time.sleep(0.005)
"""


class Transfer:
    """Bytes that flow to a listener, and the longest time that nothing came."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.bytes = 0
        self.gap_s = 0.0

    def receive(self) -> None:
        """Until the sender has ended. Raises OSError when the connection broke."""
        self._listener.settimeout(5)
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(5)
            last = time.monotonic()
            while piece := connection.recv(65_536):
                now = time.monotonic()
                self.gap_s, last = max(self.gap_s, now - last), now
                self.bytes += len(piece)


def carried(
    site: Site, sender: Guest, place: str, address: str, during: Callable[[], None]
) -> Transfer:
    """What arrives of a transfer while something happens."""
    import threading

    listener = within(place, lambda: socket.create_server((address, 7001)))
    with listener:
        sender.start(sys.executable, "-c", SENDER, address, "7001", "3")
        transfer = Transfer(listener)
        thread = threading.Thread(target=transfer.receive)
        thread.start()
        until(lambda: transfer.bytes > 0)
        during()
        thread.join(20)
        assert not thread.is_alive()
    return transfer


def test_no_flow_ends_when_an_agent_is_killed_and_comes_back(site: Site) -> None:
    """Over the tunnel, with both agents killed, and from the router to the world; the next agents change nothing."""

    def restart() -> None:
        for host in (site.one, site.two):
            host.stop(signal.SIGKILL)
        before = links(site)
        time.sleep(0.3)
        for host in (site.one, site.two):
            host.api.report = None
            host.start()
        for host in (site.one, site.two):
            until(lambda host=host: host.api.report and host.api.report.ports, what=host.log())
        assert links(site) == before

    a1, a2 = site.guests[A1], site.guests[A2]
    between = carried(site, a1, a2.name, IPS[A2], restart)
    outward = carried(site, a1, site.one.machine, OUTSIDE, site.one.stop)
    site.one.start()
    for transfer in (between, outward):
        assert transfer.bytes > 500_000
        assert transfer.gap_s < 0.5, transfer.gap_s


def links(site: Site) -> list[str]:
    """Every interface of the first host, with its index: one that was made anew has another."""
    spaces = named(site.one.space)
    return [line for space in spaces for line in run("ip", "-n", space, "-o", "link").splitlines()]


def test_no_flow_ends_when_rules_change_elsewhere(site: Site) -> None:
    """Ten changes of rules and floating addresses beside a transfer: no packet of a steady ping is lost."""

    def change() -> None:
        for number in range(10):
            site.set_group(WEB, *ANY, Rule("ingress", "IPv4", "tcp", 1000 + number, None))
            extra = FloatingAddress(uuid(0x30, 2), f"203.0.113.{100 + number}", IPS[A3])
            floating = (*site.cloud.router.floating[:1], extra)
            site.cloud.router = msgspec.structs.replace(site.cloud.router, floating=floating)
            site.make()

    a1 = site.guests[A1]
    pinging = a1.start("ping", "-q", "-i", "0.01", "-c", "300", OUTSIDE, stdout=subprocess.PIPE)
    transfer = carried(site, a1, site.one.machine, OUTSIDE, change)
    output = pinging.communicate(timeout=10)[0].decode()
    assert transfer.gap_s < 0.5
    assert " 0% packet loss" in output, output


def test_what_is_missing_is_made_again(site: Site) -> None:
    """An interface, a route, an address and rules that somebody removed are back after a restart of the agent."""
    space = site.one.space
    router = next(name for name in named(space) if "-r-" in name)
    run("ip", "-n", router, "route", "del", "default")
    run("ip", "-n", router, "addr", "del", f"{FLOATING}/32", "dev", f"port{GATE[:11]}")
    run("ip", "-n", space, "link", "del", f"leg{LEG_A[:11]}")
    run("ip", "-n", space, "link", "del", f"leg{DA1[:11]}")
    run("ip", "netns", "exec", space, "nft", "flush", "ruleset")
    site.one.stop()
    site.one.api.report = None
    site.one.start()
    until(lambda: site.one.api.report and ROUTER in site.one.api.report.routers)
    assert until(lambda: site.comes_in(FLOATING, 22))
    assert site.guests[A1].dhcp() == f"{IPS[A1]}/24"
    assert not passes(site.guests[A1], site.guests[A3], FORGED["another address"])


def test_an_interface_that_somebody_removes_is_made_again_at_once(site: Site) -> None:
    """The kernel says that it has gone; nobody waits for the next full round."""
    before = links(site)
    run("ip", "-n", site.one.space, "link", "del", f"leg{LEG_A[:11]}")
    until(lambda: len(links(site)) == len(before) and links(site) != before, 5.0)
    until(lambda: site.comes_in(FLOATING, 22))


def test_a_router_that_moves_is_found_at_once(site: Site) -> None:
    """Its host falls silent, another has the router: guests reach it without waiting for tables to age."""
    a1, a3 = site.guests[A1], site.guests[A3]
    assert a1.pings("10.0.0.1")
    site.one.stop(signal.SIGKILL)
    router = next(name for name in named(site.one.space) if "-r-" in name)
    run("ip", "-n", router, "link", "set", f"port{LEG_A[:11]}", "down")
    site.cloud.version += 1
    state = site.cloud.state("two")
    router_there = msgspec.structs.replace(site.cloud.router, gateway=None, gateway_addresses=())
    site.two.want(msgspec.structs.replace(state, routers=(router_there,)))
    began = time.monotonic()
    until(lambda: a3.pings("10.0.0.1") and a1.pings("10.0.0.1"))
    assert time.monotonic() - began < 4
    site.cloud.version += 1
    site.two.want(site.cloud.state("two"))
    site.one.api.report = None
    site.one.start()
    until(lambda: site.one.api.report and ROUTER in site.one.api.report.routers)
    until(lambda: a1.pings(OUTSIDE))


def test_what_is_not_wanted_goes(site: Site) -> None:
    """Without its ports a host keeps nothing of a network; at the end nothing of the cloud is left."""
    site.cloud.version += 1
    empty = HostState(f"v{site.cloud.version}", "two")
    report = site.two.want(empty)
    assert report.ports == ()
    until(lambda: named(site.two.space) == [site.two.space])
    left = run("ip", "-n", site.two.space, "-o", "link").splitlines()
    assert len(left) == 1
    for host in (site.one, site.two):
        host.stop()
        host.clean()
        assert named(host.space) == []
        assert not Path("/run/ringstack", host.space).exists()
    assert "rs" not in site.outside("ip", "-o", "link")


def test_hosts_are_known_by_their_machines(site: Site) -> None:
    """Two hosts of one cloud have namespaces of their own."""
    hosts: list[Host] = [site.one, site.two]
    assert len({host.space for host in hosts}) == 2
