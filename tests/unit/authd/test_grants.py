"""Groups and grants: what a log-in carries, from wherever it comes, and what takes it away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.identity_site import IdentitySite

PASSWORD = "a-password"


def role_id(site: IdentitySite, name: str) -> str:
    """Id of a role of the whole cloud."""
    found = site.admin("GET", f"/v3/roles?name={name}").body["roles"]
    return str(found[0]["id"])


def roles_on(site: IdentitySite, user: str, project_id: str) -> list[str] | None:
    """Names of the roles that a log-in on a project carries; None when it is refused."""
    reply = site.login(user, PASSWORD, {"project": {"id": project_id}})
    if reply.status == 401:
        return None
    return [role["name"] for role in reply.body["token"]["roles"]]


class Cast:
    """A user in a group, a project with a child, all named after the test."""

    def __init__(self, site: IdentitySite, name: str) -> None:
        self.name = name
        self.user: dict[str, Any] = site.make("user", name=name, password=PASSWORD)
        self.group: dict[str, Any] = site.make("group", name=name)
        self.project: dict[str, Any] = site.make("project", name=name)
        self.child: dict[str, Any] = site.make(
            "project", name=f"{name}-child", parent_id=self.project["id"]
        )


@pytest.fixture
def cast(site: IdentitySite, request: pytest.FixtureRequest) -> Cast:
    """Somebody new for each test."""
    return Cast(site, request.node.name[5:60])


def test_a_grant_is_given_seen_and_taken_away(site: IdentitySite, cast: Cast) -> None:
    """204 for each, 404 afterwards; the token that carried it counts no more."""
    path = f"/v3/projects/{cast.project['id']}/users/{cast.user['id']}/roles"
    member = role_id(site, "member")
    assert site.admin("PUT", f"{path}/{member}").status == 204
    assert site.admin("PUT", f"{path}/{member}").status == 204
    assert site.admin("HEAD", f"{path}/{member}").status == 204
    assert [role["name"] for role in site.admin("GET", path).body["roles"]] == ["member"]
    scope = {"project": {"id": cast.project["id"]}}
    token = site.login(cast.name, PASSWORD, scope).headers["x-subject-token"]
    own = f"/v3/projects/{cast.project['id']}"
    assert site.call("GET", own, token=token).status == 200
    assert site.admin("DELETE", f"{path}/{member}").status == 204
    assert site.admin("DELETE", f"{path}/{member}").status == 404
    assert site.call("GET", own, token=token).status == 401
    assert roles_on(site, cast.name, cast.project["id"]) is None


def test_what_a_group_has_its_members_have(site: IdentitySite, cast: Cast) -> None:
    """Until they leave the group."""
    grant = f"/v3/projects/{cast.project['id']}/groups/{cast.group['id']}/roles"
    assert site.admin("PUT", f"{grant}/{role_id(site, 'reader')}").status == 204
    assert roles_on(site, cast.name, cast.project["id"]) is None
    membership = f"/v3/groups/{cast.group['id']}/users/{cast.user['id']}"
    assert site.admin("HEAD", membership).status == 404
    assert site.admin("PUT", membership).status == 204
    assert site.admin("HEAD", membership).status == 204
    assert roles_on(site, cast.name, cast.project["id"]) == ["reader"]
    listed = site.admin("GET", f"/v3/users/{cast.user['id']}/groups").body["groups"]
    assert [group["name"] for group in listed] == [cast.name]
    users = site.admin("GET", f"/v3/groups/{cast.group['id']}/users").body["users"]
    assert [user["id"] for user in users] == [cast.user["id"]]
    assert site.admin("DELETE", membership).status == 204
    assert roles_on(site, cast.name, cast.project["id"]) is None


def test_an_inherited_grant_counts_below_and_not_on_its_place(
    site: IdentitySite, cast: Cast
) -> None:
    """On projects below a project, and on all projects of a domain."""
    member = role_id(site, "member")
    top = f"/v3/OS-INHERIT/projects/{cast.project['id']}/users/{cast.user['id']}/roles"
    one = f"{top}/{member}/inherited_to_projects"
    assert site.admin("PUT", one).status == 204
    assert site.admin("HEAD", one).status == 204
    listed = site.admin("GET", f"{top}/inherited_to_projects").body["roles"]
    assert [role["name"] for role in listed] == ["member"]
    assert roles_on(site, cast.name, cast.project["id"]) is None
    assert roles_on(site, cast.name, cast.child["id"]) == ["member", "reader"]
    assert site.admin("DELETE", one).status == 204
    assert roles_on(site, cast.name, cast.child["id"]) is None
    everywhere = (
        f"/v3/OS-INHERIT/domains/default/users/{cast.user['id']}/roles/{member}"
        "/inherited_to_projects"
    )
    assert site.admin("PUT", everywhere).status == 204
    assert roles_on(site, cast.name, cast.project["id"]) == ["member", "reader"]
    assert roles_on(site, cast.name, cast.child["id"]) == ["member", "reader"]


def test_system_grants_open_the_system_scope(site: IdentitySite, cast: Cast) -> None:
    """For users and for groups, and not for a domain's role."""
    path = f"/v3/system/users/{cast.user['id']}/roles"
    scope = {"system": {"all": True}}
    assert site.login(cast.name, PASSWORD, scope).status == 401
    assert site.admin("PUT", f"{path}/{role_id(site, 'reader')}").status == 204
    reply = site.login(cast.name, PASSWORD, scope)
    assert [role["name"] for role in reply.body["token"]["roles"]] == ["reader"]
    token = reply.headers["x-subject-token"]
    assert site.call("GET", "/v3/users", token=token).status == 200
    assert site.call("POST", "/v3/users", {"user": {"name": "x"}}, token=token).status == 403
    domain = site.make("domain", name=cast.name)
    local = site.make("role", name=cast.name, domain_id=domain["id"])
    assert site.admin("PUT", f"{path}/{local['id']}").status == 400


def test_a_domain_role_counts_only_through_what_it_implies(site: IdentitySite, cast: Cast) -> None:
    """It is in no token, and counts in its own domain only."""
    local = site.make("role", name=f"{cast.name}-local", domain_id="default")
    path = f"/v3/projects/{cast.project['id']}/users/{cast.user['id']}/roles/{local['id']}"
    assert site.admin("PUT", path).status == 204
    assert roles_on(site, cast.name, cast.project["id"]) is None
    implies = f"/v3/roles/{local['id']}/implies/{role_id(site, 'reader')}"
    assert site.admin("PUT", implies).status == 201
    assert roles_on(site, cast.name, cast.project["id"]) == ["reader"]
    domain = site.make("domain", name=cast.name)
    foreign = site.make("role", name=cast.name, domain_id=domain["id"])
    other = f"/v3/projects/{cast.project['id']}/users/{cast.user['id']}/roles/{foreign['id']}"
    assert site.admin("PUT", other).status == 403


def test_implied_roles_form_no_cycle_and_never_lead_to_admin(site: IdentitySite) -> None:
    """403 for a role that implies itself, also round the corner, for admin, and from cloud to domain."""
    first, second = site.make("role", name="first"), site.make("role", name="second")
    third = site.make("role", name="third")
    local = site.make("role", name="local", domain_id="default")

    def imply(prior: str, implied: str) -> int:
        return site.admin("PUT", f"/v3/roles/{prior}/implies/{implied}").status

    assert imply(first["id"], second["id"]) == 201
    assert imply(second["id"], third["id"]) == 201
    assert imply(third["id"], first["id"]) == 403
    assert imply(first["id"], first["id"]) == 403
    assert imply(first["id"], role_id(site, "admin")) == 403
    assert imply(first["id"], local["id"]) == 403
    assert imply(first["id"], "none") == 404
    one = f"/v3/roles/{first['id']}/implies/{second['id']}"
    assert site.admin("HEAD", one).status == 204
    assert site.admin("GET", one).body["role_inference"]["implies"]["name"] == "second"
    assert site.admin("DELETE", one).status == 204
    assert site.admin("HEAD", one).status == 404
    every = site.admin("GET", "/v3/role_inferences").body["role_inferences"]
    priors = {rule["prior_role"]["name"]: rule["implies"] for rule in every}
    assert [role["name"] for role in priors["second"]] == ["third"]
    assert [role["name"] for role in priors["admin"]] == ["manager"]


@pytest.mark.parametrize("place", ["projects/none", "domains/none"])
def test_grants_on_what_is_not_there_are_404(site: IdentitySite, cast: Cast, place: str) -> None:
    """And so are those to nobody, and of no role."""
    member = role_id(site, "member")
    assert site.admin("PUT", f"/v3/{place}/users/{cast.user['id']}/roles/{member}").status == 404
    base = f"/v3/projects/{cast.project['id']}"
    assert site.admin("PUT", f"{base}/users/none/roles/{member}").status == 404
    assert site.admin("PUT", f"{base}/groups/none/roles/{member}").status == 404
    assert site.admin("PUT", f"{base}/users/{cast.user['id']}/roles/none").status == 404


def test_a_domain_manager_grants_personas_within_the_domain(site: IdentitySite) -> None:
    """And neither admin nor anything outside."""
    domain = site.make("domain", name="managed")
    boss = site.make("user", name="boss", password=PASSWORD, domain_id=domain["id"])
    worker = site.make("user", name="worker", domain_id=domain["id"])
    project = site.make("project", name="work", domain_id=domain["id"])
    where = f"/v3/domains/{domain['id']}/users/{boss['id']}/roles/{role_id(site, 'manager')}"
    assert site.admin("PUT", where).status == 204
    reply = site.login("boss", PASSWORD, {"domain": {"id": domain["id"]}}, domain=domain["id"])
    token = reply.headers["x-subject-token"]
    base = f"/v3/projects/{project['id']}/users/{worker['id']}/roles"
    assert site.call("PUT", f"{base}/{role_id(site, 'member')}", token=token).status == 204
    assert site.call("PUT", f"{base}/{role_id(site, 'admin')}", token=token).status == 403
    demo = site.admin("GET", "/v3/users?name=demo").body["users"][0]["id"]
    outside = f"/v3/projects/{project['id']}/users/{demo}/roles/{role_id(site, 'member')}"
    assert site.call("PUT", outside, token=token).status == 403
