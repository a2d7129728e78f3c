"""Every attribute of every body, over-long, of the wrong type or out of range, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from core.api.route import Route
from core.api.shape import Shape
from tests.identity_site import ADMIN_PROJECT, IdentitySite

OVER_LONG = "x" * 5000
# What makes a body whole but for the attribute that is tried.
WHOLE: dict[str, dict[str, Any]] = {
    "domain": {"name": "n"},
    "project": {"name": "n"},
    "user": {"name": "n"},
    "group": {"name": "n"},
    "role": {"name": "n"},
    "service": {"type": "t"},
    "policy": {"type": "t", "blob": "b"},
    "endpoint_group": {"name": "n", "filters": {}},
    "application_credential": {"name": "n"},
    "service_provider": {"auth_url": "http://x", "sp_url": "http://x"},
    "mapping": {"rules": []},
}


def attributes_of(route: Route) -> list[tuple[str, str]]:
    """The key and each attribute of a route's body."""
    if not isinstance(route.body, Shape):
        return []
    return [
        (key, name)
        for key, inner in route.body.attributes.items()
        if isinstance(inner, Shape)
        for name in inner.attributes
    ]


@pytest.mark.parametrize("value", [OVER_LONG, [OVER_LONG], 2**70, "\0"])
def test_absurd_attributes_are_no_internal_errors(site: IdentitySite, value: Any) -> None:
    """What a column cannot hold is refused before it gets there."""
    user_id = site.admin("GET", "/v3/users?name=demo").body["users"][0]["id"]
    known = {"{user_id}": user_id, "{project_id}": ADMIN_PROJECT, "{domain_id}": "default"}
    for route in site.app.table.routes:
        path = route.path
        for variable, name in known.items():
            path = path.replace(variable, name)
        path = path.replace("{", "").replace("}", "")
        for key, name in attributes_of(route):
            body = {key: {**WHOLE.get(key, {}), name: value}}
            reply = site.admin(route.method, path, body)
            assert reply.status < 500, (route.method, path, name, reply.raw)


@pytest.mark.parametrize("value", ["true", "false", "True", 1, 0, "yes", None, []])
def test_a_truth_is_a_boolean_wherever_it_is_asked_for(site: IdentitySite, value: Any) -> None:
    """400 for texts and numbers that only read like one."""
    for kind in ("domain", "project", "user", "service"):
        plural = f"/v3/{kind}s"
        body = {kind: {**WHOLE[kind], "enabled": value}}
        assert site.admin("POST", plural, body).status == 400, (kind, value)


@pytest.mark.parametrize(
    ("kind", "most"),
    [("domain", 64), ("project", 64), ("group", 64), ("user", 255), ("role", 255)],
)
def test_names_have_a_longest_length(site: IdentitySite, kind: str, most: int) -> None:
    """Just as long is fine, one character more is 400; so is nothing but blanks."""
    site.make(kind, name="n" * most)
    for name in ("n" * (most + 1), "", "   "):
        assert site.admin("POST", f"/v3/{kind}s", {kind: {"name": name}}).status == 400
