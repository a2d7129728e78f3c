"""Temporary URLs: a signature in the query string that stands for a token (Swift API, "TempURL"). Pure.

The signed text has the lines `ip=<range>` (if given), method, expiry, and the path
`/v1/<account>/<container>/<object>`, or `prefix:` and the path up to the prefix. The key is kept in the
metadata of the account (which opens the whole account to manifests and links) or of the container
(which opens that container only). SHA-1, SHA-256 and SHA-512 are accepted, as hex or as
`<algorithm>:<base64>`. A signature for GET, PUT or POST also allows HEAD.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from proxy.swift.names import Target

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
DIGESTS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}
OF_HEX_LENGTH = {40: "sha1", 64: "sha256", 128: "sha512"}
KEYS = ("meta:temp-url-key", "meta:temp-url-key-2")
FORBIDDEN = (b"x-object-manifest", b"x-symlink-target")
ISO_FORMATS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ")
PUBLIC = "x-object-meta-public-"
INVALID = "401 Unauthorized: Temp URL invalid\n"


class Ticket(NamedTuple):
    """What the query string claims."""

    algorithm: str
    digest: bytes
    expires_s: int
    prefix: str | None
    ip_range: str | None
    filename: str
    inline: bool


def is_temporary(params: Mapping[str, str]) -> bool:
    """The request carries (part of) a temporary URL."""
    return "temp_url_sig" in params or "temp_url_expires" in params


def read_ticket(params: Mapping[str, str]) -> Ticket:
    """Parse the query string; raises ValueError."""
    algorithm, digest = read_digest(params.get("temp_url_sig", ""))
    return Ticket(
        algorithm,
        digest,
        _expiry(params.get("temp_url_expires", "")),
        params.get("temp_url_prefix"),
        params.get("temp_url_ip_range"),
        params.get("filename", ""),
        "inline" in params,
    )


def read_digest(text: str) -> tuple[str, bytes]:
    """Algorithm and bytes of a signature, hex or `algorithm:base64`; raises ValueError."""
    algorithm, colon, value = text.partition(":")
    try:
        if not colon:
            return OF_HEX_LENGTH[len(text)], binascii.unhexlify(text)
        value = value.replace("-", "+").replace("_", "/").rstrip("=")
        digest = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError, KeyError):
        raise ValueError("bad signature") from None
    if algorithm not in DIGESTS or len(digest) != DIGESTS[algorithm]().digest_size:
        raise ValueError("bad signature")
    return algorithm, digest


def _expiry(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    for form in ISO_FORMATS:
        try:
            return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp())
        except (ValueError, OverflowError):
            continue
    raise ValueError("bad expiry")


def _texts(ticket: Ticket, method: str, target: Target) -> Iterator[bytes]:
    """Texts of which one must have been signed."""
    base = f"/v1/{target.account}/{target.container}/"
    path = base + target.name if ticket.prefix is None else f"prefix:{base}{ticket.prefix}"
    methods = ("HEAD", "GET", "POST", "PUT") if method == "HEAD" else (method,)
    for signed in methods:
        text = f"{signed}\n{ticket.expires_s}\n{path}"
        if ticket.ip_range:
            text = f"ip={ticket.ip_range}\n{text}"
        yield text.encode()


def in_force(ticket: Ticket, target: Target, *, now_s: float, peer: str) -> bool:
    """Everything but the signature: expiry, prefix and the client's address."""
    if ticket.expires_s <= now_s or not target.name.strip("/"):
        return False
    if ticket.prefix is not None and not target.name.startswith(ticket.prefix):
        return False
    if ticket.ip_range:
        try:
            return ipaddress.ip_address(peer) in ipaddress.ip_network(ticket.ip_range)
        except ValueError:
            return False
    return True


def signed_by(
    ticket: Ticket, method: str, target: Target, keys: Mapping[str, list[str]]
) -> str | None:
    """Scope (a key of `keys`) whose key made the signature, or None.

    Every candidate is computed and compared in full, whichever matches.
    """
    found: str | None = None
    for scope, secrets in keys.items():
        for secret in secrets:
            for text in _texts(ticket, method, target):
                actual = hmac.digest(secret.encode(), text, ticket.algorithm)
                if hmac.compare_digest(actual, ticket.digest):
                    found = found or scope
    return found


def keys_of(attributes: Mapping[str, str]) -> list[str]:
    """Signing keys in the metadata of an account or container."""
    return [attributes[key] for key in KEYS if attributes.get(key)]


def disposition(kind: str, filename: str) -> str:
    """Content-Disposition with a name, in both of RFC 6266's forms."""
    plain = filename.replace("\\", "\\\\").replace('"', "%22")
    plain = quote(plain, safe=" !#$&'()*+,-./:;<=>?@[\\]^_`{|}~%\\")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe=' /')}"


def shown(
    headers: list[tuple[str, str]], ticket: Ticket, name: str, expires: str
) -> list[tuple[str, str]]:
    """Headers of a successful GET or HEAD: metadata hidden unless public, a name to save under."""
    kept: list[tuple[str, str]] = []
    existing = ""
    for header, value in headers:
        lower = header.lower()
        if lower == "content-disposition":
            existing = value
        elif lower != "expires" and (
            not lower.startswith("x-object-meta-") or lower.startswith(PUBLIC)
        ):
            kept.append((header, value))
    if ticket.inline:
        value = disposition("inline", ticket.filename) if ticket.filename else "inline"
    elif ticket.filename:
        value = disposition("attachment", ticket.filename)
    else:
        value = existing or disposition("attachment", name.rstrip("/").rpartition("/")[2])
    value = value.replace("\r", "%0D").replace("\n", "%0A")
    return [*kept, ("Content-Disposition", value), ("Expires", expires)]
