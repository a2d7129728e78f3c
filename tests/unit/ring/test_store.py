from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Conflict, Corrupt, NotFound
from ring.build import build
from ring.file import encode_epoch
from ring.store import RingStore, load_epoch
from tests.model import rings

DRAFT = rings.draft(rings.devices(1, 4, 1))
FIRST = build(DRAFT, None).epoch
SECOND = build(DRAFT.with_weight(0, 50), FIRST).epoch


def test_epochs_are_written_once_and_the_newest_is_current(tmp_path: Path) -> None:
    """The directory is made when needed; older epochs stay."""
    store = RingStore(tmp_path / "ring")
    assert (store.numbers(), store.current()) == ([], None)
    store.write(FIRST)
    path = store.write(SECOND)
    assert path.name == "ring-000003.epoch"
    assert store.numbers() == [1, 3]
    current = store.current()
    assert current is not None
    assert encode_epoch(current) == encode_epoch(SECOND)
    assert encode_epoch(store.load(1)) == encode_epoch(FIRST)
    assert sorted(path.name for path in store.directory.iterdir()) == [
        "ring-000001.epoch",
        "ring-000003.epoch",
    ]


def test_a_written_epoch_never_changes(tmp_path: Path) -> None:
    """The same bytes are fine, others are refused."""
    store = RingStore(tmp_path)
    store.write(FIRST)
    store.write(FIRST)
    with pytest.raises(Conflict, match="different epoch 1"):
        store.write(build(rings.draft(DRAFT.devices, seed=8), None).epoch)


def test_a_damaged_newest_file_is_passed_over_and_named(tmp_path: Path) -> None:
    """Cut, empty, or holding another number."""
    store = RingStore(tmp_path)
    store.write(FIRST)
    path = store.write(SECOND)
    whole = path.read_bytes()
    for damaged in (whole[:-5], b"", encode_epoch(FIRST)):
        path.write_bytes(damaged)
        found = store.newest()
        assert found.epoch is not None
        assert found.epoch.number == 1
        assert [str(path) in error.message for error in found.damaged] == [True]
        with pytest.raises(Corrupt):
            store.load(3)


def test_what_is_missing_is_not_found(tmp_path: Path) -> None:
    """An epoch, a draft."""
    store = RingStore(tmp_path)
    with pytest.raises(NotFound):
        load_epoch(tmp_path / "ring-000001.epoch")
    with pytest.raises(NotFound, match="no ring"):
        store.draft()
    assert not store.has_draft()


def test_the_draft_is_replaced(tmp_path: Path) -> None:
    """And read back equal."""
    store = RingStore(tmp_path)
    store.write_draft(DRAFT)
    store.write_draft(DRAFT.with_weight(1, 3))
    assert store.draft() == DRAFT.with_weight(1, 3)
    assert store.has_draft()


def test_only_one_writer_works_at_a_time(tmp_path: Path) -> None:
    """A second one is told to try again; the lock goes with its holder."""
    store = RingStore(tmp_path)
    with store.locked(), pytest.raises(Conflict, match="try again"), RingStore(tmp_path).locked():
        pass
    with store.locked():
        pass
