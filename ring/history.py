"""Names and order of the epochs that a directory keeps. Pure.

Epoch 7 is the file `ring-000007.epoch`. The current epoch is the one with the highest number whose
file is whole; a damaged newer file is reported, never used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.errors import Corrupt
from ring.epoch import NUMBER_MAX, Epoch

_NAME = re.compile(r"ring-([0-9]{6,19})\.epoch\Z")


def file_name(number: int) -> str:
    """The file name of an epoch."""
    return f"ring-{number:06d}.epoch"


def epoch_number(name: str) -> int | None:
    """The number in a file name, or None when it is not the name of an epoch."""
    match = _NAME.match(name)
    if match is None:
        return None
    number = int(match[1])
    return number if 0 < number <= NUMBER_MAX and file_name(number) == name else None


def epoch_numbers(names: Iterable[str]) -> list[int]:
    """The numbers of all epochs among the names, ascending."""
    return sorted(number for number in map(epoch_number, names) if number is not None)


@dataclass(frozen=True, slots=True)
class Newest:
    """The current epoch (None when there is none), and what was wrong with newer files."""

    epoch: Epoch | None
    damaged: tuple[Corrupt, ...]


def newest(numbers: Iterable[int], load: Callable[[int], Epoch]) -> Newest:
    """Load from the highest number down until a file is whole; `load` raises Corrupt."""
    damaged: list[Corrupt] = []
    for number in sorted(numbers, reverse=True):
        try:
            return Newest(load(number), tuple(damaged))
        except Corrupt as error:
            damaged.append(error)
    return Newest(None, tuple(damaged))
