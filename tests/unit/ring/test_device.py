from __future__ import annotations

import dataclasses
import math

import pytest

from core.errors import Refused
from ring.device import DEVICES_MAX, Device, check_devices
from tests.model import rings

GOOD = Device(1, "disk-1", 1, 2, "host-1", "tcp:127.0.0.1:7001", "/srv/1", 100)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", -1),
        ("id", True),
        ("id", 2**31),
        ("name", ""),
        ("name", "-x"),
        ("name", "a/b"),
        ("name", "x" * 65),
        ("name", "x\n"),
        ("region", -1),
        ("zone", 65_536),
        ("zone", "1"),
        ("node", ""),
        ("node", "tcp:127.0.0.1:7001"),
        ("node", "two words"),
        ("address", "127.0.0.1:7001"),
        ("address", "tcp:127.0.0.1"),
        ("address", "tcp:127.0.0.1:0"),
        ("address", "tcp:127.0.0.1:65536"),
        ("address", "unix:"),
        ("address", "unix:a\nb"),
        ("path", ""),
        ("path", "a\x00b"),
        ("weight", -1.0),
        ("weight", math.nan),
        ("weight", math.inf),
        ("weight", "1"),
        ("weight", True),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    """Every field has its bounds, and the error says which device and which value."""
    with pytest.raises(Refused) as caught:
        dataclasses.replace(GOOD, **{field: value})
    assert caught.value.code == "InvalidDevice"
    assert repr(value) in caught.value.message


@pytest.mark.parametrize(
    "address", ["unix:run/objectd-0.sock", "tcp:[::1]:7001", "tcp:host.lan:1", "tls:10.0.0.1:7101"]
)
def test_all_kinds_of_address_are_accepted(address: str) -> None:
    """Of this machine and of others, with IPv6 in brackets."""
    assert dataclasses.replace(GOOD, address=address).address == address


def test_a_whole_weight_becomes_a_float() -> None:
    """So that equal devices encode to equal bytes."""
    assert isinstance(GOOD.weight, float)


def test_two_devices_may_not_share_an_id_or_a_name() -> None:
    """Ids are how tables and moves name a device."""
    with pytest.raises(Refused, match="id 1"):
        check_devices((GOOD, dataclasses.replace(GOOD, name="other")))
    with pytest.raises(Refused, match="disk-1"):
        check_devices((GOOD, dataclasses.replace(GOOD, id=2)))


def test_a_ring_has_at_most_as_many_devices_as_16_bits_can_name() -> None:
    """The tables hold 16-bit positions."""
    one = rings.device(0)
    with pytest.raises(Refused, match="65536 devices"):
        check_devices((one,) * (DEVICES_MAX + 1))
