"""The Networking API on requests that nearly make sense: it refuses or answers, and never fails."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.network_site import NetworkSite

KINDS = {
    "network": "networks",
    "subnet": "subnets",
    "subnetpool": "subnetpools",
    "port": "ports",
    "router": "routers",
    "floatingip": "floatingips",
    "security_group": "security-groups",
    "security_group_rule": "security-group-rules",
    "address_group": "address-groups",
    "quota": "quotas",
    "agent": "agents",
}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**70),
    st.text(max_size=12),
    st.sampled_from(
        [
            "10.0.0.9",
            "10.0.0.0/28",
            "fd00::5",
            "fd00::/64",
            "fa:16:3e:11:22:33",
            "slaac",
            "tcp",
            "ingress",
            "vxlan",
            "flat",
            "node1",
            "NET",
            "SUBNET",
            "PORT",
            "ROUTER",
            "GROUP",
            "OUTSIDE",
        ]
    ),
)
KEYS = st.sampled_from(
    [
        "subnet_id",
        "ip_address",
        "start",
        "end",
        "destination",
        "nexthop",
        "opt_name",
        "opt_value",
        "network_id",
        "mac_address",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
ACTIONS = st.sampled_from(
    [
        "add_router_interface",
        "remove_router_interface",
        "add_extraroutes",
        "add_prefixes",
        "remove_prefixes",
        "add_addresses",
        "remove_addresses",
        "tags",
        "tags/x",
        "port_forwardings",
        "l3-routers",
        "dhcp-networks",
        "details",
    ]
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[tuple[NetworkSite, dict[str, str]]]:
    """A service with one of everything."""
    with tempfile.TemporaryDirectory() as directory:
        site = NetworkSite(Path(directory))
        site.host("node1")
        outside = site.outside()
        net, subnet = site.network()
        names = {
            "NET": net["id"],
            "SUBNET": subnet["id"],
            "PORT": site.make("port", network_id=net["id"])["id"],
            "ROUTER": site.router(subnet, outside=outside)["id"],
            "GROUP": site.list("security_group")[0]["id"],
            "OUTSIDE": outside["id"],
        }
        yield site, names
        site.close()


def named(value: Any, names: dict[str, str]) -> Any:
    """Placeholders become ids."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, list):
        return [named(one, names) for one in value]
    if isinstance(value, dict):
        return {key: named(one, names) for key, one in value.items()}
    return value


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_no_request_makes_the_service_fail(
    cloud: tuple[NetworkSite, dict[str, str]], data: st.DataObject
) -> None:
    """Bodies of known attributes with any values, made, changed, listed by and acted on."""
    site, names = cloud
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    attributes = [
        name
        for route in site.app.table.routes
        if route.path == f"/v2.0/{KINDS[kind]}" and hasattr(route.handler, "__self__")
        for name in getattr(route.handler.__self__, "attributes", {})
    ]
    attribute = st.sampled_from(sorted({*attributes, "nothing"}))
    given_ = data.draw(st.dictionaries(attribute, VALUES, max_size=4))
    required = {"network_id": "NET", "floating_network_id": "OUTSIDE", "security_group_id": "GROUP"}
    for name, value in required.items():
        if name in attributes:
            given_.setdefault(name, value)
    body = {kind: named(given_, names)}
    method = data.draw(st.sampled_from(["POST", "PUT", "GET", "PUT-action"]))
    path = f"/{KINDS[kind]}"
    target = data.draw(st.sampled_from([*names.values(), "x"]))
    if method == "PUT":
        path = f"{path}/{target}"
    if method == "PUT-action":
        path = f"{path}/{target}/{data.draw(ACTIONS)}"
        body = data.draw(st.sampled_from([body, body[kind]]))
        method = data.draw(st.sampled_from(["PUT", "POST", "GET", "DELETE"]))
    if method == "GET":
        fields = [
            f"{name}={value}"
            for name, value in given_.items()
            if isinstance(value, str) and value.isalnum() and value.isascii()
        ]
        path = f"{path}?{'&'.join(fields)}"
    who = data.draw(st.sampled_from(["demo", "admin", "other"]))
    reply = site.call(method, path, body, who=who)
    assert reply.status < 500, (method, path, body, reply)
