"""Application credentials: less than their user, for one project, and gone when what they rest on goes."""

from __future__ import annotations

from typing import Any

from tests.identity_site import IdentitySite, Reply

PASSWORD = "a-password"


def demo_id(site: IdentitySite) -> str:
    """Id of the demo user."""
    return str(site.admin("GET", "/v3/users?name=demo").body["users"][0]["id"])


def make(site: IdentitySite, name: str, **attributes: Any) -> Reply:
    """Ask for an application credential of the demo user."""
    path = f"/v3/users/{demo_id(site)}/application_credentials"
    return site.demo("POST", path, {"application_credential": {"name": name, **attributes}})


def login(site: IdentitySite, made: dict[str, Any]) -> Reply:
    """Log in with one."""
    given = {"id": made["id"], "secret": made["secret"]}
    identity = {"methods": ["application_credential"], "application_credential": given}
    return site.call("POST", "/v3/auth/tokens", {"auth": {"identity": identity}})


def test_one_is_made_and_logs_in(site: IdentitySite) -> None:
    """With all roles of its user or some of them; the secret is shown once."""
    made = make(site, "all").body["application_credential"]
    token = login(site, made).body["token"]
    assert token["project"]["name"] == "demo"
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    path = f"/v3/users/{demo_id(site)}/application_credentials"
    assert "secret" not in site.demo("GET", f"{path}/{made['id']}").body["application_credential"]
    less = make(site, "less", roles=[{"name": "reader"}]).body["application_credential"]
    assert [role["name"] for role in login(site, less).body["token"]["roles"]] == ["reader"]
    named = site.demo("GET", f"{path}?name=less").body["application_credentials"]
    assert [one["id"] for one in named] == [less["id"]]
    assert make(site, "less").status == 409
    assert site.demo("DELETE", f"{path}/{less['id']}").status == 204
    assert login(site, less).status == 401


def test_more_than_its_user_has_is_refused(site: IdentitySite) -> None:
    """400 for foreign roles, past ends and odd bodies; 403 for another's account."""
    for attributes in (
        {"roles": [{"name": "admin"}]},
        {"roles": [{"name": "none"}]},
        {"roles": [{}]},
        {"expires_at": "2001-01-01T00:00:00"},
        {"expires_at": "soon"},
        {"unrestricted": "true"},
        {"access_rules": [{"path": "no-slash", "method": "GET", "service": "compute"}]},
        {"access_rules": [{"path": "/x", "method": "FETCH", "service": "compute"}]},
        {"access_rules": [{"path": "/x"}]},
        {"unknown": 1},
    ):
        assert make(site, "bad", **attributes).status == 400, attributes
    assert make(site, "x" * 256).status == 400
    admin = site.admin("GET", "/v3/users?name=admin").body["users"][0]["id"]
    other = f"/v3/users/{admin}/application_credentials"
    body = {"application_credential": {"name": "theirs"}}
    assert site.demo("POST", other, body).status == 403
    assert site.demo("GET", other).status == 403
    assert (
        site.admin("POST", f"/v3/users/{demo_id(site)}/application_credentials", body).status == 403
    )


def test_a_restricted_one_makes_no_others(site: IdentitySite) -> None:
    """An unrestricted one does, with no more roles than it has itself."""
    path = f"/v3/users/{demo_id(site)}/application_credentials"
    body = {"application_credential": {"name": "child"}}
    restricted = make(site, "restricted").body["application_credential"]
    token = login(site, restricted).headers["x-subject-token"]
    assert site.call("POST", path, body, token=token).status == 403
    assert site.call("DELETE", f"{path}/{restricted['id']}", token=token).status == 403
    free = make(site, "free", unrestricted=True, roles=[{"name": "reader"}])
    token = login(site, free.body["application_credential"]).headers["x-subject-token"]
    child = site.call("POST", path, body, token=token)
    assert child.status == 201, child
    assert [one["name"] for one in child.body["application_credential"]["roles"]] == ["reader"]
    more = {"application_credential": {"name": "more", "roles": [{"name": "member"}]}}
    assert site.call("POST", path, more, token=token).status == 400
    assert site.call("GET", "/v3/credentials", token=token).status == 403


def test_the_id_of_anothers_cannot_be_read_through_ones_own_path(site: IdentitySite) -> None:
    """Whose it is decides, not the user in the path."""
    made = make(site, "private").body["application_credential"]
    site.make("user", name="thief", password=PASSWORD)
    thief = site.login("thief", PASSWORD)
    token, user_id = thief.headers["x-subject-token"], thief.body["token"]["user"]["id"]
    path = f"/v3/users/{user_id}/application_credentials/{made['id']}"
    assert site.call("GET", path, token=token).status == 403
    assert site.call("DELETE", path, token=token).status == 403


def test_access_rules_are_shared_and_outlive_their_credential(site: IdentitySite) -> None:
    """One rule for the same request; it goes when no credential has it any more."""
    rule = {"path": "/v2.1/servers/*/ips", "method": "GET", "service": "compute"}
    first = make(site, "ruled", access_rules=[rule]).body["application_credential"]
    second = make(site, "ruled2", access_rules=[rule]).body["application_credential"]
    assert first["access_rules"] == second["access_rules"]
    rule_id = first["access_rules"][0]["id"]
    third = make(site, "ruled3", access_rules=[{"id": rule_id}]).body["application_credential"]
    assert third["access_rules"] == first["access_rules"]
    assert make(site, "ruled4", access_rules=[{"id": "none"}]).status == 404
    base = f"/v3/users/{demo_id(site)}"
    assert site.demo("GET", f"{base}/access_rules?method=GET").body["access_rules"]
    one = f"{base}/access_rules/{rule_id}"
    assert site.demo("DELETE", one).status == 403
    for made in (first, second, third):
        assert site.demo("DELETE", f"{base}/application_credentials/{made['id']}").status == 204
    assert site.demo("GET", one).status == 200
    assert site.demo("DELETE", one).status == 204
    assert site.demo("GET", one).status == 404


def test_it_goes_with_the_role_it_rests_on(site: IdentitySite) -> None:
    """When the grant is taken away, so is the credential."""
    user = site.make("user", name="fired", password=PASSWORD)
    project = site.make("project", name="job")
    member = site.admin("GET", "/v3/roles?name=member").body["roles"][0]["id"]
    grant = f"/v3/projects/{project['id']}/users/{user['id']}/roles/{member}"
    assert site.admin("PUT", grant).status == 204
    token = site.login("fired", PASSWORD, {"project": {"id": project["id"]}})
    path = f"/v3/users/{user['id']}/application_credentials"
    made = site.call(
        "POST",
        path,
        {"application_credential": {"name": "a"}},
        token=token.headers["x-subject-token"],
    ).body["application_credential"]
    assert login(site, made).status == 201
    assert site.admin("DELETE", grant).status == 204
    assert login(site, made).status == 401
    assert site.admin("GET", path).body["application_credentials"] == []
