"""The verifier against Amazon's published examples and botocore's own signer."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from proxy.s3 import sigv4
from proxy.s3.errors import S3Error
from proxy.s3.route import query_pairs
from proxy.s3.sigv4 import Message

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOST = "examplebucket.s3.amazonaws.com"
MAY_24 = int(datetime(2013, 5, 24, tzinfo=UTC).timestamp())
EMPTY = hashlib.sha256(b"").hexdigest()
SCOPE = "20130524/us-east-1/s3/aws4_request"


def verify(message, now_s=MAY_24, *, region="us-east-1", secret=SECRET):
    signed = sigv4.parse(message)
    assert signed is not None
    return sigv4.verify(
        message,
        signed,
        secret=secret if signed.scope.access_key == KEY else None,
        region=region,
        now_s=now_s,
    )


def refusal(message, now_s=MAY_24, **options) -> S3Error:
    with pytest.raises(S3Error) as caught:
        verify(message, now_s, **options)
    return caught.value


def example(method, path, query, names, signature, headers, payload=EMPTY) -> Message:
    given = {
        b"host": HOST.encode(),
        b"x-amz-date": b"20130524T000000Z",
        b"x-amz-content-sha256": payload.encode(),
        **headers,
    }
    given[b"authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{SCOPE},SignedHeaders={names},Signature={signature}"
    ).encode()
    return Message(method, path, query_pairs(query), given)


EXAMPLES = {
    "get-object": example(
        "GET",
        "/test.txt",
        "",
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        {b"range": b"bytes=0-9"},
    ),
    "put-object": example(
        "PUT",
        "/test$file.text",
        "",
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        {
            b"date": b"Fri, 24 May 2013 00:00:00 GMT",
            b"x-amz-storage-class": b"REDUCED_REDUNDANCY",
        },
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    ),
    "lifecycle": example(
        "GET",
        "/",
        "lifecycle",
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        {},
    ),
    "list": example(
        "GET",
        "/",
        "max-keys=2&prefix=J",
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        {},
    ),
    "chunked-seed": example(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "",
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
        "x-amz-decoded-content-length;x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        {
            b"host": b"s3.amazonaws.com",
            b"x-amz-storage-class": b"REDUCED_REDUNDANCY",
            b"content-encoding": b"aws-chunked",
            b"x-amz-decoded-content-length": b"66560",
            b"content-length": b"66824",
        },
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_amazons_published_header_examples_verify(name):
    """The signatures printed in the API reference are accepted, and not with another secret."""
    assert verify(EXAMPLES[name]).signed.signature
    assert refusal(EXAMPLES[name], secret="other").code == "SignatureDoesNotMatch"


def presigned_example(**change) -> Message:
    fields = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{KEY}/{SCOPE}",
        "X-Amz-Date": "20130524T000000Z",
        "X-Amz-Expires": "86400",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        **change,
    }
    pairs = [(name, value) for name, value in fields.items() if value is not None]
    return Message("GET", "/test.txt", pairs, {b"host": HOST.encode()})


def test_amazons_published_presigned_example_verifies_until_it_expires():
    """A presigned URL holds for X-Amz-Expires seconds, then answers 403 with the times."""
    assert verify(presigned_example(), MAY_24 + 86_399).signed.presigned
    late = refusal(presigned_example(), MAY_24 + 86_400)
    assert (late.code, late.status, late.message) == ("AccessDenied", 403, "Request has expired")
    assert dict(late.fields)["Expires"] == "2013-05-25T00:00:00.000Z"
    early = refusal(presigned_example(), MAY_24 - 901)
    assert early.message == "Request is not yet valid"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"X-Amz-Expires": "604801"}, "less than a week"),
        ({"X-Amz-Expires": "-1"}, "non-negative"),
        ({"X-Amz-Expires": "soon"}, "should be a number"),
        ({"X-Amz-Expires": "٣"}, "should be a number"),
        ({"X-Amz-Expires": None}, ""),
        ({"X-Amz-Date": "2013-05-24"}, "ISO8601"),
        ({"X-Amz-Algorithm": "AWS4-HMAC-SHA1"}, "only supports"),
        ({"X-Amz-Credential": "nonsense"}, "mal-formed"),
        ({"X-Amz-SignedHeaders": ";"}, "SignedHeaders"),
        ({"X-Amz-Signature": ""}, ""),
        (
            {"X-Amz-Credential": f"{KEY}/20130524/eu-west-1/s3/aws4_request"},
            "expecting 'us-east-1'",
        ),
        ({"X-Amz-Credential": f"{KEY}/20130523/us-east-1/s3/aws4_request"}, "credential date"),
        ({"X-Amz-Credential": f"{KEY}/20130524/us-east-1/ec2/aws4_request"}, "belongs to"),
    ],
)
def test_malformed_presigned_parameters_are_named(change, words):
    """Each parameter of a presigned query has its own refusal, 400."""
    error = refusal(presigned_example(**change))
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)
    assert words in error.message


def botocore_message(method, url, headers, *, signer, body=b"") -> Message:
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    request.context["payload_signing_enabled"] = True
    request.context.setdefault("client_config", SimpleNamespace(s3=None))
    signer.add_auth(request)
    parts = urlsplit(request.url)
    given = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    given.setdefault(b"host", parts.netloc.encode())
    return Message(method, parts.path, query_pairs(parts.query), given)


URLS = [
    "http://localhost:9000/bucket/key",
    "http://localhost:9000/bucket/a%20b/%C3%BC%2B%7E/..//%2e%2e/x",
    "http://localhost:9000/bucket/plus+and&and=and$and'",
    "http://localhost:9000/bucket?list-type=2&prefix=a%20b%2Fc&delimiter=%2F&max-keys=10",
    "http://localhost:9000/bucket/key?uploads",
    "http://localhost:9000/bucket/key?partNumber=2&uploadId=abc%2Bdef",
    "http://bucket.localhost/",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("place", ["header", "query"])
def test_what_botocore_signs_verifies(url, place):
    """botocore's S3 signers and this verifier agree on the canonical form of every URL."""
    kind = S3SigV4Auth if place == "header" else S3SigV4QueryAuth
    signer = kind(Credentials(KEY, SECRET), "s3", "us-east-1")
    headers = {"x-amz-meta-words": "  two   words ", "Content-Type": "text/plain"}
    now = int(datetime.now(UTC).timestamp())
    body = b"body" if place == "header" else b""
    message = botocore_message("PUT", url, headers, signer=signer, body=body)
    assert verify(message, now).key
    assert refusal(message, now, secret="x").code == "SignatureDoesNotMatch"
    assert refusal(message._replace(method="GET"), now).code == "SignatureDoesNotMatch"
    assert refusal(message._replace(path=message.path + "x"), now).code == "SignatureDoesNotMatch"
    changed = {**message.headers, b"x-amz-meta-words": b"three"}
    assert refusal(message._replace(headers=changed), now).code == "SignatureDoesNotMatch"


def with_authorization(value: bytes | None, **headers: bytes) -> Message:
    base = EXAMPLES["get-object"]
    given = {**base.headers, **{name.replace("_", "-").encode(): v for name, v in headers.items()}}
    if value is None:
        del given[b"authorization"]
    else:
        given[b"authorization"] = value
    return base._replace(headers=given)


def test_the_order_of_the_authorization_components_does_not_matter():
    """Signature may stand first, and blanks may follow the commas."""
    good = EXAMPLES["get-object"].headers[b"authorization"]
    algorithm, _, rest = good.partition(b" ")
    credential, names, signature = rest.split(b",")
    for order in ((signature, credential, names), (names, signature, credential)):
        assert verify(with_authorization(algorithm + b" " + b" ,  ".join(order)))


@pytest.mark.parametrize(
    ("value", "code", "status"),
    [
        (b"AWS4-HMAC-SHA256 ", "AuthorizationHeaderMalformed", 400),
        (b"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request", "AuthorizationHeaderMalformed", 400),
        (
            b"AWS4-HMAC-SHA256 Credential=x,SignedHeaders=host,Signature=0",
            "AuthorizationHeaderMalformed",
            400,
        ),
        (
            b"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=,Signature=0",
            "AuthorizationHeaderMalformed",
            400,
        ),
        (
            b"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=host,Signature=",
            "AuthorizationHeaderMalformed",
            400,
        ),
        (b"AWS key:signature", "InvalidArgument", 400),
        (b"AWS HAHAHA", "InvalidArgument", 400),
        (b"Bearer token", "InvalidArgument", 400),
        (b"AWS4-HMAC-SHA256", "InvalidArgument", 400),
    ],
)
def test_a_malformed_authorization_header_is_refused_by_name(value, code, status):
    """Every malformed header has a 400 code of the reference, and never an uncaught exception."""
    error = refusal(with_authorization(value))
    assert (error.code, error.status) == (code, status)


def test_an_empty_or_missing_authorization_is_anonymous():
    """Nothing is parsed out of nothing; the front refuses it."""
    assert sigv4.parse(with_authorization(b"")) is None
    assert sigv4.parse(with_authorization(None)) is None


def test_two_authorisations_at_once_are_refused():
    """Header and query together are ambiguous."""
    both = presigned_example()._replace(headers=EXAMPLES["get-object"].headers)
    assert refusal(both).code == "InvalidArgument"


def test_the_wrong_region_is_told_the_right_one():
    """AuthorizationHeaderMalformed carries Region, which clients use to redirect themselves."""
    error = refusal(EXAMPLES["get-object"], region="eu-central-1")
    assert error.code == "AuthorizationHeaderMalformed"
    assert dict(error.fields)["Region"] == "eu-central-1"


def test_time_may_differ_by_fifteen_minutes():
    """Beyond that RequestTimeTooSkewed names both times."""
    message = EXAMPLES["get-object"]
    assert verify(message, MAY_24 + 900)
    assert verify(message, MAY_24 - 900)
    for now_s in (MAY_24 + 901, MAY_24 - 901):
        error = refusal(message, now_s)
        assert (error.code, error.status) == ("RequestTimeTooSkewed", 403)
        assert dict(error.fields)["MaxAllowedSkewMilliseconds"] == "900000"


def test_an_amz_header_that_is_not_signed_is_refused():
    """Otherwise anybody on the way could add metadata, copy sources or conditions."""
    error = refusal(
        with_authorization(EXAMPLES["get-object"].headers[b"authorization"], x_amz_acl=b"x")
    )
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert dict(error.fields)["HeadersNotSigned"] == "x-amz-acl"


def test_the_host_must_be_signed():
    """A signature without the host could be replayed on another server."""
    value = EXAMPLES["get-object"].headers[b"authorization"].replace(b"host;", b"")
    assert dict(refusal(with_authorization(value)).fields)["HeadersNotSigned"] == "host"


def test_an_unknown_key_is_refused_after_the_same_work():
    """The signature is computed and compared before the key is said to be unknown."""
    value = EXAMPLES["get-object"].headers[b"authorization"].replace(KEY.encode(), b"AKIAUNKNOWN")
    error = refusal(with_authorization(value))
    assert (error.code, error.status) == ("InvalidAccessKeyId", 403)


def test_a_session_token_is_refused():
    """There are no temporary credentials, so a token cannot be valid."""
    pairs = [*presigned_example().pairs, ("X-Amz-Security-Token", "t")]
    message = presigned_example()._replace(pairs=pairs)
    signed = sigv4.parse(message)
    canonical = sigv4.canonical_request(message, signed)
    key = sigv4.signing_key(SECRET, "20130524", "us-east-1", "s3")
    import hmac

    right = hmac.digest(key, sigv4.string_to_sign(canonical, signed), "sha256").hex()
    good = [(n, right if n == "X-Amz-Signature" else v) for n, v in pairs]
    assert refusal(message._replace(pairs=good)).code == "InvalidToken"


def test_a_mismatch_explains_itself_without_the_expected_signature():
    """The client gets the string to sign; the signature that would be right appears nowhere."""
    message = EXAMPLES["get-object"]
    right = b"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    value = message.headers[b"authorization"].replace(right, b"0" * 64)
    error = refusal(with_authorization(value))
    told = dict(error.fields)
    assert told["StringToSign"].startswith("AWS4-HMAC-SHA256\n20130524T000000Z\n")
    assert told["CanonicalRequest"].startswith("GET\n/test.txt\n")
    assert right.decode() not in str(error.fields) + error.message


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"date": b"yesterday"},
        {"x_amz_date": b"2013"},
        {"x_amz_date": b"20139924T000000Z"},
        {"x_amz_date": b"20130524T000000X"},
    ],
)
def test_a_request_without_a_valid_date_is_refused(headers):
    """Neither header can be read: 403, as the reference says."""
    message = with_authorization(EXAMPLES["get-object"].headers[b"authorization"], **headers)
    given = dict(message.headers)
    if "x_amz_date" not in headers:
        del given[b"x-amz-date"]
    assert refusal(message._replace(headers=given)).code == "AccessDenied"


def test_a_date_header_stands_in_for_x_amz_date():
    """`Date` in HTTP form is converted for the string to sign."""
    message = with_authorization(
        EXAMPLES["get-object"].headers[b"authorization"], date=b"Fri, 24 May 2013 00:00:00 GMT"
    )
    given = dict(message.headers)
    del given[b"x-amz-date"]
    signed = sigv4.parse(message._replace(headers=given))
    assert signed.timestamp == "20130524T000000Z"
