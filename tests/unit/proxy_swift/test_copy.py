"""Copies of plain objects: both spellings, metadata, conditions, names."""

from __future__ import annotations

import hashlib

import pytest


@pytest.fixture
def box(swift):
    swift("PUT", "c")
    swift("PUT", "d")
    swift(
        "PUT",
        "c",
        "ü 1",
        body=b"hello",
        headers={"Content-Type": "t/x", "X-Object-Meta-A": "1", "Content-Encoding": "gzip"},
    )
    return swift


COPY_FROM = {"X-Copy-From": "c/%C3%BC%201", "Content-Length": "0"}


@pytest.mark.parametrize("spelling", ["COPY", "PUT", "COPY /", "PUT raw"])
def test_a_copy_has_bytes_and_metadata(box, spelling):
    if spelling.startswith("COPY"):
        slash = "/" if spelling.endswith("/") else ""
        answer = box("COPY", "c", "ü 1", headers={"Destination": f"{slash}d/o"})
    else:
        source = "c/ü 1" if spelling.endswith("raw") else COPY_FROM["X-Copy-From"]
        answer = box("PUT", "d", "o", headers={**COPY_FROM, "X-Copy-From": source})
    assert answer.status == 201
    assert answer.header("etag") == hashlib.md5(b"hello").hexdigest()
    assert answer.header("x-copied-from") == "c/%C3%BC%201"
    assert answer.header("x-copied-from-account") == box.account
    assert answer.header("x-copied-from-last-modified").endswith("GMT")
    assert answer.header("x-object-meta-a") == "1"
    copied = box("GET", "d", "o")
    assert copied.body == b"hello"
    assert copied.header("content-type") == "t/x"
    assert copied.header("x-object-meta-a") == "1"
    assert copied.header("content-encoding") == "gzip"


def test_metadata_of_the_request_wins(box):
    headers = {
        "Destination": "d/o",
        "X-Object-Meta-A": "2",
        "X-Object-Meta-B": "3",
        "Content-Type": "n/t",
    }
    box("COPY", "c", "ü 1", headers=headers)
    head = box("HEAD", "d", "o")
    assert head.header("x-object-meta-a") == "2"
    assert head.header("x-object-meta-b") == "3"
    assert head.header("content-type") == "n/t"


def test_fresh_metadata_forgets_the_sources(box):
    headers = {"Destination": "d/o", "X-Fresh-Metadata": "true", "X-Object-Meta-B": "3"}
    box("COPY", "c", "ü 1", headers=headers)
    head = box("HEAD", "d", "o")
    assert head.header("x-object-meta-a") is None
    assert head.header("x-object-meta-b") == "3"
    assert head.header("content-type") == "t/x"


def test_a_copy_onto_itself_changes_metadata(box):
    box("COPY", "c", "ü 1", headers={"Destination": "c/%C3%BC%201", "X-Object-Meta-A": "9"})
    answer = box("GET", "c", "ü 1")
    assert (answer.body, answer.header("x-object-meta-a")) == (b"hello", "9")


def test_across_accounts(box):
    there = box.account + "x"
    headers = {"Destination": "d/o", "Destination-Account": there}
    assert box("COPY", "c", "ü 1", headers=headers).status == 404
    token = {"X-Auth-Token": box.token}
    box.request("PUT", f"/v1/{there}/d", token)
    assert box("COPY", "c", "ü 1", headers=headers).status == 201
    assert box.request("GET", f"/v1/{there}/d/o", token).body == b"hello"
    back = {"X-Copy-From": "d/o", "X-Copy-From-Account": there, "Content-Length": "0"}
    assert box("PUT", "c", "back", headers=back).status == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 412),
        ({"Destination": "d"}, 412),
        ({"Destination": "d/"}, 412),
        ({"Destination": "//d/o"}, 412),
        ({"Destination": "%ff/o"}, 412),
        ({"Destination": "d/%00"}, 412),
        ({"Destination": "nope/o"}, 404),
        ({"Destination": "d/" + "o" * 1025}, 400),
        ({"Destination": "d/o", "Destination-Account": ""}, 412),
        ({"Destination": "d/o", "Destination-Account": "a/b"}, 412),
        ({"Destination": "d/o", "If-None-Match": "5d41402abc4b2a76b9719d911017c592"}, 304),
        ({"Destination": "d/o", "If-Match": "nope"}, 412),
        ({"Destination": "d/o", "Range": "bytes=9-"}, 416),
        ({"Destination": "d/o", "X-Object-Meta-A": "v" * 257}, 400),
    ],
)
def test_bad_copies(box, headers, status):
    assert box("COPY", "c", "ü 1", headers=headers).status == status
    assert box("GET", "d", "o").status == 404


def test_missing_sources_and_bodies(box):
    assert box("COPY", "c", "nope", headers={"Destination": "d/o"}).status == 404
    assert box("COPY", "nope", "o", headers={"Destination": "d/o"}).status == 404
    source = {"X-Copy-From": COPY_FROM["X-Copy-From"]}
    assert box("PUT", "d", "o", headers=source, body=b"x").status == 400
    assert box("PUT", "d", "o", headers={**COPY_FROM, "X-Copy-From": "x"}).status == 412
    assert box("PUT", "d", "o", headers={**COPY_FROM, "If-None-Match": "*"}).status == 201
    assert box("PUT", "d", "o", headers={**COPY_FROM, "If-None-Match": "*"}).status == 412
