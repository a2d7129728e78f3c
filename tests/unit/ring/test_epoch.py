from __future__ import annotations

import subprocess
import sys
from array import array

import pytest
import xxhash

from core.errors import NotFound, Refused
from ring.build import build
from ring.epoch import Epoch, account_range_id, locate_key
from ring.policy import Policy
from ring.settings import Settings
from tests.model import rings

EPOCH = build(rings.draft(rings.devices(3, 2, 2), widths=(3, 5)), None).epoch


def test_a_key_falls_where_its_salted_hash_says() -> None:
    """The top bits of xxh3-64; another seed is another placement."""
    key = bytes(range(16))
    assert EPOCH.partition(key) == xxhash.xxh3_64_intdigest(key, 7) >> (64 - 6)
    assert all(0 <= EPOCH.partition(bytes([n])) < 64 for n in range(256))


def test_part_power_zero_has_one_partition() -> None:
    """The smallest ring works."""
    epoch = build(rings.draft(rings.devices(1, 3, 1), part_power=0), None).epoch
    assert (epoch.part_count, epoch.partition(b"anything")) == (1, 0)


def test_primaries_are_read_from_the_table_in_replica_order() -> None:
    """The same objects each time, cached or not."""
    for width in (3, 5):
        for partition, row in enumerate(rings.rows(EPOCH, width)):
            first = EPOCH.primaries(partition, width)
            assert tuple(one.id for one in first) == row
            assert EPOCH.primaries(partition, width) is first


def test_what_the_ring_does_not_have_is_refused() -> None:
    """Partitions out of range, other widths, unknown devices and policies."""
    for partition in (-1, 64):
        with pytest.raises(Refused, match="partition"):
            EPOCH.primaries(partition, 3)
    with pytest.raises(NotFound, match="width 4"):
        EPOCH.primaries(0, 4)
    with pytest.raises(NotFound):
        EPOCH.device(99)
    with pytest.raises(NotFound):
        EPOCH.policy("absent")


def test_policies_are_found_by_name_and_alias_in_any_case() -> None:
    """Clients send policy names in headers."""
    gold = Policy(0, "gold", "replicated", replicas=3, is_default=True, aliases=("best",))
    epoch = Epoch(
        1,
        Settings(0, 0),
        devices=rings.devices(1, 3, 1),
        policies=(gold,),
        tables={3: memoryview(array("H", [0, 1, 2]))},
    )
    assert epoch.policy("GOLD") is epoch.policy("Best") is epoch.default_policy is gold
    assert (epoch.index_replicas, epoch.device(2).name) == (3, "d2")


@pytest.mark.parametrize(
    ("number", "widths", "entries", "message"),
    [
        (0, (3,), 3, "number 0"),
        (1, (2,), 2, "tables"),
        (1, (3,), 6, "width 3"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    number: int, widths: tuple[int, ...], entries: int, message: str
) -> None:
    """A number from 1, a table for each width in use, each of the right size."""
    tables = {width: memoryview(array("H", [0] * entries)) for width in widths}
    with pytest.raises(Refused, match=message):
        Epoch(
            number,
            Settings(0, 0),
            devices=rings.devices(1, 3, 1),
            policies=rings.policies(3),
            tables=tables,
        )


def test_handoffs_avoid_domains_in_use_for_as_long_as_they_can() -> None:
    """Three zones in use by the primaries: first the unused nodes of any zone, then the rest."""
    primaries = EPOCH.primaries(5, 3)
    order = list(EPOCH.handoffs(5, 3))
    nodes = [one.node for one in (*primaries, *order[:3])]
    assert len(set(nodes)) == 6
    assert len(order) == 9


def test_handoffs_skip_devices_of_weight_zero() -> None:
    """A device being emptied takes nothing new."""
    devices = (*rings.devices(1, 4, 1), rings.device(9, zone=7, weight=0.0))
    epoch = build(rings.draft(devices), None).epoch
    assert all(9 not in {one.id for one in epoch.handoffs(n, 3)} for n in range(64))


def test_handoffs_spread_over_the_other_devices() -> None:
    """The work of a lost device goes to many, not to one neighbour."""
    epoch = build(rings.draft(rings.devices(1, 20, 1), part_power=8), None).epoch
    first = [next(epoch.handoffs(n, 3)).id for n in range(256)]
    assert max(first.count(device_id) for device_id in range(20)) < 40


def test_a_location_names_partition_primaries_and_as_many_handoffs() -> None:
    """What `ringstack ring locate` shows."""
    location = locate_key(EPOCH, b"key", 3)
    assert location.partition == EPOCH.partition(b"key")
    assert location.primaries == EPOCH.primaries(location.partition, 3)
    assert len(location.handoffs) == 3


def test_an_account_is_placed_by_its_name() -> None:
    """xxh3-128 of "account", a zero byte and the name in UTF-8."""
    assert account_range_id("AUTH_é") == xxhash.xxh3_128_digest(b"account\x00AUTH_\xc3\xa9")


def test_the_data_path_does_not_import_numpy() -> None:
    """Reading, locating, planning and reporting work without the builder's memory."""
    modules = "ring.epoch, ring.file, ring.store, ring.plan, ring.report, ring.moves, ring.draft"
    code = f"import sys, {modules}; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
