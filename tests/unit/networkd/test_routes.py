"""Every operation of the Networking API is guarded and refuses in Neutron's form; discovery tells the truth."""

from __future__ import annotations

import pytest

from core.api.route import OWN, PUBLIC
from networkd.extensions import EXTENSIONS
from networkd.rules import RULES
from tests.network_site import NetworkSite

OPEN = {("GET", "/")}  # discovery needs no token


def test_every_route_has_a_rule_that_exists(strict: NetworkSite) -> None:
    """Public ones are named here one by one."""
    known = {rule.name for rule in RULES}
    for route in strict.app.table.routes:
        if route.rule == PUBLIC:
            assert (route.method, route.path) in OPEN, route
        elif route.rule != OWN:
            assert route.rule in known, route


def test_no_route_answers_without_a_token(strict: NetworkSite) -> None:
    """401 for every operation that is not public, whatever is in the path."""
    for route in strict.app.table.routes:
        if route.rule == PUBLIC:
            continue
        path = route.path.replace("{", "").replace("}", "")
        reply = strict.call(route.method, f"/{path}", who=None)
        assert reply.status == 401, route
        assert reply.body["NeutronError"]["message"]


def test_what_is_anothers_is_not_there(strict: NetworkSite) -> None:
    """Every operation on one thing, tried with another project's token: never a success."""
    net, subnet = strict.network()
    items = {
        "networks": net,
        "subnets": subnet,
        "ports": strict.make("port", network_id=net["id"]),
        "routers": strict.make("router"),
        "security-groups": strict.make("security_group", name="g"),
        "address-groups": strict.make("address_group", name="a"),
        "subnetpools": strict.make("subnetpool", name="p", prefixes=["10.0.0.0/8"]),
    }
    for route in strict.app.table.routes:
        kind = route.path.split("/")[2] if route.path.count("/") > 1 else ""
        if kind not in items or "{id}" not in route.path:
            continue
        path = route.path.replace("{id}", items[kind]["id"]).replace("{tag}", "x")
        singular = kind[:-1].replace("-", "_")
        body = {singular: {}} if route.method == "PUT" else None
        if path.endswith("_router_interface"):
            body = {"subnet_id": subnet["id"]}
        reply = strict.call(route.method, f"/{path}", body, who="other")
        assert reply.status in {400, 403, 404}, (route, reply)


def test_administrators_rules_refuse_others(strict: NetworkSite) -> None:
    """403, 404, or an empty list."""
    theirs = {rule.name for rule in RULES if rule.check == "rule:admin_only"}
    for route in strict.app.table.routes:
        if route.rule in theirs:
            path = route.path.replace("{", "").replace("}", "")
            reply = strict.call(route.method, f"/{path}", {})
            empty = reply.status == 200 and reply.body == {"agents": []}
            assert reply.status in {400, 403, 404} or empty, (route, reply)


def test_discovery_tells_versions_resources_and_extensions(strict: NetworkSite) -> None:
    """The versions without a token."""
    versions = strict.call("GET", "//", who=None).body["versions"]
    assert [one["id"] for one in versions] == ["v2.0"]
    resources = strict.call("GET", "/").body["resources"]
    for resource in resources:
        path = resource["links"][0]["href"].removeprefix("http://cloud.test:5000/network/v2.0")
        assert strict.admin("GET", path).status == 200, resource
    listed = strict.call("GET", "/extensions").body["extensions"]
    assert {one["alias"] for one in listed} == set(EXTENSIONS)
    for one in listed:
        assert strict.call("GET", f"/extensions/{one['alias']}").body["extension"] == one
    assert strict.call("GET", "/extensions/qos").status == 404


@pytest.mark.parametrize("path", ["/trunks", "/qos/policies", "/rbac-policies", "/address-scopes"])
def test_what_is_not_built_is_not_there(strict: NetworkSite, path: str) -> None:
    """404, as Neutron answers for an extension that is not loaded."""
    assert strict.call("GET", path).status == 404


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"network": 1}', b"\xff", b"[" * 100_000])
def test_bodies_that_are_not_the_object_wanted_are_400(strict: NetworkSite, raw: bytes) -> None:
    """Whatever they are instead."""
    reply = strict.call("POST", "/networks", raw=raw)
    assert reply.status == 400
    assert reply.body["NeutronError"]["type"]


def test_an_override_of_policy_holds(site: NetworkSite) -> None:
    """Written as for Neutron."""
    site.policy_file.parent.mkdir(parents=True, exist_ok=True)
    site.policy_file.write_text('"create_network:shared": "role:member"\n"create_router": "!"\n')
    assert site.make("network", shared=True)["shared"]
    assert site.call("POST", "/routers", {"router": {}}).status == 403


def test_zones_providers_and_addresses_left_are_told(site: NetworkSite) -> None:
    """The last to administrators."""
    zones = site.call("GET", "/availability_zones").body["availability_zones"]
    assert {one["resource"] for one in zones} == {"network", "router"}
    assert site.call("GET", "/service-providers").body["service_providers"]
    net, subnet = site.network("10.0.0.0/29")
    site.make("port", network_id=net["id"])
    path = "/network-ip-availabilities"
    assert site.call("GET", path).body["network_ip_availabilities"] == []
    told = site.admin("GET", f"{path}/{net['id']}").body["network_ip_availability"]
    assert (told["total_ips"], told["used_ips"]) == (5, 1)
    assert told["subnet_ip_availability"][0]["subnet_id"] == subnet["id"]
    six = site.admin("GET", f"{path}?ip_version=6").body["network_ip_availabilities"]
    assert six[0]["total_ips"] == 0
