"""Every operation of the Identity API is guarded."""

from __future__ import annotations

import pytest

from authd.rules import RULES
from core.api.route import OWN, PUBLIC
from tests.identity_site import IdentitySite

# Operations that need no token, each for a reason of its own: discovery, log-in, a password changed with the old one.
OPEN = {
    ("GET", "/"),
    ("GET", "/v3"),
    ("POST", "/v3/auth/tokens"),
    ("POST", "/v3/users/{user_id}/password"),
    ("GET", "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth"),
    ("POST", "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth"),
    ("POST", "/v3/OS-OAUTH2/token"),
}


def test_every_route_has_a_rule_that_exists(site: IdentitySite) -> None:
    """Public ones are named here one by one."""
    known = {rule.name for rule in RULES}
    for route in site.app.table.routes:
        if route.rule == PUBLIC:
            assert (route.method, route.path) in OPEN, route
        elif route.rule != OWN:
            assert route.rule in known, route


def test_no_route_answers_without_a_token(site: IdentitySite) -> None:
    """401 for every operation that is not public, whatever is in the path."""
    for route in site.app.table.routes:
        if route.rule == PUBLIC:
            continue
        path = route.path.replace("{", "").replace("}", "")
        assert site.call(route.method, path).status == 401, route
        assert site.call(route.method, path, token="gAAAA").status == 401, route


def test_unknown_paths_and_methods_are_told_apart(site: IdentitySite) -> None:
    """404, and 405 with what is allowed."""
    assert site.admin("GET", "/v3/nothing").status == 404
    reply = site.admin("PUT", "/v3/projects")
    assert reply.status == 405
    assert reply.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"project": 1}', b"\xff", b"[" * 100_000])
def test_bodies_that_are_not_the_object_wanted_are_400(site: IdentitySite, raw: bytes) -> None:
    """Whatever they are instead."""
    assert site.admin("POST", "/v3/projects", raw=raw).status == 400


@pytest.mark.parametrize("kind", ["projects", "users", "groups", "domains", "credentials"])
def test_what_is_not_there_is_told_only_to_those_who_may_see_it(
    site: IdentitySite, kind: str
) -> None:
    """404 for administrators; 403 for others, as for what is there: ids cannot be probed."""
    for method in ("GET", "DELETE"):
        assert site.admin(method, f"/v3/{kind}/none").status == 404
        if (method, kind) != ("DELETE", "groups"):  # as in Keystone
            assert site.demo(method, f"/v3/{kind}/none").status == 403


@pytest.mark.parametrize("path", ["/v3/OS-OAUTH1/consumers", "/v3/OS-SIMPLE-CERT/ca"])
def test_an_extension_that_is_not_built_says_so(site, path: str) -> None:
    """501, whoever asks; a path that nobody documents is 404."""
    assert site.admin("GET", path).status == 501
    assert site.admin("GET", "/v3/OS-OAUTH11").status == 404
