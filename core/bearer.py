"""Bearer tokens: an identity sealed with AES-256-GCM, verified by every service without asking anybody. Pure.

A token is `rs1.` + base64url(key print (4 bytes), nonce (12), ciphertext, tag (16)). What is sealed is a compact
msgpack array; ids that are UUIDs take 16 bytes. Only the canonical base64 form is accepted, so that flipping
any bit of a token makes it worthless.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import Refused
from core.identity import Identity

PREFIX = "rs1."
KEY_BYTES = 32
PRINT_BYTES = 4
NONCE_BYTES = 12
UUID_BYTES = 16
TOKEN_CHARS_MAX = 4096
FORMAT = 1
RECEIPT_PREFIX = "rsr1."  # what a log-in that lacks a factor gets: no service takes it for a token
METHODS = (
    "password",
    "token",
    "totp",
    "application_credential",
    "trust",
    "mapped",
    "openid",
    "ec2credential",
    "oauth2_credential",
    "external",
    "s3",
)
_METHOD_BITS = {name: 1 << number for number, name in enumerate(METHODS)}


class Key(NamedTuple):
    """A sealing key and the mark by which tokens name it."""

    print: bytes
    cipher: AESGCM


def key_of(secret: bytes) -> Key:
    """The key of 32 random bytes."""
    assert len(secret) == KEY_BYTES
    return Key(hashlib.sha256(b"print" + secret).digest()[:PRINT_BYTES], AESGCM(secret))


class _Payload(msgspec.Struct, array_like=True, frozen=True):
    """What is sealed, in this order."""

    format: int
    methods: int
    user: bytes
    user_domain: bytes
    scope: str  # "p", "d", "s" or ""
    target: bytes
    target_domain: bytes
    roles: tuple[str, ...]
    issued_us: int
    lasts_us: int
    audits: tuple[bytes, ...]
    trust: bytes = b""
    application_credential: bytes = b""
    access_limited: bool = False
    federation: tuple[str, str, tuple[bytes, ...]] | None = None
    thumbprint: str = ""
    user_name: str = ""
    project_name: str = ""
    trustor: bytes = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Payload)
_HEX = frozenset("0123456789abcdef")


def _pack(text: str) -> bytes:
    """A UUID without dashes as 16 bytes; any other text after `~`, never 16 bytes long."""
    if len(text) == 32 and _HEX.issuperset(text):
        return bytes.fromhex(text)
    packed = b"~" + text.encode()
    return b"~" + packed if len(packed) == UUID_BYTES else packed


def _unpack(packed: bytes) -> str:
    return packed.hex() if len(packed) == UUID_BYTES else packed.lstrip(b"~").decode()


def _audit(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def seal(key: Key, nonce: bytes, identity: Identity, prefix: str = PREFIX) -> str:
    """Make a token under `key`; `nonce` is 12 bytes that are never used twice.

    The prefix is part of what is authenticated: a token of one kind is none of another.
    """
    scope, target = "", ""
    if identity.project_id:
        scope, target = "p", identity.project_id
    elif identity.domain_id:
        scope, target = "d", identity.domain_id
    elif identity.system:
        scope = "s"
    federation = None
    if identity.federation is not None:
        provider, protocol, groups = identity.federation
        federation = (provider, protocol, tuple(map(_pack, groups)))
    payload = _Payload(
        FORMAT,
        sum(_METHOD_BITS[method] for method in set(identity.methods)),
        _pack(identity.user_id),
        _pack(identity.user_domain_id),
        scope,
        _pack(target),
        _pack(identity.project_domain_id),
        identity.roles,
        identity.issued_us,
        identity.expires_us - identity.issued_us,
        tuple(map(_audit, identity.audit_ids)),
        _pack(identity.trust_id),
        _pack(identity.application_credential_id),
        identity.access_limited,
        federation,
        identity.thumbprint,
        identity.user_name,
        identity.project_name,
        _pack(identity.trustor_id) if identity.trustor_id else b"",
    )
    sealed = (
        key.print + nonce + key.cipher.encrypt(nonce, _encoder.encode(payload), prefix.encode())
    )
    return prefix + base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def unseal(keys: Mapping[bytes, Key], token: str, prefix: str = PREFIX) -> Identity:
    """Identity in a token, whether or not it has expired or been revoked.

    Raises Refused("UnknownKey") when no key of ours made it (or none that is still kept), else
    Refused("BadToken").
    """
    if not token.startswith(prefix) or len(token) > TOKEN_CHARS_MAX:
        raise Refused("BadToken", "this is not a token")
    text = token[len(prefix) :]
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refused("BadToken", "the token is not base64") from None
    if base64.urlsafe_b64encode(sealed).decode().rstrip("=") != text:
        raise Refused("BadToken", "the token is not in its canonical form")
    key = keys.get(sealed[:PRINT_BYTES])
    if key is None:
        raise Refused("UnknownKey", "the token's key is not known")
    nonce = sealed[PRINT_BYTES : PRINT_BYTES + NONCE_BYTES]
    try:
        payload = _decoder.decode(
            key.cipher.decrypt(nonce, sealed[PRINT_BYTES + NONCE_BYTES :], prefix.encode())
        )
    except (InvalidTag, ValueError, msgspec.DecodeError):
        raise Refused("BadToken", "the token does not verify") from None
    return _identity(payload)


def _identity(payload: _Payload) -> Identity:
    if payload.format != FORMAT:
        raise Refused("BadToken", "the token is of another format")
    scope: dict[str, Any] = {}
    if payload.scope == "p":
        scope["project_id"] = _unpack(payload.target)
        scope["project_name"] = payload.project_name
        scope["project_domain_id"] = _unpack(payload.target_domain)
    elif payload.scope == "d":
        scope["domain_id"] = _unpack(payload.target)
    elif payload.scope == "s":
        scope["system"] = True
    federation = None
    if payload.federation is not None:
        provider, protocol, groups = payload.federation
        federation = (provider, protocol, tuple(map(_unpack, groups)))
    return Identity(
        user_id=_unpack(payload.user),
        user_name=payload.user_name,
        user_domain_id=_unpack(payload.user_domain),
        roles=payload.roles,
        methods=_methods(payload.methods),
        issued_us=payload.issued_us,
        expires_us=payload.issued_us + payload.lasts_us,
        audit_ids=tuple(map(audit_text, payload.audits)),
        trust_id=_unpack(payload.trust),
        trustor_id=_unpack(payload.trustor),
        application_credential_id=_unpack(payload.application_credential),
        access_limited=payload.access_limited,
        federation=federation,
        thumbprint=payload.thumbprint,
        **scope,
    )


def _methods(bits: int) -> tuple[str, ...]:
    return tuple(name for name, bit in _METHOD_BITS.items() if bits & bit)


def audit_text(raw: bytes) -> str:
    """16 random bytes as an audit id."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
