"""Objects over HTTP: the exact statuses, headers and bytes of PUT, GET, HEAD, POST and DELETE."""

from __future__ import annotations

import hashlib
import time

import pytest


@pytest.fixture
def box(swift):
    """A container named `c`."""
    assert swift("PUT", "c").status == 201
    return swift


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def test_a_put_answers_201_with_the_bodys_md5(box):
    answer = box("PUT", "c", "o", body=b"hello")
    assert (answer.status, answer.body) == (201, b"")
    assert answer.header("etag") == md5(b"hello")
    assert answer.header("last-modified").endswith("GMT")
    assert answer.header("content-type") == "text/html; charset=UTF-8"


def test_a_get_returns_bytes_and_headers(box):
    put = box(
        "PUT",
        "c",
        "o",
        body=b"hello",
        headers={
            "Content-Type": "text/x-test",
            "X-Object-Meta-Colour": "rötlich",
            "Content-Encoding": "identity",
            "Content-Disposition": "attachment",
            "X-Delete-At": str(int(time.time()) + 1000),
        },
    )
    assert put.status == 201
    for method in ("GET", "HEAD"):
        answer = box(method, "c", "o")
        assert answer.status == 200
        assert answer.body == (b"hello" if method == "GET" else b"")
        assert answer.header("content-length") == "5"
        assert answer.header("content-type") == "text/x-test"
        assert answer.header("x-object-meta-colour") == "rötlich"
        assert answer.header("content-encoding") == "identity"
        assert answer.header("content-disposition") == "attachment"
        assert answer.header("accept-ranges") == "bytes"
        assert answer.header("etag") == md5(b"hello")
        assert float(answer.header("x-timestamp")) > 1e9
        assert int(answer.header("x-delete-at")) > time.time()
        assert answer.header("x-trans-id") == answer.header("x-openstack-request-id")


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
def test_bodies_of_every_size_come_back(box, size):
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    assert box("PUT", "c", "o", body=data).status == 201
    assert box("GET", "c", "o").body == data


def test_a_chunked_put_is_stored(box):
    path = box.at("c", "o")
    answer = box.request(
        "PUT", path, {"X-Auth-Token": box.token}, iter([b"ab", b"cde"]), encode_chunked=True
    )
    assert answer.status == 201
    assert box("GET", "c", "o").body == b"abcde"


def test_a_wrong_etag_is_422_and_nothing_is_stored(box):
    assert box("PUT", "c", "o", body=b"x", headers={"ETag": md5(b"y")}).status == 422
    assert box("GET", "c", "o").status == 404
    assert box("PUT", "c", "o", body=b"x", headers={"ETag": f'"{md5(b"x")}"'}).status == 201


def test_a_put_without_length_is_411(box):
    box._connection.putrequest("PUT", box.at("c", "o"))
    box._connection.putheader("X-Auth-Token", box.token)
    box._connection.endheaders()
    assert box._connection.getresponse().status == 411


def test_missing_things_are_404(box):
    assert box("GET", "c", "nope").status == 404
    assert box("DELETE", "c", "nope").status == 404
    assert box("POST", "c", "nope").status == 404
    assert box("PUT", "nope", "o", body=b"x").status == 404
    assert box("GET", "nope", "o").status == 404


def test_a_post_replaces_metadata_and_keeps_the_type(box):
    box(
        "PUT",
        "c",
        "o",
        body=b"x",
        headers={"X-Object-Meta-A": "1", "Content-Type": "a/b", "Content-Encoding": "gzip"},
    )
    answer = box("POST", "c", "o", headers={"X-Object-Meta-B": "2"})
    assert answer.status == 202
    head = box("HEAD", "c", "o")
    assert head.header("x-object-meta-a") is None
    assert head.header("x-object-meta-b") == "2"
    assert head.header("content-type") == "a/b"
    assert head.header("content-encoding") is None
    assert box("GET", "c", "o").body == b"x"


def test_if_none_match_star_refuses_an_overwrite(box):
    star = {"If-None-Match": "*"}
    assert box("PUT", "c", "o", body=b"1", headers=star).status == 201
    assert box("PUT", "c", "o", body=b"2", headers=star).status == 412
    assert box("GET", "c", "o").body == b"1"
    assert box("PUT", "c", "o", body=b"2", headers={"If-None-Match": "abc"}).status == 400


@pytest.mark.parametrize(
    ("value", "status", "body", "content_range"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("potatoes=1-2", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
    ],
)
def test_ranges(box, value, status, body, content_range):
    box("PUT", "c", "o", body=b"0123456789")
    answer = box("GET", "c", "o", headers={"Range": value})
    assert answer.status == status
    assert answer.header("content-range") == content_range
    if body is not None:
        assert answer.body == body


def test_several_ranges_come_as_multipart(box):
    box("PUT", "c", "o", body=b"0123456789", headers={"Content-Type": "text/x"})
    answer = box("GET", "c", "o", headers={"Range": "bytes=0-1,4-5"})
    assert answer.status == 206
    kind, _, boundary = answer.header("content-type").partition(";boundary=")
    assert kind == "multipart/byteranges"
    expected = "".join(
        f"--{boundary}\r\nContent-Type: text/x\r\nContent-Range: bytes {span}/10\r\n\r\n{data}\r\n"
        for span, data in (("0-1", "01"), ("4-5", "45"))
    )
    assert answer.text == f"{expected}--{boundary}--"


def test_conditions_on_get(box):
    etag = box("PUT", "c", "o", body=b"x").header("etag")
    modified = box("HEAD", "c", "o").header("last-modified")
    past = "Thu, 01 Jan 2015 00:00:00 GMT"

    def get(**headers):
        return box("GET", "c", "o", headers={k.replace("_", "-"): v for k, v in headers.items()})

    assert get(If_Match=etag).status == 200
    assert get(If_Match="*").status == 200
    assert get(If_Match="nope").status == 412
    assert get(If_None_Match=f'"{etag}"').status == 304
    assert get(If_None_Match="nope").status == 200
    assert get(If_Modified_Since=modified).status == 304
    assert get(If_Modified_Since=past).status == 200
    assert get(If_Unmodified_Since=past).status == 412
    assert get(If_Unmodified_Since=modified).status == 200
    assert get(If_Modified_Since="nonsense").status == 200
    assert get(If_None_Match=etag).header("etag") == etag


def test_bad_expiry_is_400(box):
    for headers in (
        {"X-Delete-At": "1"},
        {"X-Delete-At": "soon"},
        {"X-Delete-After": "-1"},
        {"X-Delete-After": "0"},
        {"X-Delete-After": "later"},
    ):
        assert box("PUT", "c", "o", body=b"", headers=headers).status == 400
        assert box("POST", "c", "o", headers=headers).status == 400
    assert box("PUT", "c", "o", body=b"", headers={"X-Delete-After": "60"}).status == 201
    assert int(box("HEAD", "c", "o").header("x-delete-at")) >= int(time.time()) + 58


def test_content_types_are_guessed(box):
    def kind(name, **headers):
        box("PUT", "c", name, body=b"", headers=headers)
        return box("HEAD", "c", name).header("content-type")

    assert kind("a.json") == "application/json"
    assert kind("a") == "application/octet-stream"
    assert kind("a.txt", **{"Content-Type": "x/y"}) == "x/y"
    assert kind("b.txt", **{"Content-Type": "x/y", "X-Detect-Content-Type": "true"}) == "text/plain"


def test_names_are_opaque(box):
    for name in ("..", "../x", "a//b", "a/", "/lead", "%2e%2e", "ü/ö", "a b?c&d=e", "\\", "a\nb"):
        assert box("PUT", "c", name, body=name.encode()).status == 201, name
        assert box("GET", "c", name).body == name.encode()
    listing = box("GET", "c", query="format=json").json()
    assert len(listing) == 10


def test_name_limits(box):
    assert box("PUT", "c", "o" * 1024, body=b"").status == 201
    answer = box("PUT", "c", "o" * 1025, body=b"")
    assert (answer.status, answer.text) == (400, "Object name length of 1025 longer than 1024")
    assert box("PUT", "c" * 256).status == 201
    assert box("PUT", "c" * 257).status == 400


def test_bad_encodings_are_412(box):
    for path in ("/v1/AUTH_x/c/%00", "/v1/AUTH_x/c/%ff", "/v1/AUTH_x/%C0%80"):
        answer = box.request("GET", path, {"X-Auth-Token": box.token})
        assert answer.status == 412
        assert answer.text == "Invalid UTF8 or contains NULL"


def test_metadata_limits(box):
    def put(**headers):
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return box("PUT", "c", "o", body=b"", headers=named).status

    assert put(**{"X-Object-Meta-" + "a" * 128: "v"}) == 201
    assert put(**{"X-Object-Meta-" + "a" * 129: "v"}) == 400
    assert put(X_Object_Meta_A="v" * 256) == 201
    assert put(X_Object_Meta_A="v" * 257) == 400
    assert put(**{"X-Object-Meta-": "v"}) == 400
    assert put(**{f"X-Object-Meta-{i}": "v" for i in range(90)}) == 201
    assert put(**{f"X-Object-Meta-{i}": "v" for i in range(91)}) == 400
    assert put(**{f"X-Object-Meta-{i:02}": "v" * 250 for i in range(20)}) == 400
    assert put(X_Object_Meta_A=b"\xff") == 400
