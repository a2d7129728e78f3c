"""Ports: addresses, MACs, groups, pairs, DHCP options, and who may say what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.network_site import NetworkSite


def kind_of(reply: Any) -> str:
    """Status and type of a refusal."""
    return f"{reply.status} {reply.body['NeutronError']['type']}"


def addresses(port: dict[str, Any]) -> list[str]:
    """What a port has."""
    return [one["ip_address"] for one in port["fixed_ips"]]


def test_a_port_gets_a_mac_an_address_and_the_default_group(site: NetworkSite) -> None:
    """Down and unbound, as long as no host has it."""
    net, _ = site.network()
    port = site.make("port", network_id=net["id"])
    assert port["mac_address"].startswith("fa:16:3e:")
    assert addresses(port) == ["10.0.0.2"]
    assert port["status"] == "DOWN"
    group = site.list("security_group")[0]
    assert port["security_groups"] == [group["id"]]
    assert "binding:host_id" not in port
    assert site.show("port", port["id"])["binding:vif_type"] == "unbound"


def test_addresses_can_be_chosen(either: NetworkSite) -> None:
    """By subnet, by address, or both; what is taken or outside is refused."""
    net, subnet = either.network("10.0.0.0/29")
    one = either.make("port", network_id=net["id"], fixed_ips=[{"ip_address": "10.0.0.4"}])
    assert addresses(one) == ["10.0.0.4"]

    def refused(*fixed: dict[str, str]) -> str:
        body = {"port": {"network_id": net["id"], "fixed_ips": list(fixed)}}
        return kind_of(either.call("POST", "/ports", body))

    assert refused({"ip_address": "10.0.0.4"}) == "409 IpAddressInUse"
    assert refused({"ip_address": "10.9.0.4"}) == "400 InvalidIpForNetwork"
    there = {"subnet_id": subnet["id"], "ip_address": "10.9.0.4"}
    assert refused(there) == "400 InvalidIpForSubnet"
    assert refused({"subnet_id": net["id"]}) == "400 InvalidInput"
    assert refused({"ip_address": "10.0.0.7"}) == "400 InvalidIpForSubnet"  # broadcast
    assert refused({"ip_address": "x"}) == "400 HTTPBadRequest"
    assert refused({"address": "10.0.0.4"}) == "400 HTTPBadRequest"
    several = either.make("port", network_id=net["id"], fixed_ips=[{"subnet_id": subnet["id"]}] * 2)
    assert addresses(several) == ["10.0.0.2", "10.0.0.3"]
    assert addresses(either.make("port", network_id=net["id"], fixed_ips=[])) == []
    either.make("port", network_id=net["id"], fixed_ips=[{"subnet_id": subnet["id"]}] * 2)
    body = {"port": {"network_id": net["id"]}}
    assert kind_of(either.call("POST", "/ports", body)) == "409 IpAddressGenerationFailure"


def test_two_at_once_never_get_one_address(either: NetworkSite) -> None:
    """Nor more than there are; the quota holds as well."""
    net, _ = either.network("10.0.0.0/28")
    either.admin("PUT", f"/quotas/{'d' * 32}", {"quota": {"port": 12}})

    async def together() -> list[Any]:
        body = {"port": {"network_id": net["id"]}}
        return await asyncio.gather(*(either.acall("POST", "/ports", body) for _ in range(15)))

    replies = either.run(together())
    made = [one.body["port"] for one in replies if one.status == 201]
    assert len(made) == 12
    assert len({addresses(port)[0] for port in made}) == 12
    assert {kind_of(one) for one in replies if one.status != 201} == {"409 OverQuota"}


def test_an_address_stays_when_a_port_gets_another(site: NetworkSite) -> None:
    """And moves only when it must."""
    net, subnet = site.network()
    port = site.make("port", network_id=net["id"])
    both = [{"subnet_id": subnet["id"], "ip_address": "10.0.0.2"}, {"subnet_id": subnet["id"]}]
    changed = site.update("port", port["id"], fixed_ips=both).body["port"]
    assert addresses(changed) == ["10.0.0.2", "10.0.0.3"]
    again = site.update("port", port["id"], fixed_ips=[{"ip_address": "10.0.0.3"}]).body["port"]
    assert addresses(again) == ["10.0.0.3"]


def test_a_mac_is_used_once_in_a_network(site: NetworkSite) -> None:
    """And must be one of a station."""
    net, _ = site.network()
    mac = "52:54:00:00:00:01"
    port = site.make("port", network_id=net["id"], mac_address="52-54-00-00-00-01")
    assert port["mac_address"] == mac
    body = {"port": {"network_id": net["id"], "mac_address": mac}}
    assert kind_of(site.call("POST", "/ports", body)) == "409 MacAddressInUse"
    for wrong in ("01:00:5e:00:00:01", "00:00:00:00:00:00", "x", 3):
        body["port"]["mac_address"] = wrong
        assert site.call("POST", "/ports", body).status == 400
    site.update("port", port["id"], who="admin", **{"binding:host_id": "node1"})
    bound = site.update("port", port["id"], who="admin", mac_address="52:54:00:00:00:09")
    assert kind_of(bound) == "409 PortBound"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\x00b", "x\u2028y", "\x1b[0m", "x" * 256, 7])
def test_dhcp_options_are_one_line(strict: NetworkSite, value: object) -> None:
    """What would be another line of the server's configuration is refused (CVE-2021-40085)."""
    net, _ = strict.network()
    option = {"opt_name": "bootfile-name", "opt_value": value}
    body = {"port": {"network_id": net["id"], "extra_dhcp_opts": [option]}}
    assert strict.call("POST", "/ports", body).status == 400
    option = {"opt_name": str(value) + "\n", "opt_value": "x"}
    body["port"]["extra_dhcp_opts"] = [option]
    assert strict.call("POST", "/ports", body).status == 400


def test_dhcp_options_are_replaced_one_by_one(site: NetworkSite) -> None:
    """Null takes one away."""
    net, _ = site.network()
    first = [
        {"opt_name": "mtu", "opt_value": "1400"},
        {"opt_name": "66", "opt_value": "10.0.0.9"},
    ]
    port = site.make("port", network_id=net["id"], extra_dhcp_opts=first)
    change = [{"opt_name": "mtu", "opt_value": "1300"}, {"opt_name": "66", "opt_value": None}]
    held = site.update("port", port["id"], extra_dhcp_opts=change).body["port"]
    assert held["extra_dhcp_opts"] == [{"opt_name": "mtu", "opt_value": "1300", "ip_version": 4}]


@pytest.mark.parametrize("name", ["a\nb", "-a", "a b", "x" * 64, "a..b", "ü"])
def test_names_for_the_name_service_are_names(strict: NetworkSite, name: str) -> None:
    """They become part of its data."""
    net, _ = strict.network()
    body = {"port": {"network_id": net["id"], "dns_name": name}}
    assert strict.call("POST", "/ports", body).status == 400


def test_names_are_answered_with_their_addresses(site: NetworkSite) -> None:
    """By default a host's name is its address."""
    net, _ = site.network()
    named = site.make("port", network_id=net["id"], dns_name="Web-1")
    assert named["dns_assignment"][0]["fqdn"] == "web-1.openstacklocal."
    plain = site.make("port", network_id=net["id"])
    assert plain["dns_assignment"][0]["hostname"] == "host-10-0-0-3"


def test_pairs_and_groups_need_port_security(site: NetworkSite) -> None:
    """409 in both directions."""
    net, _ = site.network()
    group = site.make("security_group", name="g")
    pair = {"ip_address": "10.0.0.0/24"}
    off = {"network_id": net["id"], "port_security_enabled": False}

    def refused(**attributes: Any) -> str:
        return kind_of(site.call("POST", "/ports", {"port": {**off, **attributes}}))

    assert refused(security_groups=[group["id"]]) == "409 PortSecurityPortHasSecurityGroup"
    assert refused(allowed_address_pairs=[pair]) == "409 AddressPairAndPortSecurityRequired"
    port = site.make("port", network_id=net["id"], allowed_address_pairs=[pair])
    assert port["allowed_address_pairs"][0]["mac_address"] == port["mac_address"]
    reply = site.update("port", port["id"], port_security_enabled=False)
    assert kind_of(reply).startswith("409")
    done = site.update(
        "port",
        port["id"],
        port_security_enabled=False,
        security_groups=[],
        allowed_address_pairs=[],
    )
    assert done.status == 200


def test_others_groups_are_not_there(site: NetworkSite) -> None:
    """404, whoever's they are."""
    net, _ = site.network()
    foreign = site.make("security_group", who="other", name="g")
    body = {"port": {"network_id": net["id"], "security_groups": [foreign["id"]]}}
    assert kind_of(site.call("POST", "/ports", body)) == "404 SecurityGroupNotFound"


def test_on_a_shared_network_others_choose_no_address(site: NetworkSite) -> None:
    """Nor a MAC, nor a device of the network's own, nor a host."""
    net = site.make("network", who="admin", shared=True)
    subnet = site.make(
        "subnet", who="admin", network_id=net["id"], cidr="10.4.0.0/24", ip_version=4
    )
    for attributes in (
        {"fixed_ips": [{"ip_address": "10.4.0.9"}]},
        {"mac_address": "52:54:00:00:00:01"},
        {"device_owner": "network:lbaas"},
        {"binding:host_id": "node1"},
        {"binding:profile": {"a": "b"}},
        {"allowed_address_pairs": [{"ip_address": "10.4.0.1"}]},
        {"port_security_enabled": False},
    ):
        body = {"port": {"network_id": net["id"], **attributes}}
        assert kind_of(site.call("POST", "/ports", body)) == "403 PolicyNotAuthorized", attributes
    site.make("port", network_id=net["id"], fixed_ips=[{"subnet_id": subnet["id"]}])


@pytest.mark.parametrize("owner", ["network:router_interface", "network:dhcp"])
def test_nobody_pretends_to_be_a_router(strict: NetworkSite, owner: str) -> None:
    """Ports of routers and of DHCP are made by Networking alone (CVE-2014-0056)."""
    net, subnet = strict.network()
    router = strict.router(subnet)
    body = {"port": {"network_id": net["id"], "device_id": router["id"], "device_owner": owner}}
    assert strict.call("POST", "/ports", body).status == 409
    port = strict.make("port", network_id=net["id"])
    assert strict.update("port", port["id"], device_owner=owner).status == 409
    leg = strict.list("port", f"device_id={router['id']}")[0]
    assert strict.update("port", leg["id"], device_owner="").status == 409
    gone = strict.call("DELETE", f"/ports/{leg['id']}")
    assert kind_of(gone) == "409 ServicePortInUse"


def test_names_of_hosts_are_names(site: NetworkSite) -> None:
    """They become part of names of namespaces and devices."""
    net, _ = site.network()
    for name in ("a b", "../x", "a\nb", 5):
        body = {"port": {"network_id": net["id"], "binding:host_id": name}}
        assert site.admin("POST", "/ports", body).status == 400
