"""Bearer tokens: what goes in comes out, and nothing else opens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bearer import (
    METHODS,
    PREFIX,
    RECEIPT_PREFIX,
    TOKEN_CHARS_MAX,
    audit_text,
    key_of,
    seal,
    unseal,
)
from core.errors import Refused
from core.identity import Identity

KEY, OTHER = key_of(b"k" * 32), key_of(b"o" * 32)
KEYS = {KEY.print: KEY}
NONCE = b"n" * 12
HEX = st.binary(min_size=16, max_size=16).map(bytes.hex)
NAME = st.text(max_size=20)
ID = st.one_of(HEX, st.text("abcdefgh-0123456789", min_size=1, max_size=64), st.just("default"))


@st.composite
def identities(draw):
    scope = draw(st.sampled_from(["", "project", "domain", "system"]))
    issued = draw(st.integers(0, 2**52))
    attributes = {
        "user_id": draw(ID),
        "user_name": draw(NAME),
        "user_domain_id": draw(ID),
        "roles": tuple(draw(st.lists(NAME, max_size=4))),
        "methods": tuple(m for m in METHODS if draw(st.booleans())),
        "issued_us": issued,
        "expires_us": issued + draw(st.integers(0, 2**45)),
        "audit_ids": tuple(audit_text(draw(st.binary(min_size=16, max_size=16))) for _ in range(2)),
        "trust_id": draw(st.one_of(st.just(""), HEX)),
        "trustor_id": draw(st.one_of(st.just(""), HEX)),
        "application_credential_id": draw(st.one_of(st.just(""), HEX)),
        "access_limited": draw(st.booleans()),
        "thumbprint": draw(NAME),
        "federation": draw(st.none() | st.tuples(NAME, NAME, st.lists(ID, max_size=3).map(tuple))),
    }
    if scope == "project":
        attributes |= {
            "project_id": draw(ID),
            "project_name": draw(NAME),
            "project_domain_id": draw(ID),
        }
    elif scope == "domain":
        attributes["domain_id"] = draw(ID)
    elif scope == "system":
        attributes["system"] = True
    return Identity(**attributes)


@given(identity=identities())
def test_a_token_holds_what_was_sealed(identity):
    """Every attribute that travels in tokens."""
    assert unseal(KEYS, seal(KEY, NONCE, identity)) == identity


@given(identity=identities(), at=st.integers(0, 10_000), letter=st.characters(codec="ascii"))
def test_a_changed_token_never_opens(identity, at, letter):
    """Any one character, at any place."""
    token = seal(KEY, NONCE, identity)
    at %= len(token)
    changed = token[:at] + letter + token[at + 1 :]
    if changed != token:
        with pytest.raises(Refused):
            unseal(KEYS, changed)


@given(
    junk=st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda b: PREFIX + b.hex()))
)
def test_anything_else_is_refused(junk):
    """Never another error."""
    with pytest.raises(Refused):
        unseal(KEYS, junk)


def test_kinds_and_keys_do_not_mix():
    """A receipt is no token, and a token of another installation is none here."""
    identity = Identity(user_id="u")
    receipt = seal(KEY, NONCE, identity, RECEIPT_PREFIX)
    for bad in (receipt, PREFIX + receipt[len(RECEIPT_PREFIX) :], seal(OTHER, NONCE, identity)):
        with pytest.raises(Refused):
            unseal(KEYS, bad)
    assert unseal(KEYS, receipt, RECEIPT_PREFIX) == identity
    with pytest.raises(Refused, match="not a token"):
        unseal(KEYS, PREFIX + "A" * TOKEN_CHARS_MAX)


def test_a_usual_token_fits_in_a_header_with_room():
    """A member's token is about 250 characters, an administrator's below 400."""
    roles = ("ResellerAdmin", "admin", "manager", "member", "reader")
    identity = Identity(
        user_id="a" * 32,
        user_name="somebody",
        user_domain_id="default",
        project_id="b" * 32,
        project_name="a project",
        project_domain_id="default",
        roles=roles,
        methods=("password", "token"),
        issued_us=1_800_000_000_000_000,
        expires_us=1_800_003_600_000_000,
        audit_ids=(audit_text(b"a" * 16), audit_text(b"b" * 16)),
    )
    assert len(seal(KEY, NONCE, identity)) < 330
