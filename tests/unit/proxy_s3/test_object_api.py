"""Objects as boto3 sees them: put, get, head, delete, ranges, conditions, metadata, tags."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError


def refusal(call, **options) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**options)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_an_object_comes_back_as_it_went_in(s3, bucket):
    """Bytes, type, metadata, standard headers, entity tag, length."""
    put = s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"hello",
        ContentType="text/plain",
        Metadata={"Colour": "blue", "empty": ""},
        CacheControl="no-cache",
        ContentDisposition="attachment",
        ContentEncoding="gzip",
        ContentLanguage="de",
        Expires="Thu, 01 Jan 2032 00:00:00 GMT",
    )
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"hello"
    assert got["ETag"] == put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    assert got["ContentType"] == "text/plain"
    assert got["Metadata"] == {"colour": "blue", "empty": ""}
    assert got["CacheControl"] == "no-cache"
    assert got["ContentDisposition"] == "attachment"
    assert got["ContentEncoding"] == "gzip"
    assert got["ContentLanguage"] == "de"
    assert got["ExpiresString"] == "Thu, 01 Jan 2032 00:00:00 GMT"
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentLength"] == got["ContentLength"] == 5
    assert head["LastModified"] == got["LastModified"]
    assert head["Metadata"] == got["Metadata"]
    assert got["AcceptRanges"] == "bytes"


@pytest.mark.parametrize(
    "key",
    [
        "a b", "a+b", "ü/€/😀", "..", "../x", "a/../b", "a//b", "/", "//", "/a", "a/", "%2e%2e", "%",
        "a?b#c", "a&b=c", "\\..\\x", "a\tb", "a\nb", "\x01", "~!@$^*()_-", "k" * 1024, "'\"<>",
    ],
)  # fmt: skip
def test_keys_are_opaque(s3, bucket, key):
    """Nothing in a key is a path, an escape or markup."""
    body = key.encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    assert [row["Key"] for row in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body
    s3.delete_object(Bucket=bucket, Key=key)
    assert [row["Key"] for row in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["copy"]


def test_a_large_body_streams_both_ways(s3, bucket):
    """Several megabytes, many pieces."""
    body = bytes(range(256)) * 4096 * 12
    put = s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_an_empty_object_exists(s3, bucket):
    """Zero bytes are an object."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b""
    assert refusal(s3.get_object, Bucket=bucket, Key="k", Range="bytes=0-0") == (
        "InvalidRange",
        416,
    )


def test_what_is_not_there_is_named(s3, bucket):
    """NoSuchKey, NoSuchBucket; HEAD has only a status; deleting nothing succeeds."""
    assert refusal(s3.get_object, Bucket=bucket, Key="k") == ("NoSuchKey", 404)
    assert refusal(s3.get_object, Bucket="missing-bucket", Key="k") == ("NoSuchBucket", 404)
    assert refusal(s3.put_object, Bucket="missing-bucket", Key="k") == ("NoSuchBucket", 404)
    assert refusal(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)
    assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(s3.delete_object, Bucket="missing-bucket", Key="k") == ("NoSuchBucket", 404)


@pytest.mark.parametrize(
    ("header", "want", "content_range"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("bytes=5-99", b"56789", "bytes 5-9/10"),
        ("bytes=0-1,3-4", b"0123456789", None),
        ("bytes=4-2", b"0123456789", None),
        ("bytes=x-y", b"0123456789", None),
        ("items=0-1", b"0123456789", None),
    ],
)
def test_one_range_is_served_and_anything_else_ignored(s3, bucket, header, want, content_range):
    """206 with Content-Range, or 200 with everything."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    got = s3.get_object(Bucket=bucket, Key="k", Range=header)
    assert got["Body"].read() == want
    assert got.get("ContentRange") == content_range
    assert got["ResponseMetadata"]["HTTPStatusCode"] == (206 if content_range else 200)


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_outside_the_object_is_416(s3, bucket, header):
    """With the object's size in the document."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", Range=header)
    assert caught.value.response["Error"]["ActualObjectSize"] == "10"


def test_if_range_serves_the_range_only_of_that_version(site, bucket):
    """Otherwise two versions could be glued together."""
    site.call("PUT", f"/{bucket}/k", body=b"0123456789")
    etag = '"781e5e245d69b566979b86e28d23f2c7"'
    for condition, status in ((etag, 206), ('"other"', 200)):
        answer = site.call(
            "GET", f"/{bucket}/k", headers={"Range": "bytes=0-1", "If-Range": condition}
        )
        assert answer.status == status


def test_conditional_reads_follow_rfc_9110(s3, bucket):
    """Entity tags win over dates; 304 for the unchanged, 412 for the unwanted."""
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    etag, bare = put["ETag"], put["ETag"].strip('"')
    when = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = when - timedelta(seconds=5), when + timedelta(seconds=5)
    for call in (s3.get_object, s3.head_object):
        for good in (
            {"IfMatch": etag},
            {"IfMatch": bare},
            {"IfMatch": "*"},
            {"IfMatch": f'"other", {etag}'},
            {"IfNoneMatch": '"other"'},
            {"IfModifiedSince": before},
            {"IfUnmodifiedSince": after},
            {"IfUnmodifiedSince": when},
            {"IfMatch": etag, "IfUnmodifiedSince": before},
            {"IfNoneMatch": '"other"', "IfModifiedSince": after},
        ):
            assert call(Bucket=bucket, Key="k", **good)["ETag"] == etag
        for failing, status in (
            ({"IfMatch": '"other"'}, 412),
            ({"IfUnmodifiedSince": before}, 412),
            ({"IfNoneMatch": etag}, 304),
            ({"IfNoneMatch": "*"}, 304),
            ({"IfModifiedSince": when}, 304),
            ({"IfNoneMatch": etag, "IfModifiedSince": before}, 304),
        ):
            assert refusal(call, Bucket=bucket, Key="k", **failing)[1] == status


def test_conditional_writes_decide_on_what_is_there(s3, bucket):
    """If-None-Match:* creates once; If-Match replaces only that version (404 when there is none)."""
    put = s3.put_object
    assert refusal(put, Bucket=bucket, Key="k", Body=b"", IfMatch="*") == ("NoSuchKey", 404)
    assert refusal(put, Bucket=bucket, Key="k", Body=b"", IfMatch='"x"') == ("NoSuchKey", 404)
    first = put(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    assert refusal(put, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == (
        "PreconditionFailed",
        412,
    )
    second = put(Bucket=bucket, Key="k", Body=b"2", IfMatch=first)["ETag"]
    assert refusal(put, Bucket=bucket, Key="k", Body=b"3", IfMatch=first)[1] == 412
    put(Bucket=bucket, Key="k", Body=b"3", IfMatch="*")
    assert refusal(put, Bucket=bucket, Key="k", Body=b"4", IfMatch=second)[1] == 412
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"3"


def test_conditional_deletes_decide_on_what_is_there(s3, bucket):
    """If-Match, size and time must all fit; a missing object is 404 then."""
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"123")["ETag"]
    when = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    for wrong in (
        {"IfMatch": '"x"'},
        {"IfMatchSize": 4},
        {"IfMatchLastModifiedTime": when - timedelta(seconds=1)},
        {"IfMatch": etag, "IfMatchSize": 4},
    ):
        assert refusal(s3.delete_object, Bucket=bucket, Key="k", **wrong) == (
            "PreconditionFailed",
            412,
        )
    s3.delete_object(
        Bucket=bucket, Key="k", IfMatch=etag, IfMatchSize=3, IfMatchLastModifiedTime=when
    )
    assert refusal(s3.delete_object, Bucket=bucket, Key="k", IfMatch="*") == ("NoSuchKey", 404)
    s3.delete_object(Bucket=bucket, Key="k", IfMatchSize=3, IfMatchLastModifiedTime=when)


def test_content_md5_is_checked(site, s3, bucket):
    """BadDigest for another body's, InvalidDigest for what is no MD5; nothing is stored."""
    good = b64encode(hashlib.md5(b"body").digest()).decode()
    s3.put_object(Bucket=bucket, Key="good", Body=b"body", ContentMD5=good)
    path = f"/{bucket}/k"
    for value, code in (
        (b64encode(hashlib.md5(b"other").digest()).decode(), "BadDigest"),
        ("YWJyYWNhZGFicmE=", "InvalidDigest"),
        ("bad", "InvalidDigest"),
        ("", "InvalidDigest"),
    ):
        answer = site.call("PUT", path, headers={"Content-MD5": value}, body=b"body")
        assert (answer.status, answer.code) == (400, code)
    assert site.call("GET", path).status == 404


def test_a_body_must_be_announced(site, bucket):
    """Neither Content-Length nor chunked: 411."""
    wire = site.signer.sign("PUT", f"/{bucket}/k")
    headers = {name: value for name, value in wire.headers.items() if name != "content-length"}
    answer = site.send(wire._replace(headers=headers))
    assert (answer.status, answer.code) == (411, "MissingContentLength")


def test_a_put_of_more_than_five_gibibytes_is_refused_unread(site, bucket):
    """EntityTooLarge before the body, with both sizes."""
    wire = site.signer.sign("PUT", f"/{bucket}/k", mode="UNSIGNED-PAYLOAD")
    headers = {**wire.headers, "content-length": str(5 * 1024**3 + 1), "expect": "100-continue"}
    answer = site.send(wire._replace(headers=headers))
    assert (answer.status, answer.code) == (400, "EntityTooLarge")
    assert answer.field("MaxSizeAllowed") == str(5 * 1024**3)


def test_user_metadata_is_limited_to_two_kilobytes(s3, bucket):
    """Names and values together."""
    s3.put_object(Bucket=bucket, Key="k", Metadata={"a": "x" * 2047})
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Metadata={"a": "x" * 2048}) == (
        "MetadataTooLarge",
        400,
    )


def test_response_parameters_replace_headers(s3, bucket):
    """Signed response-* parameters; values that cannot be headers are refused."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="foo/bar",
        ResponseContentDisposition="bla",
        ResponseContentLanguage="esperanto",
        ResponseContentEncoding="aaa",
        ResponseCacheControl="no-cache",
    )
    assert got["ContentType"] == "foo/bar"
    assert got["ContentDisposition"] == "bla"
    assert got["ContentLanguage"] == "esperanto"
    assert got["ContentEncoding"] == "aaa"
    assert got["CacheControl"] == "no-cache"
    for value in ("a\r\nSet-Cookie: x", "a\nb", "\x00", "a\x7f"):
        assert refusal(s3.get_object, Bucket=bucket, Key="k", ResponseContentType=value)[1] == 400


@pytest.mark.parametrize(
    ("options", "code", "status"),
    [
        ({"ServerSideEncryption": "AES256"}, "NotImplemented", 501),
        ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}, "NotImplemented", 501),
        (
            {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0" * 32},
            "NotImplemented",
            501,
        ),
        ({"ObjectLockLegalHoldStatus": "ON"}, "NotImplemented", 501),
        ({"ObjectLockMode": "GOVERNANCE"}, "NotImplemented", 501),
        ({"WebsiteRedirectLocation": "/x"}, "NotImplemented", 501),
        ({"StorageClass": "GLACIER"}, "InvalidStorageClass", 400),
        ({"StorageClass": "NOPE"}, "InvalidStorageClass", 400),
        ({"ACL": "public-read"}, "AccessControlListNotSupported", 400),
        ({"ACL": "nope"}, "InvalidArgument", 400),
        ({"GrantRead": "id=x"}, "AccessControlListNotSupported", 400),
        ({"ExpectedBucketOwner": "111122223333"}, "AccessDenied", 403),
    ],
)
def test_what_is_not_built_is_refused_never_ignored(s3, bucket, options, code, status):
    """Encryption, locks, grants, archives: no header that promises something is swallowed."""
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"", **options) == (code, status)
    assert refusal(s3.head_object, Bucket=bucket, Key="k")[1] == 404


@pytest.mark.parametrize("options", [{"ACL": "private"}, {"StorageClass": "STANDARD_IA"}])
def test_what_is_the_case_anyway_is_accepted(s3, bucket, options):
    """Private is what every object is, and immediate storage classes are stored as STANDARD."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"", **options)
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="k")


def test_tags_travel_with_the_object(s3, bucket):
    """In the header, in documents, counted in GET."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=1&b%20c=x%2By")
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [
        {"Key": "a", "Value": "1"},
        {"Key": "b c", "Value": "x+y"},
    ]
    before = s3.head_object(Bucket=bucket, Key="k")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "ü", "Value": "ok"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "ü", "Value": "ok"}]
    after = s3.head_object(Bucket=bucket, Key="k")
    assert after["ETag"] == before["ETag"]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert "TagCount" not in s3.get_object(Bucket=bucket, Key="k")
    assert refusal(s3.get_object_tagging, Bucket=bucket, Key="none") == ("NoSuchKey", 404)


@pytest.mark.parametrize(
    "tags",
    [
        [{"Key": "k" * 129, "Value": "x"}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}],
        [{"Key": "aws:k", "Value": "1"}],
        [{"Key": "a<b", "Value": "1"}],
        [{"Key": str(n), "Value": ""} for n in range(11)],
    ],
)
def test_tag_sets_have_documented_limits(s3, bucket, tags):
    """128 and 256 characters, ten tags, unique keys, a small alphabet."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert refusal(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": tags}) == (
        "InvalidTag",
        400,
    )


def test_the_acl_is_the_owners(s3, bucket):
    """One grant; setting the same is fine, setting another is refused."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    acl = s3.get_object_acl(Bucket=bucket, Key="k")
    assert [grant["Permission"] for grant in acl["Grants"]] == ["FULL_CONTROL"]
    assert acl["Owner"]["ID"] == acl["Grants"][0]["Grantee"]["ID"]
    same = {"Owner": acl["Owner"], "Grants": acl["Grants"]}
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=same)
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    everybody = {
        "Owner": acl["Owner"],
        "Grants": [
            {
                "Grantee": {
                    "Type": "Group",
                    "URI": "http://acs.amazonaws.com/groups/global/AllUsers",
                },
                "Permission": "READ",
            }
        ],
    }
    for options in ({"ACL": "public-read"}, {"AccessControlPolicy": everybody}):
        assert refusal(s3.put_object_acl, Bucket=bucket, Key="k", **options) == (
            "AccessControlListNotSupported",
            400,
        )


def test_without_versioning_there_is_one_version(s3, bucket):
    """`null` names it, any other id is invalid."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="k", VersionId="null")["Body"].read() == b"x"
    for call in (s3.get_object, s3.delete_object, s3.get_object_tagging):
        assert refusal(call, Bucket=bucket, Key="k", VersionId="v1") == ("InvalidArgument", 400)
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert refusal(s3.get_object, Bucket=bucket, Key="k", VersionId="null") == ("NoSuchKey", 404)


def test_errors_carry_their_resource_and_request_ids(site, bucket):
    """The document has what support needs, and the same ids as the headers."""
    answer = site.call("GET", f"/{bucket}/a%20b")
    assert answer.headers["content-type"] == "application/xml"
    assert answer.field("Key") == "a%20b"
    assert answer.field("Resource") == f"/{bucket}/a%2520b"
    assert answer.field("RequestId") == answer.headers["x-amz-request-id"]
    assert answer.field("HostId") == answer.headers["x-amz-id-2"]


def test_deleting_many_reports_each_key(s3, bucket):
    """Keys that are missing count as deleted; failures are per key; quiet shows failures only."""
    keys = [f"k{n}" for n in range(20)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in [*keys[:10], "missing"]]}
    )
    assert [row["Key"] for row in answer["Deleted"]] == [*keys[:10], "missing"]
    entries = [
        {"Key": "k10", "ETag": '"wrong"'},
        {"Key": "k11", "Size": 99},
        {"Key": "k12", "VersionId": "v1"},
        {"Key": "k13"},
        {"Key": "x" * 1025},
    ]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": entries, "Quiet": True})
    assert "Deleted" not in answer
    assert [row["Code"] for row in answer["Errors"]] == [
        "PreconditionFailed",
        "PreconditionFailed",
        "InvalidArgument",
        "KeyTooLongError",
    ]
    left = [row["Key"] for row in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == [key for key in keys[10:] if key != "k13"]


def test_deleting_many_needs_a_digest_and_a_list(site, bucket):
    """The body must be covered by Content-MD5 or a checksum; 1 to 1000 keys."""
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    path = f"/{bucket}"
    assert site.call("POST", path, ["delete"], body=body).code == "InvalidRequest"

    def call(body):
        md5 = b64encode(hashlib.md5(body).digest()).decode()
        return site.call("POST", path, ["delete"], {"Content-MD5": md5}, body)

    assert call(body).status == 200
    entry = b"<Object><Key>a</Key></Object>"
    assert call(b"<Delete>" + entry * 1000 + b"</Delete>").status == 200
    for bad in (
        b"<Delete></Delete>",
        b"<Delete>" + entry * 1001 + b"</Delete>",
        b"<Delete><Object><Key></Key></Object></Delete>",
        b"<Delete><Object/></Delete>",
    ):
        assert call(bad).code == "MalformedXML"
    wrong = b64encode(hashlib.md5(b"x").digest()).decode()
    answer = site.call("POST", path, ["delete"], {"Content-MD5": wrong}, body)
    assert answer.code == "BadDigest"
