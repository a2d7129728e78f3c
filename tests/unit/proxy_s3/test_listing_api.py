"""Listings against a plain model: every page of every combination."""

from __future__ import annotations

import itertools

import pytest

from tests.unit.proxy_s3.test_object_api import refusal

KEYS = [
    "a", "a/1", "a/2", "a/b/3", "asdf+b", "b", "foo+1/bar", "foo/bar/xyzzy", "quux ab/thud", "z/", "z/1",
    "ü/1", "😀",
]  # fmt: skip


@pytest.fixture(scope="module")
def full(s3):
    s3.create_bucket(Bucket="listing")
    for key in KEYS:
        s3.put_object(Bucket="listing", Key=key, Body=key.encode())
    return "listing"


def model(prefix="", delimiter=""):
    rows = []
    for key in sorted(KEYS, key=str.encode):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        row = key if cut < 0 else ("prefix", key[: cut + len(delimiter)])
        if row not in rows:
            rows.append(row)
    keys = [row for row in rows if isinstance(row, str)]
    return keys, [row[1] for row in rows if not isinstance(row, str)]


CASES = list(
    itertools.product(["", "a", "a/", "foo", "none"], ["", "/", "b", "/b", "o/"], [1, 2, 5, 1000])
)


@pytest.mark.parametrize(("prefix", "delimiter", "limit"), CASES)
def test_version_two_pages_are_complete(s3, full, prefix, delimiter, limit):
    """Following the tokens gives each key and each common prefix once, in order."""
    keys, prefixes, token = [], [], {}
    while True:
        page = s3.list_objects_v2(
            Bucket=full, Prefix=prefix, Delimiter=delimiter, MaxKeys=limit, **token
        )
        rows = page.get("Contents", []), page.get("CommonPrefixes", [])
        assert page["KeyCount"] == len(rows[0]) + len(rows[1]) <= limit
        keys += [row["Key"] for row in rows[0]]
        prefixes += [row["Prefix"] for row in rows[1]]
        if not page["IsTruncated"]:
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    assert (keys, prefixes) == model(prefix, delimiter)


@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_version_one_pages_are_complete(s3, full, limit, delimiter):
    """NextMarker comes with a delimiter only; else the last key is the marker."""
    keys, prefixes, marker = [], [], ""
    while True:
        page = s3.list_objects(Bucket=full, Delimiter=delimiter, MaxKeys=limit, Marker=marker)
        keys += [row["Key"] for row in page.get("Contents", [])]
        prefixes += [row["Prefix"] for row in page.get("CommonPrefixes", [])]
        assert ("NextMarker" in page) == bool(page["IsTruncated"] and delimiter)
        if not page["IsTruncated"]:
            break
        marker = page.get("NextMarker") or page["Contents"][-1]["Key"]
    assert (keys, prefixes) == model("", delimiter)


def test_versions_list_every_object_as_null(s3, full):
    """Clients that empty buckets list versions."""
    keys, markers = [], {}
    while True:
        page = s3.list_object_versions(Bucket=full, MaxKeys=4, **markers)
        keys += [(row["Key"], row["VersionId"], row["IsLatest"]) for row in page["Versions"]]
        if not page["IsTruncated"]:
            break
        markers = {
            "KeyMarker": page["NextKeyMarker"],
            "VersionIdMarker": page["NextVersionIdMarker"],
        }
    assert keys == [(key, "null", True) for key in model()[0]]


def test_rows_show_what_head_shows(s3, full):
    """Entity tag, size and time; the owner in version one and on request."""
    page = s3.list_objects_v2(Bucket=full, FetchOwner=True)
    for row in page["Contents"]:
        head = s3.head_object(Bucket=full, Key=row["Key"])
        assert (row["ETag"], row["Size"], row["LastModified"]) == (
            head["ETag"],
            head["ContentLength"],
            head["LastModified"],
        )
        assert row["StorageClass"] == "STANDARD"
        assert len(row["Owner"]["ID"]) == 64
    assert "Owner" not in s3.list_objects_v2(Bucket=full)["Contents"][0]
    assert "Owner" in s3.list_objects(Bucket=full)["Contents"][0]


def test_names_are_url_encoded_on_request(site, full):
    """encoding-type=url covers every name in the document."""
    query = [("list-type", "2"), ("delimiter", "/"), ("encoding-type", "url")]
    page = site.call("GET", f"/{full}", query).xml("ListBucketResult")
    prefixes = [row.value("Prefix") for row in page.all("CommonPrefixes")]
    assert prefixes == ["a/", "foo%2B1/", "foo/", "quux%20ab/", "z/", "%C3%BC/"]
    assert page.value("EncodingType") == "url"
    assert "asdf%2Bb" in [row.value("Key") for row in page.all("Contents")]
    query = [("list-type", "2"), ("start-after", "a b"), ("encoding-type", "url"), ("prefix", "ü")]
    page = site.call("GET", f"/{full}", query).xml("ListBucketResult")
    assert (page.value("StartAfter"), page.value("Prefix")) == ("a%20b", "%C3%BC")


def test_zero_keys_may_be_asked_for(s3, full):
    """An empty page that is not truncated, of a bucket that exists."""
    page = s3.list_objects_v2(Bucket=full, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)
    assert refusal(s3.list_objects_v2, Bucket="missing-bucket", MaxKeys=0)[1] == 404


def test_more_than_a_thousand_keys_are_never_given(s3, full):
    """MaxKeys shows what was used."""
    assert s3.list_objects_v2(Bucket=full, MaxKeys=5000)["MaxKeys"] == 1000


def test_start_after_is_exclusive(s3, full):
    """And need not exist."""
    page = s3.list_objects_v2(Bucket=full, StartAfter="b")
    assert page["Contents"][0]["Key"] == "foo+1/bar"
    page = s3.list_objects_v2(Bucket=full, StartAfter="bb")
    assert page["Contents"][0]["Key"] == "foo+1/bar"
    assert page["StartAfter"] == "bb"


@pytest.mark.parametrize(
    "query",
    [
        [("max-keys", "-1")],
        [("max-keys", "x")],
        [("max-keys", "99999999999")],
        [("encoding-type", "base64")],
        [("list-type", "2"), ("continuation-token", "!")],
        [("list-type", "2"), ("continuation-token", "AAAA")],
        [("versions", ""), ("version-id-marker", "null")],
    ],
)
def test_malformed_parameters_are_invalid_arguments(site, full, query):
    """400, by name."""
    answer = site.call("GET", f"/{full}", query)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
