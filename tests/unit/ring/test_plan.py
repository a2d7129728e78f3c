from __future__ import annotations

from ring.build import build
from ring.moves import Move
from ring.plan import DeviceFlow, bytes_by_device, bytes_by_partition, make_plan
from tests.model import rings

MOVES = [Move(3, 0, 0, 1, 9), Move(3, 4, 2, 2, 9), Move(6, 4, 5, 1, 2)]


def test_a_plan_adds_up_partitions_per_device() -> None:
    """Without knowledge of sizes the bytes are unknown, not zero."""
    plan = make_plan(MOVES, epochs=2, pending=5)
    assert (plan.epochs, plan.parts, plan.bytes, plan.pending) == (2, 3, None, 5)
    assert plan.devices == (
        DeviceFlow(1, 0, 2, None, None),
        DeviceFlow(2, 1, 1, None, None),
        DeviceFlow(9, 2, 0, None, None),
    )


def test_known_partition_sizes_are_added_exactly() -> None:
    """By width and partition."""
    plan = make_plan(MOVES, replica_bytes=bytes_by_partition({(3, 4): 100, (6, 4): 7}))
    assert plan.bytes == 107
    assert plan.devices[1] == DeviceFlow(2, 1, 1, 7, 100)


def test_device_sizes_are_spread_over_its_partitions() -> None:
    """Half of a device's partitions are half of its bytes."""
    epoch = build(rings.draft(rings.devices(1, 3, 1), part_power=4), None).epoch
    moves = [Move(3, partition, 0, 1, 9) for partition in range(8)]
    plan = make_plan(moves, replica_bytes=bytes_by_device(epoch, {1: 1600}))
    assert plan.bytes == 800


def test_the_json_form_names_units() -> None:
    """What `ringstack ring plan --json` prints."""
    document = make_plan(MOVES[:1]).to_json()
    assert document == {
        "epochs": 1,
        "partitions": 1,
        "bytes": None,
        "pending": 0,
        "devices": [
            {
                "device": 1,
                "partitions_in": 0,
                "partitions_out": 1,
                "bytes_in": None,
                "bytes_out": None,
            },
            {
                "device": 9,
                "partitions_in": 1,
                "partitions_out": 0,
                "bytes_in": None,
                "bytes_out": None,
            },
        ],
    }
