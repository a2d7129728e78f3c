"""One verified S3 request on its way through a handler, and what every handler answers with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache

from core.env import Env
from core.http import Body, Headers, Response, header_text
from core.limits import MIB
from proxy.identity import Identity
from proxy.s3.errors import S3Error
from proxy.s3.payload import Payload
from proxy.s3.route import Target
from proxy.s3.sigv4 import Verified, iso_time
from proxy.s3.xml import Node, parse
from proxy.store.port import Store
from proxy.store.record import OBJECTS, ObjectName

DOCUMENT_BYTES_MAX = 2 * MIB
XML_TYPE = ("Content-Type", "application/xml")


class Call:
    """What a handler gets: the request's parts, who signed it, and the store."""

    __slots__ = (
        "body", "bucket", "env", "headers", "identity", "key", "method", "query", "region", "store",
        "verified",
    )  # fmt: skip

    def __init__(
        self, store: Store, env: Env, target: Target, *, identity: Identity, verified: Verified
    ) -> None:
        self.store = store
        self.env = env
        self.bucket, self.key = target
        self.identity = identity
        self.verified = verified
        self.method = ""
        self.region = ""
        self.query: Mapping[str, str] = {}
        self.headers: Mapping[bytes, bytes] = {}
        self.body = Body(None, 0)

    @property
    def account(self) -> str:
        """The storage account the caller works in."""
        return self.identity.account

    @property
    def where(self) -> ObjectName:
        """The object addressed."""
        return ObjectName(self.identity.account, self.bucket, self.key)

    def name_of(self, name: str, space: str = OBJECTS) -> ObjectName:
        """Another record in the same bucket."""
        return ObjectName(self.identity.account, self.bucket, name, space)

    def header(self, name: bytes) -> str | None:
        """A header as text, by lower-case name."""
        value = self.headers.get(name)
        return None if value is None else header_text(value)

    def check_owner(self, expected: bytes) -> None:
        """x-amz-expected-bucket-owner: every bucket here is the caller's. Raises AccessDenied."""
        if expected.decode("latin-1") not in {self.account, owner_id(self.account)}:
            raise S3Error("AccessDenied")

    async def document(
        self, root: str, *, size_max: int = DOCUMENT_BYTES_MAX, announced: bool = True
    ) -> Node:
        """The request's XML body. Raises MalformedXML and whatever its digests refuse.

        `announced`: checksums in the headers are those of this body.
        """
        payload = Payload(
            self.body, self.headers, self.verified, size_max=size_max, announced=announced
        )
        data = await payload.read_document()
        if not data.strip():
            raise S3Error("MissingRequestBodyError")
        return parse(data, root)


def xml_response(body: bytes, headers: Headers = (), status: int = 200) -> Response:
    """An XML document."""
    return Response(status, [XML_TYPE, *headers], body)


@lru_cache(maxsize=1024)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def http_date(microseconds: int) -> str:
    """A time as Last-Modified shows it (whole seconds, rounded down)."""
    return _http_date(microseconds // 1_000_000)


def xml_date(microseconds: int) -> str:
    """The same time as documents show it, so that a listing and a HEAD always agree."""
    return iso_time(microseconds // 1_000_000)


@lru_cache(maxsize=1024)
def owner_id(account: str) -> str:
    """The canonical user id of an account, 64 hexadecimal digits as S3's are."""
    return hashlib.sha256(b"owner:" + account.encode()).hexdigest()
