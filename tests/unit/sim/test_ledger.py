"""What one writer may see of its own objects after writes that nobody answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.ledger import ABSENT, SIZES, Entry, content, version_of


def test_an_acknowledged_write_is_all_that_may_be_seen() -> None:
    """Until the next one; a deletion is a write too."""
    entry = Entry()
    assert entry.possible() == {ABSENT}
    first = entry.next_version()
    entry.acknowledged(first, 1.0)
    assert entry.possible() == {first}
    entry.acknowledged(ABSENT, 2.0)
    assert entry.possible() == {ABSENT}


def test_an_open_write_may_show_until_its_time_is_over() -> None:
    """Even after a later one was acknowledged: it may still be under way somewhere."""
    entry = Entry()
    first, second = entry.next_version(), entry.next_version()
    entry.unanswered(first, until=10.0)
    assert entry.possible() == {ABSENT, first}
    entry.acknowledged(second, now=5.0)
    assert entry.possible() == {first, second}
    entry.saw(second, now=20.0)
    assert entry.possible() == {second}


def test_what_was_seen_has_happened() -> None:
    """Older versions cannot show again, other open writes can."""
    entry = Entry()
    first, second = entry.next_version(), entry.next_version()
    entry.unanswered(first, until=10.0)
    entry.unanswered(second, until=30.0)
    entry.saw(first, now=15.0)
    assert entry.possible() == {first, second}


def test_after_trouble_open_writes_come_to_an_end() -> None:
    """While it lasts, nobody can say how long."""
    entry = Entry()
    version = entry.next_version()
    entry.unanswered(version, until=float("inf"))
    entry.saw(ABSENT, now=1e9)
    assert entry.possible() == {ABSENT, version}
    entry.trouble_ends(2e9)
    entry.saw(ABSENT, now=2e9)
    assert entry.possible() == {ABSENT}


@given(st.integers(1, 50), st.integers(0, 10))
def test_contents_name_their_version(version: int, number: int) -> None:
    """A body of another object or version, or with any byte changed, is told apart."""
    name = f"w1/{number}"
    body = content(name, version)
    assert version_of(name, body) == version
    assert version_of("w1/other", body) is None
    assert version_of(name, body + b"x") is None
    assert version_of(name, body[: len(name)]) is None
    changed = bytearray(body)
    changed[-1] ^= 1
    assert version_of(name, bytes(changed)) is None


def test_sizes_are_mixed() -> None:
    """Shares of one whole; some objects fit in a record, some are larger than a stripe."""
    assert abs(sum(share for share, _, _ in SIZES) - 1) < 1e-9
    lengths = [len(content("x", version)) for version in range(200)]
    assert min(lengths) < 8000 < max(lengths)
