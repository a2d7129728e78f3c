"""Accounts over HTTP: listings in every form, totals, metadata and its limits."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest


@pytest.fixture
def three(swift):
    for name in ("alpha", "beta", "b/eta"[:1] + "ravo"):
        assert swift("PUT", name).status == 201
    swift("PUT", "alpha", "o", body=b"12345")
    return swift


def test_an_account_exists_once_someone_may_enter_it(swift):
    answer = swift("GET")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("x-account-container-count") == "0"
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    assert float(answer.header("x-timestamp")) >= 0
    assert swift("GET", query="format=json").body == b"[]"


def test_listings_in_every_form(three):
    assert three("GET").text == "alpha\nbeta\nbravo\n"
    rows = three("GET", query="format=json").json()
    assert [row["name"] for row in rows] == ["alpha", "beta", "bravo"]
    assert (rows[0]["count"], rows[0]["bytes"]) == (1, 5)
    assert rows[0]["storage_policy"] == "gold"
    assert rows[0]["last_modified"][10] == "T"
    root = ET.fromstring(three("GET", query="format=xml").body)
    assert (root.tag, root.get("name")) == ("account", three.account)
    assert [c.findtext("name") for c in root] == ["alpha", "beta", "bravo"]
    assert root[0].findtext("bytes") == "5"


@pytest.mark.parametrize(
    ("accept", "query", "expected"),
    [
        (None, "", "text/plain"),
        ("*/*", "", "text/plain"),
        ("application/json", "", "application/json"),
        ("text/xml", "", "text/xml"),
        ("application/xml;q=0.5, application/json;q=0.9", "", "application/json"),
        ("text/*", "", "text/plain"),
        ("image/png, */*;q=0.1", "", "text/plain"),
        ("image/png", "format=json", "application/json"),
        ("application/json", "format=xml", "application/xml"),
        ("application/json", "format=odd", "text/plain"),
    ],
)
def test_the_form_follows_format_and_accept(three, accept, query, expected):
    headers = {"Accept": accept} if accept else {}
    answer = three("GET", query=query, headers=headers)
    assert answer.status == 200
    assert answer.header("content-type") == f"{expected}; charset=utf-8"


def test_an_accept_that_cannot_be_pleased_is_406_and_nonsense_400(three):
    assert three("GET", headers={"Accept": "image/png"}).status == 406
    assert three("GET", headers={"Accept": "nonsense"}).status == 400
    assert three("GET", headers={"Accept": "a/b;q=x"}).status == 400


def test_pages(three):
    assert three("GET", query="limit=1").text == "alpha\n"
    assert three("GET", query="marker=alpha").text == "beta\nbravo\n"
    assert three("GET", query="marker=alpha&end_marker=bravo").text == "beta\n"
    assert three("GET", query="prefix=b").text == "beta\nbravo\n"
    assert three("GET", query="prefix=b&delimiter=e").text == "be\nbravo\n"
    assert three("GET", query="reverse=true").text == "bravo\nbeta\nalpha\n"
    assert three("GET", query="reverse=on&marker=beta").text == "alpha\n"
    assert three("GET", query="limit=0").status == 204
    assert three("GET", query="limit=10001").status == 412
    assert three("GET", query="limit=x").text == "alpha\nbeta\nbravo\n"
    assert three("GET", query="marker=%ff").status == 400
    rows = three("GET", query="prefix=b&delimiter=e&format=json").json()
    assert rows[0] == {"subdir": "be"}


def test_totals_and_policies(three):
    three("PUT", "cold", headers={"X-Storage-Policy": "silver"})
    three("PUT", "cold", "o", body=b"123")
    head = three("HEAD")
    assert (head.status, head.body) == (204, b"")
    assert head.header("x-account-container-count") == "4"
    assert head.header("x-account-object-count") == "2"
    assert head.header("x-account-bytes-used") == "8"
    assert head.header("x-account-storage-policy-gold-container-count") == "3"
    assert head.header("x-account-storage-policy-gold-bytes-used") == "5"
    assert head.header("x-account-storage-policy-silver-object-count") == "1"


def test_metadata_is_merged_and_removed(swift):
    assert swift("POST", headers={"X-Account-Meta-A": "1", "X-Account-Meta-B": "ü"}).status == 204
    swift("POST", headers={"X-Account-Meta-C": "3", "X-Remove-Account-Meta-A": "x"})
    swift("POST", headers={"X-Account-Meta-C": ""})
    head = swift("HEAD")
    assert head.header("x-account-meta-a") is None
    assert head.header("x-account-meta-b") == "ü"
    assert head.header("x-account-meta-c") is None


def test_metadata_limits_hold_for_the_sum_of_all_posts(swift):
    for start in (0, 45):
        headers = {f"X-Account-Meta-{i}": "v" for i in range(start, start + 45)}
        assert swift("POST", headers=headers).status == 204
    assert swift("POST", headers={"X-Account-Meta-More": "v"}).status == 400
    assert swift("POST", headers={"X-Account-Meta-7": "w"}).status == 204
    assert swift("POST", headers={"X-Account-Meta-": "w"}).status == 400


def test_accounts_are_made_and_deleted_by_operators_only(swift):
    for method in ("PUT", "DELETE"):
        answer = swift(method)
        assert answer.status == 405
        assert "GET" in answer.header("allow")
    assert swift("PATCH").status == 405


def test_info_and_healthcheck_need_no_token(swift):
    answer = swift.request("GET", "/info")
    info = json.loads(answer.body)
    assert answer.status == 200
    assert info["swift"]["policies"][0] == {
        "name": "gold",
        "aliases": "gold, default",
        "default": True,
    }
    for feature in ("slo", "dlo", "bulk_delete", "bulk_upload", "tempurl", "symlink"):
        assert feature in info
    assert swift.request("HEAD", "/info").status == 200
    assert swift.request("PUT", "/info").status == 405
    assert swift.request("OPTIONS", "/info").header("allow") == "HEAD, GET, OPTIONS"
    answer = swift.request("GET", "/healthcheck")
    assert (answer.status, answer.body) == (200, b"OK")


def test_odd_paths(swift):
    token = {"X-Auth-Token": swift.token}
    assert swift.request("GET", "/v1", token).status == 412
    assert swift.request("GET", "/v1/", token).status == 412
    assert swift.request("GET", "/v1//c", token).status == 404
    assert swift.request("GET", "/v1/AUTH_x//o", token).status == 404
    assert swift.request("GET", "/elsewhere", token).status == 404
    assert swift.request("GET", swift.at() + "/", token).status == 204
    assert swift.request("GET", swift.at().replace("/v1/", "/v1.0/"), token).status == 204
