"""`/v3/auth/…`: log-in, validation and revocation of tokens, and what a caller may log in to."""

from __future__ import annotations

from typing import Any

from authd import catalog, revocations, tokens
from authd.authority import Authority
from authd.methods import METHODS
from authd.proof import Proof, joined
from authd.scope import scope_of
from core.api.call import Answer, Call
from core.api.fault import bad_request, not_found, unauthorized
from core.api.route import OWN, PUBLIC, Route
from core.api.shape import Shape, anything, array, text
from core.authenticator import Authenticator
from core.errors import Refused
from core.identity import Identity
from core.revocation import AUDIT

LOGIN = Shape(
    {
        "auth": Shape(
            {
                "identity": Shape({"methods": array(text(1, 64), most=16)}, ["methods"]),
                "scope": anything,
            },
            ["identity"],
        )
    },
    ["auth"],
)


class Auth:
    """Operations on tokens."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._database = authority.database
        self._verifier = Authenticator(authority.env, authority.keyring, authority.revoked)

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("POST", "/v3/auth/tokens", PUBLIC, self.login, 201, LOGIN),
            Route("GET", "/v3/auth/tokens", "identity:validate_token", self.validate),
            Route("HEAD", "/v3/auth/tokens", "identity:check_token", self.validate),
            Route("DELETE", "/v3/auth/tokens", "identity:revoke_token", self.revoke, 204),
            Route("GET", "/v3/auth/catalog", OWN, self.catalog),
        ]

    async def login(self, call: Call) -> Answer:
        """Make a token of a proof and a scope."""
        auth = call.part("auth")
        scope = scope_of(auth.get("scope"))
        proof = await self._prove(auth["identity"])
        async with self._database.read() as db:
            identity = await tokens.identity_for(self._authority, db, proof, scope)
            body = await tokens.shown(db, identity, with_catalog=not call.query.flag("nocatalog"))
        token = tokens.sealed(self._authority, identity)
        return Answer(body, 201, (("X-Subject-Token", token),))

    async def _prove(self, identity: dict[str, Any]) -> Proof:
        names = list(dict.fromkeys(identity["methods"]))
        if not names:
            raise bad_request("Expecting to find a method in identity.methods.")
        proof: Proof | None = None
        for name in names:
            method = METHODS.get(name)
            if method is None:
                raise unauthorized(f"Attempted to authenticate with an unsupported method: {name}.")
            given = identity.get(name)
            if not isinstance(given, dict):
                raise bad_request(f"Expecting to find {name} in identity.")
            shown = await method(self._authority, given)
            proof = shown if proof is None else joined(proof, shown)
        assert proof is not None
        return proof

    def _subject(self, call: Call) -> Identity:
        """The identity of X-Subject-Token. Raises Fault 400 or 404."""
        presented = call.request.header("x-subject-token")
        if presented is None:
            raise bad_request("The X-Subject-Token header is missing.")
        try:
            return self._verifier.verify(presented)
        except Refused:
            raise not_found("token", "the subject token") from None

    async def validate(self, call: Call) -> Answer:
        """Show the subject token."""
        subject = self._subject(call)
        call.allow(token={"user_id": subject.user_id})
        async with self._database.read() as db:
            body = await tokens.shown(db, subject, with_catalog=not call.query.flag("nocatalog"))
        return Answer(
            body, headers=(("X-Subject-Token", call.request.header("x-subject-token") or ""),)
        )

    async def revoke(self, call: Call) -> None:
        """Revoke the subject token (and none that was made from it)."""
        subject = self._subject(call)
        call.allow(token={"user_id": subject.user_id})
        async with self._database.write() as db:
            await revocations.add(db, AUDIT, subject.audit_id, self._authority.now_us())

    async def catalog(self, call: Call) -> dict[str, Any]:
        """The catalog of the caller's own token."""
        async with self._database.read() as db:
            found = await catalog.of(db, call.identity)
        return {"catalog": found, "links": {"self": call.url("v3", "auth", "catalog")}}
