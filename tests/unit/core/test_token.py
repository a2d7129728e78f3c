"""Tokens: what is sealed comes back, and nothing else is accepted."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.token import PREFIX, REMEMBERED_MAX, Claims, TokenDesk, same_secret, seal, unseal

KEY = b"k" * 32
CLAIMS = Claims("admin:admin", "AUTH_admin", True, 2_000_000_000)


@given(st.text(), st.text(), st.booleans(), st.integers(0, 2**50))
def test_claims_come_back(user, account, admin, expires_s):
    claims = Claims(user, account, admin, expires_s)
    token = seal(KEY, claims)
    assert token.isascii()
    assert unseal(KEY, token) == claims


def test_flipping_any_bit_of_a_token_makes_it_worthless():
    token = seal(KEY, CLAIMS)
    for index in range(len(token)):
        for bit in range(8):
            changed = bytearray(token.encode())
            changed[index] ^= 1 << bit
            with pytest.raises(Refused):
                unseal(KEY, changed.decode("latin-1"))


def test_every_truncation_and_extension_is_refused():
    token = seal(KEY, CLAIMS)
    for text in [token[:i] for i in range(len(token))] + [token + c for c in "=AaZ09-_ \n\0"]:
        with pytest.raises(Refused):
            unseal(KEY, text)


def test_another_key_does_not_verify():
    with pytest.raises(Refused):
        unseal(b"K" * 32, seal(KEY, CLAIMS))


def test_base64_that_decodes_to_the_same_bytes_is_still_refused():
    """Slack bits of the last character must not give a second spelling of a token."""
    for length in range(3):
        token = seal(KEY, CLAIMS._replace(user="u" * length))
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        spellings = []
        for last in alphabet:
            try:
                unseal(KEY, token[:-1] + last)
            except Refused:
                continue
            spellings.append(last)
        assert spellings == [token[-1]]


def test_a_payload_under_a_mac_of_other_shape_is_refused():
    sealed = base64.urlsafe_b64encode(b"\0" * 32).decode().rstrip("=")
    with pytest.raises(Refused):
        unseal(KEY, PREFIX + sealed)


@given(st.text(max_size=300))
def test_any_text_is_refused_cleanly(text):
    with pytest.raises(Refused):
        unseal(KEY, text)
    with pytest.raises(Refused):
        unseal(KEY, PREFIX + text)


def test_a_token_expires_to_the_second_even_when_remembered():
    desk = TokenDesk(KEY)
    token = desk.issue(CLAIMS._replace(expires_s=100))
    assert desk.verify(token, 99).user == "admin:admin"
    with pytest.raises(Refused, match="expired"):
        desk.verify(token, 100)
    with pytest.raises(Refused, match="expired"):
        desk.verify(token, 101)


def test_the_memory_of_verified_tokens_is_bounded():
    desk = TokenDesk(KEY)
    for index in range(REMEMBERED_MAX + 10):
        desk.verify(desk.issue(CLAIMS._replace(user=str(index))), 0)
    assert len(desk._remembered) <= REMEMBERED_MAX


def test_bad_tokens_are_not_remembered():
    desk = TokenDesk(KEY)
    with pytest.raises(Refused):
        desk.verify("AUTH_tkwrong", 0)
    assert not desk._remembered


@given(st.text(max_size=20), st.text(max_size=20))
def test_secrets_compare_by_value(left, right):
    assert same_secret(left, right) == (left == right)
