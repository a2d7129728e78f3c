"""Containers over HTTP: creation, policies, listings, metadata, what is refused."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

NAMES = ("a", "b/1", "b/2", "b/c/3", "d/", "é")


@pytest.fixture
def box(swift):
    assert swift("PUT", "c").status == 201
    return swift


@pytest.fixture
def full(box):
    for name in NAMES:
        assert box("PUT", "c", name, body=b"xy", headers={"Content-Type": "t/x"}).status == 201
    return box


def names(answer):
    return answer.text.splitlines()


def test_create_again_is_202_and_delete_404s_then(box):
    assert box("PUT", "c").status == 202
    assert box("DELETE", "c").status == 204
    assert box("DELETE", "c").status == 404
    for method in ("GET", "HEAD", "POST"):
        assert box(method, "c").status == 404


def test_a_full_container_is_not_deleted(full):
    answer = full("DELETE", "c")
    assert answer.status == 409
    assert b"There was a conflict" in answer.body


def test_policies(swift):
    assert swift("PUT", "s", headers={"X-Storage-Policy": "Silver"}).status == 201
    assert swift("HEAD", "s").header("x-storage-policy") == "silver"
    assert swift("PUT", "s", headers={"X-Storage-Policy": "gold"}).status == 409
    assert swift("PUT", "s", headers={"X-Storage-Policy": "silver"}).status == 202
    assert swift("PUT", "s").status == 202
    assert swift("PUT", "t", headers={"X-Storage-Policy": "tin"}).status == 400
    assert swift("PUT", "t").status == 201
    assert swift("HEAD", "t").header("x-storage-policy") == "gold"


def test_statistics(full):
    head = full("HEAD", "c")
    assert head.status == 204
    assert head.header("x-container-object-count") == str(len(NAMES))
    assert head.header("x-container-bytes-used") == str(2 * len(NAMES))
    assert float(head.header("x-timestamp")) > 1e9
    assert head.header("last-modified").endswith("GMT")


def test_listings_in_every_form(full):
    assert names(full("GET", "c")) == list(NAMES)
    row = full("GET", "c", query="format=json").json()[0]
    assert row["name"] == "a"
    assert row["bytes"] == 2
    assert row["hash"] == "3e44107170a520582ade522fa73c1d15"
    assert row["content_type"] == "t/x"
    assert len(row["last_modified"]) == 26
    root = ET.fromstring(full("GET", "c", query="format=xml").body)
    assert (root.tag, root.get("name")) == ("container", "c")
    assert [o.findtext("name") for o in root] == list(NAMES)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("delimiter=/", ["a", "b/", "d/", "é"]),
        ("prefix=b/&delimiter=/", ["b/1", "b/2", "b/c/"]),
        ("prefix=b/", ["b/1", "b/2", "b/c/3"]),
        ("marker=b/2", ["b/c/3", "d/", "é"]),
        ("end_marker=b/2", ["a", "b/1"]),
        ("limit=2", ["a", "b/1"]),
        ("limit=2&marker=b/1", ["b/2", "b/c/3"]),
        ("reverse=1&limit=2", ["é", "d/"]),
        ("prefix=%C3%A9", ["é"]),
        ("path=", ["a", "d/", "é"]),
        ("path=b", ["b/1", "b/2"]),
        ("path=b/", ["b/1", "b/2"]),
        ("path=b/c", ["b/c/3"]),
        ("path=d", []),
        ("path=b&limit=1", ["b/1"]),
        ("path=nothing", []),
    ],
)
def test_what_is_listed(full, query, expected):
    assert names(full("GET", "c", query=query)) == expected


def test_subdirs_in_json_and_xml(full):
    rows = full("GET", "c", query="delimiter=/&format=json").json()
    assert [row.get("subdir") for row in rows] == [None, "b/", "d/", None]
    root = ET.fromstring(full("GET", "c", query="delimiter=/&format=xml").body)
    assert [s.get("name") for s in root.findall("subdir")] == ["b/", "d/"]


def test_names_that_xml_cannot_carry_still_give_a_listing_that_parses(box):
    name = "a<b>&\"'\x01\ufffe\u2028c"
    box("PUT", "c", name, body=b"")
    root = ET.fromstring(box("GET", "c", query="format=xml").body)
    assert len(root) == 1
    assert box("GET", "c", query="format=json").json()[0]["name"] == name


def test_metadata_and_acls_are_merged_and_removed(box):
    box("POST", "c", headers={"X-Container-Meta-A": "1", "X-Container-Read": ".r:*, .rlistings,"})
    box("PUT", "c", headers={"X-Container-Meta-B": "2", "X-Container-Write": "bob , sue"})
    head = box("HEAD", "c")
    assert head.header("x-container-meta-a") == "1"
    assert head.header("x-container-meta-b") == "2"
    assert head.header("x-container-read") == ".r:*,.rlistings"
    assert head.header("x-container-write") == "bob,sue"
    box("POST", "c", headers={"X-Remove-Container-Meta-A": "x", "X-Remove-Container-Read": "x"})
    box("POST", "c", headers={"X-Container-Write": "", "X-Container-Meta-B": ""})
    head = box("HEAD", "c")
    for name in ("meta-a", "meta-b", "read", "write"):
        assert head.header(f"x-container-{name}") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Container-Read": ".r:"},
        {"X-Container-Read": ".r:-"},
        {"X-Container-Read": ".unknown:x"},
        {"X-Container-Write": ".r:*"},
        {"X-Container-Meta-Quota-Bytes": "many"},
        {"X-Container-Meta-Quota-Count": "-1"},
        {"X-Container-Meta-" + "a" * 129: "1"},
        {"X-Container-Meta-A": "1" * 257},
        {f"X-Container-Meta-{i}": "1" for i in range(91)},
    ],
)
def test_bad_headers_are_400_and_change_nothing(box, headers):
    assert box("PUT", "c2", headers=headers).status == 400
    assert box("HEAD", "c2").status == 404
    assert box("POST", "c", headers=headers).status == 400


@pytest.mark.parametrize(
    "header",
    [
        "X-Versions-Location",
        "X-History-Location",
        "X-Versions-Enabled",
        "X-Container-Sync-To",
        "X-Container-Sync-Key",
    ],
)
def test_features_that_are_not_built_are_501_not_ignored(box, header):
    assert box("PUT", "new", headers={header: "true"}).status == 501
    assert box("HEAD", "new").status == 404
    assert box("POST", "c", headers={header: "true"}).status == 501


def test_unknown_methods_are_405(box):
    answer = box("PATCH", "c")
    assert answer.status == 405
    assert answer.header("allow") == "GET, HEAD, PUT, POST, DELETE, OPTIONS"
    assert "COPY" in box("PATCH", "c", "o").header("allow")


def test_quotas(box):
    box(
        "POST",
        "c",
        headers={"X-Container-Meta-Quota-Bytes": "10", "X-Container-Meta-Quota-Count": "3"},
    )
    assert box("PUT", "c", "a", body=b"12345").status == 201
    answer = box("PUT", "c", "b", body=b"123456")
    assert (answer.status, answer.text) == (413, "Upload exceeds quota.")
    path = box.at("c", "b")
    chunked = box.request(
        "PUT", path, {"X-Auth-Token": box.token}, iter([b"123", b"456"]), encode_chunked=True
    )
    assert chunked.status == 413
    assert box("PUT", "c", "b", headers={"X-Copy-From": "c/a", "Content-Length": "0"}).status == 201
    assert box("PUT", "c", "c", headers={"X-Copy-From": "c/a", "Content-Length": "0"}).status == 413
    box("POST", "c", headers={"X-Container-Meta-Quota-Bytes": ""})
    assert box("PUT", "c", "c", body=b"123456").status == 201
    assert box("PUT", "c", "d", body=b"").status == 413


def test_account_quotas(box):
    assert box("POST", headers={"X-Account-Quota-Bytes": "x"}).status == 400
    assert box("POST", headers={"X-Account-Quota-Bytes-Policy-Tin": "1"}).status == 400
    box("POST", headers={"X-Account-Quota-Bytes": "4"})
    assert box("HEAD").header("x-account-quota-bytes") == "4"
    assert box("PUT", "c", "a", body=b"12345").status == 413
    box("POST", headers={"X-Remove-Account-Quota-Bytes": "x", "X-Account-Quota-Count": "1"})
    assert box("PUT", "c", "a", body=b"12345").status == 201
    assert box("PUT", "c", "b", body=b"12345").status == 413
    box("POST", headers={"X-Account-Quota-Count": "", "X-Account-Quota-Bytes-Policy-Gold": "9"})
    answer = box("PUT", "c", "b", body=b"12345")
    assert (answer.status, answer.text) == (413, "Upload exceeds policy quota.")
    box("PUT", "s", headers={"X-Storage-Policy": "silver"})
    assert box("PUT", "s", "b", body=b"12345").status == 201
    box(
        "POST", headers={"X-Account-Quota-Bytes-Policy-Gold": "", "X-Account-Meta-Quota-Bytes": "3"}
    )
    assert box("PUT", "s", "c", body=b"1").status == 413
