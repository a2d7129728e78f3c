"""Routers: legs, gateways, extra routes; floating addresses and forwarded ports behind them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.network_site import Item, NetworkSite


def kind_of(reply: Any) -> str:
    """Status and type of a refusal."""
    return f"{reply.status} {reply.body['NeutronError']['type']}"


def leave(site: NetworkSite, router: Item, subnet: Item) -> Any:
    """Remove an interface."""
    path = f"/routers/{router['id']}/remove_router_interface"
    return site.call("PUT", path, {"subnet_id": subnet["id"]})


def inside(site: NetworkSite) -> tuple[Item, Item, Item, Item]:
    """An external network, a router on it, an inner network, and a port there."""
    outside = site.outside()
    net, subnet = site.network()
    router = site.router(subnet, outside=outside)
    return outside, router, subnet, site.make("port", network_id=net["id"])


def test_a_leg_has_the_gateways_address(site: NetworkSite) -> None:
    """And keeps the router, the subnet and the network from going."""
    net, subnet = site.network()
    router = site.router(subnet)
    leg = site.list("port", f"device_id={router['id']}")[0]
    assert leg["fixed_ips"][0]["ip_address"] == "10.0.0.1"
    assert leg["device_owner"] == "network:router_interface"
    assert leg["security_groups"] == []
    assert kind_of(site.call("DELETE", f"/routers/{router['id']}")) == "409 RouterInUse"
    assert kind_of(site.call("DELETE", f"/subnets/{subnet['id']}")) == "409 SubnetInUse"
    assert kind_of(site.call("DELETE", f"/networks/{net['id']}")) == "409 NetworkInUse"
    told = leave(site, router, subnet).body
    assert told["port_id"] == leg["id"]
    assert told["subnet_ids"] == [subnet["id"]]
    assert kind_of(leave(site, router, subnet)) == "404 RouterInterfaceNotFoundForSubnet"
    assert site.call("DELETE", f"/routers/{router['id']}").status == 204


def test_subnets_of_a_router_share_no_address(site: NetworkSite) -> None:
    """The second is refused, as is the same one again."""
    _, first = site.network("10.0.0.0/24")
    _, second = site.network("10.0.0.128/25")
    router = site.router(first)
    assert kind_of(site.leg(router, second)) == "400 BadRequest"
    assert kind_of(site.leg(router, first)) == "400 BadRequest"
    assert len(site.list("port", f"device_id={router['id']}")) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"subnet_id": "x"},
        {"subnet_id": None},
        {"nothing": 1},
        {"port_id": 7},
        {
            "subnet_id": "00000000-0000-4000-8000-000000000000",
            "port_id": "00000000-0000-4000-8000-000000000000",
        },
    ],
)
def test_a_leg_is_named_rightly(strict: NetworkSite, body: dict[str, Any]) -> None:
    """400 for what names none, or two."""
    router = strict.make("router")
    path = f"/routers/{router['id']}/add_router_interface"
    assert strict.call("PUT", path, body).status == 400


def test_a_port_becomes_a_leg(site: NetworkSite) -> None:
    """Unless somebody has it, or it has no address."""
    net, _ = site.network()
    router = site.make("router")
    path = f"/routers/{router['id']}/add_router_interface"
    used = site.make("port", network_id=net["id"], device_id="server")
    assert kind_of(site.call("PUT", path, {"port_id": used["id"]})) == "409 PortInUse"
    bare = site.make("port", network_id=net["id"], fixed_ips=[])
    assert kind_of(site.call("PUT", path, {"port_id": bare["id"]})) == "400 BadRequest"
    port = site.make("port", network_id=net["id"])
    assert site.call("PUT", path, {"port_id": port["id"]}).status == 200
    held = site.show("port", port["id"])
    assert held["device_id"] == router["id"]
    assert not held["port_security_enabled"]


def test_ipv6_subnets_of_a_network_share_a_leg(site: NetworkSite) -> None:
    """As Neutron does it."""
    net, first = site.network("fd00:0:0:1::/64")
    second = site.make("subnet", network_id=net["id"], cidr="fd00:0:0:2::/64", ip_version=6)
    router = site.router(first, second)
    legs = site.list("port", f"device_id={router['id']}")
    assert len(legs) == 1
    assert len(legs[0]["fixed_ips"]) == 2
    assert leave(site, router, first).status == 200
    assert len(site.show("port", legs[0]["id"])["fixed_ips"]) == 1


def test_a_gateway_comes_changes_and_goes(site: NetworkSite) -> None:
    """Its address is taken from the external network and given back."""
    outside, net = site.outside(), site.make("network")
    router = site.router(outside=outside)
    info = site.show("router", router["id"])["external_gateway_info"]
    assert info["enable_snat"]
    assert info["external_fixed_ips"][0]["ip_address"] == "172.24.4.2"
    wrong = {"external_gateway_info": {"network_id": net["id"]}}
    assert site.update("router", router["id"], **wrong).status == 400
    other = site.outside("172.24.5.0/24", "other")
    there = {"external_gateway_info": {"network_id": other["id"]}}
    moved = site.update("router", router["id"], **there).body["router"]
    assert moved["external_gateway_info"]["network_id"] == other["id"]
    bare = site.update("router", router["id"], external_gateway_info={}).body["router"]
    assert bare["external_gateway_info"] is None
    assert site.list("port", "device_owner=network:router_gateway", who="admin") == []


def test_snat_and_outer_addresses_are_for_administrators(site: NetworkSite) -> None:
    """403 for everybody else."""
    outside = site.outside()
    for more in ({"enable_snat": False}, {"external_fixed_ips": [{"ip_address": "172.24.4.77"}]}):
        info = {"network_id": outside["id"], **more}
        body = {"router": {"external_gateway_info": info}}
        assert kind_of(site.call("POST", "/routers", body)) == "403 PolicyNotAuthorized"
        assert site.admin("POST", "/routers", body).status == 201


def test_extra_routes_lead_to_neighbours(site: NetworkSite) -> None:
    """Not into the void, nor to the router itself; a leg that one needs stays."""
    _, subnet = site.network()
    router = site.router(subnet)

    def put(hop: str, destination: str = "10.7.0.0/16") -> Any:
        routes = [{"destination": destination, "nexthop": hop}]
        return site.update("router", router["id"], routes=routes)

    assert kind_of(put("10.9.0.1")) == "400 InvalidRoutes"
    assert kind_of(put("10.0.0.1")) == "400 InvalidRoutes"
    assert kind_of(put("10.0.0.7", "fd00::/64")) == "400 InvalidRoutes"
    assert put("10.0.0.7").status == 200
    assert kind_of(leave(site, router, subnet)) == "409 RouterInterfaceInUseByRoute"
    path, more = f"/routers/{router['id']}", {"destination": "10.8.0.0/16", "nexthop": "10.0.0.8"}
    body = {"router": {"routes": [more]}}
    added = site.call("PUT", f"{path}/add_extraroutes", body).body["router"]
    assert len(added["routes"]) == 2
    rest = site.call("PUT", f"{path}/remove_extraroutes", body).body["router"]
    assert rest["routes"] == [{"destination": "10.7.0.0/16", "nexthop": "10.0.0.7"}]
    assert site.update("router", router["id"], routes=None).body["router"]["routes"] == []


def test_a_floating_address_points_at_a_port(either: NetworkSite) -> None:
    """Through the router between them, which keeps gateway and leg for as long."""
    outside, router, subnet, port = inside(either)
    made = either.make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    assert made["floating_ip_address"] == "172.24.4.3"
    assert made["fixed_ip_address"] == "10.0.0.2"
    assert made["router_id"] == router["id"]
    assert made["port_details"]["network_id"] == port["network_id"]
    again = {"floatingip": {"floating_network_id": outside["id"], "port_id": port["id"]}}
    reply = either.call("POST", "/floatingips", again)
    assert kind_of(reply) == "409 FloatingIPPortAlreadyAssociated"
    gone = either.update("router", router["id"], external_gateway_info={})
    assert kind_of(gone) == "409 RouterExternalGatewayInUseByFloatingIp"
    assert kind_of(leave(either, router, subnet)) == "409 RouterInterfaceInUseByFloatingIP"
    free = either.update("floatingip", made["id"], port_id=None).body["floatingip"]
    assert (free["port_id"], free["router_id"], free["status"]) == (None, None, "DOWN")
    assert leave(either, router, subnet).status == 200


def test_a_port_that_goes_lets_its_floating_address_go(site: NetworkSite) -> None:
    """The address stays its project's."""
    outside, _, _, port = inside(site)
    made = site.make("floatingip", floating_network_id=outside["id"], port_id=port["id"])
    site.call("DELETE", f"/ports/{port['id']}")
    held = site.show("floatingip", made["id"])
    assert (held["port_id"], held["fixed_ip_address"]) == (None, None)
    assert site.call("DELETE", f"/floatingips/{made['id']}").status == 204
    assert site.list("port", "device_owner=network:floatingip", who="admin") == []


def test_floating_addresses_that_cannot_be_are_refused(site: NetworkSite) -> None:
    """No way to the port, no such address, no external network, nobody else's port."""
    outside, _, _, port = inside(site)
    name = outside["id"]
    lonely_net, _ = site.network("10.5.0.0/24")
    lonely = site.make("port", network_id=lonely_net["id"])
    foreign_net, _ = site.network("10.6.0.0/24", who="other")
    foreign = site.make("port", who="other", network_id=foreign_net["id"])
    bare = site.make("port", network_id=port["network_id"], fixed_ips=[])

    def refused(**attributes: Any) -> str:
        body = {"floatingip": {"floating_network_id": name, **attributes}}
        return kind_of(site.call("POST", "/floatingips", body))

    assert refused(port_id=lonely["id"]) == "404 ExternalGatewayForFloatingIPNotFound"
    assert refused(port_id=foreign["id"]) == "404 PortNotFound"
    assert refused(port_id=bare["id"]) == "400 BadRequest"
    assert refused(fixed_ip_address="10.0.0.2") == "400 BadRequest"
    assert refused(port_id=port["id"], fixed_ip_address="10.0.0.99") == "400 BadRequest"
    assert refused(floating_network_id=lonely_net["id"]) == "400 BadRequest"
    assert refused(floating_ip_address="172.24.4.9") == "403 PolicyNotAuthorized"
    chosen = site.make(
        "floatingip", who="admin", floating_network_id=name, floating_ip_address="172.24.4.9"
    )
    assert chosen["floating_ip_address"] == "172.24.4.9"
    assert site.list("floatingip") == []


def test_ports_are_forwarded(site: NetworkSite) -> None:
    """One outer port to one inner one; the address points nowhere else meanwhile."""
    outside, router, _, port = inside(site)
    made = site.make("floatingip", floating_network_id=outside["id"])
    path = f"/floatingips/{made['id']}/port_forwardings"
    web = {
        "protocol": "tcp",
        "external_port": 8080,
        "internal_port": 80,
        "internal_port_id": port["id"],
        "internal_ip_address": "10.0.0.2",
    }
    one = site.call("POST", path, {"port_forwarding": web}).body["port_forwarding"]
    assert one["external_port"] == 8080
    assert site.show("floatingip", made["id"])["router_id"] == router["id"]
    assert site.call("POST", path, {"port_forwarding": web}).status == 400
    same = {**web, "external_port": 8081}
    assert site.call("POST", path, {"port_forwarding": same}).status == 400
    kept = site.call("DELETE", f"/floatingips/{made['id']}")
    assert kind_of(kept) == "409 FipInUseByPortForwarding"
    second = {"floatingip": {"floating_network_id": outside["id"], "port_id": port["id"]}}
    assert kind_of(site.call("POST", "/floatingips", second)) == "400 PortHasPortForwarding"
    udp = {**web, "protocol": "udp", "internal_port": 53}
    assert site.call("POST", path, {"port_forwarding": udp}).status == 201
    assert len(site.call("GET", path).body["port_forwardings"]) == 2
    assert site.call("GET", path, who="other").body["port_forwardings"] == []
    assert site.call("POST", path, {"port_forwarding": udp}, who="other").status == 404
    pointed = site.update("floatingip", made["id"], port_id=port["id"])
    assert kind_of(pointed) == "409 FipAssociated"
    change = {"port_forwarding": {"external_port": 9090}}
    changed = site.call("PUT", f"{path}/{one['id']}", change).body["port_forwarding"]
    assert (changed["external_port"], changed["internal_port"]) == (9090, 80)
    assert site.call("DELETE", f"{path}/{one['id']}").status == 204
    assert site.call("GET", f"{path}/{one['id']}").status == 404
    site.call("DELETE", f"/ports/{port['id']}")
    held = site.show("floatingip", made["id"])
    assert (held["port_forwardings"], held["router_id"]) == ([], None)
    assert site.update("router", router["id"], external_gateway_info={}).status == 200


def test_forwarded_ports_that_make_no_sense_are_400(site: NetworkSite) -> None:
    """Each by itself."""
    outside, _, _, port = inside(site)
    made = site.make("floatingip", floating_network_id=outside["id"])
    path = f"/floatingips/{made['id']}/port_forwardings"
    for change in (
        {"protocol": "icmp"},
        {"external_port": 0},
        {"external_port": None},
        {"external_port_range": "80:90", "external_port": 80},
        {"internal_port": None, "internal_port_range": "90:80"},
        {"internal_port": None, "internal_port_range": "x"},
        {"internal_ip_address": "10.0.0.77"},
    ):
        given = {
            "protocol": "tcp",
            "external_port": 8080,
            "internal_port": 80,
            "internal_port_id": port["id"],
            **change,
        }
        reply = site.call("POST", path, {"port_forwarding": given})
        assert reply.status == 400, (change, reply)


def test_a_project_gets_a_network_with_a_way_out(site: NetworkSite) -> None:
    """Once an operator has said which; it goes as it came."""
    path = f"/auto-allocated-topology/{'d' * 32}"
    assert kind_of(site.call("GET", path)) == "409 AutoAllocationFailure"
    outside = site.outside()
    site.update("network", outside["id"], who="admin", is_default=True)
    site.make(
        "subnetpool",
        who="admin",
        name="p",
        prefixes=["10.8.0.0/16"],
        shared=True,
        is_default=True,
        default_prefixlen=26,
    )
    dry = site.call("GET", f"{path}?fields=dry-run").body["auto_allocated_topology"]
    assert dry["id"] == "dry-run=pass"
    made = site.call("GET", path).body["auto_allocated_topology"]["id"]
    assert site.call("GET", path).body["auto_allocated_topology"]["id"] == made
    assert site.show("network", made)["project_id"] == "d" * 32
    assert len(site.list("router")) == 1
    assert site.call("DELETE", path).status == 204
    assert site.list("router") == []
    assert site.call("DELETE", path).status == 404
    assert site.call("GET", path, who="other").status == 403
