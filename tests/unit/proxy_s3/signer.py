"""A client's side of signature version 4, in every place and payload mode; written apart from the code
it tests, straight from the reference."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

ACCESS_KEY = "AKIDEXAMPLE0000000AB"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

SHA256 = "sha256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
MODES = (SHA256, UNSIGNED, SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED_TRAILER)
HEADER, QUERY, NONE = "header", "query", "none"
PLACES = (HEADER, QUERY, NONE)


class Wire(NamedTuple):
    """A request as it goes out."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Signer:
    def __init__(self, host, *, access_key=ACCESS_KEY, secret=SECRET_KEY, region="us-east-1"):
        self.host = host
        self.access_key = access_key
        self.secret = secret
        self.region = region
        self.service = "s3"
        self.now = None
        self.expires = 300
        self.chunk = 64 * 1024
        self.unsigned_headers = frozenset({"expect", "user-agent", "connection"})

    def key(self, date: str) -> bytes:
        key = ("AWS4" + self.secret).encode()
        for part in (date, self.region, self.service, "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key

    def sign(self, method, path, query=(), headers=None, body=b"", *, mode=SHA256, place=HEADER):
        """`path` is decoded text; `query` pairs of decoded text."""
        now = self.now or datetime.now(UTC)
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"
        headers = {name.lower(): value for name, value in (headers or {}).items()}
        headers["host"] = self.host
        payload = hashlib.sha256(body).hexdigest() if mode == SHA256 else mode
        query = list(query)
        if mode in {SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED_TRAILER}:
            headers["x-amz-decoded-content-length"] = str(len(body))
            headers["content-encoding"] = "aws-chunked"
        if mode in {SIGNED_TRAILER, UNSIGNED_TRAILER}:
            headers["x-amz-trailer"] = "x-amz-checksum-crc32"
        if place != QUERY or mode != UNSIGNED:
            headers["x-amz-content-sha256"] = payload
        if place == HEADER:
            headers["x-amz-date"] = stamp
        names = sorted(set(headers) - self.unsigned_headers)
        if place == QUERY:
            query += [
                ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
                ("X-Amz-Credential", f"{self.access_key}/{scope}"),
                ("X-Amz-Date", stamp),
                ("X-Amz-Expires", str(self.expires)),
                ("X-Amz-SignedHeaders", ";".join(names)),
            ]
        signature = self.signature(method, path, query, headers, names, payload, stamp, scope)
        if place == HEADER:
            headers["authorization"] = (
                f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
                f"SignedHeaders={';'.join(names)}, Signature={signature}"
            )
        if place == QUERY:
            query.append(("X-Amz-Signature", signature))
        target = quote(path, safe="/-._~")
        if query:
            target += "?" + "&".join(
                f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in query
            )
        body = self.framed(body, mode, stamp, scope, signature)
        headers["content-length"] = str(len(body))
        return Wire(method, target, headers, body)

    def signature(self, method, path, query, headers, names, payload, stamp, scope) -> str:
        pairs = sorted((quote(n, safe="-._~"), quote(v, safe="-._~")) for n, v in query)
        lines = [method, quote(path, safe="/-._~"), "&".join(f"{n}={v}" for n, v in pairs)]
        lines += [f"{name}:{_collapsed(headers[name])}" for name in names]
        lines += ["", ";".join(names), payload]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return self.mac(stamp, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}")

    def mac(self, stamp: str, text: str) -> str:
        return hmac.new(self.key(stamp[:8]), text.encode(), hashlib.sha256).hexdigest()

    def framed(self, body, mode, stamp, scope, seed) -> bytes:
        """The body in its aws-chunked form."""
        if mode in {SHA256, UNSIGNED}:
            return body
        out = []
        previous = seed
        empty = hashlib.sha256(b"").hexdigest()
        pieces = [body[at : at + self.chunk] for at in range(0, len(body), self.chunk)]
        for piece in [*pieces, b""]:
            extension = ""
            if mode != UNSIGNED_TRAILER:
                digest = hashlib.sha256(piece).hexdigest()
                previous = self.mac(
                    stamp,
                    f"AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{scope}\n{previous}\n{empty}\n{digest}",
                )
                extension = f";chunk-signature={previous}"
            out.append(f"{len(piece):x}{extension}\r\n".encode())
            if piece:
                out.append(piece + b"\r\n")
        if mode != SIGNED_CHUNKS:
            value = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
            trailer = f"x-amz-checksum-crc32:{value}"
            out.append(trailer.encode() + b"\r\n")
            if mode == SIGNED_TRAILER:
                digest = hashlib.sha256(f"{trailer}\n".encode()).hexdigest()
                signature = self.mac(
                    stamp, f"AWS4-HMAC-SHA256-TRAILER\n{stamp}\n{scope}\n{previous}\n{digest}"
                )
                out.append(f"x-amz-trailer-signature:{signature}\r\n".encode())
        out.append(b"\r\n")
        return b"".join(out)


def _collapsed(value: str) -> str:
    """Trimmed, runs of blanks made one."""
    return " ".join(word for word in value.strip(" ").split(" ") if word)
