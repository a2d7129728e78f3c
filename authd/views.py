"""Bodies of validated tokens, remembered until anything changes.

Services validate the same tokens again and again; what a token shows changes only when the database does. Every
commit of this process forgets them all; with a database that other processes write to, they also grow old
quickly. Whether a token holds at all is decided anew each time.
"""

from __future__ import annotations

from authd.authority import Authority

KEPT_MAX = 1000
FRESH_US = 2_000_000

Key = tuple[str, bool]


class Views:
    """Bodies by token and whether the catalog is in them."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._bodies: dict[Key, tuple[bytes, int]] = {}
        self.generation = 0
        authority.database.committed.append(self._changed)

    async def _changed(self) -> None:
        self.generation += 1
        self._bodies.clear()

    def get(self, key: Key) -> bytes | None:
        """The body, if it still is what it was."""
        found = self._bodies.get(key)
        if found is None:
            return None
        body, made_us = found
        shared = not self._authority.database.sqlite
        if shared and self._authority.now_us() - made_us > FRESH_US:
            return None
        return body

    def keep(self, key: Key, body: bytes, generation: int) -> None:
        """Remember a body that was read when the generation was this; nothing if it has passed since."""
        if generation != self.generation:
            return
        if len(self._bodies) >= KEPT_MAX:
            self._bodies.clear()
        self._bodies[key] = (body, self._authority.now_us())
