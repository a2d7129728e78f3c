"""`/v3/auth/…`: log-in, validation and revocation of tokens, and what a caller may log in to."""

from __future__ import annotations

from typing import Any

import msgspec

from authd import catalog, factors, grants, revocations, tokens
from authd.api import domains as domains_api
from authd.api import projects as projects_api
from authd.authority import Authority
from authd.methods import METHODS, of_identity
from authd.proof import Proof, joined
from authd.reachable import reachable
from authd.scope import Scope, scope_of
from authd.times import instant
from authd.trustees import with_trust
from authd.views import Views
from core.api.call import Answer, Call
from core.api.fault import bad_request, not_found, unauthorized
from core.api.listing import collection
from core.api.route import OWN, PUBLIC, Route
from core.api.shape import Shape, anything, array, text
from core.authenticator import Authenticator
from core.bearer import NONCE_BYTES, RECEIPT_PREFIX, audit_text, seal, unseal
from core.errors import Refused
from core.identity import Identity
from core.revocation import AUDIT

RECEIPT_LIFE_US = 300_000_000
RECEIPT = "Openstack-Auth-Receipt"
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
        self._views = Views(authority)

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("POST", "/v3/auth/tokens", PUBLIC, self.login, 201, LOGIN),
            Route("GET", "/v3/auth/tokens", "identity:validate_token", self.validate),
            Route("HEAD", "/v3/auth/tokens", "identity:check_token", self.validate),
            Route("DELETE", "/v3/auth/tokens", "identity:revoke_token", self.revoke, 204),
            Route("GET", "/v3/auth/catalog", OWN, self.catalog),
            Route("GET", "/v3/auth/projects", OWN, self.projects),
            Route("GET", "/v3/auth/domains", OWN, self.domains),
            Route("GET", "/v3/auth/system", OWN, self.system),
        ]

    async def login(self, call: Call) -> Answer:
        """Make a token of a proof and a scope."""
        auth = call.part("auth")
        scope = scope_of(auth.get("scope"))
        proof = await self._prove(auth["identity"])
        proof = await self._with_receipt(call, proof)
        rules = factors.rules_of(proof.user["options"], METHODS.keys())
        if not factors.enough(rules, proof.methods):
            return self._receipt(proof, rules)
        if scope.kind == "trust":
            proof = await with_trust(self._authority, proof, scope.name.id or scope.name.name)
        return await issued(self._authority, call, proof, scope)

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

    # -- receipts: a log-in in several steps ------------------------------------------------------

    async def _with_receipt(self, call: Call, proof: Proof) -> Proof:
        presented = call.request.header(RECEIPT)
        if presented is None:
            return proof
        try:
            receipt = unseal(self._authority.keyring.keys, presented, RECEIPT_PREFIX)
        except Refused:
            raise unauthorized("The receipt does not hold.") from None
        now_us = self._authority.now_us()
        if now_us >= receipt.expires_us or self._authority.revoked.revoked(receipt):
            raise unauthorized("The receipt does not hold.")
        earlier = await of_identity(self._authority, receipt)
        return joined(proof, earlier._replace(methods=receipt.methods, expires_us=None))

    def _receipt(self, proof: Proof, rules: list[frozenset[str]]) -> Answer:
        """401 with a receipt for the methods that were shown."""
        now_us = self._authority.now_us()
        identity = Identity(
            user_id=proof.user["id"],
            user_domain_id=proof.user["domain_id"],
            methods=proof.methods,
            issued_us=now_us,
            expires_us=now_us + RECEIPT_LIFE_US,
            audit_ids=(audit_text(self._authority.env.random_bytes(16)),),
        )
        key = self._authority.keyring.primary
        assert key is not None
        nonce = self._authority.env.random_bytes(NONCE_BYTES)
        body = {
            "receipt": {
                "methods": list(proof.methods),
                "user": {
                    "id": proof.user["id"],
                    "name": proof.user["name"],
                    "domain": {"id": proof.user["domain_id"]},
                },
                "issued_at": instant(identity.issued_us),
                "expires_at": instant(identity.expires_us),
            },
            "required_auth_methods": factors.missing(rules),
        }
        return Answer(body, 401, ((RECEIPT, seal(key, nonce, identity, RECEIPT_PREFIX)),))

    # -- validation and revocation -----------------------------------------------------------------

    def _subject(self, call: Call) -> Identity:
        """The identity of X-Subject-Token. Raises Fault 400 or 404."""
        call.absence_is_open = True  # whoever holds a token may learn that it counts no more
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
        token = call.request.header("x-subject-token") or ""
        with_catalog = not call.query.flag("nocatalog")
        body = self._views.get((token, with_catalog))
        if body is None:
            began = self._views.generation
            async with self._database.read() as db:
                shown = await tokens.shown(db, subject, with_catalog=with_catalog)
            body = msgspec.json.encode(shown)
            self._views.keep((token, with_catalog), body, began)
        return Answer(body, headers=(("X-Subject-Token", token),))

    async def revoke(self, call: Call) -> None:
        """Revoke the subject token (and none that was made from it)."""
        subject = self._subject(call)
        call.allow(token={"user_id": subject.user_id})
        async with self._database.write() as db:
            await revocations.add(db, AUDIT, subject.audit_id, self._authority.now_us())

    # -- what the caller may log in to ----------------------------------------------------------

    async def catalog(self, call: Call) -> dict[str, Any]:
        """The catalog of the caller's own token."""
        async with self._database.read() as db:
            found = await catalog.of(db, call.identity)
        return {"catalog": found, "links": {"self": call.url("v3", "auth", "catalog")}}

    async def projects(self, call: Call) -> dict[str, Any]:
        """Enabled projects on which the caller has a role."""
        async with self._database.read() as db:
            found = await reachable(db, call.identity.user_id, "project", groups_of(call.identity))
        shown = [row for row in found if row["enabled"]]
        return collection(call, "projects", shown, projects_api.shown)

    async def domains(self, call: Call) -> dict[str, Any]:
        """Enabled domains on which the caller has a role."""
        async with self._database.read() as db:
            found = await reachable(db, call.identity.user_id, "domain", groups_of(call.identity))
        shown = [row for row in found if row["enabled"]]
        return collection(call, "domains", shown, domains_api.shown)

    async def system(self, call: Call) -> dict[str, Any]:
        """Whether the caller has a role on the whole system."""
        async with self._database.read() as db:
            found = await grants.effective(db, call.identity.user_id, "system", "system")
        system = [{"all": True}] if found else []
        return {"system": system, "links": {"self": call.url("v3", "auth", "system")}}


def groups_of(identity: Identity) -> tuple[str, ...]:
    """The groups that a federation vouched for in the caller's token."""
    return identity.federation[2] if identity.federation else ()


async def issued(authority: Authority, call: Call, proof: Proof, scope: Scope) -> Answer:
    """The answer that hands out a new token."""
    async with authority.database.read() as db:
        identity = await tokens.identity_for(authority, db, proof, scope)
        body = await tokens.shown(db, identity, with_catalog=not call.query.flag("nocatalog"))
    return Answer(body, 201, (("X-Subject-Token", tokens.sealed(authority, identity)),))
