"""The API kit on arbitrary input: routes, queries, shapes and bodies refuse or answer, and nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authd.scope import scope_of
from core.api import shape
from core.api.app import decode_body
from core.api.fault import Fault
from core.api.query import Query, page_of
from core.api.route import PUBLIC, Route, RouteTable
from core.api.shape import Shape
from core.http import Request

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


async def nothing(call: Any) -> None:
    del call


TABLE = RouteTable(
    [
        Route("GET", "/v3/users", PUBLIC, nothing),
        Route("POST", "/v3/users", PUBLIC, nothing),
        Route("GET", "/v3/users/{user_id}", PUBLIC, nothing),
        Route("GET", "/v3/users/me", PUBLIC, nothing),
        Route("PUT", "/v3/users/{user_id}/roles/{role_id}", PUBLIC, nothing),
        Route("GET", "/", PUBLIC, nothing),
    ]
)
SEGMENT = st.one_of(
    st.sampled_from(["v3", "users", "me", "roles", "", "..", "%2F", "%ff", "%00"]),
    st.text(max_size=5),
)


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "X"]), parts=st.lists(SEGMENT, max_size=7)
)
def test_a_path_finds_its_route_or_a_fault(method, parts):
    """404, 405 or 400; variables never hold NUL."""
    try:
        match = TABLE.find(method, "/" + "/".join(parts))
    except Fault as fault:
        status = fault.status
        match = None
    else:
        status = 0
    assert status in {0, 400, 404, 405}
    if match is not None:
        assert match.route.method == method or (method == "HEAD" and match.route.method == "GET")
        assert not any("\0" in value for value in match.variables.values())


def test_fixed_segments_win_and_slashes_at_the_end_do_not_matter():
    """`/users/me` is not a user called me; an encoded slash is part of a name."""
    assert TABLE.find("GET", "/v3/users/me").route.path == "/v3/users/me"
    assert TABLE.find("GET", "/v3/users/").route.path == "/v3/users"
    assert TABLE.find("GET", "").route.path == "/"
    assert TABLE.find("GET", "/v3/users/a%2Fb").variables == {"user_id": "a/b"}


@given(raw=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=60))
def test_any_query_is_read_or_400(raw):
    """And paging never fails on it."""
    rows = [{"id": f"{number:03}", "name": f"n{number}"} for number in range(5)]
    try:
        query = Query(raw)
        page = page_of(rows, query, "name", limit_max=3)
    except Fault as fault:
        status = fault.status
    else:
        status = 0
        assert len(page.rows) <= 3
    assert status in {0, 400}


@given(limit=st.integers(1, 7), count=st.integers(0, 20))
def test_pages_join_up_to_the_whole(limit, count):
    """Each row once, in order, whatever the limit."""
    rows = [{"id": f"{number:03}"} for number in range(count)]
    seen: list[str] = []
    marker = ""
    while True:
        raw = f"limit={limit}" + (f"&marker={marker}" if marker else "")
        page = page_of(rows, Query(raw), limit_max=100)
        seen += [row["id"] for row in page.rows]
        if not page.truncated:
            break
        marker = page.rows[-1]["id"]
    assert seen == [row["id"] for row in rows]


THING = Shape(
    {
        "name": shape.NAME,
        "enabled": shape.boolean,
        "count": shape.integer(0, 9),
        "kind": shape.choice("a", "b"),
        "tags": shape.array(shape.text(1, 3), most=2, unique=True),
        "more": shape.nullable(shape.plain_object),
        "url": shape.URL,
    },
    ["name"],
    more=False,
)


@given(value=JSON)
def test_any_json_fits_a_shape_or_is_400(value):
    """Nothing else is ever raised, and the message is short."""
    try:
        THING(value, "thing")
    except Fault as fault:
        assert_refusal(fault)
    else:
        assert isinstance(value, dict)


def assert_refusal(fault: Fault) -> None:
    assert fault.status == 400
    assert len(fault.message) < 2000


@given(raw=st.one_of(st.binary(max_size=100), JSON.map(str).map(str.encode)))
def test_any_body_is_an_object_or_400(raw):
    """Whatever the bytes."""
    try:
        body = decode_body(Request("POST", "/", "", {}), raw)
    except Fault as fault:
        assert_refusal(fault)
    else:
        assert isinstance(body, dict)


@given(value=JSON)
def test_any_scope_is_understood_or_400(value):
    """Of a log-in's `scope`."""
    try:
        scope = scope_of(value)
    except Fault as fault:
        assert_refusal(fault)
    else:
        assert scope.kind in {"", "project", "domain", "system", "trust", "unscoped"}
