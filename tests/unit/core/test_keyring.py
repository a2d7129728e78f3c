"""Keys of tokens: rotation without a gap, private files, and what is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import keyring
from core.authenticator import Authenticator
from core.bearer import seal
from core.errors import Corrupt, Refused
from core.identity import Identity
from core.keyring import Keyring
from core.real import RealEnv
from core.revocation import AUDIT, Revocation, RevocationList

ENV = RealEnv()


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    keyring.create(tmp_path / "keys", ENV)
    made = Keyring(tmp_path / "keys")
    made.load()
    return made


def token_of(ring: Keyring, audit: str = "AAAAAAAAAAAAAAAAAAAAAA") -> str:
    assert ring.primary is not None
    now_us = ENV.wall_us()
    identity = Identity(
        user_id="u", issued_us=now_us, expires_us=now_us + 10**9, audit_ids=(audit,)
    )
    return seal(ring.primary, ENV.random_bytes(12), identity)


def test_tokens_outlive_rotations_until_their_key_goes(ring: Keyring) -> None:
    """Staged, primary and two secondaries are kept: a token lives through two rotations, not four."""
    first = token_of(ring)
    verifier = Authenticator(ENV, ring, RevocationList())
    for number in range(2, 4):
        assert keyring.rotate(ring.directory, ENV) == number
        assert ring.reload_if_changed()
        assert verifier.verify(first).user_id == "u"
    for _ in range(2):
        keyring.rotate(ring.directory, ENV)
    ring.reload_if_changed()
    with pytest.raises(Refused):
        verifier.verify(first)
    assert sorted(keyring.numbered(ring.directory)) == [0, 3, 4, 5]


def test_the_staged_key_is_known_before_it_seals(ring: Keyring) -> None:
    """A service that has not looked again opens what the new primary sealed."""
    service = Keyring(ring.directory)
    service.load()
    keyring.rotate(ring.directory, ENV)
    ring.load()
    verifier = Authenticator(ENV, service, RevocationList())
    verifier._looked_us = ENV.wall_us()  # it may not look now
    assert verifier.verify(token_of(ring)).user_id == "u"


def test_keys_that_others_may_read_or_that_are_none_stop_the_start(ring: Keyring) -> None:
    """Rather than sealing with what is not a secret."""
    path = ring.directory / "1"
    path.chmod(0o644)
    with pytest.raises(Corrupt, match="chmod"):
        ring.load()
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(Corrupt):
        ring.load()
    for one in keyring.numbered(ring.directory).values():
        one.unlink()
    with pytest.raises(Corrupt, match="no token keys"):
        ring.load()


def test_making_keys_again_changes_nothing(ring: Keyring) -> None:
    """A start never replaces keys."""
    before = {number: path.read_text() for number, path in keyring.numbered(ring.directory).items()}
    keyring.create(ring.directory, ENV)
    after = {number: path.read_text() for number, path in keyring.numbered(ring.directory).items()}
    assert before == after
    assert before[0] != before[1]


def test_revocation_and_expiry_count_for_remembered_tokens_too(ring: Keyring) -> None:
    """The memory of verified tokens only saves opening them again."""
    revoked = RevocationList()
    verifier = Authenticator(ENV, ring, revoked)
    token = token_of(ring)
    verifier.verify(token)
    revoked.add(Revocation(1, AUDIT, "AAAAAAAAAAAAAAAAAAAAAA", ENV.wall_us()))
    with pytest.raises(Refused) as caught:
        verifier.verify(token)
    assert caught.value.code == "RevokedToken"
    assert ring.primary is not None
    over = seal(ring.primary, ENV.random_bytes(12), Identity(user_id="u", expires_us=1))
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            verifier.verify(over)
        assert caught.value.code == "ExpiredToken"
