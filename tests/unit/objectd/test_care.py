"""A device that failed is opened again once it is usable; a bad place on a disk is not a bad disk."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Iterator

import msgspec
import pytest

from core.errors import Corrupt
from core.real import write_durably
from objectd import wire
from objectd.care import Care
from objectd.damage import READS_FAILED_MAX
from objectd.device import IDENTITY as MARKER
from objectd.device import Device
from objectd.main import probe
from tests.unit.objectd.node import IDENTITY, Node, ballot, body_parts
from tests.virtual import World, run


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.getLogger("ringstack.objectd").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("ringstack.objectd").setLevel(logging.NOTSET)


def test_a_failed_device_reads_on_and_is_opened_anew_once_it_takes_writes() -> None:
    """What it had acknowledged is there; while it cannot be used it is only probed."""

    async def main(world: World) -> None:
        node = await Node(world).start()
        usable = False
        probes = 0

        async def may_open(device: Device) -> bool:
            nonlocal probes
            assert device is node.device
            probes += 1
            return usable

        opened = [node.device]
        released: list[bool] = []
        node.device.release = lambda: released.append(True)
        Care(node.server, opened, may_open).begin(node.device)
        assert (await node.accept(b"n", ballot(5), body_parts(1))).status == wire.OK
        node.platter.write_errno = errno.EIO
        assert (await node.accept(b"m", ballot(5), body_parts(2))).status == wire.FAILED
        await asyncio.sleep(30)
        assert (await node.read(b"n")).status == wire.OK
        assert 2 < probes < 8
        node.platter.write_errno = 0
        assert (await node.accept(b"m", ballot(6), body_parts(2))).status == wire.FAILED
        usable = True
        await asyncio.sleep(70)
        assert opened == []
        assert released == [True]
        assert (await node.read(b"n")).status == wire.FAILED  # until it is opened
        await node.restart()
        assert (await node.read(b"n")).status == wire.OK
        assert (await node.accept(b"m", ballot(6), body_parts(2))).status == wire.OK

    run(main)


def test_a_bad_sector_is_damage_and_many_are_a_failure() -> None:
    """A place that cannot be read is missed and repaired; a disk that reads nothing takes no more writes."""

    async def main(world: World) -> None:
        node = await Node(world).start()
        damage = node.device.damage
        assert all(
            damage.read_failed(OSError(errno.EIO, "sector")) for _ in range(READS_FAILED_MAX)
        )
        assert not damage.read_failed(OSError(errno.ENOMEM, "no memory"))
        assert node.device.status().writable
        assert not damage.read_failed(OSError(errno.EIO, "sector"))
        assert not node.device.status().writable

    run(main)


def test_a_probe_writes_only_to_the_right_device(tmp_path) -> None:
    """An empty mount point, another disk and a read-only directory are not usable."""
    with pytest.raises(OSError, match=r"device\.json"):
        probe(tmp_path, IDENTITY)
    write_durably(tmp_path / MARKER, msgspec.json.encode(IDENTITY))
    probe(tmp_path, IDENTITY)
    other = msgspec.structs.replace(IDENTITY, device=9)
    with pytest.raises(Corrupt):
        probe(tmp_path, other)
