"""What the kernel says of interfaces that have gone."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from networkd.agent.watch import DELLINK, IFNAME, removed


def message(kind: int, name: str) -> bytes:
    """A message of rtnetlink with one attribute before the name."""
    text = name.encode() + b"\0"
    attributes = struct.pack("=HHI", 8, 4, 1500) + struct.pack("=HH", 4 + len(text), IFNAME) + text
    attributes += b"\0" * (-len(attributes) % 4)
    return struct.pack("=IHHII", 32 + len(attributes), kind, 0, 0, 0) + b"\0" * 16 + attributes


def test_only_interfaces_that_have_gone_are_named() -> None:
    """Several messages of one datagram."""
    data = message(DELLINK, "tap1") + message(16, "tap2") + message(DELLINK, "leg12345678-01")
    assert list(removed(data)) == ["tap1", "leg12345678-01"]


@given(st.binary(max_size=100), st.integers(0, 60))
def test_any_datagram_is_read(data: bytes, cut: int) -> None:
    """Torn or odd ones end."""
    list(removed(data))
    list(removed(message(DELLINK, "tap1")[:cut] + data))
