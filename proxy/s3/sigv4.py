"""AWS Signature Version 4, the verifier's side. Pure.

`parse` finds and checks the form of a request's authorisation (header or query), `verify` decides on
it. Nothing here looks at the payload: which bytes follow and how they are signed is named by the
payload hash, which is part of what is signed, so a wrong secret fails before any body is read, in
every payload mode. The comparison takes constant time, and an unknown key goes the same way as a known
one until the very end.
Reference: Amazon S3 API, "Authenticating Requests (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
from calendar import timegm
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_tz
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from proxy.s3.errors import S3Error

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
SKEW_MAX_S = 15 * 60
EXPIRES_MAX_S = 7 * 24 * 3600
SIGNED_HEADERS_MAX = 128
CACHE_ENTRIES_MAX = 1024
CACHED_BYTES_MAX = 1024

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_PATH_SAFE = _UNRESERVED + b"/"
_HEX = frozenset("0123456789abcdef")
_PREFIX = b"AWS4-HMAC-SHA256 "
_NO_SECRET = "unknown"  # noqa: S105 - what an unknown key is checked against; it can never match

Pairs = Sequence[tuple[str, str]]


class Scope(NamedTuple):
    """Who signed and for what: the credential scope and the names of the signed headers."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[bytes, ...]
    signed_set: frozenset[bytes]
    joined: bytes  # the signed header names as sent, `;` between them

    @property
    def text(self) -> str:
        """The scope as it enters the string to sign."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


class Signed(NamedTuple):
    """A parsed authorisation. `timestamp` is ISO 8601 basic, `expires_s` only for presigned queries."""

    scope: Scope
    timestamp: str
    signature: str
    payload_hash: str
    expires_s: int | None = None

    @property
    def presigned(self) -> bool:
        """The signature came in the query."""
        return self.expires_s is not None


class Verified(NamedTuple):
    """A request whose signature holds; `key` continues the chain for signed chunks."""

    signed: Signed
    key: bytes


class Message(NamedTuple):
    """What of a request is signed. `path` and `pairs` as received: raw path, decoded query pairs."""

    method: str
    path: str
    pairs: Pairs
    headers: Mapping[bytes, bytes]


# -- parsing -------------------------------------------------------------------------------------


def parse(message: Message) -> Signed | None:
    """The authorisation of a request, or None when it carries none.

    Raises S3Error with the codes of the reference for a malformed one.
    """
    authorization = message.headers.get(b"authorization")
    in_query = bool(message.pairs) and any(
        name in {"X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Credential"}
        for name, _ in message.pairs
    )
    if authorization:
        if in_query:
            raise S3Error(
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                "Signature query string parameter or the Authorization header should be specified",
                fields=(("ArgumentName", "Authorization"),),
            )
        return _parse_header(authorization, message.headers)
    if in_query:
        return _parse_query(message)
    return None


def _parse_header(authorization: bytes, headers: Mapping[bytes, bytes]) -> Signed:
    if not authorization.startswith(_PREFIX):
        raise _unsupported(authorization)
    prefix, found, tail = authorization.rpartition(b"Signature=")
    if not found or b"," in tail:  # not in the usual order
        prefix, tail = _reordered(authorization)
    # only what clients really send is remembered, so that the cache stays small
    read = _scope_of_header if len(prefix) <= CACHED_BYTES_MAX else _scope_of_header.__wrapped__
    scope = read(prefix)
    signature = _signature(tail, _malformed)
    payload_hash = headers.get(b"x-amz-content-sha256")
    if payload_hash is None:
        raise S3Error(
            "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"
        )
    return Signed(scope, _header_time(headers), signature, _text(payload_hash))


def _reordered(authorization: bytes) -> tuple[bytes, bytes]:
    """Bring `Signature` to the end."""
    parts = [part.strip() for part in authorization[len(_PREFIX) :].split(b",")]
    tails = [part[10:] for part in parts if part.startswith(b"Signature=")]
    if len(tails) != 1:
        raise _malformed("the Signature component is missing or repeated.")
    rest = [part for part in parts if not part.startswith(b"Signature=")]
    return _PREFIX + b",".join(rest) + b",", tails[0]


@lru_cache(maxsize=CACHE_ENTRIES_MAX)
def _scope_of_header(prefix: bytes) -> Scope:
    """The scope of an Authorization header without its signature; the same for many requests."""
    fields: dict[str, str] = {}
    for part in _text(prefix[len(_PREFIX) :]).split(","):
        name, equals, value = part.strip().partition("=")
        if not name and not equals:
            continue
        if name not in {"Credential", "SignedHeaders"} or name in fields or not equals:
            raise _malformed("the authorization header has an unknown or repeated component.")
        fields[name] = value
    if len(fields) != 2:
        raise _malformed("a non-empty Credential and SignedHeaders must be provided.")
    return _scope(fields["Credential"], fields["SignedHeaders"], _malformed)


def _scope(credential: str, signed_headers: str, malformed: Callable[[str], S3Error]) -> Scope:
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or not parts[0] or parts[4] != "aws4_request":
        raise malformed(
            "the Credential is mal-formed; expecting "
            '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    names = signed_headers.encode("latin-1", "replace").split(b";")
    if names != sorted(set(names)) or b"" in names or len(names) > SIGNED_HEADERS_MAX:
        names = sorted({name for name in names if name})
        if not names or len(names) > SIGNED_HEADERS_MAX:
            raise malformed("SignedHeaders is not a list of header names.")
    lowered = tuple(name.lower() for name in names)
    access_key, date, region, service, _ = parts
    return Scope(access_key, date, region, service, lowered, frozenset(lowered), b";".join(names))


def _header_time(headers: Mapping[bytes, bytes]) -> str:
    stamp = headers.get(b"x-amz-date")
    if stamp is not None:
        text = _text(stamp)
        if parse_time(text) is not None:
            return text
    date = headers.get(b"date")
    if stamp is None and date is not None:
        text = _text(date)
        if parse_time(text) is not None:
            return text
        seconds = parse_http_date(text)
        if seconds is not None:
            return basic_time(seconds)
    raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")


def _parse_query(message: Message) -> Signed:
    fields: dict[str, str] = {}
    for name, value in message.pairs:
        if name.startswith("X-Amz-"):
            if name in fields:
                raise _bad_query(f"{name} is given more than once")
            fields[name] = value
    if fields.get("X-Amz-Algorithm") != ALGORITHM:
        raise _bad_query(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    required = ("X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature")
    if any(not fields.get(name) for name in (*required, "X-Amz-Expires")):
        raise _bad_query("")
    scope = _scope(fields["X-Amz-Credential"], fields["X-Amz-SignedHeaders"], _bad_query)
    timestamp = fields["X-Amz-Date"]
    if parse_time(timestamp) is None:
        raise _bad_query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    given = message.headers.get(b"x-amz-content-sha256")
    payload_hash = fields.get("X-Amz-Content-Sha256") or UNSIGNED_PAYLOAD
    return Signed(
        scope,
        timestamp,
        _signature(fields["X-Amz-Signature"].encode("latin-1", "replace"), _bad_query),
        payload_hash if given is None else _text(given),
        _expires(fields["X-Amz-Expires"]),
    )


def _expires(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise _bad_query("X-Amz-Expires should be a number")
    seconds = int(text)
    if seconds < 0:
        raise _bad_query("X-Amz-Expires must be non-negative")
    if seconds > EXPIRES_MAX_S:
        raise _bad_query(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given "
            f"X-Amz-Expires must be less than {EXPIRES_MAX_S} seconds"
        )
    return seconds


def _signature(value: bytes, malformed: Callable[[str], S3Error]) -> str:
    text = _text(value).strip()
    if not text:
        raise malformed("the Signature is empty.")
    return text


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def parse_time(text: str) -> int | None:
    """Seconds since 1970 of `YYYYMMDDTHHMMSSZ`, or None."""
    return _parse_time(text) if len(text) == 16 and text.isascii() else None


@lru_cache(maxsize=CACHE_ENTRIES_MAX)
def _parse_time(text: str) -> int | None:
    if text[8] != "T" or text[15] != "Z":
        return None
    digits = text[:8] + text[9:15]
    if not digits.isdigit():
        return None
    fields = [int(digits[:4]), *(int(digits[at : at + 2]) for at in range(4, 14, 2))]
    return _seconds(fields)


def _seconds(fields: Sequence[int]) -> int | None:
    year, month, day, hour, minute, second = fields
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    return timegm((year, month, day, hour, minute, second, 0, 0, 0))


def parse_http_date(text: str) -> int | None:
    """Seconds since 1970 of an HTTP date, or None."""
    try:
        parsed = parsedate_tz(text)
    except (ValueError, IndexError, TypeError):
        return None
    if parsed is None:
        return None
    seconds = _seconds(parsed[:6])
    return None if seconds is None else seconds - (parsed[9] or 0)


@lru_cache(maxsize=CACHE_ENTRIES_MAX)
def basic_time(seconds: int) -> str:
    """`YYYYMMDDTHHMMSSZ`."""
    return iso_time(seconds).replace("-", "").replace(":", "").replace(".000", "")


@lru_cache(maxsize=CACHE_ENTRIES_MAX)
def iso_time(seconds: int) -> str:
    """`YYYY-MM-DDTHH:MM:SS.000Z`, the form of every time in S3's documents."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


# -- the signature -------------------------------------------------------------------------------


def canonical_path(path: str) -> bytes:
    """The path, decoded once and encoded again the one canonical way; never normalised."""
    raw = path.encode("latin-1", "replace")
    if not raw.translate(None, _PATH_SAFE):
        return raw
    return quote_from_bytes(unquote_to_bytes(raw), safe="/-._~").encode()


def canonical_query(pairs: Pairs) -> bytes:
    """Sorted, encoded pairs without the signature itself."""
    if not pairs:
        return b""
    encoded = sorted(
        (_encoded(name), _encoded(value)) for name, value in pairs if name != "X-Amz-Signature"
    )
    return b"&".join([name + b"=" + value for name, value in encoded])


def _encoded(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    if not raw.translate(None, _UNRESERVED):
        return raw
    return quote_from_bytes(raw, safe="-._~").encode()


def canonical_request(message: Message, signed: Signed, path: bytes | None = None) -> bytes:
    """The canonical request (bytes, because header values are); `path` overrides the canonical one."""
    if path is None:
        path = canonical_path(message.path)
    lines = [message.method.encode(), path, canonical_query(message.pairs)]
    headers = message.headers
    for name in signed.scope.signed_headers:
        value = headers.get(name, b"").strip()
        if b"  " in value:
            value = b" ".join([word for word in value.split(b" ") if word])
        lines.append(name + b":" + value)
    lines += (b"", signed.scope.joined, signed.payload_hash.encode("latin-1"))
    return b"\n".join(lines)


@lru_cache(maxsize=CACHE_ENTRIES_MAX)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The derived key of one day, region and service."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("utf-8", "replace"), "sha256")
    return key


def string_to_sign(canonical: bytes, signed: Signed) -> bytes:
    """What the key signs."""
    digest = hashlib.sha256(canonical).hexdigest()
    return f"{ALGORITHM}\n{signed.timestamp}\n{signed.scope.text}\n{digest}".encode(
        "utf-8", "replace"
    )


def verify(
    message: Message, signed: Signed, *, secret: str | None, region: str, now_s: int
) -> Verified:
    """Decide: scope, time and signature. Raises S3Error; returns only for a good signature.

    `secret` is that of the scope's access key, None when the key is not known.
    """
    scope = signed.scope
    _check_scope(signed, region)
    _check_signed_headers(message.headers, scope)
    _check_time(signed, now_s)
    key = signing_key(secret or _NO_SECRET, scope.date, scope.region, scope.service)
    canonical = canonical_request(message, signed)
    to_sign = string_to_sign(canonical, signed)
    good = _matches(key, to_sign, signed)
    if not good:
        # many clients sign the path just as they send it; it binds the same bytes
        raw = message.path.encode("latin-1", "replace")
        good = _matches(
            key, string_to_sign(canonical_request(message, signed, raw), signed), signed
        )
    if secret is None:
        raise S3Error("InvalidAccessKeyId", fields=(("AWSAccessKeyId", scope.access_key),))
    if not good:
        raise _mismatch(signed, canonical, to_sign)
    if b"x-amz-security-token" in message.headers or any(
        name == "X-Amz-Security-Token" for name, _ in message.pairs
    ):
        raise S3Error("InvalidToken")
    return Verified(signed, key)


def _matches(key: bytes, to_sign: bytes, signed: Signed) -> bool:
    """Compare in constant time."""
    expected = hmac.digest(key, to_sign, "sha256").hex()
    return hmac.compare_digest(expected.encode(), signed.signature.encode("latin-1", "replace"))


def _check_scope(signed: Signed, region: str) -> None:
    scope = signed.scope
    malformed = _bad_credential if signed.presigned else _malformed
    if scope.region != region:
        raise malformed(
            f"the region '{scope.region}' is wrong; expecting '{region}'", ("Region", region)
        )
    if scope.service != "s3":
        raise malformed(f'incorrect service "{scope.service}". This endpoint belongs to "s3".')
    if scope.date != signed.timestamp[:8]:
        raise malformed(
            f'Invalid credential date "{scope.date}". This date is not the same as '
            f'X-Amz-Date: "{signed.timestamp[:8]}".'
        )


def _check_signed_headers(headers: Mapping[bytes, bytes], scope: Scope) -> None:
    """`host` and every x-amz-* header of the request must be signed."""
    signed = scope.signed_set
    missing = [name for name in headers if name.startswith(b"x-amz-") and name not in signed]
    if b"host" not in signed:
        missing.insert(0, b"host")
    if missing:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            fields=(("HeadersNotSigned", _text(b", ".join(missing))),),
        )


def _check_time(signed: Signed, now_s: int) -> None:
    seconds = parse_time(signed.timestamp)
    assert seconds is not None
    if signed.expires_s is None:
        if abs(now_s - seconds) > SKEW_MAX_S:
            raise S3Error(
                "RequestTimeTooSkewed",
                fields=(
                    ("RequestTime", signed.timestamp),
                    ("ServerTime", iso_time(now_s)),
                    ("MaxAllowedSkewMilliseconds", str(SKEW_MAX_S * 1000)),
                ),
            )
        return
    if seconds - now_s > SKEW_MAX_S:
        raise S3Error("AccessDenied", "Request is not yet valid")
    if now_s >= seconds + signed.expires_s:
        raise S3Error(
            "AccessDenied",
            "Request has expired",
            fields=(
                ("X-Amz-Expires", str(signed.expires_s)),
                ("Expires", iso_time(seconds + signed.expires_s)),
                ("ServerTime", iso_time(now_s)),
            ),
        )


# -- refusals ------------------------------------------------------------------------------------


def _malformed(message: str, *fields: tuple[str, str]) -> S3Error:
    return S3Error(
        "AuthorizationHeaderMalformed",
        f"The authorization header is malformed; {message}",
        fields=fields,
    )


def _bad_query(message: str, *fields: tuple[str, str]) -> S3Error:
    return S3Error("AuthorizationQueryParametersError", message, fields=fields)


def _bad_credential(message: str, *fields: tuple[str, str]) -> S3Error:
    return _bad_query(f"Error parsing the X-Amz-Credential parameter; {message}", *fields)


def _unsupported(authorization: bytes) -> S3Error:
    return S3Error(
        "InvalidArgument",
        "Unsupported Authorization Type",
        fields=(("ArgumentName", "Authorization"), ("ArgumentValue", _text(authorization))),
    )


def _mismatch(signed: Signed, canonical: bytes, to_sign: bytes) -> S3Error:
    """What we computed from, so that a client can find its mistake; never the expected signature."""
    return S3Error(
        "SignatureDoesNotMatch",
        fields=(
            ("AWSAccessKeyId", signed.scope.access_key),
            ("StringToSign", _text(to_sign)),
            ("SignatureProvided", signed.signature),
            ("StringToSignBytes", to_sign.hex(" ")),
            ("CanonicalRequest", _text(canonical)),
            ("CanonicalRequestBytes", canonical.hex(" ")),
        ),
    )
