"""Lists: filters, tags, sorting, pages and fields."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.network_site import NetworkSite


def names(site: NetworkSite, query: str) -> list[str]:
    """Names of the networks that a query finds."""
    return [one["name"] for one in site.list("network", query)]


def test_pages_lead_to_each_other(site: NetworkSite) -> None:
    """Forwards and backwards, whatever the order."""
    for name in "edcba":
        site.make("network", name=name)
    order = "sort_key=name&sort_dir=desc&limit=2"
    seen, path = [], f"/networks?{order}"
    while path:
        body = site.call("GET", path).body
        seen += [one["name"] for one in body["networks"]]
        links = {one["rel"]: one["href"] for one in body.get("networks_links", [])}
        path = ""
        if "next" in links:
            parts = urlsplit(links["next"])
            path = f"{parts.path.removeprefix('/network/v2.0')}?{parts.query}"
    assert seen == list("edcba")
    third = site.list("network", "name=c")[0]["id"]
    assert names(site, f"{order}&marker={third}&page_reverse=True") == ["e", "d"]
    assert "networks_links" not in site.call("GET", "/networks").body


def test_filters_are_alternatives_within_and_conditions_between_attributes(
    site: NetworkSite,
) -> None:
    """Flags read like flags; what is empty is found by an empty value."""
    site.make("network", name="a", admin_state_up=False)
    site.make("network", name="b", description="x")
    site.make("network", name="c", description="x")
    assert sorted(names(site, "name=a&name=b")) == ["a", "b"]
    assert names(site, "name=a&name=b&description=x") == ["b"]
    assert names(site, "admin_state_up=False") == ["a"]
    assert names(site, "description=") == ["a"]
    assert names(site, f"project_id={'e' * 32}") == []
    assert len(names(site, f"tenant_id={'d' * 32}")) == 3


@pytest.mark.parametrize(
    "query",
    [
        "nothing=1",
        "limit=-1",
        "limit=x",
        "sort_key=nothing",
        "sort_key=name&sort_dir=up",
        "sort_key=name&sort_dir=asc&sort_dir=asc",
        "admin_state_up=perhaps",
        "page_reverse=perhaps",
    ],
)
def test_queries_that_make_no_sense_are_400(strict: NetworkSite, query: str) -> None:
    """Unknown filters too, so that a slip does not list everything."""
    strict.make("network", name="a")
    assert strict.call("GET", f"/networks?{query}").status == 400


def test_a_marker_must_be_there(site: NetworkSite) -> None:
    """404."""
    assert site.call("GET", "/networks?limit=1&marker=x").status == 404


def test_only_fields_asked_for_are_shown(site: NetworkSite) -> None:
    """In lists and alone."""
    made = site.make("network", name="a")
    assert site.list("network", "fields=id&fields=name") == [{"id": made["id"], "name": "a"}]
    one = site.call("GET", f"/networks/{made['id']}?fields=name").body
    assert one == {"network": {"name": "a"}}


def test_tags_are_filtered_four_ways(site: NetworkSite) -> None:
    """All, any, not all, not any."""
    site.make("network", name="none")
    site.make("network", name="red", tags=["red"])
    site.make("network", name="both", tags=["red", "blue"])
    assert sorted(names(site, "tags=red")) == ["both", "red"]
    assert names(site, "tags=red,blue") == ["both"]
    assert sorted(names(site, "tags-any=red,blue")) == ["both", "red"]
    assert sorted(names(site, "not-tags=red,blue")) == ["none", "red"]
    assert names(site, "not-tags-any=red,blue") == ["none"]


@pytest.mark.parametrize(
    "kind", ["networks", "security-groups", "security_groups", "ports", "routers", "subnets"]
)
def test_everything_is_tagged(strict: NetworkSite, kind: str) -> None:
    """One by one, and all at once; others cannot."""
    net, subnet = strict.network()
    port = strict.make("port", network_id=net["id"])
    router = strict.make("router")
    group = strict.list("security_group")[0]
    items = {"networks": net, "subnets": subnet, "ports": port, "routers": router}
    name = items.get(kind, group)["id"]
    path = f"/{kind}/{name}/tags"
    assert strict.call("PUT", path, {"tags": ["a", "b"]}).body == {"tags": ["a", "b"]}
    assert strict.call("PUT", f"{path}/c").status == 201
    assert strict.call("GET", f"{path}/c").status == 204
    assert strict.call("GET", f"{path}/x").status == 404
    assert strict.call("DELETE", f"{path}/a").status == 204
    assert strict.call("POST", path, {"tags": ["b", "z"]}).body == {"tags": ["b", "c", "z"]}
    assert strict.call("PUT", f"{path}/x", who="other").status == 404
    assert strict.call("PUT", f"{path}/x", who="demo:reader").status == 403
    for wrong in ({}, {"tags": "a"}, {"tags": [1]}, {"tags": ["a", "a"]}, {"tags": ["a\nb"]}):
        assert strict.call("PUT", path, wrong).status == 400, wrong
    assert strict.call("DELETE", path).status == 204
    assert strict.call("GET", path).body == {"tags": []}
    strict.call("DELETE", f"/ports/{port['id']}")
    strict.call("DELETE", f"/routers/{router['id']}")


def test_ports_are_found_by_address(site: NetworkSite) -> None:
    """Whole, by a part, by subnet, by group."""
    net, subnet = site.network()
    for text in ("10.0.0.11", "10.0.0.12", "10.0.0.20"):
        site.make("port", network_id=net["id"], fixed_ips=[{"ip_address": text}])

    def count(query: str) -> int:
        return len(site.list("port", query))

    assert count("fixed_ips=ip_address=10.0.0.11") == 1
    assert count("fixed_ips=ip_address=10.0.0.11&fixed_ips=ip_address=10.0.0.12") == 2
    assert count("fixed_ips=ip_address_substr=0.0.1") == 2
    assert count(f"fixed_ips=subnet_id={subnet['id']}&fixed_ips=ip_address=10.0.0.20") == 1
    group = site.list("security_group")[0]["id"]
    assert count(f"security_groups={group}") == 3
    assert site.call("GET", "/ports?fixed_ips=colour=red").status == 400


def test_many_ports_are_made_and_listed_together(site: NetworkSite) -> None:
    """No more than five hundred at once, and not none."""
    net, _ = site.network("10.0.0.0/20")
    site.admin("PUT", f"/quotas/{'d' * 32}", {"quota": {"port": -1}})
    for _ in range(2):
        given = {"ports": [{"network_id": net["id"]} for _ in range(100)]}
        assert site.call("POST", "/ports", given).status == 201
    assert len(site.list("port")) == 200
    assert site.call("POST", "/ports", {"ports": []}).status == 400
    assert site.call("POST", "/ports", {"ports": [{}] * 501}).status == 400
