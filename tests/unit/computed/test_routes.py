"""Every operation of the Compute and Placement APIs is guarded, speaks its versions and refuses in its own form."""

from __future__ import annotations

from pathlib import Path

import pytest

from computed.placement.app import routes_of as placement_routes
from computed.rules import RULES
from computed.states import ACTIONS, STATUSES, drawing
from core.api.action import Action, Actions
from core.api.microversion import version_text
from core.api.route import OWN, PUBLIC, Route
from tests.compute_site import ComputeSite

DOCS = Path(__file__).parents[3] / "docs"
OPEN = {("GET", "/"), ("GET", "/v2.1")}
GUARDS = {PUBLIC: "nobody: public", OWN: "any valid token"}


def test_every_route_has_a_rule_that_exists(shared: ComputeSite) -> None:
    """Public ones are named here one by one."""
    known = {rule.name for rule in RULES}
    for route in (*shared.app.table.routes, *placement_routes(shared.service)[1:]):
        if route.rule == PUBLIC:
            assert (route.method, route.path) in OPEN, route
        elif route.rule != OWN:
            assert route.rule in known, route
        inner = getattr(getattr(route.handler, "__wrapped__", None), "__self__", None)
        if isinstance(inner, Actions):
            assert {action.rule for action in inner.actions.values()} <= known


def test_no_route_answers_without_a_token(shared: ComputeSite) -> None:
    for route in shared.app.table.routes:
        if route.rule == PUBLIC:
            continue
        path = route.path.replace("{", "").replace("}", "")
        assert shared.call(route.method, path, who=None, prefix="/compute").status == 401, route


def test_nobody_but_administrators_reaches_what_is_theirs(shared: ComputeSite) -> None:
    """403, or 400 and 404 for what is not there; never success."""
    theirs = {rule.name for rule in RULES if rule.check == "rule:context_is_admin"}
    for route in shared.app.table.routes:
        if route.rule in theirs and "{url_project}" not in route.path:
            path = route.path.replace("{", "").replace("}", "")
            for version in ("2.1", "2.96"):
                reply = shared.call(route.method, path, {}, prefix="/compute", version=version)
                assert reply.status in {400, 403, 404, 501}, (route, reply)


def test_only_services_speak_as_hosts(shared: ComputeSite) -> None:
    """A tenant can neither pose as a host nor read what another's guest is told."""
    for method, path in (
        ("GET", "/host/host1"),
        ("POST", "/host/host1"),
        ("GET", "/metadata/x/openstack"),
    ):
        assert shared.call(method, path, {}, prefix="/compute").status == 403
        assert shared.call(method, path, {}, prefix="/compute", who="service").status in {
            200,
            400,
            404,
        }


@pytest.mark.parametrize(
    ("version", "status"), [(None, 200), ("2.1", 200), ("latest", 200), ("2.97", 406), ("x", 400)]
)
def test_versions_are_agreed(shared: ComputeSite, version: str | None, status: int) -> None:
    reply = shared.call("GET", "/servers", version=version)
    assert reply.status == status
    if status == 200:
        assert reply.headers["x-openstack-nova-api-version"].startswith("2.")


def test_another_project_sees_nothing(small: ComputeSite) -> None:
    """404 for every operation on a server of somebody else."""
    name = small.boot()["id"]
    for route in small.app.table.routes:
        if "{server_id}" in route.path and route.path.startswith("/v2.1/servers"):
            path = route.path.replace("{server_id}", name).replace("{", "").replace("}", "")
            body = {"os-stop": None} if path.endswith("/action") else {}
            reply = small.call(route.method, path, body, who="other", prefix="/compute")
            assert reply.status in {400, 403, 404}, (route, reply)
    assert small.status(name) == "ACTIVE"


def test_readers_change_nothing(small: ComputeSite) -> None:
    name = small.boot()["id"]
    assert small.call("GET", f"/servers/{name}", who="demo:reader").status == 200
    assert small.call("DELETE", f"/servers/{name}", who="demo:reader").status == 403
    assert small.act(name, "os-stop", who="demo:reader").status == 403


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"server": 1}', b"\xff", b"[" * 100_000])
def test_bodies_that_are_not_the_object_wanted_are_400(shared: ComputeSite, raw: bytes) -> None:
    reply = shared.call("POST", "/servers", raw=raw)
    assert reply.status == 400
    assert reply.body["badRequest"]["message"]


def row_of(route: Route | Action, operation: str) -> str:
    since = version_text(max(route.since, (2, 1)))
    return f"| `{operation}` | {since} | {GUARDS.get(route.rule, f'`{route.rule}`')} |"


def served(site: ComputeSite) -> list[str]:
    """Every operation once, actions by their names, as the page lists them."""
    found = []
    for route in site.app.table.routes:
        if "{url_project}" in route.path or "{s0}" in route.path:
            continue
        operation = f"{route.method} {route.path}"
        inner = getattr(getattr(route.handler, "__wrapped__", None), "__self__", None)
        if isinstance(inner, Actions):
            found += [row_of(one, f"{operation} {one.name}") for one in inner.actions.values()]
        else:
            found.append(row_of(route, operation))
    for route in placement_routes(site.service):
        since = version_text(max(route.since, (1, 0)))
        rule = GUARDS.get(route.rule, f"`{route.rule}`")
        found.append(f"| `{route.method} /placement{route.path}` | {since} | {rule} |")
    return sorted(found)


def test_the_page_lists_every_operation_and_no_other(shared: ComputeSite) -> None:
    page = (DOCS / "conformance-compute.md").read_text()
    listed = [line for line in page.splitlines() if line.startswith("| `") and " /" in line[:14]]
    assert sorted(listed) == served(shared)
    assert f"{len(listed)} operations" in page


def test_the_drawing_of_a_servers_life_is_made_of_the_table() -> None:
    assert drawing() in (DOCS / "servers.md").read_text()


def test_every_state_has_a_word_and_every_task_leads_back() -> None:
    for action in ACTIONS.values():
        assert not action.end or action.end in STATUSES
        assert set(action.states) <= set(STATUSES)
    for words in STATUSES.values():
        assert "" in words
