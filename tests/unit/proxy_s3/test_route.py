"""Names and operations of requests, and that the table, the handlers and the document agree."""

from __future__ import annotations

import re
from pathlib import Path

import botocore.session
import pytest

from proxy.s3 import route
from proxy.s3.errors import S3Error
from proxy.s3.front import HANDLERS
from proxy.s3.route import BUCKET, OBJECT, OPERATIONS, Target, operation_of, target_of

DOMAINS = ("localhost", "s3.localhost")
DOCUMENT = Path(__file__).parents[3] / "docs" / "conformance-s3.md"


@pytest.mark.parametrize(
    ("host", "path", "bucket", "key"),
    [
        ("localhost", "/", "", ""),
        ("localhost", "/b", "b", ""),
        ("localhost", "/b/", "b", ""),
        ("localhost", "/b/k", "b", "k"),
        ("localhost", "/b/a/b/c/", "b", "a/b/c/"),
        ("localhost", "/b//", "b", "/"),
        ("localhost", "/b/../x", "b", "../x"),
        ("localhost", "/b/%2e%2e/x", "b", "../x"),
        ("localhost", "/b/a%2Fb", "b", "a/b"),
        ("localhost", "/b/a+b%20c", "b", "a+b c"),
        ("localhost", "/b/%C3%BC", "b", "ü"),
        ("localhost", "/b/\\x", "b", "\\x"),
        ("127.0.0.1", "/b/k", "b", "k"),
        ("storage.example.org", "/b/k", "b", "k"),
        ("b.localhost", "/k", "b", "k"),
        ("b.localhost", "/", "b", ""),
        ("b.s3.localhost", "/k/l", "b", "k/l"),
        ("b.with.dots.s3.localhost", "/k", "b.with.dots", "k"),
        ("s3.localhost", "/b/k", "b", "k"),
    ],
)
def test_a_request_names_its_bucket_by_path_or_by_host(host, path, bucket, key):
    """Path style and virtual-host style; names are decoded once and never normalised."""
    assert target_of(path, host, DOMAINS) == Target(bucket, key)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/b/%", "InvalidURI"),
        ("/b/%zz", "InvalidURI"),
        ("/b/%ff", "InvalidURI"),
        ("/b/a%00b", "InvalidURI"),
        ("/%ff", "InvalidURI"),
        ("//k", "InvalidBucketName"),
        ("/b/" + "k" * 1025, "KeyTooLongError"),
        ("/b/" + "%C3%BC" * 513, "KeyTooLongError"),
    ],
)
def test_undecodable_and_oversized_names_are_refused(path, code):
    """Bad escapes, bytes that are not UTF-8, NUL, and more than 1024 bytes."""
    with pytest.raises(S3Error) as caught:
        target_of(path, "localhost", DOMAINS)
    assert caught.value.code == code


def test_a_key_may_have_1024_bytes():
    """The limit counts bytes of UTF-8."""
    assert len(target_of("/b/" + "%C3%BC" * 512, "localhost", DOMAINS).key) == 512


def select(method, level, query="", headers=()):
    pairs = route.query_pairs(query)
    return operation_of(method, level, route.parameters(pairs), dict.fromkeys(headers, b""))


@pytest.mark.parametrize(
    ("method", "level", "query", "headers", "name"),
    [
        ("GET", "service", "", (), "ListBuckets"),
        ("GET", BUCKET, "", (), "ListObjects"),
        ("GET", BUCKET, "prefix=a&delimiter=/", (), "ListObjects"),
        ("GET", BUCKET, "list-type=2&prefix=", (), "ListObjectsV2"),
        ("GET", BUCKET, "versions", (), "ListObjectVersions"),
        ("POST", BUCKET, "delete", (), "DeleteObjects"),
        ("GET", OBJECT, "", (), "GetObject"),
        ("GET", OBJECT, "x-id=GetObject&partNumber=1", (), "GetObject"),
        ("GET", OBJECT, "unknown=1", (), "GetObject"),
        ("PUT", OBJECT, "", (), "PutObject"),
        ("PUT", OBJECT, "", (b"x-amz-copy-source",), "CopyObject"),
        ("PUT", OBJECT, "partNumber=1&uploadId=x", (), "UploadPart"),
        ("PUT", OBJECT, "partNumber=1&uploadId=x", (b"x-amz-copy-source",), "UploadPartCopy"),
        ("POST", OBJECT, "uploads", (), "CreateMultipartUpload"),
        ("POST", OBJECT, "uploads=", (), "CreateMultipartUpload"),
        ("POST", OBJECT, "uploadId=x", (), "CompleteMultipartUpload"),
        ("DELETE", OBJECT, "uploadId=x", (), "AbortMultipartUpload"),
        ("GET", OBJECT, "uploadId=x", (), "ListParts"),
    ],
)
def test_method_level_and_query_select_the_operation(method, level, query, headers, name):
    """The table in action."""
    assert select(method, level, query, headers) == name


@pytest.mark.parametrize(
    ("method", "level", "query", "headers", "code"),
    [
        ("PUT", OBJECT, "retention", (), "NotImplemented"),
        ("PUT", OBJECT, "brandNewThing", (), "NotImplemented"),
        ("PUT", BUCKET, "brandNewThing", (), "NotImplemented"),
        ("GET", BUCKET, "brandNewThing=", (), "NotImplemented"),
        ("PUT", BUCKET, "versioning", (), "NotImplemented"),
        ("GET", OBJECT, "torrent", (), "NotImplemented"),
        ("PUT", OBJECT, "tagging", (b"x-amz-copy-source",), "NotImplemented"),
        ("PUT", OBJECT, "partNumber=1", (), "InvalidArgument"),
        ("GET", BUCKET, "list-type=3", (), "InvalidArgument"),
        ("GET", BUCKET, "acl&policy", (), "InvalidArgument"),
        ("PATCH", OBJECT, "", (), "MethodNotAllowed"),
        ("POST", OBJECT, "", (), "MethodNotAllowed"),
        ("PUT", "service", "", (), "MethodNotAllowed"),
        ("GET", OBJECT, "a=%ff", (), "InvalidURI"),
        ("GET", OBJECT, "a=%00", (), "InvalidURI"),
    ],
)
def test_what_is_not_built_is_refused_not_guessed(method, level, query, headers, code):
    """An unknown subresource is 501: its document must not become an object."""
    with pytest.raises(S3Error) as caught:
        select(method, level, query, headers)
    assert caught.value.code == code


def test_every_built_operation_has_a_handler_and_no_other_has():
    """The routing table and the front agree."""
    assert set(HANDLERS) == {name for name, operation in OPERATIONS.items() if operation.built}


def test_no_two_operations_are_selected_alike():
    """A selector means one operation."""
    keys = [(o.method, o.level, o.selector) for o in OPERATIONS.values()]
    assert len(keys) == len(set(keys))


def test_the_table_knows_the_operations_of_the_published_api():
    """Every operation of Amazon's own service model is in the table or known to be elsewhere."""
    model = botocore.session.get_session().get_service_model("s3")
    deprecated = {
        "GetBucketLifecycle",
        "PutBucketLifecycle",
        "GetBucketNotification",
        "PutBucketNotification",
    }
    elsewhere = {"ListDirectoryBuckets", "WriteGetObjectResponse"}  # other endpoints
    for name in set(model.operation_names) - set(OPERATIONS) - deprecated - elsewhere:
        http = model.operation_model(name).http
        level = OBJECT if "{Key" in http["requestUri"] else BUCKET
        query = http["requestUri"].partition("?")[2]
        with pytest.raises(S3Error) as caught:
            select(http["method"], level, query)
        assert caught.value.code == "NotImplemented"
    assert set(OPERATIONS) - set(model.operation_names) == {"PostObject"}


def test_the_document_lists_what_the_table_says():
    """docs/conformance-s3.md is one line for each operation, yes or no as in the table."""
    rows = re.findall(r"^\| `?(\w+)`? \| (yes|no \(501\)) \|", DOCUMENT.read_text(), re.MULTILINE)
    stated = dict(rows)
    assert len(stated) == len(rows)
    assert stated == {
        name: "yes" if operation.built else "no (501)" for name, operation in OPERATIONS.items()
    }
