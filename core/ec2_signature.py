"""Signatures of EC2's query API (version 2 and version 4), verified from a description of the request. Pure.

The description is what an EC2 front sends to the identity service: verb, host, path, params, headers and the
SHA-256 of the body. Versions 0 and 1 cover neither path nor host and are refused. References: AWS General
Reference, "Signature Version 2" and "Signature Version 4".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from calendar import timegm
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from core.errors import Refused

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_MAX_S = 15 * 60


class Described(NamedTuple):
    """A signed request as a service describes it."""

    access: str
    signature: str
    host: str
    verb: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body_hash: str


def verify(request: Described, secret: str, now_s: int) -> None:
    """Accept a good and timely signature. Raises Refused("BadSignature")."""
    if _is_v4(request):
        _verify_v4(request, secret, now_s)
    elif request.params.get("SignatureVersion") == "2":
        _verify_v2(request, secret, now_s)
    else:
        raise bad("the signature version is not supported")


def bad(why: str) -> Refused:
    """The refusal of a signature."""
    return Refused("BadSignature", why)


def _compare(expected: str, given: str) -> None:
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise bad("the signature does not match")


def _query(params: Mapping[str, str]) -> str:
    pairs = sorted((quote(name, safe="-_.~"), quote(params[name], safe="-_.~")) for name in params)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _is_v4(request: Described) -> bool:
    authorization = _lower(request.headers).get("authorization", "")
    return authorization.startswith(ALGORITHM) or request.params.get("X-Amz-Algorithm") == ALGORITHM


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower().strip(): value.strip() for name, value in headers.items()}


def _check_time(text: str, form: str, now_s: int) -> None:
    try:
        seconds = timegm(datetime.strptime(text, form).timetuple())  # noqa: DTZ007 - UTC by definition
    except ValueError:
        raise bad("the time of the signature cannot be read") from None
    if abs(now_s - seconds) > SKEW_MAX_S:
        raise bad("the signature is too old or from the future")


def _verify_v2(request: Described, secret: str, now_s: int) -> None:
    params = {name: value for name, value in request.params.items() if name != "Signature"}
    stamp = params.get("Timestamp", "").partition(".")[0].rstrip("Z")
    _check_time(stamp, "%Y-%m-%dT%H:%M:%S", now_s)
    digest = {"HmacSHA256": "sha256", "HmacSHA1": "sha1"}.get(
        params.setdefault("SignatureMethod", "HmacSHA256")
    )
    if digest is None:
        raise bad("the signature method is not supported")
    matches = []
    for host in dict.fromkeys((request.host, request.host.rpartition(":")[0])):
        # some clients sign the host without its port
        if host:
            text = "\n".join((request.verb, host, request.path, _query(params)))
            made = hmac.digest(secret.encode(), text.encode(), digest)
            matches.append(base64.b64encode(made).decode())
    for expected in matches[1:]:
        if hmac.compare_digest(expected.encode(), request.signature.encode("utf-8", "replace")):
            return
    _compare(matches[0] if matches else "", request.signature)


def _verify_v4(request: Described, secret: str, now_s: int) -> None:
    headers = _lower(request.headers)
    authorization = headers.get("authorization")
    if authorization is not None:
        fields = _authorization(authorization)
        stamp = headers.get("x-amz-date", "")
        params = dict(request.params)
    else:
        names = ("Credential", "SignedHeaders", "Signature")
        fields = {name: request.params.get(f"X-Amz-{name}", "") for name in names}
        stamp = request.params.get("X-Amz-Date", "")
        params = {name: v for name, v in request.params.items() if name != "X-Amz-Signature"}
    parts = fields.get("Credential", "").split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or parts[0] != request.access:
        raise bad("the credential scope is malformed")
    _, date, region, service, _ = parts
    if service == "s3":
        raise bad("a signature made for S3 opens nothing here")
    if not stamp.startswith(date) or len(date) != 8:
        raise bad("the signature's date is not that of its scope")
    _check_time(stamp, "%Y%m%dT%H%M%SZ", now_s)
    signed = [name for name in fields.get("SignedHeaders", "").split(";") if name]
    if "host" not in signed or any(name not in headers for name in signed):
        raise bad("the signed headers do not hold the host, or are missing")
    canonical = "\n".join(
        (
            request.verb.upper(),
            request.path,
            "" if request.verb.upper() == "POST" else _query(params),
            "".join(f"{name}:{headers[name]}\n" for name in signed),
            ";".join(signed),
            request.body_hash,
        )
    )
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    scope = "/".join(parts[1:])
    text = "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    _compare(expected, fields.get("Signature", ""))
    _compare(expected, request.signature)


def _authorization(header: str) -> dict[str, str]:
    parts = [part.strip().partition("=") for part in header[len(ALGORITHM) :].split(",")]
    return {name: value for name, _, value in parts}


def verify_s3(string_to_sign: bytes, signature: str, secret: str) -> None:
    """Accept an S3 signature (version 2's SHA-1 or version 4) over a given string to sign.

    Raises Refused("BadSignature"). The caller has the request; here only the arithmetic is checked.
    """
    if not string_to_sign.startswith(b"AWS4"):
        made = hmac.digest(secret.encode(), string_to_sign, "sha1")
        _compare(base64.b64encode(made).decode(), signature)
        return
    lines = string_to_sign.split(b"\n")
    scope = lines[2].split(b"/") if len(lines) == 4 and lines[0] == ALGORITHM.encode() else []
    if len(scope) != 4 or scope[3] != b"aws4_request" or scope[2] not in {b"s3", b"iam", b"sts"}:
        raise bad("the string to sign is malformed")
    key = b"AWS4" + secret.encode()
    for part in scope:
        key = hmac.digest(key, part, "sha256")
    _compare(hmac.digest(key, string_to_sign, "sha256").hex(), signature)
