"""Security groups, rules and groups of addresses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.network_site import Item, NetworkSite


def kind_of(reply: Any) -> str:
    """Status and type of a refusal."""
    return f"{reply.status} {reply.body['NeutronError']['type']}"


def directions(group: Item) -> list[tuple[str, str, bool]]:
    """What the rules of a group let through."""
    return sorted(
        (rule["direction"], rule["ethertype"], rule["remote_group_id"] == group["id"])
        for rule in group["security_group_rules"]
    )


def test_every_project_has_a_default_group(site: NetworkSite) -> None:
    """As soon as it looks; what has it may come in, all may go out."""
    groups = site.list("security_group")
    assert [group["name"] for group in groups] == ["default"]
    assert directions(groups[0]) == [
        ("egress", "IPv4", False),
        ("egress", "IPv6", False),
        ("ingress", "IPv4", True),
        ("ingress", "IPv6", True),
    ]
    assert site.list("security_group")[0]["id"] == groups[0]["id"]
    assert site.list("security_group", who="other")[0]["id"] != groups[0]["id"]


def test_the_default_group_stays_what_it_is(site: NetworkSite) -> None:
    """It cannot be removed, renamed or made twice."""
    name = site.list("security_group")[0]["id"]
    gone = site.call("DELETE", f"/security-groups/{name}")
    assert kind_of(gone) == "409 SecurityGroupCannotRemoveDefault"
    renamed = site.update("security_group", name, name="x")
    assert kind_of(renamed) == "409 SecurityGroupCannotUpdateDefault"
    again = site.call("POST", "/security-groups", {"security_group": {"name": "default"}})
    assert kind_of(again) == "409 SecurityGroupDefaultAlreadyExists"
    assert site.update("security_group", name, description="ours").status == 200


def test_a_new_group_lets_all_out_and_nothing_in(site: NetworkSite) -> None:
    """Until it has rules."""
    group = site.make("security_group", name="web")
    assert directions(group) == [("egress", "IPv4", False), ("egress", "IPv6", False)]


def test_a_group_in_use_stays(site: NetworkSite) -> None:
    """And keeps its kind."""
    net, _ = site.network()
    group = site.make("security_group", name="web")
    site.make("port", network_id=net["id"], security_groups=[group["id"]])
    gone = site.call("DELETE", f"/security-groups/{group['id']}")
    assert kind_of(gone) == "409 SecurityGroupInUse"
    changed = site.update("security_group", group["id"], stateful=False)
    assert kind_of(changed) == "409 SecurityGroupInUse"


def test_a_rule_is_made_once_and_removed(site: NetworkSite) -> None:
    """One that says the same in other words is the same."""
    group = site.make("security_group", name="web")
    given = {
        "security_group_id": group["id"],
        "direction": "ingress",
        "protocol": "tcp",
        "port_range_min": 80,
        "port_range_max": 80,
        "remote_ip_prefix": "10.1.2.3/8",
    }
    rule = site.make("security_group_rule", **given)
    assert rule["normalized_cidr"] == "10.0.0.0/8"
    for same in ({}, {"protocol": "6"}, {"protocol": 6}, {"remote_ip_prefix": "10.0.0.0/8"}):
        body = {"security_group_rule": {**given, **same}}
        reply = site.call("POST", "/security-group-rules", body)
        assert kind_of(reply) == "409 SecurityGroupRuleExists", same
    path = f"/security-group-rules/{rule['id']}"
    assert site.call("DELETE", path, who="other").status == 404
    assert site.call("PUT", path, {"security_group_rule": {}}).status == 405
    assert site.call("DELETE", path).status == 204
    assert len(site.show("security_group", group["id"])["security_group_rules"]) == 2


@pytest.mark.parametrize(
    "attributes",
    [
        {"direction": "sideways"},
        {"ethertype": "IPv5"},
        {"protocol": "carrier-pigeon"},
        {"protocol": 256},
        {"protocol": -1},
        {"port_range_min": 80, "port_range_max": 80},
        {"protocol": "tcp", "port_range_min": 90, "port_range_max": 80},
        {"protocol": "tcp", "port_range_min": 0, "port_range_max": 80},
        {"protocol": "tcp", "port_range_min": 80},
        {"protocol": "tcp", "port_range_min": 80, "port_range_max": 70_000},
        {"protocol": "icmp", "port_range_min": 300},
        {"protocol": "icmp", "port_range_max": 3},
        {"protocol": "esp", "port_range_min": 1, "port_range_max": 2},
        {"protocol": "ipv6-icmp", "ethertype": "IPv4"},
        {"protocol": 58, "ethertype": "IPv4"},
        {"remote_ip_prefix": "fd00::/64", "ethertype": "IPv4"},
        {"remote_ip_prefix": "x"},
        {"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": "self"},
    ],
)
def test_rules_that_make_no_sense_are_400(strict: NetworkSite, attributes: dict[str, Any]) -> None:
    """Each by itself."""
    group = strict.list("security_group")[0]
    given = {"security_group_id": group["id"], "direction": "ingress", **attributes}
    reply = strict.call("POST", "/security-group-rules", {"security_group_rule": given})
    assert reply.status == 400, reply


def test_rules_name_what_their_maker_sees(site: NetworkSite) -> None:
    """Groups of others are not there, as owner or as remote."""
    own = site.make("security_group", name="web")
    foreign = site.make("security_group", who="other", name="web")

    def refused(**attributes: Any) -> str:
        given = {"security_group_id": own["id"], "direction": "ingress", **attributes}
        return kind_of(site.call("POST", "/security-group-rules", {"security_group_rule": given}))

    assert refused(security_group_id=foreign["id"]) == "404 SecurityGroupNotFound"
    assert refused(remote_group_id=foreign["id"]) == "404 SecurityGroupNotFound"
    assert refused(remote_address_group_id=foreign["id"]) == "404 AddressGroupNotFound"


def test_the_rules_quota_holds(site: NetworkSite) -> None:
    """Those that groups begin with count."""
    site.admin("PUT", f"/quotas/{'d' * 32}", {"quota": {"security_group_rule": 7}})
    group = site.make("security_group", name="web")
    given = {"security_group_id": group["id"], "direction": "ingress"}
    site.make("security_group_rule", **given, protocol="tcp")
    body = {"security_group_rule": {**given, "protocol": "udp"}}
    assert kind_of(site.call("POST", "/security-group-rules", body)) == "409 OverQuota"


def test_groups_of_addresses_change_one_by_one(site: NetworkSite) -> None:
    """And stay while a rule names them."""
    made = site.make("address_group", name="office", addresses=["192.0.2.1/32", "10.0.0.0/8"])
    assert made["addresses"] == ["192.0.2.1/32", "10.0.0.0/8"]
    path = f"/address-groups/{made['id']}"

    def change(verb: str, *addresses: str) -> Any:
        body = {"address_group": {"addresses": list(addresses)}}
        return site.call("PUT", f"{path}/{verb}_addresses", body)

    assert len(change("add", "fd00::/64").body["address_group"]["addresses"]) == 3
    assert kind_of(change("add", "fd00::/64")) == "400 AddressesAlreadyExist"
    assert kind_of(change("remove", "192.0.2.9/32")) == "404 AddressesNotFound"
    assert kind_of(change("remove", "192.0.2.9")) == "404 AddressesNotFound"
    assert change("remove", "10.0.0.0/8").status == 200
    assert change("remove", "10.0.0.0/33").status == 400
    group = site.make("security_group", name="web")
    site.make(
        "security_group_rule",
        security_group_id=group["id"],
        direction="ingress",
        remote_address_group_id=made["id"],
    )
    assert kind_of(site.call("DELETE", path)) == "409 AddressGroupInUse"
    assert site.call("GET", path, who="other").status == 404
