"""`/v3/OS-OAUTH2/token`: OAuth 2.0 client credentials (RFC 6749 section 4.4).

The client is an application credential: its id and secret give an access token, which is a token like any other
and is taken in `X-Auth-Token` or `Authorization: Bearer`. Errors have OAuth's own form (section 5.2).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import parse_qsl, unquote

from authd import methods, tokens
from authd.authority import Authority
from authd.scope import Scope
from core.api.call import Answer, Call
from core.api.fault import Fault
from core.api.route import PUBLIC, Route

NO_STORE = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))
CHALLENGE = ("WWW-Authenticate", 'Basic realm="identity"')
FORM = "application/x-www-form-urlencoded"


def refused(status: int, code: str, description: str) -> Answer:
    """An error in OAuth's form."""
    headers = (*NO_STORE, CHALLENGE) if status == 401 else NO_STORE
    return Answer({"error": code, "error_description": description}, status, headers)


class OAuth2:
    """The token endpoint."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def routes(self) -> list[Route]:
        """What is served."""
        return [Route("POST", "/v3/OS-OAUTH2/token", PUBLIC, self.token)]

    async def token(self, call: Call) -> Answer:
        """An access token for an application credential."""
        fields = form_of(call)
        if fields is None:
            return refused(400, "invalid_request", "The body must be a form, each field once.")
        client = client_of(call.request.header("authorization") or "", fields)
        if client is None:
            return refused(401, "invalid_client", "Client authentication failed.")
        if "grant_type" not in fields:
            return refused(400, "invalid_request", "The parameter grant_type is required.")
        if fields["grant_type"] != "client_credentials":
            return refused(400, "unsupported_grant_type", "Only client_credentials is supported.")
        given: dict[str, Any] = {"id": client[0], "secret": client[1]}
        try:
            proof = await methods.application_credential(self._authority, given)
            async with self._authority.database.read() as db:
                identity = await tokens.identity_for(self._authority, db, proof, Scope())
        except Fault:
            return refused(401, "invalid_client", "Client authentication failed.")
        lasts_s = (identity.expires_us - identity.issued_us) // 1_000_000
        token = tokens.sealed(self._authority, identity)
        body = {"access_token": token, "expires_in": lasts_s, "token_type": "Bearer"}
        return Answer(body, 200, NO_STORE)


def form_of(call: Call) -> dict[str, str] | None:
    """The fields of a form, or None when it is none or names a field twice."""
    kind = (call.request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != FORM:
        return None
    try:
        pairs = parse_qsl(call.raw.decode(), keep_blank_values=True, max_num_fields=16)
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def client_of(authorization: str, fields: dict[str, str]) -> tuple[str, str] | None:
    """Client id and secret, from the header (RFC 6749 section 2.3.1) or the form; None when neither or both."""
    kind, _, text = authorization.partition(" ")
    in_form = "client_id" in fields and "client_secret" in fields
    if not authorization:
        return (fields["client_id"], fields["client_secret"]) if in_form else None
    if kind.lower() != "basic" or "client_secret" in fields:
        return None
    try:
        name, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (unquote(name), unquote(secret)) if colon and name else None
