"""Tokens as text and as what is kept of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from noded import token


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=24, max_size=24))
def test_a_token_is_read_back(fingerprint: bytes, secret: bytes) -> None:
    """Also with the blanks that copying adds."""
    text = token.encode_token(fingerprint, secret)
    assert token.decode_token(f" {text}\n") == (fingerprint, secret)


@given(st.text(max_size=100))
def test_other_text_is_refused(text: str) -> None:
    """With one kind of error."""
    with pytest.raises(Refused):
        token.decode_token(text)
    with pytest.raises(Refused):
        token.decode_token(token.PREFIX + text)


def test_old_tokens_are_forgotten_and_very_many_refused(tmp_path: Path) -> None:
    """The file cannot grow without end."""
    for number in range(3):
        token.keep(tmp_path, bytes([number]), until_us=number, now_us=0)
    token.keep(tmp_path, b"new", until_us=100, now_us=50)
    assert (tmp_path / token.FILE).read_text().count("until_us") == 1
    for number in range(token.TOKENS_MAX - 1):
        if number < 3:
            token.keep(tmp_path, bytes([number]), until_us=100, now_us=50)
    token.check(tmp_path, b"new", 99)
    token.use(tmp_path, b"new")
    with pytest.raises(Refused):
        token.check(tmp_path, b"new", 99)


def test_a_damaged_file_lets_nobody_in(tmp_path: Path) -> None:
    """And does not stop new tokens."""
    (tmp_path / token.FILE).write_bytes(b"{")
    with pytest.raises(Refused):
        token.check(tmp_path, b"x", 1)
    token.keep(tmp_path, b"x", until_us=10, now_us=0)
    token.check(tmp_path, b"x", 1)
