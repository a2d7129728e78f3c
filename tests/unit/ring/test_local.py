"""Which devices and processes of the ring are a machine's own."""

from __future__ import annotations

import dataclasses

import pytest

from ring.local import devices_of, objectd_name, objectd_names, served_by
from tests.model import rings

DEVICES = tuple(
    dataclasses.replace(rings.device(number, node=number // 3), address=address)
    for number, address in enumerate(
        ("unix:/run/objectd-0.sock", "tls:h:7102", "tls:h:7102", "tls:other:7102")
    )
)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("unix:/a.b/run/objectd-0.sock", "objectd-0"),
        ("unix:bare", "bare"),
        ("tls:10.0.0.1:7101", "objectd-7101"),
        ("tcp:[::1]:1", "objectd-1"),
    ],
)
def test_a_process_is_named_after_its_address(address: str, name: str) -> None:
    """So that everybody on the machine finds its socket."""
    assert objectd_name(address) == name


def test_devices_of_one_address_share_a_process() -> None:
    """And those of another machine are not ours, whatever their port."""
    assert [one.id for one in devices_of(DEVICES, "node-0")] == [0, 1, 2]
    assert objectd_names(DEVICES, "node-0") == ("objectd-0", "objectd-7102")
    assert [one.id for one in served_by(DEVICES, "node-0", "objectd-7102")] == [1, 2]
    assert objectd_names(DEVICES, "node-9") == ()
