"""Identity providers, mappings, protocols, service providers: named by clients, guarded by policy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.identity_site import ADMIN_PASSWORD, IdentitySite

BASE = "/v3/OS-FEDERATION"
RULES = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "sub"}]}]


def put(site: IdentitySite, path: str, kind: str, **attributes: Any) -> Any:
    reply = site.admin("PUT", f"{BASE}/{path}", {kind: attributes})
    assert reply.status == 201, reply
    return reply.body[kind]


def test_a_provider_has_a_domain_of_its_own(site: IdentitySite) -> None:
    """Unless it is given one; remote ids belong to one provider only."""
    made = put(site, "identity_providers/one", "identity_provider", id="one", remote_ids=["a"])
    assert site.admin("GET", f"/v3/domains/{made['domain_id']}").status == 200
    assert made["enabled"] is False
    twice = {"identity_provider": {"remote_ids": ["a"]}}
    assert site.admin("PUT", f"{BASE}/identity_providers/two", twice).status == 409
    assert site.admin("PUT", f"{BASE}/identity_providers/one", twice).status == 409
    path = f"{BASE}/identity_providers/one"
    changed = site.admin("PATCH", path, {"identity_provider": {"enabled": True}}).body
    assert changed["identity_provider"]["enabled"] is True
    assert site.admin("PATCH", path, {"identity_provider": {"domain_id": "default"}}).status == 400
    listed = site.admin("GET", f"{BASE}/identity_providers?id=one").body["identity_providers"]
    assert [row["id"] for row in listed] == ["one"]
    assert site.admin("DELETE", path).status == 204
    assert site.admin("GET", path).status == 404


def test_mappings_and_protocols(site: IdentitySite) -> None:
    """Made, shown, changed, removed."""
    put(site, "identity_providers/idp", "identity_provider")
    put(site, "mappings/m", "mapping", rules=RULES, schema_version=None)
    made = put(site, "identity_providers/idp/protocols/openid", "protocol", mapping_id="m")
    assert made["mapping_id"] == "m"
    path = f"{BASE}/identity_providers/idp/protocols/openid"
    assert site.admin("PATCH", path, {"protocol": {"mapping_id": "n"}}).status == 400
    put(site, "mappings/n", "mapping", rules=RULES)
    assert site.admin("PATCH", path, {"protocol": {"mapping_id": "n"}}).status == 200
    assert site.admin("GET", path).body["protocol"]["mapping_id"] == "n"
    rules = [{"local": [{"user": {"name": "x"}}], "remote": [{"type": "sub"}]}]
    assert site.admin("PATCH", f"{BASE}/mappings/m", {"mapping": {"rules": rules}}).status == 200
    assert site.admin("GET", f"{BASE}/mappings/m").body["mapping"]["rules"] == rules
    assert site.admin("DELETE", path).status == 204
    assert site.admin("DELETE", f"{BASE}/mappings/m").status == 204
    assert site.admin("GET", f"{BASE}/mappings/m").status == 404


def test_service_providers(site: IdentitySite) -> None:
    """Made, listed, changed, removed."""
    urls = {"auth_url": "https://a/v3", "sp_url": "https://a/sp"}
    made = put(site, "service_providers/sp", "service_provider", **urls)
    assert made["relay_state_prefix"] == "ss:mem:"
    path = f"{BASE}/service_providers/sp"
    assert site.admin("PATCH", path, {"service_provider": {"enabled": True}}).status == 200
    listed = site.admin("GET", f"{BASE}/service_providers?enabled=1").body["service_providers"]
    assert [row["id"] for row in listed] == ["sp"]
    token = site.login("admin", ADMIN_PASSWORD).body["token"]
    assert token["service_providers"] == [{"id": "sp", **urls}]
    assert site.admin("DELETE", path).status == 204


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [{}],
        [{"local": [], "remote": []}],
        [{"local": [{"user": {"name": "{1}"}}], "remote": [{"type": "sub"}]}],
        [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "s", "any_one_of": ["a"]}]}],
        [{"local": [], "remote": [{"type": "s", "any_one_of": ["("], "regex": True}]}],
        [{"local": [], "remote": [{"type": "s", "any_one_of": ["a"], "whitelist": ["b"]}]}],
        [{"local": [{"unknown": 1}], "remote": [{"type": "s"}]}],
    ],
)
def test_rules_that_cannot_be_followed_are_refused(site: IdentitySite, rules: Any) -> None:
    """When they are written, not when somebody wants to log in."""
    assert site.admin("PUT", f"{BASE}/mappings/bad", {"mapping": {"rules": rules}}).status == 400


def test_log_in_without_settings_or_token_is_refused(site: IdentitySite) -> None:
    """A provider that is not in federation.yaml is never asked anything."""
    path = f"{BASE}/identity_providers/ghost/protocols/openid/auth"
    assert site.call("POST", path).status == 401
    headers = {"Authorization": "Bearer a.b.c"}
    assert site.call("POST", path, headers=headers).status == 401
    assert site.demo("GET", f"{BASE}/projects").body["projects"][0]["name"] == "demo"


def test_oauth_clients_are_application_credentials(site: IdentitySite) -> None:
    """RFC 6749: the token is Bearer, errors have OAuth's form."""
    shown = site.admin("GET", "/v3/auth/tokens", headers={"X-Subject-Token": site.token("demo")})
    user_id = shown.body["token"]["user"]["id"]
    body = {"application_credential": {"name": "client", "secret": "s3cret"}}
    path = f"/v3/users/{user_id}/application_credentials"
    made = site.demo("POST", path, body).body["application_credential"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def ask(raw: str, **headers: str) -> Any:
        return site.call(
            "POST", "/v3/OS-OAUTH2/token", raw=raw.encode(), headers={**form, **headers}
        )

    fields = f"grant_type=client_credentials&client_id={made['id']}&client_secret=s3cret"
    reply = ask(fields)
    assert reply.status == 200, reply
    assert reply.body["token_type"] == "Bearer"
    assert 3590 <= reply.body["expires_in"] <= 3600
    bearer = {"Authorization": f"Bearer {reply.body['access_token']}"}
    assert site.call("GET", "/v3/auth/catalog", headers=bearer).status == 200
    for raw, error, status in (
        (fields.replace("s3cret", "wrong"), "invalid_client", 401),
        (fields.replace("client_credentials", "password"), "unsupported_grant_type", 400),
        ("grant_type=client_credentials", "invalid_client", 401),
        (f"{fields}&grant_type=x", "invalid_request", 400),
    ):
        refused = ask(raw)
        assert (refused.status, refused.body["error"]) == (status, error)
