"""Every operation of the Block Storage API is guarded, speaks its versions and refuses in its own form."""

from __future__ import annotations

import pytest

from blockd.rules import RULES
from core.api.route import OWN, PUBLIC
from tests.block_site import BlockSite

# Discovery needs no token.
OPEN = {("GET", "/"), ("GET", "/v3")}


def test_every_route_has_a_rule_that_exists(site: BlockSite) -> None:
    """Public ones are named here one by one."""
    known = {rule.name for rule in RULES}
    for route in site.app.table.routes:
        if route.rule == PUBLIC:
            assert (route.method, route.path) in OPEN, route
        elif route.rule != OWN:
            assert route.rule in known, route


def test_no_route_answers_without_a_token(site: BlockSite) -> None:
    """401 for every operation that is not public, whatever is in the path."""
    site.settles = False
    for route in site.app.table.routes:
        if route.rule == PUBLIC:
            continue
        path = route.path.removeprefix("/v3").replace("{", "").replace("}", "")
        assert site.call(route.method, path, who=None).status == 401, route


def test_nobody_but_administrators_reaches_what_is_theirs(site: BlockSite) -> None:
    """403, or 400 and 404 for what is not there or makes no sense; never success."""
    site.settles = False
    theirs = {rule.name for rule in RULES if rule.check == "rule:admin_api"}
    for route in site.app.table.routes:
        if route.rule in theirs and "{project_id}" not in route.path:
            path = route.path.removeprefix("/v3").replace("{", "").replace("}", "")
            reply = site.call(route.method, path, {})
            assert reply.status in {400, 403, 404}, (route, reply)


@pytest.mark.parametrize(
    ("version", "status"),
    [(None, 200), ("3.0", 200), ("latest", 200), ("3.72", 406), ("2.0", 406), ("x", 400)],
)
def test_versions_are_agreed(site: BlockSite, version: str | None, status: int) -> None:
    """None is the lowest; what is not spoken is told in the service's own form."""
    reply = site.call("GET", "/volumes", version=version)
    assert reply.status == status
    if status == 200:
        assert reply.headers["openstack-api-version"].startswith("volume 3.")


def test_discovery_tells_the_versions(site: BlockSite) -> None:
    """Without a token."""
    body = site.call("GET", "/", who=None).body
    assert body["versions"][0]["min_version"] == "3.0"
    assert body["versions"][0]["version"] == "3.71"


@pytest.mark.parametrize("path", ["/consistencygroups", "/cgsnapshots/detail"])
def test_what_is_not_built_says_so(site: BlockSite, path: str) -> None:
    """501; a path that nobody documents is 404, as is a name that is empty."""
    assert site.call("GET", path).status == 501
    assert site.call("GET", "/nothing").status == 404
    assert site.call("GET", "/volumes/").status == 404
    assert site.call("PUT", "/volumes").status == 405


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"volume": 1}', b"\xff", b"[" * 100_000])
def test_bodies_that_are_not_the_object_wanted_are_400(site: BlockSite, raw: bytes) -> None:
    """Whatever they are instead."""
    reply = site.call("POST", "/volumes", raw=raw)
    assert reply.status == 400
    assert reply.body["badRequest"]["message"]
