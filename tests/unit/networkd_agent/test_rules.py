"""What rules are made of ports, groups and routers; whether they hold is judged by frames in tests/system/."""

from __future__ import annotations

import pytest

from networkd.plan import groups, guard, translation
from networkd.port import (
    Address,
    AllowedPair,
    FloatingAddress,
    Forwarding,
    Group,
    Port,
    Router,
    RouterPort,
    Rule,
)
from tests.network_states import uuid

MAC = "fa:16:3e:00:00:01"
PORT = Port(uuid(5, 1), uuid(1, 1), MAC, (Address(uuid(2, 1), "10.0.0.5"),), "compute:nova")
GROUP = uuid(7, 1)


def test_a_port_sends_from_its_addresses_and_pairs() -> None:
    """A pair without a MAC has the port's own."""
    pairs = (AllowedPair("", "10.0.0.6"), AllowedPair("fa:16:3e:00:00:02", "10.9.0.0/16"))
    port = Port(PORT.id, PORT.network_id, "FA:16:3E:00:00:01", PORT.addresses, pairs=pairs)
    assert guard.sources(port) == {
        MAC: ["10.0.0.5/32", "10.0.0.6/32"],
        "fa:16:3e:00:00:02": ["10.9.0.0/16"],
    }


def test_a_tap_without_rules_passes_nothing() -> None:
    """The last rule of all; an unguarded port is let through by name."""
    text = guard.table({PORT.id: PORT}, {PORT.id: 7}, []).text
    assert 'iifname vmap @senders\n  iifname "tap*" drop' in text
    assert f'"tap{PORT.id[:11]}" : jump p_7' in text
    free = Port(PORT.id, PORT.network_id, MAC, guarded=False)
    assert f'"tap{PORT.id[:11]}" : accept' in guard.table({PORT.id: free}, {PORT.id: 7}, []).text


def test_neighbour_targets_are_matched_by_their_prefix() -> None:
    """The first bits of the target, as many as the network has."""
    assert guard.neighbour_target("2001:db8::/32") == "@th,64,32 0x20010db8 "
    assert guard.neighbour_target("::/0") == ""


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule("egress", "IPv4"), "meta nfproto ipv4 "),
        (
            Rule("ingress", "IPv4", "tcp", 22, 22, ("192.0.2.0/24",)),
            "meta nfproto ipv4 ip saddr 192.0.2.0/24 meta l4proto 6 th dport 22 ",
        ),
        (
            Rule("egress", "IPv6", "UDP", 1, 9, ("2001:db8::/32",)),
            "meta nfproto ipv6 ip6 daddr 2001:db8::/32 meta l4proto 17 th dport 1-9 ",
        ),
        (
            Rule("ingress", "IPv4", "icmp", 8, 0),
            "meta nfproto ipv4 meta l4proto 1 icmp type 8 icmp code 0 ",
        ),
        (
            Rule("ingress", "IPv6", "icmp", 128),
            "meta nfproto ipv6 meta l4proto 58 icmpv6 type 128 ",
        ),
        (Rule("ingress", "IPv6", "ipv6-route"), "meta nfproto ipv6 ip6 nexthdr 43 "),
        (Rule("ingress", "IPv4", "112"), "meta nfproto ipv4 meta l4proto 112 "),
        (Rule("ingress", "IPv4", remote_cidrs=("0.0.0.0/0",)), "meta nfproto ipv4 "),
        (Rule("ingress", "IPv4", remote_cidrs=("::/0",)), None),
        (Rule("ingress", "IPv4", remote_group=uuid(7, 9)), None),
        (
            Rule("ingress", "IPv4", remote_group=GROUP),
            f"meta nfproto ipv4 ip saddr @m4_{GROUP.replace('-', '_')} ",
        ),
        (Rule("ingress", "IPv6", remote_group=GROUP), None),
    ],
)
def test_rules_become_matches(rule: Rule, text: str | None) -> None:
    """None lets nothing through: a group without members is not anybody."""
    assert groups.match(rule, {GROUP: ["10.0.0.5"]}) == text


@pytest.mark.parametrize(
    "rule",
    [
        Rule("ingress", "IPX"),
        Rule("ingress", "IPv4", "tcp; accept"),
        Rule("ingress", "IPv4", "256"),
        Rule("ingress", "IPv4", "tcp", 9, 1),
        Rule("ingress", "IPv4", "tcp", 1, 70_000),
        Rule("ingress", "IPv4", "icmp", 256),
        Rule("ingress", "IPv4", remote_cidrs=("10.0.0.0/8 accept",)),
    ],
)
def test_what_is_no_rule_is_refused(rule: Rule) -> None:
    """It raises; the plan leaves it out and says so."""
    with pytest.raises(ValueError):
        groups.match(rule, {})


def test_only_stateful_groups_let_answers_through() -> None:
    """A port with a stateless group is judged packet by packet."""
    one, other = Group(GROUP), Group(GROUP, stateful=False)
    assert "ct direction reply ct state established accept" in groups.port_chain(
        1, "ingress", [one]
    )
    assert not any("ct " in line for line in groups.port_chain(1, "ingress", [one, other]))
    assert groups.port_chain(1, "ingress", [])[-2] == "drop"


def test_port_forwarding_of_one_port_and_of_ranges() -> None:
    """Equal ranges keep their ports, others are mapped one by one; unequal ones are refused."""

    def rule(outside: tuple[int, int], inside: tuple[int, int], protocol: str = "tcp") -> str:
        one = Forwarding("id", "203.0.113.9", protocol, outside, "10.0.0.5", inside)
        return translation.forwarding_rule(one)

    start = "ip daddr 203.0.113.9 meta l4proto tcp "
    assert rule((80, 80), (8080, 8080)) == f"{start}th dport 80 dnat ip to 10.0.0.5:8080"
    assert rule((80, 90), (80, 90)) == f"{start}th dport 80-90 dnat ip to 10.0.0.5"
    pairs = "{ 80 : 10.0.0.5 . 90, 81 : 10.0.0.5 . 91 }"
    assert rule((80, 81), (90, 91)) == f"{start}dnat ip to th dport map {pairs}"
    for bad in [((1, 2), (1, 1)), ((2, 1), (2, 1)), ((0, 0), (0, 0))]:
        with pytest.raises(ValueError, match="range"):
            rule(*bad)
    with pytest.raises(ValueError, match="protocol"):
        rule((1, 1), (1, 1), "tcp accept")


def test_a_router_that_does_not_translate_lets_the_world_in() -> None:
    """enable_snat false is how routed networks are made; floating addresses work all the same."""
    gateway = RouterPort(uuid(9, 1), uuid(1, 9), MAC, (("203.0.113.10", 24),))
    floating = (
        FloatingAddress("b", "203.0.113.51", "10.0.0.5"),
        FloatingAddress("a", "203.0.113.50", "10.0.0.5"),
    )
    router = Router(uuid(4, 1), gateway=gateway, translate=False, floating=floating)
    text = translation.table(router).text
    assert "ct state new ct status ! dnat" not in text
    assert "ip saddr != 203.0.113.10" not in text
    assert "10.0.0.5 : 203.0.113.50" in text  # of two the lower one speaks
    closed = translation.table(Router(uuid(4, 1), gateway=gateway)).text
    assert "ct state new ct status ! dnat" in closed
    assert "snat ip to 203.0.113.10" in closed
    assert "oifname" not in translation.table(Router(uuid(4, 1))).text
