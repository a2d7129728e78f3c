"""Static and dynamic large objects: manifests in, concatenated bytes out."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


SEGMENTS = {"a": b"a" * 100_000, "b": b"b" * 70_000, "e": b"e"}


@pytest.fixture
def box(swift):
    assert swift("PUT", "c").status == 201
    assert swift("PUT", "s").status == 201
    for name, data in SEGMENTS.items():
        assert swift("PUT", "s", name, body=data).status == 201
    return swift


def put_manifest(box, name, items, query="multipart-manifest=put", **headers):
    return box("PUT", "c", name, query=query, body=json.dumps(items).encode(), headers=headers)


def abe(box, name="big"):
    items = [{"path": f"/s/{n}", "etag": md5(d), "size_bytes": len(d)} for n, d in SEGMENTS.items()]
    return put_manifest(box, name, items)


WHOLE = b"".join(SEGMENTS.values())
ETAG = md5("".join(md5(d) for d in SEGMENTS.values()).encode())


def test_a_static_object_reads_as_its_segments(box):
    answer = abe(box)
    assert (answer.status, answer.header("etag")) == (201, f'"{ETAG}"')
    answer = box("GET", "c", "big")
    assert answer.status == 200
    assert answer.body == WHOLE
    head = box("HEAD", "c", "big")
    assert head.header("content-length") == str(len(WHOLE))
    assert head.header("etag") == f'"{ETAG}"'
    assert head.header("x-static-large-object") == "True"
    raw = box("GET", "c", "big", query="multipart-manifest=get")
    assert head.header("x-manifest-etag") == raw.header("etag") == md5(raw.body)
    assert raw.header("content-type") == "application/json; charset=utf-8"
    first = raw.json()[0]
    assert first["name"] == "/s/a"
    assert first["hash"] == md5(SEGMENTS["a"])
    assert first["bytes"] == 100_000
    listed = [row for row in box("GET", "c", query="format=json").json() if row["name"] == "big"]
    assert listed[0]["bytes"] == len(WHOLE)
    assert listed[0]["slo_etag"] == f'"{ETAG}"'
    assert listed[0]["hash"] == md5(raw.body)


def test_the_raw_manifest_can_be_put_again(box):
    abe(box)
    raw = box("GET", "c", "big", query="multipart-manifest=get&format=raw")
    assert put_manifest(box, "again", raw.json()).header("etag") == f'"{ETAG}"'


@pytest.mark.parametrize(
    ("span", "start", "end"),
    [
        ("0-9", 0, 10),
        ("99999-100000", 99_999, 100_001),
        ("-2", 169_999, 170_001),
        ("170000-", 170_000, 170_001),
    ],
)
def test_ranges_cross_segments(box, span, start, end):
    abe(box)
    answer = box("GET", "c", "big", headers={"Range": f"bytes={span}"})
    assert answer.status == 206
    assert answer.body == WHOLE[start:end]
    assert answer.header("content-range") == f"bytes {start}-{end - 1}/{len(WHOLE)}"


def test_several_ranges_of_a_static_object(box):
    abe(box)
    answer = box("GET", "c", "big", headers={"Range": "bytes=99999-100000,170000-170000"})
    assert answer.status == 206
    assert b"\r\n\r\nab\r\n" in answer.body
    assert b"\r\n\r\ne\r\n" in answer.body
    assert len(answer.body) == int(answer.header("content-length"))


def test_ranged_data_and_nested_segments(box):
    abe(box)
    items = [
        {"data": base64.b64encode(b"<<").decode()},
        {"path": "/c/big", "range": "99998-100001"},
        {"path": "/s/e"},
        {"path": "c/big", "range": "-3"},
        {"data": base64.b64encode(b">>").decode()},
    ]
    answer = put_manifest(box, "mixed", items)
    assert answer.status == 201
    assert box("GET", "c", "mixed").body == b"<<aabbebbe>>"
    assert box("GET", "c", "mixed", headers={"Range": "bytes=1-4"}).body == b"<aab"
    expected = md5(
        (
            md5(b"<<") + f"{ETAG}:99998-100001;" + md5(b"e") + f"{ETAG}:169998-170000;" + md5(b">>")
        ).encode()
    )
    assert answer.header("etag") == f'"{expected}"'


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({}, "Manifest must be a list.\n"),
        ([1], "Index 0: not a JSON object\n"),
        ([{}], "Index 0: expected keys to include one of 'data' or 'path'\n"),
        ([{"path": "/s/a", "teag": 1}], 'Index 0: extraneous keys "teag"\n'),
        ([{"path": 1}], 'Index 0: "path" must be a string\n'),
        (
            [{"path": "/s"}],
            "Index 0: path does not refer to an object. Path must be of the form /container/object.\n",
        ),
        ([{"path": "/s/a", "size_bytes": "x"}], "Index 0: invalid size_bytes\n"),
        (
            [{"path": "/s/a", "size_bytes": 0}, {"path": "/s/a"}],
            "Index 0: too small; each segment must be at least 1 byte.\n",
        ),
        ([{"path": "/c/big"}], "Index 0: manifest must not include itself as a segment\n"),
        ([{"path": "/s/a", "range": "x"}], "Index 0: invalid range\n"),
        ([{"path": "/s/a", "range": "1-2,3-4"}], "Index 0: multiple ranges (only one allowed)\n"),
        ([{"path": "/s/a", "size_bytes": 5, "range": "9-"}], "Index 0: unsatisfiable range\n"),
        ([{"data": "!"}], "Index 0: data must be valid base64\n"),
        ([{"data": ""}], "Index 0: too small; each segment must be at least 1 byte.\n"),
        ([{"data": "eHg="}], "Inline data segments require at least one object-backed segment.\n"),
    ],
)
def test_bad_manifests_name_the_item(box, items, message):
    answer = put_manifest(box, "big", items)
    assert (answer.status, answer.text) == (400, message)


def test_segments_that_do_not_fit_are_reported_each(box):
    items = [
        {"path": "/s/none"},
        {"path": "/s/a", "etag": "not it"},
        {"path": "/s/b", "size_bytes": 1},
        {"path": "/s/b", "range": "70000-"},
    ]
    answer = put_manifest(box, "big", items, Accept="application/json")
    assert answer.status == 400
    assert answer.json()["Errors"] == [
        ["/s/none", "404 Not Found"],
        ["/s/a", "Etag Mismatch"],
        ["/s/b", "Size Mismatch"],
        ["/s/b", "Unsatisfiable Range"],
    ]
    assert put_manifest(box, "big", items).text.startswith("Errors:\n/s/none, 404 Not Found\n")
    assert b"<object><name>/s/none</name>" in put_manifest(box, "b", items, Accept="text/xml").body


def test_an_etag_on_the_manifest_is_verified(box):
    items = [{"path": "/s/e"}]
    assert put_manifest(box, "big", items, ETag=md5(md5(b"e").encode())).status == 201
    assert put_manifest(box, "big", items, ETag="nope").status == 422
    assert put_manifest(box, "big", items, ETag=f'"{md5(md5(b"e").encode())}"').status == 201


def test_heartbeats_answer_202_with_a_report(box):
    query = "multipart-manifest=put&heartbeat=on"
    answer = put_manifest(box, "big", [{"path": "/s/e"}], query=query, Accept="application/json")
    assert answer.status == 202
    assert answer.json()["Response Status"] == "201 Created"
    answer = put_manifest(box, "big", [{"path": "/s/x"}], query=query, Accept="application/json")
    assert answer.status == 202
    assert answer.json()["Response Status"] == "400 Bad Request"


def test_a_changed_segment_is_409_before_and_a_cut_connection_after_the_first_byte(box):
    abe(box)
    box("PUT", "s", "a", body=b"x" * 100_000)
    assert box("GET", "c", "big").status == 409
    box("PUT", "s", "a", body=SEGMENTS["a"])
    box("DELETE", "s", "e")
    with pytest.raises(Exception, match=r"Incomplete|Connection"):
        box("GET", "c", "big")


def test_conditions_use_the_static_objects_etag(box):
    abe(box)
    assert box("GET", "c", "big", headers={"If-None-Match": f'"{ETAG}"'}).status == 304
    assert box("GET", "c", "big", headers={"If-Match": ETAG}).status == 200
    assert box("HEAD", "c", "big", headers={"If-Match": "nope"}).status == 412


def test_parts_can_be_read_by_number(box):
    abe(box)
    answer = box("GET", "c", "big", query="part-number=2")
    assert (answer.status, answer.body) == (206, SEGMENTS["b"])
    assert answer.header("x-parts-count") == "3"
    assert answer.header("content-range") == f"bytes 100000-169999/{len(WHOLE)}"
    head = box("HEAD", "c", "big", query="part-number=3")
    assert (head.status, head.header("content-length")) == (206, "1")
    assert box("GET", "c", "big", query="part-number=4").status == 416
    assert box("GET", "c", "big", query="part-number=0").status == 400
    assert (
        box("GET", "c", "big", query="part-number=1", headers={"Range": "bytes=0-1"}).status == 400
    )


def test_deleting_a_manifest_with_its_segments(box):
    abe(box)
    put_manifest(box, "outer", [{"path": "/c/big"}, {"path": "/s/e"}])
    answer = box(
        "DELETE",
        "c",
        "outer",
        query="multipart-manifest=delete",
        headers={"Accept": "application/json"},
    )
    assert answer.status == 200
    assert answer.json() == {
        "Number Deleted": 5,
        "Number Not Found": 0,
        "Response Body": "",
        "Response Status": "200 OK",
        "Errors": [],
    }
    assert box("GET", "s").body == box("GET", "c").body == b""
    box("PUT", "c", "plain", body=b"x")
    answer = box(
        "DELETE",
        "c",
        "plain",
        query="multipart-manifest=delete",
        headers={"Accept": "application/json"},
    )
    assert answer.json()["Errors"] == [["/c/plain", "Not an SLO manifest"]]
    answer = box(
        "DELETE",
        "c",
        "none",
        query="multipart-manifest=delete",
        headers={"Accept": "application/json"},
    )
    assert answer.json()["Number Not Found"] == 1


def test_deleting_only_the_manifest_keeps_the_segments(box):
    abe(box)
    assert box("DELETE", "c", "big").status == 204
    assert box("GET", "s", "a").status == 200


def test_a_post_keeps_a_static_manifest(box):
    abe(box)
    assert box("POST", "c", "big", headers={"X-Object-Meta-A": "1"}).status == 202
    head = box("HEAD", "c", "big")
    assert head.header("etag") == f'"{ETAG}"'
    assert head.header("x-object-meta-a") == "1"
    assert box("GET", "c", "big").body == WHOLE


def test_a_manifest_too_large_or_without_length_is_refused(box):
    body = b"[" + b" " * (8 << 20) + b"]"
    assert box("PUT", "c", "big", query="multipart-manifest=put", body=body).status == 413


# -- dynamic -----------------------------------------------------------------------------------


def put_dynamic(box, name="dyn", target="s/", body=b"manifest"):
    return box("PUT", "c", name, body=body, headers={"X-Object-Manifest": target})


def test_a_dynamic_object_is_what_is_listed_now(box):
    assert put_dynamic(box, target="s/a").status == 201
    assert box("GET", "c", "dyn").body == SEGMENTS["a"]
    box("PUT", "s", "a2", body=b"more")
    answer = box("GET", "c", "dyn")
    assert answer.body == SEGMENTS["a"] + b"more"
    etag = md5((md5(SEGMENTS["a"]) + md5(b"more")).encode())
    assert answer.header("etag") == f'"{etag}"'
    assert answer.header("x-object-manifest") == "s/a"
    head = box("HEAD", "c", "dyn")
    assert head.header("content-length") == "100004"
    assert head.header("etag") == f'"{etag}"'
    assert box("GET", "c", "dyn", headers={"If-None-Match": etag}).status == 304


def test_ranges_of_a_dynamic_object(box):
    put_dynamic(box, target="s/a")
    box("PUT", "s", "a2", body=b"more")
    answer = box("GET", "c", "dyn", headers={"Range": "bytes=99999-100001"})
    assert (answer.status, answer.body) == (206, b"amo")
    assert box("GET", "c", "dyn", headers={"Range": "bytes=-4"}).body == b"more"
    answer = box("GET", "c", "dyn", headers={"Range": "bytes=200000-"})
    assert (answer.status, answer.header("content-range")) == (416, "bytes */100004")
    answer = box("GET", "c", "dyn", headers={"Range": "bytes=0-0,2-2"})
    assert (answer.status, len(answer.body)) == (200, 100_004)


def test_the_dynamic_manifest_itself_and_posts(box):
    put_dynamic(box, target="s/e")
    assert box("GET", "c", "dyn", query="multipart-manifest=get").body == b"manifest"
    box("POST", "c", "dyn", headers={"X-Object-Manifest": "s/a"})
    assert box("GET", "c", "dyn").body == SEGMENTS["a"]
    box("POST", "c", "dyn")
    assert box("GET", "c", "dyn").body == b"manifest"


@pytest.mark.parametrize("value", ["s", "/s", "s//x", "s/x?y", "s/x&y", "/", "s/"])
def test_bad_dynamic_manifests_are_400(box, value):
    assert put_dynamic(box, target=value).status == 400


def test_large_objects_within_large_objects(box):
    put_dynamic(box, target="s/a")
    abe(box)
    answer = put_manifest(box, "outer", [{"path": "/c/dyn"}, {"path": "/c/big"}])
    assert answer.status == 201
    assert box("GET", "c", "outer").body == SEGMENTS["a"] + WHOLE


def test_manifests_that_name_each_other_end_in_409(box):
    put_manifest(box, "x", [{"path": "/s/e"}])
    put_manifest(box, "y", [{"path": "/c/x"}])
    put_manifest(box, "x", [{"path": "/c/y"}])
    assert box("GET", "c", "x").status == 409


def test_a_segment_read_through_a_missing_container_is_404(box):
    put_dynamic(box, target="nowhere/x")
    assert box("GET", "c", "dyn").status == 404


# -- copies ------------------------------------------------------------------------------------


def test_a_copy_of_a_large_object_is_plain(box):
    abe(box)
    answer = box("COPY", "c", "big", headers={"Destination": "c/plain"})
    assert answer.status == 201
    assert answer.header("etag") == md5(WHOLE)
    copied = box("GET", "c", "plain")
    assert copied.body == WHOLE
    assert copied.header("x-static-large-object") is None
    put_dynamic(box, target="s/a")
    box("COPY", "c", "dyn", headers={"Destination": "c/plain"})
    assert box("HEAD", "c", "plain").header("x-object-manifest") is None
    assert box("GET", "c", "plain").body == SEGMENTS["a"]


def test_a_copy_of_the_manifest_is_a_large_object(box):
    abe(box)
    source = box("GET", "c", "big", query="multipart-manifest=get")
    query = "multipart-manifest=get"
    headers = {"Destination": "c/twin", "X-Object-Meta-A": "1"}
    assert box("COPY", "c", "big", query=query, headers=headers).status == 201
    assert box("GET", "c", "twin", query="multipart-manifest=get").body == source.body
    assert box("GET", "c", "twin").body == WHOLE
    put_dynamic(box, target="s/a")
    assert box("COPY", "c", "dyn", query=query, headers={"Destination": "c/dyn2"}).status == 201
    assert box("HEAD", "c", "dyn2").header("x-object-manifest") == "s/a"
    assert box("GET", "c", "dyn2", query=query).body == b"manifest"


def test_one_part_or_range_can_be_copied(box):
    abe(box)
    box("COPY", "c", "big", query="part-number=2", headers={"Destination": "c/part"})
    assert box("GET", "c", "part").body == SEGMENTS["b"]
    headers = {"X-Copy-From": "c/big", "Range": "bytes=99999-100000", "Content-Length": "0"}
    assert box("PUT", "c", "cut", headers=headers).status == 201
    assert box("GET", "c", "cut").body == b"ab"
