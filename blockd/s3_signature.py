"""Requests to an S3 service, signed with Signature Version 4 (AWS General Reference, "Signature Version 4"). Pure.

Only what backups need: one region, headers, no query but sorted pairs, the body's SHA-256 always included.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
SIGNED = "host;x-amz-content-sha256;x-amz-date"


class Account(NamedTuple):
    """Who signs, and for which region."""

    access_key: str
    secret_key: str
    region: str


def path_of(bucket: str, key: str) -> str:
    """The path of an object (or of a bucket, when the key is empty), as it is sent and signed."""
    return "/" + quote(f"{bucket}/{key}" if key else bucket, safe="/-._~")


def query_of(pairs: dict[str, str]) -> str:
    """A query, as it is sent and signed."""
    return "&".join(
        f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}"
        for name, value in sorted(pairs.items())
    )


def headers_for(
    account: Account, method: str, host: str, path: str, *, query: str, body: bytes, now_us: int
) -> dict[str, str]:
    """The headers that make a request this account's."""
    moment = datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    lines = f"host:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{moment}\n"
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{SIGNED}\n{digest}"
    scope = f"{moment[:8]}/{account.region}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{moment}\n{scope}\n{hashed}"
    key = f"AWS4{account.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"Credential={account.access_key}/{scope}"
    return {
        "x-amz-content-sha256": digest,
        "x-amz-date": moment,
        "Authorization": f"{ALGORITHM} {credential}, SignedHeaders={SIGNED}, Signature={signature}",
    }
