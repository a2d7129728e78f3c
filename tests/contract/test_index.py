"""Both indexes are the same ordered map with commits."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objectd import rows
from objectd.index import FORMAT, Index
from objectd.lmdbindex import CLEAN, LmdbIndex
from objectd.memindex import MemoryIndex
from tests.small_disk import fill, small_disk


class Maker(Protocol):
    """An index, and what happens to it."""

    def open(self) -> Index: ...

    def crash(self, index: Index) -> Index:
        """The process dies; the next one opens what is there."""
        ...

    def power_loss(self, index: Index) -> Index:
        """The machine dies."""
        ...

    def close(self, index: Index) -> None: ...


class LmdbMaker:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> Index:
        return LmdbIndex(self.path)

    def crash(self, index: Index) -> Index:
        index.close(clean=False)
        return LmdbIndex(self.path)

    def power_loss(self, index: Index) -> Index:
        index.close(clean=False)
        (self.path / CLEAN).write_bytes(b"the kernel before")
        return LmdbIndex(self.path)

    def close(self, index: Index) -> None:
        index.close(clean=False)


class MemoryMaker:
    def open(self) -> Index:
        return MemoryIndex()

    def crash(self, index: Index) -> Index:
        assert isinstance(index, MemoryIndex)
        return index.crash()

    def power_loss(self, index: Index) -> Index:
        return MemoryIndex()

    def close(self, index: Index) -> None:
        index.close(clean=False)


_numbers = itertools.count()


@pytest.fixture(params=["lmdb", "memory"])
def maker(request: pytest.FixtureRequest, tmp_path: Path) -> Maker:
    return (
        LmdbMaker(tmp_path / f"index{next(_numbers)}") if request.param == "lmdb" else MemoryMaker()
    )


@pytest.fixture
def index(maker: Maker):
    made = maker.open()
    yield made
    made.close(clean=False)


KEYS = [b"a", b"a\0", b"aa", b"ab", b"b", b"\xff", b"\xff\xff", b"x" * 511]


def test_an_absent_key_has_no_value(index: Index) -> None:
    """And deleting it is fine."""
    index.delete(b"nothing")
    assert index.get(b"nothing") is None
    assert list(index.scan(b"", b"\xff" * 512)) == []


def test_a_write_is_seen_at_once(index: Index) -> None:
    """By reads and by scans, before any commit; the last write wins; values may be empty."""
    index.put(b"k", b"1")
    index.put(b"k", b"")
    assert index.get(b"k") == b""
    assert list(index.scan(b"k", b"l")) == [(b"k", b"")]
    index.delete(b"k")
    assert index.get(b"k") is None


def test_scans_go_in_byte_order_both_ways(index: Index) -> None:
    """Start is inclusive, end exclusive, whichever way the scan goes."""
    for key in reversed(KEYS):
        index.put(key, key[::-1])
    everything = sorted(KEYS)
    for start, end in itertools.product([b"", *everything, b"zz"], [*everything, b"\xff" * 512]):
        expected = [(key, key[::-1]) for key in everything if start <= key < end]
        assert list(index.scan(start, end)) == expected
        assert list(index.scan(start, end, reverse=True)) == expected[::-1]


def test_long_keys_and_large_values_are_kept_whole(index: Index) -> None:
    """Keys up to 511 bytes, values beyond a page."""
    names = [rows.register_key(bytes(16), b"n" * size) for size in (439, 440, 441, 1088)]
    for name in names:
        index.put(name, name * 60)
    index.commit()
    assert [index.get(name) for name in names] == [name * 60 for name in names]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("key", [b"", b"k" * 512])
def test_a_key_out_of_bounds_is_refused(index: Index, key: bytes) -> None:
    """Nothing is cut silently."""
    with pytest.raises(Exception, match=r".+"):
        index.put(key, b"")


def test_a_crash_keeps_exactly_what_was_committed(maker: Maker) -> None:
    """A commit is all or nothing; puts and deletes after it are gone."""
    index = maker.open()
    index.put(b"kept", b"1")
    index.put(b"deleted later", b"1")
    index.commit()
    index.put(b"lost", b"1")
    index.delete(b"deleted later")
    index.put(b"kept", b"2")
    index = maker.crash(index)
    assert list(index.scan(b"", b"\xff")) == [(b"deleted later", b"1"), (b"kept", b"1")]
    maker.close(index)


def test_closing_is_not_committing(maker: Maker) -> None:
    """What the caller did not commit may be half of something."""
    index = maker.open()
    index.put(b"half", b"1")
    assert maker.crash(index).get(b"half") is None


def test_an_unsynced_index_is_not_trusted_after_a_power_loss(maker: Maker) -> None:
    """It comes back empty, and is built again from the log."""
    index = maker.open()
    index.put(b"k", b"1")
    index.commit()
    index = maker.power_loss(index)
    assert index.get(b"k") is None
    maker.close(index)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS), st.binary(max_size=4)),
        st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(b"")),
        st.tuples(st.sampled_from(["commit", "crash"]), st.just(b""), st.just(b"")),
    ),
    max_size=30,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_history_leaves_what_a_dictionary_would(maker: Maker, history) -> None:
    """Puts, deletes, commits and crashes in any order."""
    index = maker.open()
    for key in KEYS:
        index.delete(key)
    index.commit()
    now: dict[bytes, bytes] = {}
    committed: dict[bytes, bytes] = {}
    for what, key, value in history:
        if what == "put":
            index.put(key, value)
            now[key] = value
        elif what == "delete":
            index.delete(key)
            now.pop(key, None)
        elif what == "commit":
            index.commit()
            committed = dict(now)
        else:
            index = maker.crash(index)
            now = dict(committed)
        assert list(index.scan(b"", b"\xff" * 3)) == sorted(
            item for item in now.items() if item[0] < b"\xff" * 3
        )
    maker.close(index)


def write_until_full(index: Index) -> dict[bytes, bytes]:
    """Commit larger and larger states until one does not fit; returns the last that did."""
    committed: dict[bytes, bytes] = {}
    for number in range(1000):
        now = dict(committed)
        for key in range(40):
            now[b"%d %d" % (number, key)] = bytes(3000)
            index.put(b"%d %d" % (number, key), bytes(3000))
        try:
            index.commit()
        except OSError:
            return committed
        committed = now
        if isinstance(index, MemoryIndex) and number == 20:
            index.full = True
    raise AssertionError("the disk never got full")


def check_after_full(index: Index, committed: dict[bytes, bytes]) -> None:
    """As last committed, still usable, and reads see none of what was refused."""
    assert list(index.scan(b"", b"\xff")) == sorted(committed.items())
    index.put(b"small", b"1")
    assert index.get(b"small") == b"1"


def test_a_commit_without_room_takes_everything_back(tmp_path: Path) -> None:
    """On a real full disk and in memory alike: the index is as last committed, and goes on."""
    memory = MemoryIndex()
    check_after_full(memory, write_until_full(memory))
    with small_disk(tmp_path / "disk", 6) as disk:
        index = LmdbIndex(disk / "index")
        committed = write_until_full(index)
        check_after_full(index, committed)
        index.close(clean=True)
        reopened = LmdbIndex(disk / "index")
        assert list(reopened.scan(b"", b"\xff")) == sorted(committed.items())
        reopened.close(clean=False)


def test_an_index_of_another_format_is_built_again(tmp_path: Path) -> None:
    """However cleanly it was closed: its rows would be misread."""
    index = LmdbIndex(tmp_path / "index")
    index.put(b"k", b"1")
    index.commit()
    index.close(clean=True)
    marker = tmp_path / "index" / CLEAN
    assert marker.read_bytes() == b"clean %d" % FORMAT
    marker.write_bytes(b"clean %d" % (FORMAT - 1))
    index = LmdbIndex(tmp_path / "index")
    assert index.get(b"k") is None
    index.close(clean=False)


def test_an_index_opens_on_a_full_disk(tmp_path: Path) -> None:
    """There is no room for its mark, so it is used now and not trusted later."""
    with small_disk(tmp_path / "disk", 6) as disk:
        index = LmdbIndex(disk / "index")
        index.put(b"k", b"1")
        index.commit()
        index.close(clean=True)
        filler = fill(disk)
        index = LmdbIndex(disk / "index")
        assert index.get(b"k") == b"1"
        index.close(clean=False)
        filler.unlink()
        index = LmdbIndex(disk / "index")
        assert index.get(b"k") is None
        index.close(clean=False)


def test_a_distrusted_index_is_built_again(maker: Maker) -> None:
    """What was committed is not believed by the next process, even after a clean stop."""
    index = maker.open()
    index.put(b"k", b"v")
    index.commit()
    index.distrust()
    assert index.get(b"k") == b"v"
    index = maker.crash(index)
    assert index.get(b"k") is None
    index.put(b"k", b"w")
    index.commit()
    index = maker.crash(index)
    assert index.get(b"k") == b"w"
    maker.close(index)
