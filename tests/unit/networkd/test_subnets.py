"""Subnets and pools: what addresses they may be made of, and what depends on them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.network_site import NetworkSite


def refused(site: NetworkSite, **attributes: Any) -> str:
    """Status and type of the refusal of a subnet."""
    reply = site.call("POST", "/subnets", {"subnet": {"ip_version": 4, **attributes}})
    assert reply.status in {400, 409}, reply
    return f"{reply.status} {reply.body['NeutronError']['type']}"


def test_gateway_and_pools_follow_from_the_cidr(site: NetworkSite) -> None:
    """The first address, and all others; host bits are dropped."""
    _, subnet = site.network("10.0.0.9/29")
    assert subnet["cidr"] == "10.0.0.8/29"
    assert subnet["gateway_ip"] == "10.0.0.9"
    assert subnet["allocation_pools"] == [{"start": "10.0.0.10", "end": "10.0.0.14"}]


def test_a_gateway_in_the_middle_splits_the_pool(site: NetworkSite) -> None:
    """And none leaves it whole."""
    net, subnet = site.network("10.0.0.0/28", gateway_ip="10.0.0.5")
    assert subnet["allocation_pools"] == [
        {"start": "10.0.0.1", "end": "10.0.0.4"},
        {"start": "10.0.0.6", "end": "10.0.0.14"},
    ]
    whole = site.make(
        "subnet", network_id=net["id"], cidr="10.1.0.0/28", ip_version=4, gateway_ip=None
    )
    assert whole["allocation_pools"] == [{"start": "10.1.0.1", "end": "10.1.0.14"}]


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"cidr": "10.0.0.0/33"}, "400 HTTPBadRequest"),
        ({"cidr": "10.0.0.0"}, "400 HTTPBadRequest"),
        ({"cidr": "0.0.0.0/0"}, "400 InvalidInput"),
        ({"cidr": "224.0.0.0/24"}, "400 InvalidInput"),
        ({"cidr": "127.0.0.0/24"}, "400 InvalidInput"),
        ({"cidr": "fd00::/64"}, "400 InvalidInput"),
        ({}, "400 BadRequest"),
        ({"cidr": "10.0.0.128/25"}, "400 InvalidInput"),
        ({"cidr": "10.2.0.0/24", "gateway_ip": "10.2.0.255"}, "400 InvalidInput"),
        ({"cidr": "10.2.0.0/24", "gateway_ip": "fd00::1"}, "400 InvalidInput"),
        ({"cidr": "10.2.0.0/24", "ipv6_ra_mode": "slaac"}, "400 InvalidInput"),
        ({"cidr": "10.2.0.0/24", "dns_nameservers": ["x"]}, "400 HTTPBadRequest"),
        ({"cidr": "10.2.0.0/24", "dns_nameservers": ["fd00::1"]}, "400 InvalidInput"),
        (
            {"cidr": "10.2.0.0/24", "dns_nameservers": [f"10.9.9.{n}" for n in range(6)]},
            "400 DNSNameServersExhausted",
        ),
        (
            {"cidr": "10.2.0.0/24", "allocation_pools": [{"start": "10.2.0.9", "end": "10.2.0.2"}]},
            "400 InvalidAllocationPool",
        ),
        (
            {"cidr": "10.2.0.0/24", "allocation_pools": [{"start": "10.2.0.9", "end": "10.2.1.2"}]},
            "400 OutOfBoundsAllocationPool",
        ),
        (
            {"cidr": "10.2.0.0/24", "allocation_pools": [{"start": "10.2.0.1", "end": "10.2.0.9"}]},
            "409 GatewayConflictWithAllocationPools",
        ),
        (
            {
                "cidr": "10.2.0.0/24",
                "allocation_pools": [
                    {"start": "10.2.0.2", "end": "10.2.0.9"},
                    {"start": "10.2.0.9", "end": "10.2.0.12"},
                ],
            },
            "409 OverlappingAllocationPools",
        ),
    ],
)
def test_what_no_subnet_can_be_is_refused(
    strict: NetworkSite, attributes: dict[str, Any], kind: str
) -> None:
    """With the name of Neutron's exception."""
    net, _ = strict.network()
    assert refused(strict, network_id=net["id"], **attributes) == kind


@pytest.mark.parametrize(
    "attributes",
    [
        {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"},
        {"ipv6_ra_mode": "slaac", "enable_dhcp": False},
        {"ipv6_address_mode": "slaac", "cidr": "fd00:0:0:2::/80"},
        {"ipv6_address_mode": "magic"},
    ],
)
def test_modes_of_ipv6_go_together(strict: NetworkSite, attributes: dict[str, Any]) -> None:
    """400 for those that do not."""
    net, _ = strict.network()
    given = {"cidr": "fd00:0:0:2::/64", "ip_version": 6, **attributes}
    assert refused(strict, network_id=net["id"], **given).startswith("400")


def test_a_subnet_with_addresses_in_use_stays(site: NetworkSite) -> None:
    """409, until the port is gone."""
    net, subnet = site.network()
    port = site.make("port", network_id=net["id"])
    reply = site.call("DELETE", f"/subnets/{subnet['id']}")
    assert (reply.status, reply.body["NeutronError"]["type"]) == (409, "SubnetInUse")
    site.call("DELETE", f"/ports/{port['id']}")
    assert site.call("DELETE", f"/subnets/{subnet['id']}").status == 204


def test_hosts_make_their_own_addresses_in_a_new_subnet(site: NetworkSite) -> None:
    """Ports that are there get one; they let go of it when the subnet goes."""
    net, _ = site.network()
    port = site.make("port", network_id=net["id"], who="demo")
    six = site.make(
        "subnet",
        network_id=net["id"],
        cidr="fd00::/64",
        ip_version=6,
        ipv6_ra_mode="slaac",
        ipv6_address_mode="slaac",
    )
    assert len(site.show("port", port["id"])["fixed_ips"]) == 2
    later = site.make("port", network_id=net["id"])
    assert later["fixed_ips"][1]["ip_address"].startswith("fd00::")
    assert site.call("DELETE", f"/subnets/{six['id']}").status == 204
    assert len(site.show("port", port["id"])["fixed_ips"]) == 1


def test_a_gateway_that_a_router_has_cannot_be_changed(site: NetworkSite) -> None:
    """409 (GatewayIpInUse)."""
    _, subnet = site.network()
    site.router(subnet)
    reply = site.update("subnet", subnet["id"], gateway_ip="10.0.0.254")
    assert reply.body["NeutronError"]["type"] == "GatewayIpInUse"
    assert site.update("subnet", subnet["id"], name="x", enable_dhcp=False).status == 200


def test_pools_and_gateway_change_together(site: NetworkSite) -> None:
    """A gateway inside of a pool is refused."""
    _, subnet = site.network()
    clash = site.update("subnet", subnet["id"], gateway_ip="10.0.0.9")
    assert clash.status == 409
    pools = [{"start": "10.0.0.20", "end": "10.0.0.30"}]
    changed = site.update("subnet", subnet["id"], gateway_ip="10.0.0.9", allocation_pools=pools)
    assert changed.body["subnet"]["allocation_pools"] == pools


def test_subnets_are_cut_from_pools(site: NetworkSite) -> None:
    """The lowest free prefix, or the one asked for; never twice, never beyond the bounds."""
    pool = site.make(
        "subnetpool",
        name="p",
        prefixes=["10.8.0.0/17", "10.8.128.0/17"],
        default_prefixlen=26,
        min_prefixlen=24,
    )
    assert pool["prefixes"] == ["10.8.0.0/16"]
    net = site.make("network")
    given = {"network_id": net["id"], "ip_version": 4, "subnetpool_id": pool["id"]}
    assert site.make("subnet", **given)["cidr"] == "10.8.0.0/26"
    assert site.make("subnet", **given, prefixlen=24)["cidr"] == "10.8.1.0/24"
    assert site.make("subnet", **given)["cidr"] == "10.8.0.64/26"
    assert refused(site, **given, cidr="10.8.1.0/25") == "409 SubnetAllocationError"
    assert refused(site, **given, prefixlen=20) == "400 MinPrefixSubnetAllocationError"
    reply = site.call("DELETE", f"/subnetpools/{pool['id']}")
    assert reply.body["NeutronError"]["type"] == "SubnetPoolInUse"


def test_pools_have_quotas_and_change_by_prefixes(site: NetworkSite) -> None:
    """Addresses for each project; prefixes in use stay."""
    pool = site.make("subnetpool", name="p", prefixes=["10.8.0.0/16"], default_quota=256)
    net = site.make("network")
    given = {"network_id": net["id"], "ip_version": 4, "subnetpool_id": pool["id"]}
    site.make("subnet", **given, prefixlen=24)
    assert refused(site, **given, prefixlen=30) == "409 SubnetPoolQuotaExceeded"
    path = f"/subnetpools/{pool['id']}"
    added = site.call("PUT", f"{path}/add_prefixes", {"prefixes": ["10.9.0.0/16"]})
    assert added.body["prefixes"] == ["10.8.0.0/15"]
    assert site.call("PUT", f"{path}/remove_prefixes", {"prefixes": ["10.8.0.0/24"]}).status == 400
    rest = site.call("PUT", f"{path}/remove_prefixes", {"prefixes": ["10.9.0.0/16"]})
    assert rest.body["prefixes"] == ["10.8.0.0/16"]
    assert site.update("subnetpool", pool["id"], prefixes=["10.8.0.0/17"]).status == 400


@pytest.mark.parametrize(
    "attributes",
    [
        {"prefixes": []},
        {"prefixes": ["10.0.0.0/8", "fd00::/48"]},
        {"prefixes": ["10.0.0.0/8"], "min_prefixlen": 30, "max_prefixlen": 20},
        {"prefixes": ["10.0.0.0/8"], "max_prefixlen": 64},
        {"prefixes": ["x"]},
        {"prefixes": ["10.0.0.0/8"], "address_scope_id": "x"},
    ],
)
def test_pools_that_make_no_sense_are_refused(
    strict: NetworkSite, attributes: dict[str, Any]
) -> None:
    """400."""
    body = {"subnetpool": {"name": "p", **attributes}}
    assert strict.call("POST", "/subnetpools", body).status == 400


def test_only_the_owner_of_a_network_makes_subnets_on_it(site: NetworkSite) -> None:
    """403 on a shared one, 404 on one that is not seen."""
    shared = site.make("network", who="admin", shared=True)
    body = {"subnet": {"network_id": shared["id"], "cidr": "10.3.0.0/24", "ip_version": 4}}
    assert site.call("POST", "/subnets", body).status == 403
    hidden = site.make("network", who="other")
    body["subnet"]["network_id"] = hidden["id"]
    assert site.call("POST", "/subnets", body).status == 404
