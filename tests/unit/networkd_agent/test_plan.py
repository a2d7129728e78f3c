"""What a state means: what is bad in itself is left out and reported, and never stops the rest."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from core.errors import Corrupt
from core.installation import Config
from networkd.agent import settings as agent_settings
from networkd.agent.metadata import safe_path
from networkd.plan.asking import Askers
from networkd.plan.ground import Ground
from networkd.plan.plan import MACHINE, Plan
from networkd.plan.state import plan
from networkd.port import Address, Group, HostState, Network, Port, Router, RouterPort, Rule, Subnet
from tests.network_states import uuid

HOST = "rs-12345678"
NET, SUB, GROUP = uuid(1, 1), uuid(2, 1), uuid(7, 1)
GUEST = Port(
    uuid(5, 1),
    NET,
    "fa:16:3e:00:00:01",
    (Address(SUB, "10.0.0.5"),),
    "compute:nova",
    host="here",
    groups=(GROUP,),
)
SUBNET = Subnet(SUB, "10.0.0.0/24", 4, "10.0.0.1")
NETWORK = Network(NET, "vxlan", 1001, subnets=(SUBNET,), ports=(GUEST,), peers=("192.0.2.2",))
STATE = HostState("1", "here", (NETWORK,), (), (Group(GROUP),))


def planned(state: HostState = STATE, **ground: object) -> Plan:
    return plan(state, Ground(HOST, **ground))


def test_tunnels_need_an_address() -> None:
    """A host alone has bridges and no tunnels; its own address is no peer."""
    tunnel = f"vx{NET[:11]}"
    assert tunnel not in planned().spaces[HOST].links
    found = planned(tunnel_address="192.0.2.1").spaces[HOST]
    assert found.links[tunnel].number == 1001
    assert found.floods == {tunnel: frozenset({"192.0.2.2"})}
    assert planned(tunnel_address="192.0.2.2").spaces[HOST].floods == {tunnel: frozenset()}


def test_a_port_that_cannot_be_is_left_out_and_reported() -> None:
    """Its neighbours are not."""
    bad = msgspec.structs.replace(GUEST, id=uuid(5, 2), mac="nothing")
    network = msgspec.structs.replace(NETWORK, ports=(GUEST, bad))
    found = planned(msgspec.structs.replace(STATE, networks=(network,)))
    assert list(found.faults) == [bad.id]
    assert list(found.ports) == [GUEST.id]


def test_a_network_that_cannot_be_is_left_out_and_reported() -> None:
    """With its ports; the others stay."""
    bad = Network(uuid(1, 2), "vxlan", 1 << 24)
    state = msgspec.structs.replace(STATE, networks=(bad, NETWORK))
    found = planned(state, tunnel_address="192.0.2.1")
    assert list(found.faults) == [bad.id]
    assert f"br{NET[:11]}" in found.spaces[HOST].links


def test_a_rule_that_cannot_be_is_left_out_and_reported() -> None:
    """The others of its group count."""
    rules = (Rule("ingress", "IPv4", "nonsense"), Rule("ingress", "IPv4", "tcp", 22, 22))
    found = planned(msgspec.structs.replace(STATE, groups=(Group(GROUP, rules=rules),)))
    assert list(found.faults) == [GROUP]
    text = found.spaces[HOST].tables[1].text
    assert "th dport 22 accept" in text
    assert "nonsense" not in text


def test_a_guest_of_another_host_has_no_tap_here() -> None:
    """Nor has a port that nobody uses, or one of the network's own."""
    for change in ({"host": "there"}, {"owner": ""}, {"owner": "network:dhcp"}):
        network = msgspec.structs.replace(
            NETWORK, ports=(msgspec.structs.replace(GUEST, **change),)
        )
        found = planned(msgspec.structs.replace(STATE, networks=(network,)))
        assert not any(name.startswith("tap") for name in found.spaces[HOST].links)


def test_a_physical_network_ends_in_the_machine_or_in_a_bridge_of_it() -> None:
    """The machine holds the gateway's address of an external network, unless a bridge carries it."""
    public = Network(
        uuid(1, 9),
        "flat",
        0,
        "public",
        1500,
        external=True,
        subnets=(Subnet(uuid(2, 9), "172.24.4.0/24", 4, "172.24.4.1"),),
    )
    state = HostState("1", "here", (public,))
    machine = planned(state).spaces[MACHINE]
    (link,) = machine.links.values()
    assert machine.addresses == {link.name: frozenset({"172.24.4.1/24"})}
    bridged = planned(state, bridges={"public": "br-ex"}).spaces[MACHINE]
    assert [one.master for one in bridged.links.values()] == ["br-ex"]
    assert set(bridged.addresses.values()) == {frozenset()}


def test_a_router_has_the_legs_whose_networks_are_known() -> None:
    """And routes that a leg leads to."""
    leg = RouterPort(uuid(8, 1), NET, "fa:16:3e:00:00:ff", (("10.0.0.1", 24),), ("10.0.0.0/24",))
    lost = RouterPort(uuid(8, 2), uuid(1, 5), "fa:16:3e:00:00:fe", (("10.5.0.1", 24),))
    router = Router(uuid(4, 1), ports=(leg, lost))
    found = planned(msgspec.structs.replace(STATE, routers=(router,)))
    space = found.spaces[f"{HOST}-r-{router.id[:8]}"]
    assert list(space.links) == [f"port{leg.port_id[:11]}"]
    assert leg.port_id in found.ports
    assert found.listeners[space.name].networks == (NET, uuid(1, 5))


def test_who_asks_is_found_by_network_and_address() -> None:
    """Addresses in other forms count, other networks and ports of the cloud's own do not."""
    dhcp = Port(uuid(6, 1), NET, "fa:16:3e:00:00:fe", (Address(SUB, "10.0.0.2"),), "network:dhcp")
    network = msgspec.structs.replace(NETWORK, ports=(GUEST, dhcp))
    askers = Askers(msgspec.structs.replace(STATE, networks=(network,)))
    assert askers.owner((uuid(1, 2), NET), "10.0.0.5") == GUEST.id
    assert askers.owner((uuid(1, 2),), "10.0.0.5") is None
    assert askers.owner((NET,), "10.0.0.2") is None
    assert askers.owner((NET,), "nonsense") is None


@pytest.mark.parametrize("path", ["/../x", "/a/%2e%2e/b", "/a/..%2fb", "/a\\..\\b", "/./a", "x"])
def test_paths_stay_below_the_ports_own(path: str) -> None:
    """In no spelling a way up."""
    assert not safe_path(path)
    assert safe_path("/openstack/latest/meta_data.json")
    assert safe_path("/")


def config(listen: str | None) -> Config:
    return Config("i", "127.0.0.1", 1, 2, "r", (), 1, "n", cluster_listen=listen)


def test_tunnels_use_the_nodes_address_unless_told_otherwise(tmp_path: Path) -> None:
    """A file with nonsense is refused in plain words."""
    nothing = agent_settings.load(tmp_path)
    assert agent_settings.tunnel_address(nothing, config(None)) == ""
    assert agent_settings.tunnel_address(nothing, config("192.0.2.7:7000")) == "192.0.2.7"
    assert agent_settings.tunnel_address(nothing, config("[2001:db8::1]:7000")) == "2001:db8::1"
    assert agent_settings.tunnel_address(nothing, config("node-1:7000")) == ""
    assert agent_settings.tunnel_address(nothing, config("0.0.0.0:7000")) == ""
    assert agent_settings.tunnel_address(nothing, config("127.0.0.1:7000")) == ""
    path = tmp_path / agent_settings.FILE
    path.write_text('{"tunnel_address": "192.0.2.9", "bridges": {"public": "br-ex"}}')
    found = agent_settings.ground(agent_settings.load(tmp_path), config("192.0.2.7:1"), HOST)
    assert found == Ground(HOST, tunnel_address="192.0.2.9", bridges={"public": "br-ex"})
    for text in ("{", '{"unknown": 1}', '{"tunnel_device": "a b"}', '{"tunnel_address": "x"}'):
        path.write_text(text)
        with pytest.raises(Corrupt):
            agent_settings.load(tmp_path)
