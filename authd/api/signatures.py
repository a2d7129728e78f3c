"""`/v3/s3tokens` and `/v3/ec2tokens`: services ask whose signature a request bears.

Only services and administrators may ask (CVE-2025-65073: anybody could turn a presigned URL into a token). S3
signatures are answered with who signed, and buy no token at all.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from authd import tokens
from authd.authority import Authority
from authd.lookups import signer_of
from core import ec2_signature
from core.api.call import Answer, Call
from core.api.fault import bad_request, unauthorized
from core.api.route import Route
from core.api.shape import Shape, plain_object, text
from core.ec2_signature import Described
from core.errors import Refused
from core.identity import Identity

S3 = Shape(
    {
        "credentials": Shape(
            {"access": text(1, 255), "token": text(1, 65536), "signature": text(1, 512)},
            ["access", "token", "signature"],
        )
    },
    ["credentials"],
)
REQUEST = Shape(
    {
        "access": text(1, 255),
        "signature": text(1, 512),
        "host": text(0, 512),
        "verb": text(0, 16),
        "path": text(0, 8192),
        "body_hash": text(0, 128),
        "params": plain_object,
        "headers": plain_object,
    },
    ["access", "signature"],
)
EC2 = Shape({"ec2Credentials": REQUEST, "credentials": REQUEST}, least=1)


class Signatures:
    """Verification of signatures for services."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("POST", "/v3/s3tokens", "identity:s3tokens_validate", self.s3, 200, S3),
            Route("POST", "/v3/ec2tokens", "identity:ec2tokens_validate", self.ec2, 200, EC2),
        ]

    async def s3(self, call: Call) -> dict[str, Any]:
        """Who signed an S3 request, given its string to sign."""
        call.allow()
        given = call.part("credentials")
        try:
            raw = base64.urlsafe_b64decode(given["token"])
        except (binascii.Error, ValueError):
            raise bad_request("Expecting to find base64 in credentials.token.") from None
        secret, identity = await self._signer(given["access"])
        try:
            ec2_signature.verify_s3(raw, given["signature"], secret)
        except Refused:
            raise unauthorized() from None
        return await self._shown(call, identity)

    async def ec2(self, call: Call) -> Answer:
        """A token for whoever signed an EC2 request."""
        call.allow()
        given = call.body.get("ec2Credentials") or call.body.get("credentials")
        if given is None:
            raise bad_request("Expecting to find ec2Credentials in the request body.")
        request = described(given)
        secret, identity = await self._signer(request.access)
        try:
            ec2_signature.verify(request, secret, self._authority.now_us() // 1_000_000)
        except Refused:
            raise unauthorized() from None
        body = await self._shown(call, identity)
        assert identity is not None, "the signature of an unknown key never verifies"
        token = tokens.sealed(self._authority, identity)
        return Answer(body, headers=(("X-Subject-Token", token),))

    async def _signer(self, access: str) -> tuple[str, Identity | None]:
        """Secret and identity of a key; an unknown one has a secret that nobody knows."""
        found = await signer_of(self._authority, access)
        if found is None:
            return self._authority.env.random_bytes(16).hex(), None
        return found

    async def _shown(self, call: Call, identity: Identity | None) -> dict[str, Any]:
        if identity is None:
            raise unauthorized()
        async with self._authority.database.read() as db:
            return await tokens.shown(db, identity, with_catalog=not call.query.flag("nocatalog"))


def described(given: dict[str, Any]) -> Described:
    """The request in a body. Raises Fault 400."""
    params, headers = given.get("params", {}), given.get("headers", {})
    for one in (params, headers):
        if not all(isinstance(value, str | int) for value in one.values()):
            raise bad_request("Expecting to find strings in params and headers.")
    return Described(
        given["access"],
        given["signature"],
        given.get("host", ""),
        given.get("verb", ""),
        given.get("path", ""),
        {name: str(value) for name, value in params.items()},
        {name: str(value) for name, value in headers.items()},
        given.get("body_hash", ""),
    )
