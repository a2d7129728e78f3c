"""One-time passwords that were used: each counts once (RFC 6238 section 5.2). Pure.

Kept in memory, because a passcode is worth nothing a minute later; a restart of the service within that minute is
the one moment in which it could be used again.
"""

from __future__ import annotations

KEPT_WINDOWS = 4


class Passcodes:
    """The newest window that each user has used."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def take(self, user_id: str, window: int) -> bool:
        """Use a user's passcode of a window; False when it or a later one was used before."""
        if self._used.get(user_id, -1) >= window:
            return False
        self._used = {
            known: used for known, used in self._used.items() if used >= window - KEPT_WINDOWS
        }
        self._used[user_id] = window
        return True
