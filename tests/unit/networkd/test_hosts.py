"""What hosts are told and tell: the whole state, at once when it changes, and what becomes of their reports."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from networkd.port import HostState
from tests.network_site import Item, NetworkSite


def bind(site: NetworkSite, port: Item, host: str) -> Item:
    """Put a guest's port on a host."""
    given = {"binding:host_id": host, "device_owner": "compute:nova", "device_id": "server"}
    reply = site.update("port", port["id"], who="admin", **given)
    assert reply.status == 200, reply
    found: Item = reply.body["port"]
    return found


def test_a_bound_port_is_told_and_becomes_active(either: NetworkSite) -> None:
    """With a DHCP port of its host, which goes with the last guest."""
    either.host("node1")
    net, _ = either.network()
    port = bind(either, either.make("port", network_id=net["id"]), "node1")
    assert (port["binding:vif_type"], port["status"]) == ("tap", "DOWN")
    state = either.state("node1")
    assert [one.id for one in state.networks] == [net["id"]]
    told = {one.id: one for one in state.networks[0].ports}
    assert told[port["id"]].host == "node1"
    serving = told[state.networks[0].dhcp_port]
    assert serving.owner == "network:dhcp"
    assert [one.id for one in state.groups] == port["security_groups"]
    assert state.members[port["security_groups"][0]] == ("10.0.0.2",)
    either.report("node1")
    assert either.show("port", port["id"])["status"] == "ACTIVE"
    assert either.show("port", serving.id)["status"] == "ACTIVE"
    either.report("node1", version="x")
    assert either.show("port", port["id"])["status"] == "DOWN"
    assert either.call("DELETE", f"/ports/{port['id']}").status == 204
    assert either.state("node1").networks == ()
    assert either.list("port", who="admin") == []


def test_an_agent_that_only_says_hello_takes_nothing_down(site: NetworkSite) -> None:
    """It has just been started, and its taps are still there."""
    site.host("node1")
    net, _ = site.network()
    port = bind(site, site.make("port", network_id=net["id"]), "node1")
    site.report("node1")
    site.host("node1")
    assert site.show("port", port["id"])["status"] == "ACTIVE"


def test_the_version_tells_whether_anything_changed(site: NetworkSite) -> None:
    """Names and descriptions are not a host's business."""
    site.host("node1")
    net, subnet = site.network()
    port = bind(site, site.make("port", network_id=net["id"]), "node1")
    before = site.state("node1").version
    site.update("port", port["id"], description="x")
    site.make("network")
    assert site.state("node1").version == before
    site.update("subnet", subnet["id"], dns_nameservers=["192.0.2.53"])
    assert site.state("node1").version != before


def test_a_poll_answers_when_the_state_changes(site: NetworkSite) -> None:
    """And not before, unless its time is over."""
    site.host("node1")
    net, _ = site.network()
    port = site.make("port", network_id=net["id"])
    seen = site.state("node1").version

    async def together() -> tuple[Any, Any]:
        path = f"//host/node1?seen={seen}&wait_s=30"
        waiting = asyncio.create_task(site.acall("GET", path, who="cloud:service"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        body = {"port": {"binding:host_id": "node1", "device_owner": "compute:nova"}}
        await site.acall("PUT", f"/ports/{port['id']}", body, who="admin")
        quick = f"//host/node1?seen={seen}&wait_s=0"
        return await asyncio.wait_for(waiting, 5), await site.acall(
            "GET", quick, who="cloud:service"
        )

    changed, quick = site.run(together())
    state = msgspec.json.decode(changed.raw, type=HostState)
    assert state.version != seen
    assert len(state.networks) == 1
    assert quick.status == 200


def test_hosts_are_for_services_alone(site: NetworkSite) -> None:
    """An administrator's own token is none of a service."""
    for who in ("demo", "admin"):
        assert site.call("GET", "//host/node1", who=who).status == 403
        assert site.call("POST", "//host/node1", {"version": ""}, who=who).status == 403
    assert site.call("GET", "//host/node1", who="cloud:service").status == 404
    for body in ({}, {"version": 1}, {"version": "", "ports": "x"}):
        assert site.call("POST", "//host/node1", body, who="cloud:service").status == 400
    assert site.call("POST", "//host/a b", {"version": ""}, who="cloud:service").status == 400
    assert site.call("GET", "//host/n?wait_s=x", who="cloud:service").status == 400


def test_a_router_lives_on_a_host_that_lives(site: NetworkSite) -> None:
    """It waits for one, is up when the host says so, and is moved when the host falls silent."""
    outside = site.outside()
    _, subnet = site.network()
    router = site.router(subnet, outside=outside)
    assert site.show("router", router["id"])["availability_zones"] == []
    site.host("node1")
    state = site.state("node1")
    assert [one.id for one in state.routers] == [router["id"]]
    assert state.routers[0].gateway_addresses == ("172.24.4.1",)
    assert state.routers[0].ports[0].addresses == (("10.0.0.1", 24),)
    assert {one.kind for one in state.networks} == {"vxlan", "flat"}
    site.report("node1")
    legs = site.list("port", f"device_id={router['id']}", who="admin")
    assert {leg["status"] for leg in legs} == {"ACTIVE"}
    site.env.advance(20)
    agents = site.call("GET", "/agents?host=node1", who="admin").body["agents"]
    assert {agent["alive"] for agent in agents} == {False}
    site.host("node-two")
    assert site.state("node1").routers == ()
    assert [one.id for one in site.state("node-two").routers] == [router["id"]]
    legs = site.list("port", f"device_id={router['id']}", who="admin")
    assert {leg["binding:host_id"] for leg in legs} == {"node-two"}
    assert {leg["status"] for leg in legs} == {"DOWN"}
    path = f"/routers/{router['id']}/remove_router_interface"
    assert site.call("PUT", path, {"subnet_id": subnet["id"]}).status == 200
    site.update("router", router["id"], external_gateway_info=None)
    assert site.state("node-two").routers == ()


def test_a_report_speaks_of_what_its_version_held(site: NetworkSite) -> None:
    """A leg that came later is not up by it."""
    site.host("node1")
    _, first = site.network("10.0.0.0/24")
    _, second = site.network("10.1.0.0/24")
    router = site.router(first)
    old = site.state("node1").version
    assert site.leg(router, second).status == 200
    site.report("node1", version=old, ports=[], routers=[router["id"]])

    def up() -> dict[str, str]:
        legs = site.list("port", f"device_id={router['id']}")
        return {leg["fixed_ips"][0]["ip_address"]: leg["status"] for leg in legs}

    assert up() == {"10.0.0.1": "ACTIVE", "10.1.0.1": "DOWN"}
    site.report("node1")
    assert up() == {"10.0.0.1": "ACTIVE", "10.1.0.1": "ACTIVE"}


def test_nobody_is_dead_because_the_service_was_away(tmp_path: Path) -> None:
    """After a start all hosts have as long as ever to report before their routers go elsewhere."""
    site = NetworkSite(tmp_path, started_s=20.0)
    site.host("node1")
    _, subnet = site.network()
    router = site.router(subnet)
    for seconds, host in ((20, "node1"), (20, "node-two")):
        site.env.advance(seconds)
        site.host("node-two")
        assert [one.id for one in site.state(host).routers] == [router["id"]]
    site.close()


def test_hosts_of_one_network_know_each_others_tunnels(site: NetworkSite) -> None:
    """And all of its ports."""
    site.report("node1", version="", tunnel_address="192.0.2.1")
    site.report("node2", version="", tunnel_address="192.0.2.2")
    net, _ = site.network()
    for host in ("node1", "node2"):
        bind(site, site.make("port", network_id=net["id"]), host)
    state = site.state("node1")
    assert state.networks[0].peers == ("192.0.2.2",)
    assert len(state.networks[0].ports) == 4
    assert len({one.host for one in state.networks[0].ports}) == 2


def test_translations_are_told_with_their_router(site: NetworkSite) -> None:
    """Floating addresses, forwarded ports and extra routes."""
    site.host("node1")
    outside = site.outside()
    net, subnet = site.network()
    router = site.router(subnet, outside=outside)
    port = site.make("port", network_id=net["id"])
    fip = site.make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    other = site.make("floatingip", floating_network_id=outside["id"])
    forwarding = {
        "protocol": "udp",
        "external_port_range": "5000:5009",
        "internal_port_range": "6000:6009",
        "internal_port_id": site.make("port", network_id=net["id"])["id"],
    }
    path = f"/floatingips/{other['id']}/port_forwardings"
    assert site.call("POST", path, {"port_forwarding": forwarding}).status == 201
    routes = [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}]
    site.update("router", router["id"], routes=routes)
    told = site.state("node1").routers[0]
    assert [(one.outside, one.inside) for one in told.floating] == [("172.24.4.3", "10.0.0.2")]
    assert told.forwardings[0].outside == other["floating_ip_address"]
    assert told.forwardings[0].outside_ports == (5000, 5009)
    assert told.forwardings[0].inside_ports == (6000, 6009)
    assert told.routes[0].nexthop == "10.0.0.9"
    assert site.show("floatingip", fip["id"])["status"] == "DOWN"
    site.report("node1")
    assert site.show("floatingip", fip["id"])["status"] == "ACTIVE"


def test_rules_are_told_with_the_addresses_they_mean(site: NetworkSite) -> None:
    """Prefixes, groups of addresses by version, members of groups with their pairs; empty is nobody."""
    site.host("node1")
    net, _ = site.network()
    group = site.make("security_group", name="web")
    office = site.make("address_group", name="office", addresses=["192.0.2.0/24"])
    given = {"security_group_id": group["id"], "direction": "ingress"}
    site.make("security_group_rule", **given, remote_address_group_id=office["id"])
    site.make(
        "security_group_rule", **given, remote_address_group_id=office["id"], ethertype="IPv6"
    )
    default = site.list("security_group", "name=default")[0]
    site.make("security_group_rule", **given, remote_group_id=default["id"], protocol="tcp")
    pair = [{"ip_address": "10.0.0.64/26"}]
    site.make("port", network_id=net["id"], allowed_address_pairs=pair)
    mine = site.make("port", network_id=net["id"], security_groups=[group["id"]])
    bind(site, mine, "node1")
    state = site.state("node1")
    rules = {
        (rule.ethertype, rule.protocol): rule
        for rule in state.groups[0].rules
        if rule.direction == "ingress"
    }
    assert rules["IPv4", ""].remote_cidrs == ("192.0.2.0/24",)
    nobody = rules["IPv6", ""].remote_group
    assert state.members[nobody] == ()
    assert state.members[rules["IPv4", "tcp"].remote_group] == ("10.0.0.2", "10.0.0.64/26")


def test_agents_are_shown_closed_and_forgotten(site: NetworkSite) -> None:
    """To administrators alone; a closed one gets no routers."""
    site.host("node1")
    assert site.call("GET", "/agents").body["agents"] == []
    agents = site.call("GET", "/agents", who="admin").body["agents"]
    assert len(agents) == 4
    routing = next(one for one in agents if one["agent_type"] == "L3 agent")
    path = f"/agents/{routing['id']}"
    assert site.call("GET", path).status == 404
    closed = site.admin("PUT", path, {"agent": {"admin_state_up": False, "description": "x"}})
    assert not closed.body["agent"]["admin_state_up"]
    _, subnet = site.network()
    router = site.router(subnet)
    agent_path = f"/routers/{router['id']}/l3-agents"
    assert site.admin("GET", agent_path).body["agents"] == []
    site.admin("PUT", path, {"agent": {"admin_state_up": True}})
    given = {"router_id": router["id"]}
    assert site.admin("POST", f"{path}/l3-routers", given).status == 201
    assert site.admin("GET", agent_path).body["agents"][0]["id"] == routing["id"]
    assert len(site.admin("GET", f"{path}/l3-routers").body["routers"]) == 1
    assert site.admin("DELETE", f"{path}/l3-routers/{router['id']}").status == 204
    for agent in agents:
        assert site.admin("DELETE", f"/agents/{agent['id']}").status == 204
    assert site.call("GET", "/agents", who="admin").body["agents"] == []


def test_an_operator_lets_a_host_serve_a_network(site: NetworkSite) -> None:
    """Without guests; with guests it cannot be taken back."""
    site.host("node1")
    net, _ = site.network()
    agents = site.call("GET", "/agents?agent_type=DHCP%20agent", who="admin").body["agents"]
    path = f"/agents/{agents[0]['id']}/dhcp-networks"
    assert site.admin("POST", path, {"network_id": net["id"]}).status == 201
    assert site.admin("POST", path, {"network_id": net["id"]}).status == 409
    assert site.state("node1").networks[0].dhcp_port
    assert [one["id"] for one in site.admin("GET", path).body["networks"]] == [net["id"]]
    told = site.admin("GET", f"/networks/{net['id']}/dhcp-agents").body["agents"]
    assert [one["id"] for one in told] == [agents[0]["id"]]
    assert site.admin("DELETE", f"{path}/{net['id']}").status == 204
    assert site.state("node1").networks == ()


def test_dhcp_follows_the_subnets(site: NetworkSite) -> None:
    """Each with DHCP has an address of the server's; without any there is no server."""
    site.host("node1")
    net, subnet = site.network()
    bind(site, site.make("port", network_id=net["id"]), "node1")
    second = site.make("subnet", network_id=net["id"], cidr="10.1.0.0/24", ip_version=4)
    server = site.list("port", "device_owner=network:dhcp")[0]
    assert len(server["fixed_ips"]) == 2
    site.update("subnet", second["id"], enable_dhcp=False)
    server = site.list("port", "device_owner=network:dhcp")[0]
    assert [one["subnet_id"] for one in server["fixed_ips"]] == [subnet["id"]]
    site.update("subnet", subnet["id"], enable_dhcp=False)
    assert site.list("port", "device_owner=network:dhcp") == []
