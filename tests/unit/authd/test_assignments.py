"""`/v3/role_assignments`: as granted, as effective, with names, for a tree."""

from __future__ import annotations

from typing import Any

import pytest

from tests.identity_site import IdentitySite


@pytest.fixture(scope="module")
def scene(site: IdentitySite) -> dict[str, str]:
    """A user and a group of one member, with plain and inherited grants on a tree of projects."""
    ids = {"user": site.make("user", name="u")["id"], "member": site.make("user", name="m")["id"]}
    ids["group"] = site.make("group", name="g")["id"]
    ids["domain"] = site.make("domain", name="d")["id"]
    ids["top"] = site.make("project", name="top", domain_id=ids["domain"])["id"]
    low = site.make("project", name="low", domain_id=ids["domain"], parent_id=ids["top"])
    ids["low"] = low["id"]
    for name in ("reader", "member", "manager"):
        found = site.admin("GET", f"/v3/roles?name={name}").body["roles"]
        ids[f"role-{name}"] = found[0]["id"]
    inherited = f"users/{ids['user']}/roles/{ids['role-member']}/inherited_to_projects"
    for path in (
        f"/v3/groups/{ids['group']}/users/{ids['member']}",
        f"/v3/projects/{ids['top']}/users/{ids['user']}/roles/{ids['role-reader']}",
        f"/v3/projects/{ids['low']}/groups/{ids['group']}/roles/{ids['role-reader']}",
        f"/v3/OS-INHERIT/domains/{ids['domain']}/{inherited}",
        f"/v3/system/users/{ids['user']}/roles/{ids['role-reader']}",
    ):
        assert site.admin("PUT", path).status == 204, path
    return ids


def listed(site: IdentitySite, query: str) -> list[dict[str, Any]]:
    """What the admin is shown."""
    found: list[dict[str, Any]] = site.admin("GET", f"/v3/role_assignments?{query}").body[
        "role_assignments"
    ]
    return found


def test_grants_are_listed_as_they_were_given(site: IdentitySite, scene: dict[str, str]) -> None:
    """By user, by group, by target, by role, inherited or not."""
    mine = listed(site, f"user.id={scene['user']}")
    assert len(mine) == 3
    assert len(listed(site, f"user.id={scene['user']}&scope.system=all")) == 1
    assert len(listed(site, f"group.id={scene['group']}")) == 1
    assert len(listed(site, f"scope.project.id={scene['top']}")) == 1
    only = listed(site, f"user.id={scene['user']}&scope.OS-INHERIT:inherited_to=projects")
    assert [one["scope"]["domain"]["id"] for one in only] == [scene["domain"]]
    assert only[0]["links"]["assignment"].endswith(
        f"/v3/OS-INHERIT/domains/{scene['domain']}/users/{scene['user']}/roles"
        f"/{scene['role-member']}/inherited_to_projects"
    )
    readers = listed(site, f"role.id={scene['role-reader']}&user.id={scene['user']}")
    assert len(readers) == 2


def test_the_effective_list_names_persons_projects_and_implied_roles(
    site: IdentitySite, scene: dict[str, str]
) -> None:
    """Members instead of groups, projects instead of what is inherited."""
    low = listed(site, f"scope.project.id={scene['low']}&effective")
    seen = {(one["user"]["id"], one["role"]["id"]) for one in low}
    assert seen == {
        (scene["member"], scene["role-reader"]),
        (scene["user"], scene["role-member"]),
        (scene["user"], scene["role-reader"]),
    }
    of_group = next(one for one in low if one["user"]["id"] == scene["member"])
    assert of_group["links"]["membership"].endswith(f"/users/{scene['member']}")
    mine = listed(site, f"user.id={scene['member']}&effective=true")
    assert [one["scope"]["project"]["id"] for one in mine] == [scene["low"]]
    every = {one["user"]["id"] for one in listed(site, "effective") if "user" in one}
    assert {scene["user"], scene["member"]} <= every


def test_a_tree_is_listed_as_a_whole_and_with_names(
    site: IdentitySite, scene: dict[str, str]
) -> None:
    """include_subtree needs a project; include_names tells names and domains."""
    assert site.admin("GET", "/v3/role_assignments?include_subtree=1").status == 400
    tree = listed(site, f"scope.project.id={scene['top']}&include_subtree=1&include_names=1")
    places = {one["scope"]["project"]["name"] for one in tree}
    assert places == {"top", "low"}
    assert tree[0]["scope"]["project"]["domain"] == {"id": scene["domain"], "name": "d"}
    assert {one["role"]["name"] for one in tree} == {"reader"}


@pytest.mark.parametrize(
    "query",
    [
        "user.id=a&group.id=b",
        "scope.domain.id=a&scope.project.id=b",
        "scope.system=all&scope.project.id=b",
        "scope.system=all&scope.domain.id=b",
        "effective&group.id=b",
        "effective&scope.domain.id=a&scope.OS-INHERIT:inherited_to=projects",
    ],
)
def test_filters_that_contradict_each_other_are_400(site: IdentitySite, query: str) -> None:
    """A grant has one actor and one target."""
    assert site.admin("GET", f"/v3/role_assignments?{query}").status == 400


def test_a_domains_reader_sees_the_domain_only(site: IdentitySite, scene: dict[str, str]) -> None:
    """And a member of a project sees nothing."""
    reader = site.make("user", name="eyes", password="p" * 8, domain_id=scene["domain"])
    grant = f"/v3/domains/{scene['domain']}/users/{reader['id']}/roles/{scene['role-reader']}"
    assert site.admin("PUT", grant).status == 204
    reply = site.login("eyes", "p" * 8, {"domain": {"id": scene["domain"]}}, scene["domain"])
    token = reply.headers["x-subject-token"]
    found = site.call("GET", "/v3/role_assignments", token=token).body["role_assignments"]
    assert len(found) == 4
    assert site.demo("GET", "/v3/role_assignments").status == 403
