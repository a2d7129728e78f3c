"""CopyObject and the sources of copies."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.errors import PreconditionFailed
from proxy.s3.copy import copy_source
from proxy.s3.errors import S3Error
from tests.unit.proxy_s3.site import Site
from tests.unit.proxy_s3.test_object_api import refusal


@pytest.fixture
def source(s3, bucket):
    s3.put_object(
        Bucket=bucket,
        Key="src",
        Body=b"body",
        Metadata={"a": "1"},
        ContentType="text/x",
        CacheControl="no-store",
        Tagging="t=1",
    )
    return {"Bucket": bucket, "Key": "src"}


def test_a_copy_keeps_everything_by_default(s3, bucket, source):
    """Bytes, metadata, type, tags, checksum; to another bucket too."""
    s3.create_bucket(Bucket=f"{bucket}-two")
    answer = s3.copy_object(Bucket=f"{bucket}-two", Key="dst", CopySource=source)
    assert answer["CopyObjectResult"]["ETag"] == '"841a2d689ad86bd1611447453c22c6fc"'
    got = s3.get_object(Bucket=f"{bucket}-two", Key="dst", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"body"
    assert (got["Metadata"], got["ContentType"]) == ({"a": "1"}, "text/x")
    assert (got["CacheControl"], got["TagCount"]) == ("no-store", 1)
    assert got["ChecksumCRC32"]
    assert answer["CopyObjectResult"]["LastModified"] == got["LastModified"]


def test_a_copy_may_replace_metadata(s3, bucket, source):
    """All of it: nothing of the source's is kept but the tags."""
    s3.copy_object(
        Bucket=bucket,
        Key="dst",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
    )
    got = s3.head_object(Bucket=bucket, Key="dst")
    assert (got["Metadata"], got["ContentType"]) == ({"b": "2"}, "binary/octet-stream")
    assert "CacheControl" not in got
    assert len(s3.get_object_tagging(Bucket=bucket, Key="dst")["TagSet"]) == 1


def test_metadata_is_ignored_unless_replaced(s3, bucket, source):
    """As documented for MetadataDirective=COPY."""
    s3.copy_object(Bucket=bucket, Key="dst", CopySource=source, Metadata={"b": "2"})
    assert s3.head_object(Bucket=bucket, Key="dst")["Metadata"] == {"a": "1"}


def test_a_copy_may_replace_tags(s3, bucket, source):
    """TaggingDirective is apart from MetadataDirective."""
    s3.copy_object(
        Bucket=bucket, Key="dst", CopySource=source, TaggingDirective="REPLACE", Tagging="u=2"
    )
    tags = s3.get_object_tagging(Bucket=bucket, Key="dst")["TagSet"]
    assert tags == [{"Key": "u", "Value": "2"}]
    assert s3.head_object(Bucket=bucket, Key="dst")["Metadata"] == {"a": "1"}


def test_an_object_is_copied_onto_itself_only_to_change_it(s3, bucket, source):
    """InvalidRequest otherwise; REPLACE changes metadata in place."""
    assert refusal(s3.copy_object, Bucket=bucket, Key="src", CopySource=source) == (
        "InvalidRequest",
        400,
    )
    s3.copy_object(
        Bucket=bucket,
        Key="src",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"c": "3"},
    )
    got = s3.get_object(Bucket=bucket, Key="src")
    assert (got["Metadata"], got["Body"].read()) == ({"c": "3"}, b"body")


def test_copies_are_conditional_on_both_ends(s3, bucket, source):
    """x-amz-copy-source-if-* for the source (always 412), If-* for what is replaced."""
    head = s3.head_object(**source)
    etag, when = head["ETag"], head["LastModified"]
    target = {"Bucket": bucket, "Key": "dst", "CopySource": source}
    for wrong in (
        {"CopySourceIfMatch": '"x"'},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfModifiedSince": when + timedelta(seconds=1)},
        {"CopySourceIfUnmodifiedSince": when - timedelta(seconds=1)},
    ):
        assert refusal(s3.copy_object, **target, **wrong) == ("PreconditionFailed", 412)
    assert refusal(s3.copy_object, **target, IfMatch="*") == ("NoSuchKey", 404)
    s3.copy_object(**target, CopySourceIfMatch=etag, IfNoneMatch="*")
    assert refusal(s3.copy_object, **target, IfNoneMatch="*") == ("PreconditionFailed", 412)
    s3.copy_object(**target, IfMatch=etag)


def test_a_copy_can_be_given_a_checksum(s3, bucket, source):
    """Computed from the bytes when the source has another or none."""
    answer = s3.copy_object(Bucket=bucket, Key="dst", CopySource=source, ChecksumAlgorithm="SHA256")
    value = answer["CopyObjectResult"]["ChecksumSHA256"]
    got = s3.head_object(Bucket=bucket, Key="dst", ChecksumMode="ENABLED")
    assert got["ChecksumSHA256"] == value
    assert "ChecksumCRC32" not in got


def test_missing_sources_are_named(s3, bucket, source):
    """NoSuchKey and NoSuchBucket."""
    missing = {"Bucket": bucket, "Key": "none"}
    assert refusal(s3.copy_object, Bucket=bucket, Key="d", CopySource=missing) == ("NoSuchKey", 404)
    nowhere = {"Bucket": "missing-bucket", "Key": "none"}
    assert refusal(s3.copy_object, Bucket=bucket, Key="d", CopySource=nowhere)[0] == "NoSuchBucket"
    assert refusal(s3.copy_object, Bucket="missing-bucket", Key="d", CopySource=source)[1] == 404


@pytest.mark.parametrize(
    ("header", "want"),
    [
        ("b/k", ("b", "k")),
        ("/b/k", ("b", "k")),
        ("b/a%20b%2Fc", ("b", "a b/c")),
        ("b%2Fk", ("b", "k")),
        ("b/k?versionId=null", ("b", "k")),
        ("b/a+b", ("b", "a+b")),
        ("b/../../etc/passwd", ("b", "../../etc/passwd")),
        ("b/%2e%2e/x", ("b", "../x")),
        ("b//k", ("b", "/k")),
    ],
)
def test_copy_sources_are_parsed_as_documented(header, want):
    """A leading slash and percent-encoding are optional; keys stay opaque."""
    assert copy_source(header) == want


@pytest.mark.parametrize(
    "header",
    ["", "/", "b", "b/", "/b/", "//k", "b/%ff", "b/a%00b", "b/k?versionId=v1", "b/" + "k" * 1025],
)
def test_malformed_copy_sources_are_400(header):
    """CVE-2022-3854: an empty source is an error, not a crash."""
    with pytest.raises(S3Error) as caught:
        copy_source(header)
    assert caught.value.status == 400


def test_an_empty_copy_source_header_is_400(site, bucket):
    """The same over the wire."""
    for value in ("", "/", "x"):
        answer = site.call("PUT", f"/{bucket}/d", headers={"x-amz-copy-source": value})
        assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("directive", ["x-amz-metadata-directive", "x-amz-tagging-directive"])
def test_unknown_directives_are_refused(site, bucket, source, directive):
    """InvalidArgument."""
    headers = {"x-amz-copy-source": f"{bucket}/src", directive: "MERGE"}
    assert site.call("PUT", f"/{bucket}/d", headers=headers).code == "InvalidArgument"


class Restless:
    """The model store, whose copies fail a number of times because the source changed meanwhile."""

    def __init__(self, store):
        self.store = store
        self.times = 0

    def __getattr__(self, name):
        verb = getattr(self.store, name)
        if name not in {"copy_object", "compose_object"}:
            return verb

        async def call(*args, **options):
            if self.times:
                self.times -= 1
                raise PreconditionFailed("SourceChanged", "the source changed while it was copied")
            return await verb(*args, **options)

        return call


def test_a_source_that_changes_meanwhile_is_copied_as_it_is_then(site, bucket, source, s3):
    """The copy is tried again with the new source; one that never rests is 409, not 412."""
    running = Site(Restless(site.store))
    try:
        upload_id = s3.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
        part = [("partNumber", "1"), ("uploadId", upload_id)]
        for path, query in ((f"/{bucket}/dst", []), (f"/{bucket}/m", part)):
            for times, status in ((2, 200), (99, 409)):
                running.store.times = times
                headers = {"x-amz-copy-source": f"{bucket}/src"}
                assert running.call("PUT", path, query, headers).status == status
    finally:
        running.stop()
