"""Large objects and links of the other dialect, read and copied through S3."""

from __future__ import annotations

import hashlib

import pytest

from proxy import large
from proxy.large import Segment, encode_manifest, etag_of
from proxy.store.record import BodyDigest, Draft, ObjectName
from tests.unit.proxy_s3.test_object_api import refusal

PARTS = [b"0123456789", b"abcdefghij" * 10, b"tail"]
WHOLE = b"".join(PARTS)


def store(site, bucket, name, body, draft):
    async def pieces():
        for piece in (body,):
            yield piece

    def finish(digest: BodyDigest) -> Draft:
        del digest
        return draft

    where = ObjectName("AUTH_admin", bucket, name)
    return site.run(site.store.put_object(where, pieces(), finish))


@pytest.fixture
def static(site, s3, bucket):
    """A static large object of three segments, as the other dialect stores it."""
    segments = []
    for number, part in enumerate(PARTS):
        etag = s3.put_object(Bucket=bucket, Key=f"seg/{number}", Body=part)["ETag"].strip('"')
        segments.append(Segment(f"/{bucket}/seg/{number}", len(part), etag))
    manifest = encode_manifest(segments)
    own = hashlib.md5(manifest).hexdigest()
    draft = Draft(
        "text/whole",
        {large.SLO: "true", "meta:a": "b"},
        etag=f"{etag_of([segment.digest for segment in segments])}-{own}",
        size=len(WHOLE),
    )
    store(site, bucket, "slo", manifest, draft)
    return "slo"


def test_a_static_large_object_reads_as_its_segments(s3, bucket, static):
    """Whole, ranges across segments, HEAD, and the same entity tag as in the listing."""
    got = s3.get_object(Bucket=bucket, Key=static)
    assert got["Body"].read() == WHOLE
    assert (got["ContentType"], got["Metadata"]) == ("text/whole", {"a": "b"})
    for header, want in (
        ("bytes=5-14", WHOLE[5:15]),
        ("bytes=-6", WHOLE[-6:]),
        ("bytes=9-10", WHOLE[9:11]),
    ):
        part = s3.get_object(Bucket=bucket, Key=static, Range=header)
        assert part["Body"].read() == want
    head = s3.head_object(Bucket=bucket, Key=static)
    rows = {row["Key"]: row for row in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert head["ContentLength"] == rows["slo"]["Size"] == len(WHOLE)
    assert head["ETag"] == rows["slo"]["ETag"]


def test_copying_a_large_object_makes_a_plain_one(s3, bucket, static):
    """With the bytes and the metadata, and the plain entity tag; parts too."""
    source = {"Bucket": bucket, "Key": static}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": f"seg/{number}"} for number in range(3)]}
    )
    got = s3.get_object(Bucket=bucket, Key="copy")
    assert got["Body"].read() == WHOLE
    assert got["ETag"] == f'"{hashlib.md5(WHOLE).hexdigest()}"'
    assert got["Metadata"] == {"a": "b"}


def test_a_part_can_be_copied_from_a_large_object(s3, bucket, static):
    """A range across segments."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="mp")["UploadId"]
    part = s3.upload_part_copy(
        Bucket=bucket,
        Key="mp",
        UploadId=upload,
        PartNumber=1,
        CopySource={"Bucket": bucket, "Key": static},
        CopySourceRange="bytes=8-12",
    )["CopyPartResult"]
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="mp",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert s3.get_object(Bucket=bucket, Key="mp")["Body"].read() == WHOLE[8:13]


def test_a_large_object_with_a_missing_segment_is_an_error_not_a_short_body(s3, bucket, static):
    """409 before the first byte."""
    s3.delete_object(Bucket=bucket, Key="seg/0")
    assert refusal(s3.get_object, Bucket=bucket, Key=static)[1] == 409


def test_a_dynamic_large_object_reads_as_what_is_listed(site, s3, bucket):
    """Whatever is under the prefix now."""
    for number, part in enumerate(PARTS):
        s3.put_object(Bucket=bucket, Key=f"dyn/{number}", Body=part)
    store(site, bucket, "dlo", b"", Draft("text/x", {large.DLO: f"{bucket}/dyn/"}))
    assert s3.get_object(Bucket=bucket, Key="dlo")["Body"].read() == WHOLE
    assert s3.head_object(Bucket=bucket, Key="dlo")["ContentLength"] == len(WHOLE)


def test_a_link_reads_as_its_target(site, s3, bucket):
    """Bytes, type and metadata; a broken one is an error."""
    s3.put_object(Bucket=bucket, Key="t", Body=b"target", ContentType="a/b", Metadata={"m": "1"})
    store(site, bucket, "link", b"", Draft("application/symlink", {large.LINK: f"{bucket}/t"}))
    got = s3.get_object(Bucket=bucket, Key="link")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (
        b"target",
        "a/b",
        {"m": "1"},
    )
    store(site, bucket, "lost", b"", Draft("application/symlink", {large.LINK: f"{bucket}/none"}))
    assert refusal(s3.get_object, Bucket=bucket, Key="lost") == ("NoSuchKey", 404)
