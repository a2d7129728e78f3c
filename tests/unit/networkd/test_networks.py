"""Networks: defaults, what administrators alone may say, numbers of tunnels, and what keeps one from going."""

from __future__ import annotations

import pytest

from tests.network_site import NetworkSite

TYPE, PHYSICAL = "provider:network_type", "provider:physical_network"
NUMBER = "provider:segmentation_id"


def test_a_network_has_the_documented_defaults(site: NetworkSite) -> None:
    """And hides from its project what it is made of."""
    made = site.make("network", name="net")
    assert made["mtu"] == 1450
    assert made["status"] == "ACTIVE"
    assert made["port_security_enabled"]
    assert not made["shared"]
    assert TYPE not in made
    seen = site.show("network", made["id"])
    assert (seen[TYPE], seen[NUMBER], seen[PHYSICAL]) == ("vxlan", 1001, None)


@pytest.mark.parametrize(
    "attributes",
    [{"shared": True}, {"router:external": True}, {TYPE: "local"}, {NUMBER: 5}],
)
def test_what_concerns_others_is_for_administrators(
    strict: NetworkSite, attributes: dict[str, object]
) -> None:
    """403 in Neutron's form for everybody else."""
    reply = strict.call("POST", "/networks", {"network": attributes})
    assert reply.status == 403
    assert reply.body["NeutronError"]["type"] == "PolicyNotAuthorized"


def test_numbers_of_tunnels_are_used_once_and_again_when_free(site: NetworkSite) -> None:
    """The lowest free one; a number that somebody has is refused."""
    first, second = site.make("network"), site.make("network")
    reply = site.admin("POST", "/networks", {"network": {TYPE: "vxlan", NUMBER: 1002}})
    assert (reply.status, reply.body["NeutronError"]["type"]) == (409, "TunnelIdInUse")
    assert site.call("DELETE", f"/networks/{first['id']}").status == 204
    assert site.show("network", site.make("network")["id"])[NUMBER] == 1001
    assert site.show("network", second["id"])[NUMBER] == 1002


@pytest.mark.parametrize(
    "attributes",
    [
        {TYPE: "flat"},
        {TYPE: "flat", PHYSICAL: "a", NUMBER: 3},
        {TYPE: "vxlan", PHYSICAL: "a"},
        {TYPE: "local", NUMBER: 3},
        {TYPE: "vlan", PHYSICAL: "a", NUMBER: 3},
        {PHYSICAL: "a"},
        {TYPE: "flat", PHYSICAL: "a\nb"},
        {"mtu": 9000},
        {"mtu": "x"},
        {"name": 3},
        {"name": "x" * 256},
        {"name": "a\0b"},
        {"id": "00000000-0000-4000-8000-000000000000"},
        {"nothing": 1},
        {"dns_domain": "no-dot"},
        {"dns_domain": "a\nb."},
        {"availability_zone_hints": ["mars"]},
    ],
)
def test_what_makes_no_sense_is_400(strict: NetworkSite, attributes: dict[str, object]) -> None:
    """Even from an administrator."""
    reply = strict.admin("POST", "/networks", {"network": attributes})
    assert reply.status == 400, reply
    assert reply.body["NeutronError"]["message"]


def test_a_physical_network_carries_one_flat_network(site: NetworkSite) -> None:
    """409 for the second."""
    site.outside()
    flat = {TYPE: "flat", PHYSICAL: "public"}
    reply = site.admin("POST", "/networks", {"network": flat})
    assert reply.body["NeutronError"]["type"] == "FlatNetworkInUse"


def test_others_see_shared_and_external_networks_alone(site: NetworkSite) -> None:
    """And cannot change them: 403 for what they see, 404 for the rest."""
    own = site.make("network")
    shared = site.make("network", who="admin", shared=True)
    outside = site.outside()
    seen = {one["id"] for one in site.list("network", who="other")}
    assert seen == {shared["id"], outside["id"]}
    assert site.update("network", own["id"], who="other", name="x").status == 404
    assert site.update("network", shared["id"], who="other", name="x").status == 403
    assert site.call("DELETE", f"/networks/{outside['id']}", who="other").status == 403
    assert site.call("GET", f"/networks/{own['id']}", who="other").status == 404


def test_readers_read(site: NetworkSite) -> None:
    """And do nothing else."""
    made = site.make("network")
    assert site.call("GET", f"/networks/{made['id']}", who="demo:reader").status == 200
    assert site.call("POST", "/networks", {"network": {}}, who="demo:reader").status == 403
    assert site.call("DELETE", f"/networks/{made['id']}", who="demo:reader").status == 403


def test_several_are_made_together_or_not_at_all(site: NetworkSite) -> None:
    """One bad one spoils them all."""
    reply = site.call("POST", "/networks", {"networks": [{"name": "a"}, {"name": "b"}]})
    assert [one["name"] for one in reply.body["networks"]] == ["a", "b"]
    bad = {"networks": [{"name": "c"}, {"mtu": -1}]}
    assert site.call("POST", "/networks", bad).status == 400
    assert len(site.list("network")) == 2


def test_a_network_in_use_stays(site: NetworkSite) -> None:
    """Ports of somebody keep it; its own DHCP ports do not."""
    host = site.host()
    net, _ = site.network()
    port = site.make("port", network_id=net["id"])
    reply = site.call("DELETE", f"/networks/{net['id']}")
    assert (reply.status, reply.body["NeutronError"]["type"]) == (409, "NetworkInUse")
    site.update("port", port["id"], who="admin", **{"binding:host_id": host})
    assert site.call("DELETE", f"/ports/{port['id']}").status == 204
    assert site.call("DELETE", f"/networks/{net['id']}").status == 204
    assert site.list("subnet") == []


def test_a_shared_network_that_others_use_stays_shared(site: NetworkSite) -> None:
    """409 (InvalidSharedSetting)."""
    net = site.make("network", who="admin", shared=True)
    site.make("port", who="other", network_id=net["id"])
    reply = site.update("network", net["id"], who="admin", shared=False)
    assert reply.body["NeutronError"]["type"] == "InvalidSharedSetting"


def test_a_revision_guards_changes(site: NetworkSite) -> None:
    """If-Match with another revision is 412, and every change counts."""
    net = site.make("network")
    path, body = f"/networks/{net['id']}", {"network": {"name": "x"}}
    old = {"If-Match": f"revision_number={net['revision_number'] + 7}"}
    assert site.call("PUT", path, body, headers=old).status == 412
    right = {"If-Match": f"revision_number={net['revision_number']}"}
    changed = site.call("PUT", path, body, headers=right)
    assert changed.body["network"]["revision_number"] > net["revision_number"]
    assert site.call("DELETE", path, headers=right).status == 412


def test_an_external_network_takes_idle_floating_addresses_along(site: NetworkSite) -> None:
    """Those that point at something keep it."""
    outside = site.outside()
    site.make("floatingip", floating_network_id=outside["id"])
    assert site.admin("DELETE", f"/networks/{outside['id']}").status == 204
    assert site.list("floatingip", who="admin") == []


def test_project_and_tenant_are_one(site: NetworkSite) -> None:
    """Only administrators and services act for others."""
    other = {"network": {"project_id": "e" * 32}}
    assert site.call("POST", "/networks", other).status == 400
    made = site.admin("POST", "/networks", other).body["network"]
    assert made["tenant_id"] == made["project_id"] == "e" * 32
    twice = {"network": {"project_id": "e" * 32, "tenant_id": "d" * 32}}
    assert site.admin("POST", "/networks", twice).status == 400
