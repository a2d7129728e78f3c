"""Browser form uploads: every condition of the policy is enforced."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from proxy.s3.errors import S3Error
from proxy.s3.form import Form, boundary_of
from tests.unit.proxy_s3.signer import ACCESS_KEY, NONE, SECRET_KEY, UNSIGNED
from tests.unit.proxy_s3.test_multipart_api import BIG

BOUNDARY = "----form-boundary-7"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def encode(fields, file=b"content", *, filename="name.txt", tail=(), boundary=BOUNDARY) -> bytes:
    parts = []
    for name, value in fields:
        data = value if isinstance(value, bytes) else value.encode()
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
            + data
            + b"\r\n"
        )
    if file is not None:
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
            "Content-Type: text/plain\r\n\r\n".encode()
            + file
            + b"\r\n"
        )
    for name, value in tail:
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        )
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def signed(conditions, fields, *, expires=300, secret=SECRET_KEY, version=4, document=None):
    """Form fields of a policy with these conditions."""
    now = datetime.now(UTC)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    credential = f"{ACCESS_KEY}/{stamp[:8]}/us-east-1/s3/aws4_request"
    extra = {}
    if version == 4:
        extra = {
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": credential,
            "x-amz-date": stamp,
        }
    if document is None:
        document = {
            "expiration": (now + timedelta(seconds=expires)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "conditions": [*conditions, *({name: value} for name, value in extra.items())],
        }
    text = document if isinstance(document, str) else json.dumps(document)
    policy = base64.b64encode(text.encode()).decode()
    if version == 2:
        digest = hmac.new(secret.encode(), policy.encode(), hashlib.sha1).digest()
        extra = {"AWSAccessKeyId": ACCESS_KEY, "signature": base64.b64encode(digest).decode()}
    else:
        key = ("AWS4" + secret).encode()
        for part in (stamp[:8], "us-east-1", "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        extra["x-amz-signature"] = hmac.new(key, policy.encode(), hashlib.sha256).hexdigest()
    return [*fields, *extra.items(), ("policy", policy)]


def send(site, bucket, body, content_type=TYPE):
    wire = site.signer.sign(
        "POST",
        f"/{bucket}",
        headers={"content-type": content_type},
        body=body,
        mode=UNSIGNED,
        place=NONE,
    )
    del wire.headers["x-amz-content-sha256"]
    return site.send(wire)


def conditions_of(bucket):
    return [{"bucket": bucket}, ["starts-with", "$key", "user/"], {"acl": "private"}]


FIELDS = [("key", "user/k"), ("acl", "private")]


def outcome(answer) -> tuple[int, str]:
    return answer.status, answer.code


@pytest.mark.parametrize("version", [2, 4])
def test_a_form_with_a_signed_policy_uploads(site, s3, bucket, version):
    """204, ETag and Location; both versions of the policy's signature."""
    answer = send(site, bucket, encode(signed(conditions_of(bucket), FIELDS, version=version)))
    assert answer.status == 204
    got = s3.get_object(Bucket=bucket, Key="user/k")
    assert got["Body"].read() == b"content"
    assert answer.headers["etag"] == got["ETag"]
    assert answer.headers["location"].endswith(f"/{bucket}/user/k")


def test_a_large_file_streams_in_any_pieces(site, s3, bucket):
    """Five megabytes, holding what looks like the boundary."""
    body = BIG + f"\r\n--{BOUNDARY[:-1]}\r\n--".encode() + b"\r\n" * 100
    assert send(site, bucket, encode(signed(conditions_of(bucket), FIELDS), body)).status == 204
    assert s3.get_object(Bucket=bucket, Key="user/k")["Body"].read() == body


def test_boto3s_presigned_post_works(site, s3, bucket):
    """Fields made by generate_presigned_post."""
    post = s3.generate_presigned_post(
        bucket,
        "user/${filename}",
        Fields={"Content-Type": "text/x", "x-amz-meta-a": "b", "success_action_status": "201"},
        Conditions=[
            {"Content-Type": "text/x"},
            {"x-amz-meta-a": "b"},
            {"success_action_status": "201"},
            ["content-length-range", 1, 100],
        ],
    )
    answer = send(site, bucket, encode(post["fields"].items(), filename="C:\\x\\näme.txt"))
    assert answer.status == 201
    told = answer.xml("PostResponse")
    assert (told.value("Bucket"), told.value("Key")) == (bucket, "user/näme.txt")
    got = s3.get_object(Bucket=bucket, Key="user/näme.txt")
    assert (got["ContentType"], got["Metadata"]) == ("text/x", {"a": "b"})


def test_success_may_redirect(site, bucket):
    """303 to the client's URL with bucket, key and etag; a URL that is none is ignored."""
    for url, status in (
        ("http://localhost/done?x=1", 303),
        ("javascript:x", 204),
        ("\r\nX: y", 204),
    ):
        fields = [*FIELDS, ("success_action_redirect", url)]
        policy = [*conditions_of(bucket), ["starts-with", "$success_action_redirect", ""]]
        answer = send(site, bucket, encode(signed(policy, fields)))
        assert answer.status == status
        assert "x" not in answer.headers
        if status == 303:
            assert answer.headers["location"].startswith(
                f"http://localhost/done?x=1&bucket={bucket}&key=user%2Fk&etag=%22"
            )


@pytest.mark.parametrize(
    ("fields", "condition", "want"),
    [
        ([("key", "other/k"), ("acl", "private")], None, (403, "AccessDenied")),
        ([("key", "user/k"), ("acl", "public-read")], None, (403, "AccessDenied")),
        ([("key", "user/k")], None, (403, "AccessDenied")),
        ([*FIELDS, ("x-amz-meta-a", "b")], None, (403, "AccessDenied")),
        ([*FIELDS, ("x-ignore-this", "b")], None, (204, "")),
        ([*FIELDS, ("Content-Type", "text/x")], {"content-type": "text/y"}, (403, "AccessDenied")),
        (
            [*FIELDS, ("Content-Type", "image/png")],
            ["starts-with", "$Content-Type", "image/"],
            (204, ""),
        ),
        (
            [*FIELDS, ("Content-Type", "image/png,text/x")],
            ["starts-with", "$Content-Type", "image/"],
            (403, "AccessDenied"),
        ),
        (FIELDS, ["content-length-range", 8, 100], (400, "EntityTooSmall")),
        (FIELDS, ["content-length-range", 0, 6], (400, "EntityTooLarge")),
        (FIELDS, ["content-length-range", "7", "7"], (204, "")),
        (FIELDS, ["eq", "$key", "user/other"], (403, "AccessDenied")),
        (FIELDS, {"bucket": "another"}, (403, "AccessDenied")),
        ([*FIELDS, ("bucket", "another")], None, (204, "")),
        (FIELDS, ["matches", "$key", ".*"], (400, "InvalidPolicyDocument")),
        (FIELDS, ["eq", "key", "user/k"], (400, "InvalidPolicyDocument")),
        (FIELDS, ["content-length-range", -1, 5], (400, "InvalidPolicyDocument")),
        (FIELDS, ["content-length-range", 5], (400, "InvalidPolicyDocument")),
        (FIELDS, {"acl": 5}, (400, "InvalidPolicyDocument")),
        (FIELDS, {}, (400, "InvalidPolicyDocument")),
        (FIELDS, 5, (400, "InvalidPolicyDocument")),
    ],
)
def test_every_condition_is_enforced(site, bucket, fields, condition, want):
    """GHSA-w5fh-f8xh-5x3p: prefix, exact, content type, length, unmentioned fields, each violated."""
    conditions = [*conditions_of(bucket), *([] if condition is None else [condition])]
    assert outcome(send(site, bucket, encode(signed(conditions, fields)))) == want
    if want[0] >= 400:
        assert site.call("GET", f"/{bucket}/user/k").status == 404


def test_a_forged_or_expired_policy_is_refused(site, bucket):
    """Wrong secret, changed policy, unknown key, no signature, no policy, too late."""
    conditions = conditions_of(bucket)
    for version in (2, 4):
        forged = signed(conditions, FIELDS, secret="wrong", version=version)
        assert outcome(send(site, bucket, encode(forged))) == (403, "SignatureDoesNotMatch")
        good = signed(conditions, FIELDS, version=version)
        other = dict(signed([{"bucket": bucket}], FIELDS, version=version))["policy"]
        changed = [(n, other if n == "policy" else v) for n, v in good]
        assert outcome(send(site, bucket, encode(changed))) == (403, "SignatureDoesNotMatch")
        unknown = [(n, v.replace(ACCESS_KEY, "AKIDUNKNOWN")) for n, v in good]
        assert outcome(send(site, bucket, encode(unknown))) == (403, "InvalidAccessKeyId")
        unsigned = [(n, v) for n, v in good if "signature" not in n]
        assert send(site, bucket, encode(unsigned)).status == 400
    late = signed(conditions, FIELDS, expires=-1)
    assert outcome(send(site, bucket, encode(late))) == (403, "AccessDenied")
    assert outcome(send(site, bucket, encode(FIELDS))) == (403, "AccessDenied")
    assert site.call("GET", f"/{bucket}/user/k").status == 404


@pytest.mark.parametrize(
    "document",
    [
        "not json",
        "[]",
        "{}",
        '{"expiration": "2100-01-01T00:00:00Z"}',
        '{"conditions": []}',
        '{"expiration": "soon", "conditions": []}',
        '{"expiration": 5, "conditions": []}',
        '{"expiration": "2100-01-01T00:00:00Z", "conditions": {}}',
        "[" * 5000,
    ],
)
def test_malformed_policies_are_refused(site, bucket, document):
    """InvalidPolicyDocument, though signed."""
    fields = signed([], FIELDS, document=document)
    assert outcome(send(site, bucket, encode(fields))) == (400, "InvalidPolicyDocument")


def test_reserved_and_hostile_keys_stay_keys(site, s3, bucket):
    """A form's key is as opaque as any: traversal and NUL lead nowhere."""
    for key in ("../../etc/passwd", "%2e%2e/x", "a\\b", "//x"):
        fields = signed([["starts-with", "$key", ""]], [("key", key)])
        assert send(site, bucket, encode(fields)).status == 204
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"content"
    for key, code in (("a\0b", 400), ("", 400), ("k" * 1025, 400)):
        fields = signed([["starts-with", "$key", ""]], [("key", key)])
        assert send(site, bucket, encode(fields)).status == code


def test_fields_cannot_smuggle_headers(site, bucket):
    """Line breaks in what becomes a header are refused."""
    for name in ("Content-Type", "Cache-Control", "x-amz-meta-a"):
        fields = [*FIELDS, (name, "a\r\nSet-Cookie: x")]
        conditions = [*conditions_of(bucket), ["starts-with", f"${name}", ""]]
        answer = send(site, bucket, encode(signed(conditions, fields)))
        assert outcome(answer) == (400, "InvalidArgument")


def test_forms_are_bounded(site, bucket):
    """Fields before the file have 20 KiB together; there is one file; its name is a field."""
    conditions = [*conditions_of(bucket), ["starts-with", "$x-amz-meta-a", ""]]
    big = [*FIELDS, ("x-amz-meta-a", "x" * 21_000)]
    answer = send(site, bucket, encode(signed(conditions, big)))
    assert answer.code == "MaxPostPreDataLengthExceededError"
    assert send(site, bucket, encode(signed(conditions, FIELDS), None)).status == 400
    twice = [*FIELDS, ("key", "user/l")]
    assert send(site, bucket, encode(signed(conditions_of(bucket), twice))).status == 400


def test_what_follows_the_file_is_ignored(site, s3, bucket):
    """As documented: the file is the last field."""
    body = encode(signed(conditions_of(bucket), FIELDS), tail=[("submit", "Upload")])
    assert send(site, bucket, body).status == 204
    assert s3.get_object(Bucket=bucket, Key="user/k")["Body"].read() == b"content"


def test_a_form_to_a_missing_bucket_is_no_such_bucket(site):
    """After its policy was found good."""
    fields = signed([{"bucket": "missing"}, {"key": "k"}], [("key", "k")])
    assert outcome(send(site, "missing", encode(fields))) == (404, "NoSuchBucket")


def test_a_form_with_digests_is_checked(site, bucket):
    """Content-MD5 and checksum fields."""
    for name, value, want in (
        ("content-md5", base64.b64encode(hashlib.md5(b"content").digest()).decode(), 204),
        ("content-md5", base64.b64encode(hashlib.md5(b"x").digest()).decode(), 400),
        ("x-amz-checksum-sha256", base64.b64encode(hashlib.sha256(b"x").digest()).decode(), 400),
    ):
        conditions = [*conditions_of(bucket), {name: value}]
        answer = send(site, bucket, encode(signed(conditions, [*FIELDS, (name, value)])))
        assert answer.status == want


def test_a_form_cut_at_any_byte_stores_nothing(site, bucket):
    """Truncation inside fields, file or boundary."""
    whole = encode(signed(conditions_of(bucket), FIELDS))
    for cut in range(0, len(whole) - 2, 13):
        answer = send(site, bucket, whole[:cut])
        assert 400 <= answer.status < 500
        assert site.call("GET", f"/{bucket}/user/k").status == 404


@pytest.mark.parametrize("size", [1, 2, 5, 64, 1000])
def test_the_parser_does_not_mind_the_size_of_pieces(size):
    """The same fields and file for any split."""
    body = encode([("a", "1"), ("b", ""), ("c", "x\r\ny")], b"\r\n--almost\r\n--")
    form = Form(BOUNDARY.encode())
    file = b""
    for at in range(0, len(body), size):
        file += b"".join(form.feed(body[at : at + size]))
        file += b"".join(form.feed(b""))
    form.finish()
    assert form.fields == {"a": "1", "b": "", "c": "x\r\ny"}
    assert (file, form.filename, form.file_type) == (
        b"\r\n--almost\r\n--",
        "name.txt",
        "text/plain",
    )


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 71,
    ],
)
def test_a_boundary_is_required(content_type):
    """MalformedPOSTRequest."""
    with pytest.raises(S3Error):
        boundary_of(content_type)
