"""From any world to any plan in few steps, and to the same plan in none."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings

from networkd.plan.difference import NOTHING, Seen, alike, clashes, is_ours, steps
from networkd.plan.ground import Ground
from networkd.plan.plan import MACHINE, VETH, VXLAN, Link, Path, Space, Table
from networkd.plan.state import plan
from networkd.plan.step import AddAddress, AddLink, RemoveLink, RemovePath, Rules, SetLink
from networkd.port import HostState
from tests.network_states import states
from tests.unit.networkd_agent.model_kernel import ModelKernel

HOST = "rs-12345678"
GROUND = Ground(HOST, tunnel_address="192.0.2.1")


@settings(max_examples=40)
@given(states(), states())
def test_any_state_becomes_any_other_and_then_nothing_is_left_to_do(
    before: HostState, after: HostState
) -> None:
    """The real loop takes three rounds at most; an unchanged plan takes no step."""
    kernel = ModelKernel()
    for state in (before, after):
        wanted = plan(state, GROUND)
        assert not wanted.faults
        for _ in range(2):
            kernel.settle(wanted)
        kernel.drop_spaces(wanted)
        kernel.done.clear()
        assert kernel.settle(wanted) == 0, kernel.done
        assert kernel.spaces.keys() == wanted.spaces.keys()
        for space in wanted.spaces.values():
            seen = kernel.see(space.name)
            assert seen is not None
            assert space.links.keys() == seen.links.keys() - {"lo"}


@settings(max_examples=10)
@given(states())
def test_taps_are_up_only_after_their_rules(state: HostState) -> None:
    """No guest sends a frame that no rule has seen."""
    kernel = ModelKernel()
    kernel.settle(plan(state, GROUND))
    ruled = next(
        number
        for number, one in enumerate(kernel.done)
        if isinstance(one, Rules) and one.space == HOST
    )
    for number, one in enumerate(kernel.done):
        if isinstance(one, SetLink) and one.name.startswith("tap") and one.up:
            assert number > ruled


def test_what_is_not_ours_is_left_alone() -> None:
    """Interfaces of other names, the kernel's addresses; but an address of ours that is not wanted goes."""
    link = Link("port1", VETH, 1500, peer="leg1", peer_space=HOST)
    wanted = Space("rs-12345678-n-1", links={"port1": link}, addresses={"port1": frozenset()})
    seen = Seen(
        links={"lo": Link("lo", "", 65_536), "port1": link, "eth7": Link("eth7", VETH, 1500)},
        addresses={"port1": frozenset({"fe80::1/64"}), "lo": frozenset({"127.0.0.1/8"})},
    )
    assert steps(wanted, seen, HOST) == ([], [])
    assert not is_ours("docker0", HOST, HOST)
    assert is_ours("tap123", HOST, HOST)
    assert not is_ours("tap123", MACHINE, HOST)
    assert is_ours("rs12345678abcd", MACHINE, HOST)
    assert not is_ours("rs99999999abcd", MACHINE, HOST)


def test_a_tunnel_with_another_number_is_made_anew() -> None:
    """What cannot be changed is removed and made."""
    link = Link("vx1", VXLAN, 1450, number=7, local="192.0.2.1", port=4789)
    wanted = Space(HOST, links={"vx1": link})
    seen = Seen(links={"lo": NOTHING.links["lo"], "vx1": msgspec.structs.replace(link, number=8)})
    making, _ = steps(wanted, seen, HOST)
    assert [type(one) for one in making] == [RemoveLink, AddLink]
    assert alike(link, msgspec.structs.replace(link, mtu=9, mac="x", up=False))


def test_a_changed_table_replaces_and_a_foreign_one_stays() -> None:
    """The seal decides; tables of ours that are not wanted go in the same transaction."""
    table = Table("inet", "rs_groups", "chain x { }")
    wanted = Space(HOST, tables=(table,))
    seen = Seen(links={"lo": Link("lo", "", 1)}, tables={("inet", "rs_groups"): table.digest})
    assert steps(wanted, seen, HOST) == ([], [])
    stale = msgspec.structs.replace(seen, tables={("inet", "rs_groups"): "", ("ip", "rs_old"): "x"})
    making, _ = steps(wanted, stale, HOST)
    assert making == [Rules(HOST, (table,), (("ip", "rs_old"),))]


def test_a_route_that_is_replaced_is_not_removed_first() -> None:
    """Between the two there is always one."""
    link = Link("port1", VETH, 1500, peer="leg1", peer_space=HOST)
    new = Path("0.0.0.0/0", "10.0.0.1", "port1")
    wanted = Space("rs-12345678-r-1", links={"port1": link}, paths=frozenset({new}))
    old = Path("0.0.0.0/0", "10.0.0.9", "port1")
    seen = Seen(links={"lo": Link("lo", "", 1), "port1": link}, paths=frozenset({old}))
    _, wiring = steps(wanted, seen, HOST)
    assert not any(isinstance(one, RemovePath) for one in wiring)
    assert len(wiring) == 1


def test_an_address_in_a_network_that_the_machine_has_is_left_out() -> None:
    """Two clouds with one public network: the second does without, and says so."""
    link = Link("rs12345678aaaa", VETH, 1500, owner="net", peer="phy1", peer_space=HOST)
    name = link.name
    wanted = Space(MACHINE, links={name: link}, addresses={name: frozenset({"172.24.4.1/24"})})
    links = {"lo": Link("lo", "", 1), name: link}
    seen = Seen(links=links, addresses={"rs99999999aaaa": frozenset({"172.24.4.1/24"})})
    assert list(clashes(wanted, seen)) == [(name, "172.24.4.1/24")]
    assert steps(wanted, seen, HOST) == ([], [])
    free = Seen(links=links, addresses={"eth0": frozenset({"192.0.2.1/24", "2001:db8::1/64"})})
    assert clashes(wanted, free) == {}
    assert [type(one) for one in steps(wanted, free, HOST)[1]] == [AddAddress]
