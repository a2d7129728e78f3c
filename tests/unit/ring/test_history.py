from __future__ import annotations

import pytest

from core.errors import Corrupt
from ring.build import build
from ring.epoch import Epoch
from ring.history import epoch_number, epoch_numbers, file_name, newest
from tests.model import rings

EPOCH = build(rings.draft(rings.devices(1, 3, 1)), None).epoch


@pytest.mark.parametrize("number", [1, 7, 999_999, 1_000_000, 2**24 - 1])
def test_names_and_numbers_match(number: int) -> None:
    """Six digits at least, more when needed."""
    assert epoch_number(file_name(number)) == number


@pytest.mark.parametrize(
    "name",
    [
        "ring-000000.epoch",
        "ring-1.epoch",
        "ring-0000001.epoch",
        "ring-16777216.epoch",
        "ring-000001.epoch.tmp",
        ".ring-000001.epoch",
        "ring-00000x.epoch",
        "ring-000001.epoch\n",
        "builder.json",
    ],
)
def test_other_names_are_no_epochs(name: str) -> None:
    """Temporary files, odd spellings and neighbours are left alone."""
    assert epoch_number(name) is None


def test_numbers_are_sorted() -> None:
    """Whatever the order of the directory."""
    names = [file_name(10), "x", file_name(2), file_name(1_000_000)]
    assert epoch_numbers(names) == [2, 10, 1_000_000]


def test_the_newest_whole_epoch_is_current_and_damage_is_told() -> None:
    """A damaged newer file is skipped, not hidden."""

    def load(number: int) -> Epoch:
        if number == 3:
            raise Corrupt("CorruptRing", "ring-000003.epoch: checksum mismatch")
        assert number == 2
        return EPOCH

    found = newest([1, 3, 2], load)
    assert found.epoch is EPOCH
    assert [error.message for error in found.damaged] == ["ring-000003.epoch: checksum mismatch"]
    assert newest([], load).epoch is None
