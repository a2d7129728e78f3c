"""AWS Signature Version 4 as a client writes it, with everything cached that can be. Pure.

Only what a load generator needs: header signing of one region and service, `x-amz-content-sha256`
either of the body or UNSIGNED-PAYLOAD. The scope and the signing key are made once a day, so a
request costs two SHA-256 and one HMAC.
Reference: Amazon S3 API, "Authenticating Requests (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"


@lru_cache(maxsize=16)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day (`YYYYMMDD`), region and service."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def encode_path(path: str) -> str:
    """A decoded path as it goes on the wire and into the signature."""
    return quote(path, safe="/-._~")


def encode_query(query: Mapping[str, str]) -> str:
    """Sorted and encoded, which is both a valid query and the canonical one."""
    pairs = [(quote(name, safe="-._~"), quote(text, safe="-._~")) for name, text in query.items()]
    return "&".join([f"{name}={text}" for name, text in sorted(pairs)])


class Signer:
    """Makes request heads for one endpoint and key pair."""

    def __init__(self, host: str, access_key: str, secret_key: str, *, region: str) -> None:
        self._host = host
        self._secret = secret_key
        self._access_key = access_key
        self._region = region

    def fields(
        self,
        method: str,
        path: str,
        *,
        timestamp: str,
        payload_hash: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Every header of a signed request, names in lower case.

        `path` and `query` are encoded, `timestamp` is `YYYYMMDDTHHMMSSZ`; `headers` are signed too.
        """
        fields = {
            "host": self._host,
            "x-amz-content-sha256": payload_hash,
            "x-amz-date": timestamp,
        }
        if headers:
            fields.update({name.lower(): value for name, value in headers.items()})
            fields = dict(sorted(fields.items()))
        lines = "\n".join([f"{name}:{' '.join(value.split())}" for name, value in fields.items()])
        names = ";".join(fields)
        canonical = f"{method}\n{path}\n{query}\n{lines}\n\n{names}\n{payload_hash}"
        date = timestamp[:8]
        scope = f"{date}/{self._region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = signing_key(self._secret, date, self._region, "s3")
        to_sign = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        fields["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._access_key}/{scope},"
            f"SignedHeaders={names},Signature={signature}"
        )
        return fields

    def head(self, method: str, path: str, *, query: str = "", **rest: Any) -> bytes:
        """Request line and `fields`, without the empty line that ends them."""
        fields = self.fields(method, path, query=query, **rest)
        target = f"{path}?{query}" if query else path
        sent = "\r\n".join([f"{name}: {value}" for name, value in fields.items()])
        return f"{method} {target} HTTP/1.1\r\n{sent}".encode()
