"""AWS Signature Version 2, the verifier's side, for the clients that still use it. Pure.

Amazon's own command line signs presigned URLs this way for custom endpoints unless told otherwise. The
signature covers the method, the path, every x-amz-* header and the subresources listed here, but no
other parameter; so a request signed this way may select an operation only by a parameter that is
covered. Chunk signatures do not exist in this version.
Reference: Amazon S3 User Guide, "Signing and Authenticating REST Requests (AWS Signature Version 2)".
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

from proxy.s3 import chunked
from proxy.s3.errors import S3Error
from proxy.s3.route import is_selector
from proxy.s3.sigv4 import (
    SKEW_MAX_S,
    UNSIGNED_PAYLOAD,
    Message,
    Scope,
    Signed,
    Verified,
    basic_time,
    iso_time,
    parse_http_date,
    parse_time,
)

_PREFIX = b"AWS "
_COVERED = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle",
        "location", "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication",
        "requestPayment", "response-cache-control", "response-content-disposition",
        "response-content-encoding", "response-content-language", "response-content-type",
        "response-expires", "restore", "select", "select-type", "storageClass", "tagging", "torrent",
        "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    }
)  # fmt: skip
_HARMLESS = frozenset(
    {"list-type", "attributes", "encryption", "publicAccessBlock", "policyStatus"}
)


def is_used(message: Message) -> bool:
    """The request is signed in this version."""
    authorization = message.headers.get(b"authorization")
    if authorization:
        return authorization.startswith(_PREFIX)
    return any(name == "AWSAccessKeyId" for name, _ in message.pairs)


def access_key_of(message: Message) -> str:
    """Whose signature a request claims to bear, before anything is checked; "" when it does not say."""
    authorization = message.headers.get(b"authorization")
    if authorization:
        return authorization[len(_PREFIX) :].decode("latin-1").partition(":")[0].strip()
    return dict(reversed(message.pairs)).get("AWSAccessKeyId", "")


def verify(message: Message, *, bucket: str, secret: str | None, now_s: int) -> Verified:
    """Decide. `bucket` is that of the Host header, empty in path style. Raises S3Error.

    `secret` is that of the access key, None when the key is not known.
    """
    authorization = message.headers.get(b"authorization")
    if authorization:
        access_key, signature = _of_header(authorization)
        date, seconds = _date(message.headers)
        if abs(now_s - seconds) > SKEW_MAX_S:
            raise S3Error(
                "RequestTimeTooSkewed",
                fields=(
                    ("RequestTime", iso_time(seconds)),
                    ("ServerTime", iso_time(now_s)),
                    ("MaxAllowedSkewMilliseconds", str(SKEW_MAX_S * 1000)),
                ),
            )
    else:
        access_key, signature, date, seconds = _of_query(message, now_s)
    to_sign = string_to_sign(message, date, bucket)
    key = (secret or "unknown").encode()
    good = _matches(key, to_sign, signature)
    if not good and not bucket and "/" not in message.path[1:]:
        # of a bucket alone, many clients sign the path with a slash that they do not send
        slashed = message._replace(path=message.path + "/")
        good = _matches(key, string_to_sign(slashed, date, bucket), signature)
    if secret is None:
        raise S3Error("InvalidAccessKeyId", fields=(("AWSAccessKeyId", access_key),))
    if not good:
        raise _mismatch(access_key, to_sign, signature)
    _check_coverage(message)
    scope = Scope(access_key, "", "", "s3", (), frozenset(), b"")
    return Verified(Signed(scope, basic_time(seconds), signature, _payload(message.headers)), b"")


def _matches(key: bytes, to_sign: bytes, signature: str) -> bool:
    """Compare in constant time."""
    expected = base64.b64encode(hmac.digest(key, to_sign, "sha1"))
    return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))


def _of_header(authorization: bytes) -> tuple[str, str]:
    access_key, colon, signature = authorization[len(_PREFIX) :].decode("latin-1").partition(":")
    if not colon or not access_key.strip() or not signature.strip():
        raise S3Error(
            "InvalidArgument",
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            fields=(("ArgumentName", "Authorization"),),
        )
    return access_key.strip(), signature.strip()


def _of_query(message: Message, now_s: int) -> tuple[str, str, bytes, int]:
    """Key, signature, and Expires as text and number. Raises AccessDenied."""
    fields = dict(reversed(message.pairs))
    access_key, signature = fields.get("AWSAccessKeyId"), fields.get("Signature")
    expires = fields.get("Expires", "")
    if not access_key or not signature or not expires:
        raise S3Error(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId "
            "parameters",
        )
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 11):
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {expires}")
    seconds = int(expires)
    if now_s >= seconds:
        raise S3Error(
            "AccessDenied",
            "Request has expired",
            fields=(("Expires", iso_time(seconds)), ("ServerTime", iso_time(now_s))),
        )
    return access_key, signature, expires.encode(), seconds


def _date(headers: Mapping[bytes, bytes]) -> tuple[bytes, int]:
    """The Date line of the string to sign (empty with x-amz-date), and the time itself."""
    stamp = headers.get(b"x-amz-date")
    text = (stamp or headers.get(b"date", b"")).decode("latin-1")
    seconds = parse_time(text)
    if seconds is None:
        seconds = parse_http_date(text)
    if seconds is None:
        raise S3Error(
            "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        )
    return (b"" if stamp is not None else headers[b"date"]), seconds


def string_to_sign(message: Message, date: bytes, bucket: str) -> bytes:
    """What the key signs; `date` is the Date header or the Expires parameter."""
    headers = message.headers
    lines = [message.method.encode(), headers.get(b"content-md5", b"").strip()]
    lines += [headers.get(b"content-type", b"").strip(), date.strip()]
    amz = sorted(name for name in headers if name.startswith(b"x-amz-"))
    lines += [name + b":" + headers[name].strip() for name in amz]
    resource = message.path.encode("latin-1", "replace")
    if bucket:
        resource = b"/" + bucket.encode() + resource
    covered = sorted((name, value) for name, value in message.pairs if name in _COVERED)
    if covered:
        parts = [f"{name}={value}" if value else name for name, value in covered]
        resource += b"?" + "&".join(parts).encode("utf-8", "surrogateescape")
    lines.append(resource)
    return b"\n".join(lines)


def _check_coverage(message: Message) -> None:
    """Nothing that was not signed may decide what the request does."""
    for name, value in message.pairs:
        if (is_selector(name) or not value) and name not in _COVERED | _HARMLESS:
            raise S3Error(
                "InvalidRequest", f"The parameter {name} requires AWS Signature Version 4."
            )
        if name in _HARMLESS and message.method not in {"GET", "HEAD"}:
            raise S3Error(
                "InvalidRequest", f"The parameter {name} requires AWS Signature Version 4."
            )


def _payload(headers: Mapping[bytes, bytes]) -> str:
    given = headers.get(b"x-amz-content-sha256")
    mode = UNSIGNED_PAYLOAD if given is None else given.decode("latin-1")
    if mode in {chunked.SIGNED, chunked.SIGNED_TRAILER}:
        raise S3Error("InvalidRequest", "Signed chunks require AWS Signature Version 4.")
    return mode


def _mismatch(access_key: str, to_sign: bytes, signature: str) -> S3Error:
    return S3Error(
        "SignatureDoesNotMatch",
        fields=(
            ("AWSAccessKeyId", access_key),
            ("StringToSign", to_sign.decode("latin-1")),
            ("SignatureProvided", signature),
            ("StringToSignBytes", to_sign.hex(" ")),
        ),
    )
