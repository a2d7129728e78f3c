"""Signature version 2 against Amazon's published examples and botocore's signers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from proxy.s3 import sigv2
from proxy.s3.errors import S3Error
from proxy.s3.route import query_pairs
from proxy.s3.sigv4 import Message

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW_S = int(parsedate_to_datetime("Tue, 27 Mar 2007 20:00:00 +0000").timestamp())


def verify(message, now_s=NOW_S, *, bucket="", secret=SECRET):
    assert sigv2.is_used(message)
    return sigv2.verify(
        message,
        bucket=bucket,
        secret=secret if sigv2.access_key_of(message) == KEY else None,
        now_s=now_s,
    )


def refusal(message, now_s=NOW_S, **options) -> S3Error:
    with pytest.raises(S3Error) as caught:
        verify(message, now_s, **options)
    return caught.value


def example(method, target, signature, **headers) -> Message:
    path, _, query = target.partition("?")
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    given[b"authorization"] = f"AWS {KEY}:{signature}".encode()
    return Message(method, path, query_pairs(query), given)


GET = example(
    "GET",
    "/photos/puppy.jpg",
    "bWq2s1WEIj+Ydj0vQ697zp+IXMU=",
    date="Tue, 27 Mar 2007 19:36:42 +0000",
)
EXAMPLES = [
    (GET, "johnsmith"),
    (
        example(
            "PUT",
            "/photos/puppy.jpg",
            "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
            content_type="image/jpeg",
            content_length="94328",
            date="Tue, 27 Mar 2007 21:15:45 +0000",
        ),
        "johnsmith",
    ),
    (
        example(
            "GET",
            "/?prefix=photos&max-keys=50&marker=puppy",
            "htDYFYduRNen8P9ZfE/s9SuKy0U=",
            date="Tue, 27 Mar 2007 19:42:41 +0000",
        ),
        "johnsmith",
    ),
    (
        example(
            "GET",
            "/?acl",
            "c2WLPFtWHVgbEmeEG93a4cG37dM=",
            date="Tue, 27 Mar 2007 19:44:46 +0000",
        ),
        "johnsmith",
    ),
    (
        example(
            "DELETE",
            "/johnsmith/photos/puppy.jpg",
            "lx3byBScXR6KzyMaifNkardMwNk=",
            date="Tue, 27 Mar 2007 21:20:26 +0000",
        ),
        "",
    ),
]


@pytest.mark.parametrize(("message", "bucket"), EXAMPLES)
def test_amazons_published_examples_verify(message, bucket):
    """The signatures printed in the User Guide, path style and virtual-host style."""
    when = parsedate_to_datetime(message.headers[b"date"].decode())
    assert verify(message, int(when.timestamp()), bucket=bucket)
    error = refusal(message, int(when.timestamp()), bucket=bucket, secret="x")
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)


@pytest.mark.parametrize("url", [
    "http://localhost:9000/bucket/key",
    "http://localhost:9000/bucket/a%20b/%C3%BC%2B?uploadId=abc&partNumber=2",
    "http://localhost:9000/bucket/key?response-content-type=text%2Fplain&x-id=a",
    "http://localhost:9000/bucket?prefix=a&list-type=2",
])  # fmt: skip
@pytest.mark.parametrize("kind", [HmacV1Auth, HmacV1QueryAuth])
def test_what_botocore_signs_verifies(url, kind):
    """Headers and queries; and nothing that was changed afterwards."""
    headers = {"x-amz-meta-b": " two  words ", "x-amz-meta-a": "1", "Content-Type": "text/plain"}
    if kind is HmacV1QueryAuth:
        headers = {}
    request = AWSRequest(method="GET", url=url, headers=headers)
    kind(Credentials(KEY, SECRET)).add_auth(request)
    parts = urlsplit(request.url)
    given = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    message = Message("GET", parts.path, query_pairs(parts.query), given)
    now = int(datetime.now(UTC).timestamp())
    assert verify(message, now).signed.payload_hash == "UNSIGNED-PAYLOAD"
    for changed in (
        message._replace(method="PUT"),
        message._replace(path=message.path + "x"),
        message._replace(pairs=[*message.pairs, ("acl", "")]),
        message._replace(headers={**given, b"x-amz-acl": b"private"}),
        message._replace(headers={**given, b"x-amz-copy-source": b"b/k"}),
    ):
        assert refusal(changed, now).code == "SignatureDoesNotMatch"


def test_parameters_that_are_not_covered_cannot_select_an_operation():
    """`?retention` is not part of the string to sign, so it may not change what the request does."""
    now = int(datetime.now(UTC).timestamp())
    request = AWSRequest(method="PUT", url="http://localhost/bucket/key")
    HmacV1QueryAuth(Credentials(KEY, SECRET)).add_auth(request)
    parts = urlsplit(request.url)
    message = Message("PUT", parts.path, query_pairs(parts.query), {})
    assert verify(message, now)
    for name in ("retention", "legal-hold", "attributes", "anything"):
        changed = message._replace(pairs=[*message.pairs, (name, "")])
        assert refusal(changed, now).code == "InvalidRequest"


def test_time_is_limited():
    """A quarter of an hour for headers, Expires for queries."""
    for now_s in (NOW_S + 3600, NOW_S - 3600):
        assert refusal(GET, now_s, bucket="johnsmith").code == "RequestTimeTooSkewed"
    fields = [("AWSAccessKeyId", KEY), ("Expires", str(NOW_S)), ("Signature", "x")]
    error = refusal(Message("GET", "/b/k", fields, {}))
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")


@pytest.mark.parametrize(
    "value", [b"AWS ", b"AWS x", b"AWS :x", b"AWS x:", b"AWS  : ", b"AWS HAHAHA"]
)
def test_malformed_headers_are_refused(value):
    """InvalidArgument."""
    message = GET._replace(headers={**GET.headers, b"authorization": value})
    assert refusal(message).code == "InvalidArgument"


@pytest.mark.parametrize("date", [None, b"", b"yesterday", b"2007"])
def test_a_date_is_required(date):
    """AccessDenied without a readable one."""
    headers = {name: value for name, value in GET.headers.items() if name != b"date"}
    if date is not None:
        headers[b"date"] = date
    assert refusal(GET._replace(headers=headers)).code == "AccessDenied"


@pytest.mark.parametrize(
    "fields",
    [
        [("AWSAccessKeyId", "")],
        [("AWSAccessKeyId", KEY), ("Expires", "99999999999")],
        [("AWSAccessKeyId", KEY), ("Signature", "x")],
        [("AWSAccessKeyId", KEY), ("Signature", "x"), ("Expires", "soon")],
        [("AWSAccessKeyId", KEY), ("Signature", "x"), ("Expires", "9" * 12)],
    ],
)
def test_malformed_queries_are_refused(fields):
    """AccessDenied, as the version's documentation says."""
    assert refusal(Message("GET", "/b/k", fields, {})).code == "AccessDenied"


def test_an_unknown_key_is_refused_after_the_same_work():
    """InvalidAccessKeyId."""
    value = GET.headers[b"authorization"].replace(KEY.encode(), b"AKIAUNKNOWN")
    message = GET._replace(headers={**GET.headers, b"authorization": value})
    when = parsedate_to_datetime(GET.headers[b"date"].decode()).timestamp()
    assert refusal(message, int(when), bucket="johnsmith").code == "InvalidAccessKeyId"


def test_signed_chunks_do_not_exist_in_this_version():
    """There is no key to chain them with, so they are refused, not trusted."""
    now = int(datetime.now(UTC).timestamp())
    for mode in ("", "-TRAILER"):
        payload = f"STREAMING-AWS4-HMAC-SHA256-PAYLOAD{mode}"
        request = AWSRequest(
            method="PUT", url="http://localhost/b/k", headers={"x-amz-content-sha256": payload}
        )
        HmacV1Auth(Credentials(KEY, SECRET)).add_auth(request)
        given = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
        assert refusal(Message("PUT", "/b/k", [], given), now).code == "InvalidRequest"


def test_presigned_urls_of_boto3s_default_configuration_work(site, s3, bucket):
    """For custom endpoints boto3 signs queries in version 2 unless told otherwise."""
    import http.client

    s3.put_object(Bucket=bucket, Key="a b", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"})
    assert "AWSAccessKeyId" in url
    parts = urlsplit(url)

    def ask(method, target, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
        connection.request(method, target, body=body)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response.status, data

    target = f"{parts.path}?{parts.query}"
    assert ask("GET", target) == (200, b"hello")
    assert ask("PUT", target, b"x")[0] == 403
    assert ask("GET", target.replace("a%20b", "c"))[0] == 403
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "new"})
    parts = urlsplit(url)
    assert ask("PUT", f"{parts.path}?{parts.query}", b"body")[0] == 200
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b"body"


def test_a_boto3_client_of_version_two_works(site, bucket):
    """Headers, subresources, metadata."""
    client = site.client(signature_version="s3")
    client.put_object(Bucket=bucket, Key="a b+c", Body=b"x", Metadata={"a": "b"})
    assert client.get_object(Bucket=bucket, Key="a b+c")["Metadata"] == {"a": "b"}
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    upload = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a b+c"}]})
