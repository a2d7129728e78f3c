"""Whatever a client sends, the identity service answers it: nothing is an internal error, nothing hangs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.api.route import Route
from core.api.shape import Shape
from tests.identity_site import ADMIN_PROJECT, IdentitySite

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from(["", "default", ADMIN_PROJECT, "public", "http://x", "2030-01-01T00:00:00Z"]),
    st.text(max_size=300),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
FILTERS = """
name limit marker user.id scope.project.id effective include_names include_subtree enabled parents_as_list subtree_as_ids
domain_id tags name__icontains password_expires_at type sort_key scope.system role.id
"""
NAMES = st.sampled_from(FILTERS.split())
SEGMENTS = st.one_of(
    st.sampled_from(["default", ADMIN_PROJECT, "none", "us-east-1", "ldap"]),
    st.text(min_size=1, max_size=80),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentitySite]:
    """One for all examples: what one of them breaks, the next should survive."""
    made = IdentitySite(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.close()


def like(shape: Any) -> st.SearchStrategy[Any]:
    """Bodies that have a shape's attributes with fitting or absurd values."""
    if not isinstance(shape, Shape):
        return VALUES
    attributes = {name: like(check) for name, check in shape.attributes.items()}
    needed = {name: attributes.pop(name) for name in shape.required if name in attributes}
    whole = st.fixed_dictionaries(needed, optional=attributes)
    return st.one_of(whole, whole, VALUES)


def path_of(data: st.DataObject, route: Route) -> str:
    """A route's path with something in place of its variables."""
    return "/".join(
        quote(data.draw(SEGMENTS), safe="") if part.startswith("{") else part
        for part in route.path.split("/")
    )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_request_is_an_internal_error(site: IdentitySite, data: st.DataObject) -> None:
    """Any body, path and query, by an administrator: answered with less than 500, in OpenStack's form."""
    # that of OAuth 2.0 answers in a form of its own (RFC 6749)
    routes = [route for route in site.app.table.routes if "OS-OAUTH2" not in route.path]
    route = data.draw(st.sampled_from(routes))
    path = path_of(data, route)
    query = urlencode(data.draw(st.dictionaries(NAMES, st.text(max_size=40), max_size=3)))
    body = json.dumps(data.draw(like(route.body))).encode() if route.body else None
    reply = site.call(route.method, f"{path}?{query}", raw=body, token=site.token("system"))
    if reply.status == 401:  # the example revoked its own token
        site._tokens.clear()
    assert reply.status < 500, (route.method, path, query, body, reply.raw)
    if reply.status >= 400:
        assert reply.body["error"]["code"] == reply.status
