"""Log-in, scopes, rescoping, factors, receipts and revocation."""

from __future__ import annotations

import base64

from authd.totp import STEP_S, passcode
from tests.identity_site import ADMIN_PASSWORD, ADMIN_PROJECT, DEMO_PASSWORD, IdentitySite, Reply

US = 1_000_000


def subject(site: IdentitySite, token: str) -> Reply:
    return site.admin("GET", "/v3/auth/tokens", headers={"X-Subject-Token": token})


def rescope(site: IdentitySite, token: str, scope: object = None) -> Reply:
    auth: dict[str, object] = {"identity": {"methods": ["token"], "token": {"id": token}}}
    if scope is not None:
        auth["scope"] = scope
    return site.call("POST", "/v3/auth/tokens", {"auth": auth})


def test_a_log_in_gives_a_token_that_says_who_and_what_for(site: IdentitySite) -> None:
    """With roles, catalog and times; it validates as it was given."""
    reply = site.login("admin", ADMIN_PASSWORD, {"project": {"id": ADMIN_PROJECT}})
    assert reply.status == 201
    token = reply.body["token"]
    assert token["user"]["name"] == "admin"
    assert token["project"]["domain"] == {"id": "default", "name": "Default"}
    assert {role["name"] for role in token["roles"]} >= {"admin", "manager", "member", "reader"}
    assert {service["type"] for service in token["catalog"]} >= {"identity", "object-store"}
    presented = reply.headers["x-subject-token"]
    assert len(presented) <= 400
    shown = subject(site, presented)
    assert shown.status == 200
    assert shown.body["token"] == token
    assert "catalog" not in subject(site, presented + "x").body
    assert (
        site.admin("HEAD", "/v3/auth/tokens", headers={"X-Subject-Token": presented}).status == 200
    )


def test_every_scope(site: IdentitySite) -> None:
    """Project, domain, system, none; by id and by name."""
    for scope, key in (
        ({"project": {"name": "admin", "domain": {"name": "Default"}}}, "project"),
        ({"domain": {"name": "Default"}}, "domain"),
        ({"domain": {"id": "default"}}, "domain"),
        ({"system": {"all": True}}, "system"),
    ):
        token = site.login("admin", ADMIN_PASSWORD, scope).body["token"]
        assert key in token
        assert token["roles"]
    bare = site.login("admin", ADMIN_PASSWORD, "unscoped").body["token"]
    assert not {"project", "domain", "system", "roles", "catalog"} & set(bare)
    default = site.login("admin", ADMIN_PASSWORD).body["token"]
    assert default["project"]["id"] == ADMIN_PROJECT


def test_scopes_that_cannot_be_had_are_401_and_malformed_ones_400(site: IdentitySite) -> None:
    """Whether the target does not exist or merely gives no role."""
    for scope in (
        {"project": {"id": "none"}},
        {"project": {"id": ADMIN_PROJECT}},
        {"domain": {"name": "Default"}},
        {"system": {"all": True}},
    ):
        assert site.login("demo", DEMO_PASSWORD, scope).status == 401, scope
    for scope in (
        {},
        [],
        {"project": {"name": "demo"}},
        {"project": {}},
        {"system": {"all": False}},
        {"project": {"id": "a"}, "domain": {"id": "b"}},
        {"project": {"id": 7}},
    ):
        assert site.login("demo", DEMO_PASSWORD, scope).status == 400, scope


def test_a_refused_log_in_tells_nothing(site: IdentitySite) -> None:
    """Unknown user, unknown domain, wrong password and disabled user get one answer."""
    site.make("user", name="sleeper", password="x", enabled=False)
    replies = [
        site.login("nobody", "x"),
        site.login("demo", "x"),
        site.login("demo", DEMO_PASSWORD, domain="none"),
        site.login("sleeper", "x"),
        site.login("demo", "x" * 5000),
    ]
    assert {reply.status for reply in replies} == {401}
    assert len({reply.raw for reply in replies}) == 1


def test_a_chain_of_rescopes_never_outlives_the_first_token(fresh: IdentitySite) -> None:
    """However often and to whatever; the chain's audit id stays."""
    first = fresh.login("admin", ADMIN_PASSWORD, {"project": {"id": ADMIN_PROJECT}})
    ends = first.body["token"]["expires_at"]
    token = first.headers["x-subject-token"]
    for scope in ({"system": {"all": True}}, "unscoped", {"domain": {"id": "default"}}) * 3:
        fresh.env.advance(120)
        reply = rescope(fresh, token, scope)
        assert reply.status == 201
        assert reply.body["token"]["expires_at"] == ends
        assert reply.body["token"]["audit_ids"][1:] == first.body["token"]["audit_ids"]
        assert "token" in reply.body["token"]["methods"]
        token = reply.headers["x-subject-token"]
    fresh.env.advance(3600 - 9 * 120)
    assert rescope(fresh, token).status == 404
    assert fresh.call("GET", "/v3/auth/catalog", token=token).status == 401


def test_a_revoked_token_is_gone_and_others_are_not(site: IdentitySite) -> None:
    """404 for whoever validates it, 401 for whoever uses it."""
    one = site.login("demo", DEMO_PASSWORD).headers["x-subject-token"]
    two = site.login("demo", DEMO_PASSWORD).headers["x-subject-token"]
    headers = {"X-Subject-Token": one}
    assert site.call("DELETE", "/v3/auth/tokens", token=two, headers=headers).status == 204
    assert subject(site, one).status == 404
    assert site.demo("GET", "/v3/auth/tokens", headers=headers).status == 404
    assert site.call("GET", "/v3/auth/catalog", token=one).status == 401
    assert site.call("GET", "/v3/auth/catalog", token=two).status == 200


def test_a_new_password_or_a_disabled_user_ends_all_their_tokens(site: IdentitySite) -> None:
    """At once."""
    user = site.make("user", name="changing", password="one")
    token = site.login("changing", "one").headers["x-subject-token"]
    body = {"user": {"original_password": "one", "password": "two"}}
    path = f"/v3/users/{user['id']}/password"
    wrong = {"user": {"original_password": "no", "password": "two"}}
    assert site.call("POST", path, wrong).status == 401
    assert site.call("POST", path, body).status == 204
    assert subject(site, token).status == 404
    assert site.login("changing", "one").status == 401
    token = site.login("changing", "two").headers["x-subject-token"]
    disable = {"user": {"enabled": False}}
    assert site.admin("PATCH", f"/v3/users/{user['id']}", disable).status == 200
    assert subject(site, token).status == 404


def test_two_factors_in_one_step_or_two_with_a_receipt(fresh: IdentitySite) -> None:
    """A passcode counts once; a receipt is no token."""
    site = fresh
    secret = b"12345678901234567890"
    user = site.make(
        "user",
        name="careful",
        password="pw",
        options={
            "multi_factor_auth_enabled": True,
            "multi_factor_auth_rules": [["password", "totp"]],
        },
    )
    blob = base64.b32encode(secret).decode()
    credential = {"user_id": user["id"], "type": "totp", "blob": blob}
    assert site.admin("POST", "/v3/credentials", {"credential": credential}).status == 201
    name = {"name": "careful", "domain": {"id": "default"}}

    def code() -> str:
        return passcode(secret, site.env.wall_us() // US // STEP_S)

    first = site.login("careful", "pw")
    assert first.status == 401
    assert first.body["required_auth_methods"] == [["password", "totp"]]
    receipt = first.headers["openstack-auth-receipt"]
    assert site.call("GET", "/v3/auth/catalog", token=receipt).status == 401
    second = {
        "auth": {"identity": {"methods": ["totp"], "totp": {"user": {**name, "passcode": code()}}}}
    }
    assert site.call("POST", "/v3/auth/tokens", second).status == 401
    site.env.advance(STEP_S)
    second["auth"]["identity"]["totp"] = {"user": {**name, "passcode": code()}}
    headers = {"Openstack-Auth-Receipt": receipt}
    done = site.call("POST", "/v3/auth/tokens", second, headers=headers)
    assert done.status == 201
    assert set(done.body["token"]["methods"]) == {"password", "totp"}
    assert site.call("POST", "/v3/auth/tokens", second, headers=headers).status == 401
    site.env.advance(STEP_S)
    both = {
        "methods": ["password", "totp"],
        "password": {"user": {**name, "password": "pw"}},
        "totp": {"user": {**name, "passcode": code()}},
    }
    token = site.call("POST", "/v3/auth/tokens", {"auth": {"identity": both}})
    assert token.status == 201
    assert rescope(site, token.headers["x-subject-token"]).status == 201
    site.env.advance(301)
    assert site.call("POST", "/v3/auth/tokens", second, headers=headers).status == 401


def test_factors_of_two_people_do_not_add_up(site: IdentitySite) -> None:
    """A token of one and the password of another are nobody's."""
    token = site.token("demo")
    identity = {
        "methods": ["token", "password"],
        "token": {"id": token},
        "password": {
            "user": {"name": "admin", "domain": {"id": "default"}, "password": ADMIN_PASSWORD}
        },
    }
    assert site.call("POST", "/v3/auth/tokens", {"auth": {"identity": identity}}).status == 401


def test_what_a_caller_may_log_in_to(site: IdentitySite) -> None:
    """Their projects and domains, and whether the system is among it."""
    mine = site.demo("GET", "/v3/auth/projects").body["projects"]
    assert [project["name"] for project in mine] == ["demo"]
    assert site.demo("GET", "/v3/auth/domains").body["domains"] == []
    assert site.demo("GET", "/v3/auth/system").body["system"] == []
    assert site.admin("GET", "/v3/auth/system").body["system"] == [{"all": True}]
    names = {p["name"] for p in site.admin("GET", "/v3/auth/projects").body["projects"]}
    assert names == {"admin", "demo"}
