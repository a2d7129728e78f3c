"""The ring epoch that this process obeys, and which range calls fit it.

An epoch is kept durably before it is obeyed: obeying it means refusing calls that were made for an
older replica set, for good. Calls for a newer one are refused too, until the caller has told us. A
damaged file of a newer epoch counts as known: nothing older is obeyed in its place.
"""

from __future__ import annotations

from collections.abc import Callable

from objectd import wire
from ring.epoch import Epoch

CACHED_MAX = 100_000

Keep = Callable[[Epoch], None]


class Placement:
    """The epoch in force. `keep` stores a newer one durably; it may raise OSError or Conflict.

    `least` is the lowest number that may be obeyed.
    """

    def __init__(self, epoch: Epoch, keep: Keep, *, least: int = 0) -> None:
        self.epoch = epoch
        self._keep = keep
        self._least = least
        self._since: dict[bytes, int] = {}

    def install(self, epoch: Epoch) -> bool:
        """Keep and obey a newer epoch; False when it is not newer."""
        if epoch.number <= self.epoch.number:
            return False
        self._keep(epoch)
        self.epoch = epoch
        self._since.clear()
        return True

    def refusal(self, range_id: bytes, config: int) -> int | None:
        """Status that refuses a call for the replica set of `config`, or None when it is the right one."""
        if config == wire.ANY_CONFIG:
            return None
        if self.epoch.number < self._least:
            return wire.NEW_RING
        since = self._since.get(range_id)
        if since is None:
            since = self.epoch.since[self.epoch.partition(range_id)]
            if len(self._since) >= CACHED_MAX:
                self._since.clear()
            self._since[range_id] = since
        if config == since:
            return None
        return wire.OLD_RING if config < since else wire.NEW_RING
