"""Checksums and payload modes end to end."""

from __future__ import annotations

import base64
import zlib

import pytest

from proxy.s3 import checksum
from proxy.s3.checksum import ALGORITHMS
from tests.unit.proxy_s3.signer import MODES, SIGNED_TRAILER, UNSIGNED_TRAILER
from tests.unit.proxy_s3.test_multipart_api import BIG, Upload
from tests.unit.proxy_s3.test_object_api import refusal


def digest(name: str, data: bytes) -> str:
    hasher = ALGORITHMS[name].new()
    hasher.update(data)
    return checksum.encode(hasher.digest())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [0, 1, 70_000, 300_000])
def test_every_payload_mode_delivers_the_same_bytes(site, bucket, mode, size):
    """Also when the chunks of the body are cut anywhere by the network."""
    body = bytes(n % 251 for n in range(size))
    assert site.call("PUT", f"/{bucket}/k", body=body, mode=mode).status == 200
    got = site.call("GET", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert got.body == body
    assert "content-encoding" not in got.headers
    if mode in {SIGNED_TRAILER, UNSIGNED_TRAILER}:
        assert got.headers["x-amz-checksum-crc32"] == digest("CRC32", body)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_is_checked_kept_and_shown(site, bucket, name):
    """Header given, stored, returned on request only; a wrong one is BadDigest."""
    path, body, header = f"/{bucket}/k", b"some bytes", f"x-amz-checksum-{name.lower()}"
    value = digest(name, body)
    put = site.call("PUT", path, headers={header: value}, body=body)
    assert (put.headers[header], put.headers["x-amz-checksum-type"]) == (value, "FULL_OBJECT")
    assert header not in site.call("GET", path).headers
    shown = site.call("HEAD", path, headers={"x-amz-checksum-mode": "ENABLED"}).headers
    assert shown[header] == value
    ranged = site.call(
        "GET", path, headers={"x-amz-checksum-mode": "ENABLED", "range": "bytes=0-1"}
    )
    assert header not in ranged.headers
    wrong = site.call("PUT", path, headers={header: digest(name, b"x")}, body=body)
    assert (wrong.status, wrong.code) == (400, "BadDigest")
    asked = {"x-amz-object-attributes": "Checksum,ObjectSize,ETag,StorageClass,ObjectParts"}
    document = site.call("GET", path, ["attributes"], asked).xml("GetObjectAttributesResponse")
    assert document.one("Checksum").value(f"Checksum{name}") == value
    assert document.value("ObjectSize") == "10"
    assert document.one("ObjectParts") is None


def test_a_wrong_trailer_checksum_is_refused(site, bucket):
    """The trailer is checked against the bytes, not only against its signature."""
    wire = site.signer.sign("PUT", f"/{bucket}/k", body=b"hello", mode=UNSIGNED_TRAILER)
    right = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big"))
    for value, code in ((b"AAAAAA==", "BadDigest"), (b"AAAAAAA=", "InvalidRequest")):
        answer = site.send(wire._replace(body=wire.body.replace(right, value)))
        assert (answer.status, answer.code) == (400, code)
    assert site.call("GET", f"/{bucket}/k").status == 404


def test_a_payload_that_is_not_what_was_signed_is_refused(site, bucket):
    """x-amz-content-sha256 names the body."""
    wire = site.signer.sign("PUT", f"/{bucket}/k", body=b"hello")
    answer = site.send(wire._replace(body=b"HELLO"))
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert site.call("GET", f"/{bucket}/k").status == 404


@pytest.mark.parametrize("value", ["", "abc", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "Z" * 64])
def test_an_unknown_payload_mode_is_refused(site, bucket, value):
    """Signed or not."""
    answer = site.call("PUT", f"/{bucket}/k", body=b"x", mode=value)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("mode", ["UNSIGNED-PAYLOAD", UNSIGNED_TRAILER])
def test_a_body_of_unknown_length_is_taken_in_http_chunks(site, bucket, mode):
    """Transfer-Encoding: chunked, around a plain body and around an aws-chunked one."""
    wire = site.signer.sign("PUT", f"/{bucket}/k", body=b"hello world", mode=mode)
    headers = {name: value for name, value in wire.headers.items() if name != "content-length"}
    headers["transfer-encoding"] = "chunked"
    half = len(wire.body) // 2
    body = b"".join(
        b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (wire.body[:half], wire.body[half:], b"")
    )
    assert site.send(wire._replace(headers=headers, body=body)).status == 200
    assert site.call("GET", f"/{bucket}/k").body == b"hello world"


def test_a_trailer_needs_an_aws_chunked_body(site, bucket):
    """A plain body cannot bring one."""
    answer = site.call("PUT", f"/{bucket}/k", headers={"x-amz-trailer": "x-amz-checksum-crc32"})
    assert answer.code == "InvalidRequest"


def test_content_encoding_keeps_what_is_not_transfer(site, bucket):
    """`aws-chunked` is taken off, `gzip` stays."""
    for given, kept in (
        ("aws-chunked", None),
        ("gzip,aws-chunked", "gzip"),
        ("aws-chunked, br", "br"),
    ):
        site.call("PUT", f"/{bucket}/k", headers={"content-encoding": given}, body=b"x")
        assert site.call("HEAD", f"/{bucket}/k").headers.get("content-encoding") == kept


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name, algorithm in ALGORITHMS.items()
        for kind in algorithm.types
        if name not in {"MD5", "SHA512"}
    ],
)
def test_multipart_checksums_are_composite_or_of_the_full_object(s3, bucket, name, kind):
    """Shown by every call that shows them, and right."""
    upload = Upload(s3, bucket, ChecksumAlgorithm=name, ChecksumType=kind)
    tag = f"Checksum{name}"
    tail = b"tail"
    for number, body in ((1, BIG), (2, tail)):
        answer = upload.put(number, body, **{tag: digest(name, body)})
        assert answer[tag] == digest(name, body)
    listed = s3.list_parts(**upload.where, UploadId=upload.id)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (name, kind)
    assert [part[tag] for part in listed["Parts"]] == [digest(name, BIG), digest(name, tail)]
    if kind == "COMPOSITE":
        raw = base64.b64decode(digest(name, BIG)) + base64.b64decode(digest(name, tail))
        want = digest(name, raw) + "-2"
    else:
        want = digest(name, BIG + tail)
    parts = [
        {**part, tag: digest(name, BIG if part["PartNumber"] == 1 else tail)}
        for part in upload.list
    ]
    done = upload.complete(parts=parts, ChecksumType=kind)
    assert (done[tag], done["ChecksumType"]) == (want, kind)
    head = s3.head_object(**upload.where, ChecksumMode="ENABLED")
    assert (head[tag], head["ChecksumType"]) == (want, kind)
    part = s3.head_object(**upload.where, ChecksumMode="ENABLED", PartNumber=2)
    assert part[tag] == digest(name, tail)
    attributes = s3.get_object_attributes(
        **upload.where, ObjectAttributes=["Checksum", "ObjectParts"], MaxParts=1
    )
    assert attributes["Checksum"][tag] == want
    parts = attributes["ObjectParts"]
    assert (parts["TotalPartsCount"], parts["IsTruncated"]) == (2, True)
    assert parts["NextPartNumberMarker"] == 1
    assert parts["Parts"] == [{"PartNumber": 1, "Size": len(BIG), tag: digest(name, BIG)}]


def test_a_part_with_another_algorithm_is_refused(site, bucket, s3):
    """And one without any gets the upload's computed."""
    upload = Upload(s3, bucket, ChecksumAlgorithm="SHA256")
    query = [("partNumber", "1"), ("uploadId", upload.id)]
    headers = {"x-amz-checksum-crc32": digest("CRC32", b"x")}
    assert site.call("PUT", f"/{bucket}/k", query, headers, b"x").code == "InvalidRequest"
    answer = site.call("PUT", f"/{bucket}/k", query, body=b"x")
    assert answer.headers["x-amz-checksum-sha256"] == digest("SHA256", b"x")


def test_completion_checks_what_the_client_expects(s3, bucket):
    """A wrong full-object checksum, part checksum or type."""
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC64NVME")
    upload.put(1, b"x", ChecksumCRC64NVME=digest("CRC64NVME", b"x"))
    wrong = digest("CRC64NVME", b"y")
    assert refusal(upload.complete, ChecksumCRC64NVME=wrong) == ("BadDigest", 400)
    assert refusal(upload.complete, ChecksumType="COMPOSITE") == ("InvalidRequest", 400)
    parts = [{**upload.list[0], "ChecksumCRC64NVME": wrong}]
    assert refusal(upload.complete, parts=parts) == ("InvalidPart", 400)
    upload.complete(ChecksumCRC64NVME=digest("CRC64NVME", b"x"))


@pytest.mark.parametrize(
    "options",
    [
        {"ChecksumAlgorithm": "CRC99"},
        {"ChecksumAlgorithm": "SHA1", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"},
        {"ChecksumType": "COMPOSITE"},
    ],
)
def test_impossible_combinations_are_refused_at_creation(site, bucket, options):
    """InvalidRequest."""
    names = {"ChecksumAlgorithm": "x-amz-checksum-algorithm", "ChecksumType": "x-amz-checksum-type"}
    headers = {names[name]: value for name, value in options.items()}
    assert site.call("POST", f"/{bucket}/k", ["uploads"], headers).code == "InvalidRequest"


def test_a_copied_part_has_the_uploads_checksum(s3, bucket):
    """Read from the source, so that the whole can be combined."""
    s3.put_object(Bucket=bucket, Key="src", Body=b"0123456789")
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC32C", ChecksumType="FULL_OBJECT")
    answer = s3.upload_part_copy(
        **upload.where,
        UploadId=upload.id,
        PartNumber=1,
        CopySource={"Bucket": bucket, "Key": "src"},
        CopySourceRange="bytes=2-4",
    )["CopyPartResult"]
    assert answer["ChecksumCRC32C"] == digest("CRC32C", b"234")
    upload.parts[1] = answer["ETag"]
    assert upload.complete()["ChecksumCRC32C"] == digest("CRC32C", b"234")


def test_attributes_must_be_named(site, bucket, s3):
    """InvalidArgument for none and for unknown ones."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    for value in (None, "", "Nope", "ETag,Nope"):
        headers = {} if value is None else {"x-amz-object-attributes": value}
        assert site.call("GET", f"/{bucket}/k", ["attributes"], headers).code == "InvalidArgument"
