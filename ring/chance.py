"""Numbers that look random and depend on the seed alone. Pure.

The builder must give byte-identical rings on every machine and with every numpy version, and
numpy's own generators do not promise that. So: splitmix64 (Steele, Lea and Flood, OOPSLA 2014)
over a counter, and permutations by sorting unique keys. Imported by the builder only, because it
needs numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]

GAMMA = 0x9E3779B97F4A7C15
MASK = 2**64 - 1


class Chance:
    """A stream of 64-bit words; equal seeds give equal streams."""

    def __init__(self, *seeds: int) -> None:
        state = 0
        for seed in seeds:
            state = _mix((state ^ seed) & MASK)
        self._state = state
        self._drawn = 0

    def words(self, count: int) -> Words:
        """The next `count` words."""
        counter = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64)
        self._drawn += count
        return scramble(counter * np.uint64(GAMMA) + np.uint64(self._state))

    def below(self, bounds: Integers) -> Integers:
        """One number in [0, bound) for each bound; bounds are below 2^32."""
        high = self.words(len(bounds)) >> np.uint64(32)
        return ((high * bounds.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)

    def permutation(self, count: int) -> Integers:
        """The numbers 0 to count-1 in random order."""
        return random_order(self.words(count))


def random_order(keys: Words) -> Integers:
    """The indices of `keys` in the order of the keys' high bits; equal ones by index.

    The index is put into the low bits, which makes the sort keys unique: the result does not
    depend on the sorting algorithm.
    """
    low_bits = np.uint64((1 << max(1, len(keys)).bit_length()) - 1)
    unique = (keys & ~low_bits) | np.arange(len(keys), dtype=np.uint64)
    unique.sort()
    return (unique & low_bits).astype(np.int64)


def scramble(word: Words) -> Words:
    """The finishing step of splitmix64, element by element."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def _mix(word: int) -> int:
    word = (word + GAMMA) & MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return word ^ (word >> 31)
