"""OpenID Connect, the relying side: is this bearer token from the provider, for us, and what does it say.

A JWT is verified against the provider's published keys (issuer, audience, times, signature by public-key algorithms
only). An opaque token is introspected (RFC 7662) with our own client credentials, and must have been given
to our client: one that another site got for the same person is refused. The providers that may be
asked are those in the operator's `DATA/federation.yaml`, never a URL from a token.
"""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from core.api.fault import Fault, unauthorized
from core.env import Env
from core.errors import Corrupt

if TYPE_CHECKING:
    import jwt  # imported when somebody comes with a token of a provider: most clouds have none

# Signatures by public key only, by the type of the key: never what a token asks for.
ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
FETCH_TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 1024 * 1024
KEYS_FRESH_US = 600_000_000
KEYS_AGAIN_US = 5_000_000  # not asked more often, however many unknown keys are named
LEEWAY_S = 30
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TOKEN_CHARS_MAX = 16_384


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An identity provider in federation.yaml: its issuer URL and our client there."""

    issuer: str
    client_id: str
    client_secret: str = ""
    audiences: tuple[str, ...] = ()  # accepted besides the client id


class _Providers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    providers: dict[str, Provider] = {}


class _Known(NamedTuple):
    """What a provider publishes, and when it was asked."""

    document: dict[str, Any]
    keys: jwt.PyJWKSet
    asked_us: int


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Provider addresses are exact."""
        return


class OpenIdConnect:
    """The providers of an installation."""

    def __init__(self, env: Env, path: Path) -> None:
        self._env = env
        self._path = path
        self._known: dict[str, _Known] = {}
        self._opener = urllib.request.build_opener(_NoRedirect)

    def provider(self, idp_id: str) -> Provider:
        """The settings of an identity provider. Raises Fault 401 when it has none, Corrupt when the file is bad."""
        try:
            raw = self._path.read_text()
        except FileNotFoundError:
            raise unauthorized("The identity provider has no settings here.") from None
        try:
            found = msgspec.yaml.decode(raw, type=_Providers)
        except msgspec.MsgspecError as error:
            raise Corrupt("BadFile", f"{self._path}: {error}") from None
        provider = found.providers.get(idp_id)
        if provider is None:
            raise unauthorized("The identity provider has no settings here.")
        return provider

    async def claims(self, idp_id: str, token: str) -> dict[str, Any]:
        """What the provider vouches for, with `iss`. Raises Fault 401, 503."""
        provider = self.provider(idp_id)
        if len(token) > TOKEN_CHARS_MAX:
            raise unauthorized()
        known = await self._publication(provider, again=False)
        if token.count(".") == 2:
            claims = await self._of_jwt(provider, known, token)
        else:
            claims = await self._introspected(provider, known, token)
        userinfo = known.document.get("userinfo_endpoint")
        if userinfo and "sub" in claims:
            more = await self._userinfo(str(userinfo), token)
            if more.get("sub") == claims["sub"]:
                claims = {**more, **claims}
        return {**claims, "iss": provider.issuer}

    async def _of_jwt(self, provider: Provider, known: _Known, token: str) -> dict[str, Any]:
        import jwt

        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = _key(known.keys, kid)
            if key is None:
                key = _key((await self._publication(provider, again=True)).keys, kid)
            if key is None:
                raise unauthorized()
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=list(ALGORITHMS.get(str(key.key_type), ())),
                issuer=provider.issuer,
                options={
                    "require": ["exp", "iss", "sub"],
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError:
            raise unauthorized() from None
        if not _is_for(provider, claims) or not _is_timely(claims, self._env.wall_us() / 1e6):
            raise unauthorized()
        return claims

    async def _introspected(self, provider: Provider, known: _Known, token: str) -> dict[str, Any]:
        endpoint = known.document.get("introspection_endpoint")
        if not endpoint or not provider.client_secret:
            raise unauthorized("Opaque tokens need an introspection endpoint and a client secret.")
        name, secret = quote(provider.client_id, safe=""), quote(provider.client_secret, safe="")
        basic = base64.b64encode(f"{name}:{secret}".encode()).decode()
        claims = await self._fetch(
            str(endpoint),
            {"Authorization": f"Basic {basic}"},
            urlencode({"token": token, "token_type_hint": "access_token"}).encode(),
        )
        if claims.get("active") is not True or not _is_for(provider, claims):
            raise unauthorized()
        if not _is_timely(claims, self._env.wall_us() / 1e6):
            raise unauthorized()
        return claims

    async def _userinfo(self, endpoint: str, token: str) -> dict[str, Any]:
        try:
            return await self._fetch(endpoint, {"Authorization": f"Bearer {token}"})
        except Fault:
            return {}  # a token for us alone (an ID token) opens no userinfo

    async def _publication(self, provider: Provider, *, again: bool) -> _Known:
        """The provider's metadata and keys; asked for again when they are old, or a key is not among them."""
        import jwt

        known = self._known.get(provider.issuer)
        now_us = self._env.wall_us()
        fresh_us = KEYS_AGAIN_US if again else KEYS_FRESH_US
        if known is not None and now_us - known.asked_us < fresh_us:
            return known
        base = provider.issuer.rstrip("/")
        document = await self._fetch(f"{base}/.well-known/openid-configuration", {})
        if document.get("issuer") != provider.issuer:
            raise Fault(503, "The identity provider publishes another issuer.")
        keys = await self._fetch(str(document.get("jwks_uri", "")), {})
        try:
            known = _Known(document, jwt.PyJWKSet.from_dict(keys), now_us)
        except jwt.PyJWTError:
            raise Fault(503, "The identity provider publishes no keys.") from None
        self._known[provider.issuer] = known
        return known

    async def _fetch(
        self, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> dict[str, Any]:
        """JSON object at a URL. Raises Fault 503."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise Fault(503, "Identity providers are asked over TLS only.")
        request = urllib.request.Request(url, body, {**headers, "Accept": "application/json"})  # noqa: S310 - checked above

        def work() -> bytes:
            with self._opener.open(request, timeout=FETCH_TIMEOUT_S) as answer:
                found: bytes = answer.read(ANSWER_BYTES_MAX + 1)
                return found

        try:
            found = msgspec.json.decode(await self._env.offload(work))
        except (OSError, urllib.error.URLError, ValueError, msgspec.MsgspecError):
            raise Fault(503, "The identity provider does not answer.") from None
        if not isinstance(found, dict):
            raise Fault(503, "The identity provider's answer is not an object.")
        return found


def _key(keys: jwt.PyJWKSet, kid: object) -> jwt.PyJWK | None:
    """The key of an id, or the only one when none is named."""
    if kid is None:
        return keys.keys[0] if len(keys.keys) == 1 else None
    return next((key for key in keys.keys if key.key_id == kid), None)


def _is_for(provider: Provider, claims: Mapping[str, Any]) -> bool:
    """The token was made for our client, or for an audience that we answer to."""
    wanted = {provider.client_id, *provider.audiences}
    audience = claims.get("aud", [])
    audiences = audience if isinstance(audience, list) else [audience]
    named = [*audiences, claims.get("azp"), claims.get("client_id")]
    return any(isinstance(one, str) and one in wanted for one in named)


def _is_timely(claims: Mapping[str, Any], now_s: float) -> bool:
    """Neither over nor not begun."""
    end, begin = claims.get("exp", now_s + 1), claims.get("nbf", 0)
    return (
        isinstance(end, int | float)
        and isinstance(begin, int | float)
        and begin - LEEWAY_S <= now_s < end + LEEWAY_S
    )
