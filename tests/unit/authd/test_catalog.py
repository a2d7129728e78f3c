"""Regions, services and endpoints, who sees which, and the policies kept for them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.identity_site import IdentitySite

NUMBERS = itertools.count()


def service_of(site: IdentitySite) -> dict[str, Any]:
    """A new service with one endpoint in a new region."""
    name = f"s{next(NUMBERS)}"
    service = site.make("service", type=name, name=name)
    region = site.make("region", id=f"region-{name}")
    endpoint = site.make(
        "endpoint",
        service_id=service["id"],
        interface="public",
        url="http://x/$(project_id)s",
        region_id=region["id"],
    )
    return {"service": service, "region": region, "endpoint": endpoint, "type": name}


def types_in(site: IdentitySite, who: str) -> set[str]:
    """Types of service in a caller's catalog that have endpoints."""
    found = site.call("GET", "/v3/auth/catalog", token=site.token(who)).body["catalog"]
    return {one["type"] for one in found if one["endpoints"]}


def test_regions_form_a_forest(site: IdentitySite) -> None:
    """Unknown parents, circles, ids taken and regions in use are refused."""
    site.make("region", id="top", description="d")
    low = site.make("region", parent_region_id="top")
    put = site.admin("PUT", "/v3/regions/chosen", {"region": {"parent_region_id": low["id"]}})
    assert put.status == 201
    assert put.body["region"]["id"] == "chosen"
    assert site.admin("POST", "/v3/regions", {"region": {"id": "top"}}).status == 409
    unknown = {"region": {"parent_region_id": "none"}}
    assert site.admin("POST", "/v3/regions", unknown).status == 404
    circle = {"region": {"parent_region_id": "chosen"}}
    assert site.admin("PATCH", "/v3/regions/top", circle).status == 400
    below = site.admin("GET", "/v3/regions?parent_region_id=top").body["regions"]
    assert [one["id"] for one in below] == [low["id"]]
    assert site.demo("GET", "/v3/regions/top").status == 200
    assert site.demo("DELETE", "/v3/regions/top").status == 403
    site.make("service", type="used", name="used")
    used = service_of(site)
    path = f"/v3/regions/{used['region']['id']}"
    assert site.admin("DELETE", path).status == 403
    assert site.admin("DELETE", "/v3/regions/top").status == 204
    assert site.admin("GET", "/v3/regions/chosen").status == 404


def test_services_and_endpoints_come_and_go_in_the_catalog(site: IdentitySite) -> None:
    """Disabled ones are not shown; a service takes its endpoints with it."""
    made = service_of(site)
    endpoint = f"/v3/endpoints/{made['endpoint']['id']}"
    service = f"/v3/services/{made['service']['id']}"
    assert made["type"] in types_in(site, "demo")
    assert site.admin("PATCH", endpoint, {"endpoint": {"enabled": False}}).status == 200
    assert made["type"] not in types_in(site, "demo")
    assert site.admin("PATCH", endpoint, {"endpoint": {"enabled": True}}).status == 200
    renamed = site.admin("PATCH", service, {"service": {"name": "new", "description": "d"}})
    assert renamed.body["service"]["name"] == "new"
    named = site.admin("GET", "/v3/services?name=new").body["services"]
    assert [one["id"] for one in named] == [made["service"]["id"]]
    assert site.admin("DELETE", service).status == 204
    assert site.admin("GET", endpoint).status == 404


@pytest.mark.parametrize(
    "attributes",
    [
        {"service_id": "none"},
        {"region_id": "none"},
        {"interface": "secret"},
        {"enabled": "true"},
        {"url": "http://x/$(nothing)s"},
        {"url": "http://x/$(project_id)"},
        {"url": "no-scheme"},
        {"url": "http://x/" + "y" * 255},
    ],
)
def test_endpoints_that_lead_nowhere_are_400(
    site: IdentitySite, attributes: dict[str, Any]
) -> None:
    """Unknown service or region, wrong types, addresses that cannot be filled."""
    service = site.admin("GET", "/v3/services?type=identity").body["services"][0]
    given = {"service_id": service["id"], "interface": "public", "url": "http://x", **attributes}
    assert site.admin("POST", "/v3/endpoints", {"endpoint": given}).status == 400


def test_a_project_may_have_a_choice_of_endpoints(site: IdentitySite) -> None:
    """Its catalog then shows those alone: named one by one or by an endpoint group."""
    one, other, third = service_of(site), service_of(site), service_of(site)
    project_id = site.admin("GET", "/v3/projects?name=demo").body["projects"][0]["id"]
    top = f"/v3/OS-EP-FILTER/projects/{project_id}"
    link = f"{top}/endpoints/{one['endpoint']['id']}"
    assert site.admin("HEAD", link).status == 404
    assert site.admin("PUT", link).status == 204
    assert site.admin("PUT", link).status == 409
    assert site.admin("GET", link).status == 204
    assert types_in(site, "demo") == {one["type"]}
    group = site.admin(
        "POST",
        "/v3/OS-EP-FILTER/endpoint_groups",
        {"endpoint_group": {"name": "g", "filters": {"service_id": other["service"]["id"]}}},
    ).body["endpoint_group"]
    path = f"/v3/OS-EP-FILTER/endpoint_groups/{group['id']}"
    assert site.admin("PUT", f"{path}/projects/{project_id}").status == 204
    assert site.admin("HEAD", f"{path}/projects/{project_id}").status == 200
    assert types_in(site, "demo") == {one["type"], other["type"]}
    assert third["type"] in types_in(site, "admin")
    assert len(site.admin("GET", f"{top}/endpoints").body["endpoints"]) == 2
    assert len(site.admin("GET", f"{top}/endpoint_groups").body["endpoint_groups"]) == 1
    assert len(site.admin("GET", f"{path}/endpoints").body["endpoints"]) == 1
    assert len(site.admin("GET", f"{path}/projects").body["projects"]) == 1
    seen_by = f"/v3/OS-EP-FILTER/endpoints/{one['endpoint']['id']}/projects"
    assert [found["id"] for found in site.admin("GET", seen_by).body["projects"]] == [project_id]
    bad = {"endpoint_group": {"name": "g", "filters": {"colour": "red"}}}
    assert site.admin("PATCH", path, bad).status == 400
    assert site.admin("DELETE", f"{path}/projects/{project_id}").status == 204
    assert site.admin("DELETE", path).status == 204
    assert site.admin("DELETE", link).status == 204
    assert third["type"] in types_in(site, "demo")


def test_policies_are_kept_and_the_most_specific_counts(site: IdentitySite) -> None:
    """For an endpoint itself, for its service in its region, or for its service."""
    made = service_of(site)
    wide = site.make("policy", type="application/json", blob="{}")
    near = site.make("policy", type="application/json", blob='{"a": 1}')
    own = f"/v3/endpoints/{made['endpoint']['id']}/OS-ENDPOINT-POLICY/policy"
    assert site.admin("GET", own).status == 404
    top = f"/v3/policies/{wide['id']}/OS-ENDPOINT-POLICY"
    service = f"services/{made['service']['id']}"
    assert site.admin("PUT", f"{top}/{service}").status == 204
    assert site.admin("GET", own).body["policy"]["id"] == wide["id"]
    specific = f"/v3/policies/{near['id']}/OS-ENDPOINT-POLICY"
    region = f"{specific}/{service}/regions/{made['region']['id']}"
    assert site.admin("PUT", region).status == 204
    assert site.admin("HEAD", region).status == 204
    assert site.admin("GET", own).body["policy"]["id"] == near["id"]
    assert len(site.admin("GET", f"{specific}/endpoints").body["endpoints"]) == 1
    assert site.admin("DELETE", region).status == 204
    assert site.admin("DELETE", region).status == 404
    assert site.admin("PUT", f"{top}/endpoints/none").status == 404
    change = {"policy": {"blob": "new"}}
    assert site.admin("PATCH", f"/v3/policies/{wide['id']}", change).body["policy"]["blob"] == "new"
    assert site.admin("DELETE", f"/v3/policies/{wide['id']}").status == 204
    assert site.admin("GET", own).status == 404
    assert site.demo("GET", "/v3/policies").status == 403
