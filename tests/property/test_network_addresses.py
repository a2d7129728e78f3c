"""Addresses, rules, lists and states for whatever input: no address twice, no crash, equal rows give equal states."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.api.fault import Fault
from networkd import listing, security, values
from networkd.addresses import (
    Asking,
    Space,
    allocate,
    check_pools,
    compacted,
    cut,
    default_gateway,
    default_pools,
    eui64,
    inside,
    is_host,
    number,
    space_of,
)
from networkd.port import HostState
from networkd.state import Rows, compose

MAC = "fa:16:3e:00:00:01"
NETS_V4 = st.builds(
    lambda base, bits: ipaddress.ip_network((base, bits), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(8, 32),
)
NETS_V6 = st.builds(
    lambda base, bits: ipaddress.ip_network((base, bits), strict=False),
    st.integers(2**125, 2**126),
    st.integers(48, 128),
)
NETS = NETS_V4 | NETS_V6
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def space(net: Any, name: str = "s", **more: Any) -> Space:
    """A subnet with its default pools."""
    pools = default_pools(net, default_gateway(net))
    ranges = tuple((number(one["start"]), number(one["end"])) for one in pools)
    return Space(name, net, ranges, **more)


def tried(action: Callable[[], Any]) -> tuple[bool, Any]:
    """True and what came of it, or False and the status of the refusal."""
    try:
        return True, action()
    except Fault as fault:
        return False, fault.status


@given(NETS)
def test_default_pools_are_all_hosts_but_the_gateway(net: Any) -> None:
    """And pass the check that given ones must pass."""
    gateway = default_gateway(net)
    pools = default_pools(net, gateway)
    assert check_pools(net, pools, gateway) == pools
    count = sum(number(one["end"]) - number(one["start"]) + 1 for one in pools)
    left_out = 0 if net.num_addresses <= 2 else (3 if net.version == 4 else 2)
    assert count == net.num_addresses - left_out
    if gateway is not None:
        assert is_host(net, number(gateway))


@given(
    st.lists(NETS_V4.filter(lambda net: net.prefixlen >= 27), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(["any", "first", "explicit"]), max_size=60),
    st.randoms(use_true_random=False),
)
def test_no_address_is_given_twice(
    nets: list[Any], wishes: list[str], chance: random.Random
) -> None:
    """Whatever is asked for in whatever order; and every one is a host's address of its subnet."""
    nets = [net for at, net in enumerate(nets) if not any(net.overlaps(one) for one in nets[:at])]
    spaces = [space(net, f"s{at}") for at, net in enumerate(nets)]
    taken: dict[str, set[int]] = {one.id: set() for one in spaces}
    for wish in wishes:
        requested: Any = None
        if wish == "first":
            requested = [{"subnet_id": spaces[0].id}]
        if wish == "explicit":
            net = chance.choice(nets)
            requested = [{"ip_address": str(net[chance.randrange(net.num_addresses)])}]
        try:
            chosen = allocate(spaces, taken, requested, Asking("n", MAC))
        except Fault:
            continue
        for one in chosen:
            value = number(one.address)
            home = next(item for item in spaces if item.id == one.subnet_id)
            assert value not in taken[one.subnet_id]
            assert is_host(home.net, value)
            taken[one.subnet_id].add(value)


@given(NETS_V4.filter(lambda net: 24 <= net.prefixlen <= 30))
def test_all_addresses_of_the_pools_can_be_had(net: Any) -> None:
    """One after the other, until none is left."""
    spaces, taken = [space(net)], {"s": set[int]()}
    for _ in range(net.num_addresses - 3):
        (one,) = allocate(spaces, taken, None, Asking("n", MAC))
        taken["s"].add(number(one.address))
    with pytest.raises(Fault) as refused:
        allocate(spaces, taken, None, Asking("n", MAC))
    assert refused.value.status == 409


@given(st.binary(min_size=6, max_size=6), st.integers(0, 2**64 - 1))
def test_own_addresses_hold_prefix_and_mac(octets: bytes, prefix: int) -> None:
    """Two MACs never make one address."""
    mac = octets.hex(":")
    net = ipaddress.IPv6Network((prefix << 64, 64))
    found = eui64(net, mac)
    assert found >> 64 == prefix
    tail = (found & 2**64 - 1).to_bytes(8, "big")
    assert bytes([tail[0] ^ 2]) + tail[1:3] + tail[5:] == octets


@given(st.lists(NETS_V4, min_size=1, max_size=6), st.integers(8, 32))
def test_what_is_cut_lies_inside_and_shares_nothing(nets: list[Any], length: int) -> None:
    """Until nothing is left."""
    prefixes = compacted(map(str, nets))
    taken: list[str] = []
    for _ in range(8):
        found = cut(prefixes, taken, length)
        if found is None:
            break
        assert inside(found, prefixes)
        mine = ipaddress.ip_network(found)
        assert not any(mine.overlaps(ipaddress.ip_network(one)) for one in taken)  # type: ignore[arg-type]
        taken.append(found)


CONVERTERS = [
    values.text(20),
    values.plain(20),
    values.boolean,
    values.integer(0, 9),
    values.choice("a", 4),
    values.uuid,
    values.address,
    values.cidr,
    values.address_or_cidr,
    values.mac,
    values.dns_name,
    values.dns_domain,
    values.array(values.address),
    values.record({"a": values.address}, "a"),
    values.plain_object,
    values.optional(values.cidr),
    security.protocol,
    security.ethertype,
    security.prefix,
    security.port_value,
]


@given(ANYTHING)
@settings(max_examples=200)
def test_converters_take_or_refuse(value: Any) -> None:
    """Nothing else happens; and what is taken is its own normal form."""
    for convert in CONVERTERS:
        taken, found = tried(lambda one=convert: one(value, "x"))
        assert taken or found == 400
        if not taken:
            continue
        assert convert(found, "x") == found


@given(st.text(max_size=40))
def test_plain_texts_are_one_line(value: str) -> None:
    """What passes cannot begin another line, whoever reads it."""
    try:
        found = values.plain()(value, "x")
    except Fault:
        return
    assert len(found.splitlines()) <= 1
    assert all(character.isprintable() or ord(character) > 0x9F for character in found)


NUMBERS = st.none() | st.integers(0, 65_535)
RULES = st.fixed_dictionaries(
    {
        "protocol": st.none()
        | st.sampled_from(sorted(security.NUMBERS))
        | st.sampled_from(["6", "58", "200"]),
        "ethertype": st.sampled_from(["IPv4", "IPv6"]),
        "port_range_min": NUMBERS,
        "port_range_max": NUMBERS,
        "remote_ip_prefix": st.none() | NETS.map(str),
        "remote_group_id": st.none() | st.just("g"),
        "remote_address_group_id": st.none() | st.just("a"),
    }
)


@given(RULES)
def test_rules_that_pass_make_sense(rule: dict[str, Any]) -> None:
    """At most one remote, of its version; ports only where there are ports, and in order."""
    taken, found = tried(lambda: security.check(rule))
    if not taken:
        assert found == 400
        return
    remotes = [rule[f"remote_{one}"] for one in ("ip_prefix", "group_id", "address_group_id")]
    assert sum(one is not None for one in remotes) <= 1
    if remotes[0] is not None:
        version = ipaddress.ip_network(remotes[0]).version
        assert rule["ethertype"] == f"IPv{version}"
    low, high = rule["port_range_min"], rule["port_range_max"]
    if rule["protocol"] is None:
        assert low is high is None
    if rule["protocol"] in security.WITH_PORTS and low is not None:
        assert 0 < low <= high
    assert security.same({**rule, "direction": "x"}, {**rule, "direction": "x"})


VIEWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.uuids().map(str),
            "name": st.sampled_from("abc"),
            "size": st.none() | st.integers(0, 3),
        }
    ),
    max_size=12,
    unique_by=lambda view: view["id"],
)


@given(VIEWS, st.integers(1, 5), st.sampled_from(["", "name", "size"]), st.booleans())
def test_pages_are_the_sorted_list(views: list[Any], limit: int, key: str, back: bool) -> None:
    """Put together they hold everything once, in order, forwards or backwards."""
    fields = [("limit", str(limit))]
    if key:
        fields += [("sort_key", key), ("sort_dir", "desc")]
    if back:
        fields.append(("page_reverse", "True"))
    whole = listing.page(
        views, listing.asked(fields[1:][: 2 if key else 0], views[0] if views else ["name", "size"])
    )
    found: list[Any] = []
    marker: list[tuple[str, str]] = []
    for _ in range(len(views) + 1):
        wanted = listing.asked([*fields, *marker], ["id", "name", "size"])
        part = listing.page(views, wanted).views
        if not part:
            break
        found = part + found if back else found + part
        marker = [("marker", part[0]["id"] if back else part[-1]["id"])]
    assert found == whole.views


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=5))
def test_queries_are_taken_or_refused(fields: list[tuple[str, str]]) -> None:
    """400 and nothing else."""
    view = {"id": "a", "name": "b", "tags": ["c"], "fixed_ips": []}
    taken, found = tried(lambda: listing.page([view], listing.asked(fields, view)))
    assert taken or found in {400, 404}


def some_rows(shuffled: random.Random) -> Rows:
    """A small cloud, its rows in any order."""

    def mixed(items: dict[str, Any]) -> dict[str, Any]:
        names = list(items)
        shuffled.shuffle(names)
        return {name: items[name] for name in names}

    base = {"project_id": "p", "admin_state_up": True, "tags": []}
    port = {
        **base,
        "network_id": "n1",
        "mac_address": MAC,
        "device_owner": "",
        "device_id": "",
        "host": "h",
        "port_security_enabled": True,
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "dns_name": "",
    }
    network = {"kind": "vxlan", "number": 5, "physical": "", "mtu": 1450, "external": False, **base}
    subnet = {
        "network_id": "n1",
        "cidr": "10.0.0.0/24",
        "ip_version": 4,
        "gateway_ip": "10.0.0.1",
        "enable_dhcp": True,
        "dns_nameservers": [],
        "host_routes": [],
        "ipv6_ra_mode": None,
        "ipv6_address_mode": None,
        "allocation_pools": [],
        "service_types": [],
    }
    assert space_of({**subnet, "id": "s1"}).net.version == 4
    return Rows(
        networks=mixed({name: {**network, "id": name} for name in ("n1", "n2", "n3")}),
        subnets={"s1": {**subnet, "id": "s1"}},
        ports=mixed({f"p{at}": {**port, "id": f"p{at}"} for at in range(5)}),
        addresses={},
        port_groups=mixed({f"p{at}": ["g1", "g2"] for at in range(5)}),
        routers={},
        floating=[],
        forwardings=[],
        groups=mixed({name: {"id": name, "stateful": True} for name in ("g1", "g2")}),
        rules={},
        address_groups={},
        members=mixed({"g1": ("10.0.0.2", "10.0.0.3"), "g2": ()}),
        tunnels={"h": "192.0.2.1"},
    )


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(chance: random.Random) -> None:
    """One state, one version."""
    first: HostState = compose("h", some_rows(random.Random(0)))
    assert compose("h", some_rows(chance)) == first
