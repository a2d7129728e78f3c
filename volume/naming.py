"""What a volume may be called, how large it may be, and which runs of it exist. Pure.

Ids become names of containers and objects, never paths. Everything a caller hands in is checked here,
in the same way by every implementation of the port.
"""

from __future__ import annotations

import re

from core.errors import Refused
from volume.port import SIZE_MAX

ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def check_id(text: str) -> None:
    """Raises Refused("BadId")."""
    if not ID.match(text):
        raise Refused("BadId", "an id has 1 to 64 characters of A-Z a-z 0-9 _ -")


def check_size(size: int) -> None:
    """Raises Refused("BadSize")."""
    if not 0 <= size <= SIZE_MAX:
        raise Refused("BadSize", f"a volume has 0 to {SIZE_MAX} bytes")


def check_range(size: int, offset: int, length: int) -> None:
    """Raises Refused("OutOfRange")."""
    if offset < 0 or length < 0 or offset + length > size:
        raise Refused("OutOfRange", f"bytes {offset}+{length} are not in a volume of {size}")
