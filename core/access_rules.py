"""Access rules of application credentials: which requests of which services a token may make. Pure.

A rule names a service type, a method and a path in which `{name}` and `*` stand for one segment and `**` for any
number (OpenStack Identity API, "Application credentials, access rules").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple


class AccessRule(NamedTuple):
    """One kind of request that is allowed."""

    service: str
    method: str
    path: str


def permits(rules: Iterable[AccessRule], service: str, method: str, path: str) -> bool:
    """Whether some rule covers a request; a HEAD is covered by rules for HEAD only."""
    return any(
        rule.service == service
        and rule.method == method
        and pattern_of(rule.path).fullmatch(path) is not None
        for rule in rules
    )


@lru_cache(maxsize=4096)
def pattern_of(path: str) -> re.Pattern[str]:
    """A rule's path as a regular expression that takes time linear in the path."""
    parts = []
    for piece in re.split(r"(\*\*|\*|\{[^{}/]*\})", path):
        if piece == "**":
            parts.append(r"[^\x00]*")
        elif piece == "*" or (piece.startswith("{") and piece.endswith("}")):
            parts.append(r"[^/]+")
        else:
            parts.append(re.escape(piece))
    return re.compile("".join(parts))
