"""Encoded pages of listings, kept while their range does not change. Pure.

A page is valid for exactly the digest and the highest ballot of its range, which every stored record
changes. Tools list the same names again and again; then a listing costs a lookup.
"""

from __future__ import annotations

from collections import OrderedDict

from core.limits import MIB

BYTES_MAX = 8 * MIB

Version = tuple[bytes, bytes]  # digest and highest ballot of the range


class PageCache:
    """The pages used last, at most BYTES_MAX together."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._pages: OrderedDict[bytes, tuple[Version, bytes]] = OrderedDict()
        self._bytes_max = bytes_max
        self._bytes = 0

    def get(self, key: bytes, version: Version) -> bytes | None:
        """The page of a call, if its range is still at this version."""
        found = self._pages.get(key)
        if found is None:
            return None
        if found[0] != version:
            self._drop(key)
            return None
        self._pages.move_to_end(key)
        return found[1]

    def put(self, key: bytes, version: Version, page: bytes) -> None:
        """Keep a page, letting go of those unused for longest."""
        self._drop(key)
        self._pages[key] = (version, page)
        self._bytes += len(key) + len(page)
        while self._bytes > self._bytes_max:
            self._drop(next(iter(self._pages)))

    def _drop(self, key: bytes) -> None:
        found = self._pages.pop(key, None)
        if found is not None:
            self._bytes -= len(key) + len(found[1])
