"""Any request at all: the Swift front answers below 500 (501 for what is not built) and lives on."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from core.http import Body, Request, Response
from core.real import RealEnv
from proxy.store.record import Draft, ObjectName
from proxy.swift.front import SwiftFront
from ring.policy import Policy
from tests.model.memory_store import MemoryStore
from tests.static_gate import Claims, RootCredentials, StaticGate, seal

POLICIES = (
    Policy(0, "gold", "replicated", replicas=3, is_default=True),
    Policy(1, "silver", "erasure", data=2, parity=1, codec="zfec"),
)
CREDENTIALS = RootCredentials("A", "S", "admin", "key", "AUTH_a", b"k" * 32)
TOKEN = seal(b"k" * 32, Claims("admin", "AUTH_a", True, 2**40)).encode()
ENV = RealEnv()


async def body_of(data: bytes):
    yield data


async def furnish(store: MemoryStore) -> None:
    """A little of everything in one container."""
    await store.create_container("AUTH_a", "c", policy=None, change={})
    for name, data, attributes in (
        ("plain", b"hello", {"meta:a": "1"}),
        ("s/1", b"one", {}),
        ("s/2", b"two", {}),
        ("dyn", b"", {"swift:dlo": "c/s/"}),
        ("bad-dyn", b"", {"swift:dlo": "none/x"}),
        ("link", b"", {"swift:symlink": "c/plain"}),
        ("loop", b"", {"swift:symlink": "c/loop"}),
    ):
        where = ObjectName("AUTH_a", "c", name)
        await store.put_object(where, body_of(data), lambda d, a=attributes: Draft("t/x", a))


def front() -> SwiftFront:
    store = MemoryStore(ENV.wall_us, POLICIES)
    made = SwiftFront(store, ENV, StaticGate(ENV, CREDENTIALS))
    asyncio.run(furnish(store))
    return made


def request_of(method, path, query, headers, body) -> Request:
    request = Request(method, path, query, dict(headers))
    request.body = Body(None, len(body))
    if body:
        request.body.feed(body)
    request.body.finish()
    request.headers.setdefault(b"content-length", b"%d" % len(body))
    return request


async def spend(response: Response) -> bytes:
    """Read the whole answer, as the engine would."""
    if isinstance(response.body, bytes):
        return response.body
    try:
        return b"".join([chunk async for chunk in response.body])
    finally:
        await response.body.aclose()


METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS", "PATCH"])
NAME = st.sampled_from(
    [
        "c",
        "plain",
        "s/1",
        "dyn",
        "bad-dyn",
        "link",
        "loop",
        "new",
        "",
        "%2e%2e",
        "%ff",
        "%00",
        "a%2Fb",
        "slo",
    ]
)
PATH = st.builds(
    "{}/{}/{}/{}".format,
    st.sampled_from(["/v1", "/v1.0", "/auth/v1.0", "/info"]),
    st.sampled_from(["AUTH_a", "AUTH_b", "x", ""]),
    st.sampled_from(["c", "d", ""]),
    NAME,
)
QUERY = st.lists(
    st.sampled_from(
        [
            "format=json",
            "format=xml",
            "limit=1",
            "limit=-1",
            "limit=99999",
            "marker=a",
            "prefix=s/",
            "delimiter=/",
            "delimiter=%00",
            "path=s",
            "path=",
            "reverse=1",
            "end_marker=z",
            "bulk-delete",
            "extract-archive=tar",
            "extract-archive=tar.gz",
            "multipart-manifest=get",
            "multipart-manifest=put",
            "multipart-manifest=delete",
            "format=raw",
            "part-number=1",
            "part-number=0",
            "symlink=get",
            "heartbeat=on",
            "temp_url_sig=aa",
            "temp_url_expires=9",
            "marker=%ff",
            "a=b=c",
            "&&",
            "%zz",
        ]
    ),
    max_size=3,
).map("&".join)
HEADER = st.sampled_from(
    [
        (b"range", b"bytes=0-1"),
        (b"range", b"bytes=-1,0-0"),
        (b"range", b"bytes=9-"),
        (b"if-match", b"*"),
        (b"if-none-match", b"*"),
        (b"if-modified-since", b"x"),
        (b"if-unmodified-since", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"if-range", b'"x"'),
        (b"destination", b"c/new"),
        (b"destination", b"//"),
        (b"destination-account", b"AUTH_b"),
        (b"x-copy-from", b"c/plain"),
        (b"x-copy-from", b"c/dyn"),
        (b"x-copy-from", b"%ff"),
        (b"x-object-manifest", b"c/s/"),
        (b"x-object-manifest", b"\xff"),
        (b"x-symlink-target", b"c/x"),
        (b"x-symlink-target-etag", b"abc"),
        (b"x-delete-at", b"99999999999"),
        (b"x-delete-after", b"-"),
        (b"x-object-meta-a", b"\xff"),
        (b"x-object-meta-a", b"1"),
        (b"x-container-read", b".r:"),
        (b"x-container-read", b".r:*"),
        (b"x-storage-policy", b"silver"),
        (b"x-storage-policy", b"\xff"),
        (b"x-versions-enabled", b"1"),
        (b"accept", b"application/json"),
        (b"accept", b"\xff"),
        (b"origin", b"http://x"),
        (b"access-control-request-method", b"GET"),
        (b"etag", b"\xff"),
        (b"content-type", b"\xff"),
        (b"x-auth-token", b"bad"),
        (b"x-account-access-control", b"{"),
        (b"x-backend-storage-policy-index", b"9"),
        (b"x-timestamp", b"x"),
        (b"referer", b"\xff://["),
        (b"x-account-quota-bytes", b"1"),
        (b"x-if-delete-at", b"x"),
        (b"transfer-encoding", b"chunked"),
        (b"x-auth-user", b"\xff"),
        (b"content-type", b"multipart/form-data; boundary=b"),
        (b"x-fresh-metadata", b"1"),
        (b"host", b"\xff"),
    ]
)
BODY = st.sampled_from(
    [
        b"",
        b"x",
        b"/c/plain\n/c\n%ff\n/d",
        b"[",
        b"[]",
        b'[{"path": "/c/s/1"}, {"path": "c/dyn"}]',
        b'[{"path": "/c/s/1", "range": "0-0"}, {"data": "eA=="}]',
        b"\0" * 1024,
        b"\x1f\x8b\x08",
        b'--b\r\nContent-Disposition: form-data; filename="f"\r\n\r\nx\r\n--b--\r\n',
    ]
) | st.binary(max_size=40)
CALL = st.tuples(METHODS, PATH, QUERY, st.lists(HEADER, max_size=4), BODY, st.booleans())


@settings(max_examples=400)
@given(st.lists(CALL, min_size=1, max_size=6))
def test_any_sequence_of_requests_is_answered_below_500(calls):
    asyncio.run(play(calls))


async def play(calls) -> None:
    store = MemoryStore(ENV.wall_us, POLICIES)
    made = SwiftFront(store, ENV, StaticGate(ENV, CREDENTIALS))
    await furnish(store)
    for method, path, query, headers, body, signed in calls:
        given_headers = {b"host": b"h", **dict(headers)}
        if signed:
            given_headers[b"x-auth-token"] = TOKEN
        response = await made.handle(request_of(method, path, query, given_headers, body))
        assert response.status < 500 or response.status == 501, (method, path, query, headers)
        for name, value in response.headers:
            assert "\n" not in name + value
            assert "\r" not in name + value
        await spend(response)
    response = await made.handle(request_of("GET", "/v1/AUTH_a", "", {b"x-auth-token": TOKEN}, b""))
    assert response.status in {200, 204}
