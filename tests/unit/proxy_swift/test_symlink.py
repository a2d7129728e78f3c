"""Symbolic links: followed, shown, pinned, refused."""

from __future__ import annotations

import hashlib

import pytest

EMPTY = hashlib.md5(b"").hexdigest()


@pytest.fixture
def box(swift):
    swift("PUT", "c")
    swift(
        "PUT", "c", "target", body=b"hello", headers={"Content-Type": "t/x", "X-Object-Meta-A": "1"}
    )
    return swift


def link(box, name, target, **headers):
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return box("PUT", "c", name, body=b"", headers={"X-Symlink-Target": target, **named})


def test_a_link_reads_as_its_target(box):
    assert link(box, "l", "c/target").status == 201
    for method in ("GET", "HEAD"):
        answer = box(method, "c", "l")
        assert answer.status == 200
        assert answer.header("content-type") == "t/x"
        assert answer.header("x-object-meta-a") == "1"
        assert answer.header("content-location") == box.at("c", "target")
    assert box("GET", "c", "l").body == b"hello"
    assert box("GET", "c", "l", headers={"Range": "bytes=1-2"}).body == b"el"
    shown = box("GET", "c", "l", query="symlink=get")
    assert (shown.body, shown.header("x-symlink-target")) == (b"", "c/target")
    assert shown.header("content-type") == "application/symlink"
    assert shown.header("etag") == EMPTY


def test_links_in_listings(box):
    link(box, "l", "c/target")
    link(box, "s", "c/target", X_Symlink_Target_Etag=hashlib.md5(b"hello").hexdigest())
    rows = {row["name"]: row for row in box("GET", "c", query="format=json").json()}
    assert rows["l"]["symlink_path"] == box.at("c", "target")
    assert (rows["l"]["bytes"], rows["l"]["hash"]) == (0, EMPTY)
    assert rows["s"]["symlink_etag"] == hashlib.md5(b"hello").hexdigest()
    assert rows["s"]["symlink_bytes"] == 5
    assert rows["s"]["content_type"] == "t/x"
    assert "symlink_path" not in rows["target"]


def test_chains_end(box):
    link(box, "l1", "c/target")
    link(box, "l2", "c/l1")
    link(box, "l3", "c/l2")
    assert box("GET", "c", "l2").body == b"hello"
    assert box("GET", "c", "l3").status == 409
    link(box, "x", "c/y")
    link(box, "y", "c/x")
    assert box("GET", "c", "x").status == 409
    link(box, "broken", "c/none")
    answer = box("GET", "c", "broken")
    assert (answer.status, answer.header("content-location")) == (404, box.at("c", "none"))


def test_static_links_are_pinned(box):
    etag = hashlib.md5(b"hello").hexdigest()
    assert link(box, "s", "c/target", X_Symlink_Target_Etag="bad").status == 409
    assert link(box, "s", "c/none", X_Symlink_Target_Etag=etag).status == 409
    assert link(box, "s", "c/target", X_Symlink_Target_Etag=f'"{etag}"').status == 201
    assert box("GET", "c", "s").body == b"hello"
    box("PUT", "c", "target", body=b"other")
    assert box("GET", "c", "s").status == 409


@pytest.mark.parametrize(
    ("target", "status"),
    [("c", 412), ("/c/o", 412), ("c/", 412), ("%ff/o", 412), ("c/l", 400), ("c/a%2Fb", 201)],
)
def test_what_a_link_may_name(box, target, status):
    assert link(box, "l", target).status == status


def test_links_have_no_body_and_posts_go_elsewhere(box):
    assert box("PUT", "c", "l", body=b"x", headers={"X-Symlink-Target": "c/target"}).status == 400
    link(box, "l", "c/target")
    answer = box("POST", "c", "l", headers={"X-Object-Meta-B": "2"})
    assert (answer.status, answer.header("location")) == (307, box.at("c", "target"))
    assert box("HEAD", "c", "l", query="symlink=get").header("x-object-meta-b") == "2"
    assert box("POST", "c", "target", headers={"X-Symlink-Target": "c/x"}).status == 400


def test_copies_of_links(box):
    link(box, "l", "c/target")
    box("COPY", "c", "l", headers={"Destination": "c/plain"})
    assert box("HEAD", "c", "plain").header("content-location") is None
    assert box("GET", "c", "plain").body == b"hello"
    box("COPY", "c", "l", query="symlink=get", headers={"Destination": "c/l2"})
    assert box("GET", "c", "l2", query="symlink=get").header("x-symlink-target") == "c/target"


def test_deleting_a_link_keeps_the_target(box):
    link(box, "l", "c/target")
    assert box("DELETE", "c", "l").status == 204
    assert box("GET", "c", "target").body == b"hello"
