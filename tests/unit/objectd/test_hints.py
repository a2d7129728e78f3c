"""Hints: an index built with them is the index built without, and one that cannot be trusted is not used."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.limits import MIB
from objectd import compact, hints, wire
from objectd.verify import verify_device
from tests.unit.objectd.node import Node, ballot, body_parts
from tests.unit.objectd.test_reclaim import GRAVE, RANGE, raise_floor, reclaim, seal
from tests.unit.objectd.test_server import on_node


async def fill(node: Node) -> None:
    """Every kind of record, in a segment that consists mostly of bodies."""
    await node.put_blob(b"a" * 16, b"x" * MIB)
    await node.put_blob(b"b" * 16, b"y" * 70_000, fragment=3)
    await node.accept(b"small", ballot(5), body_parts(1))
    await node.accept(b"large", ballot(5), body_parts(2, meta_bytes=5000))
    await node.accept(b"bare", ballot(5), (b"", b"", b"inline only"))
    await node.accept(b"n" * 900, ballot(6), body_parts(3))
    await node.accept(b"dead", ballot(5), GRAVE, flags=wire.GONE)
    await raise_floor(node, ballot(6))
    assert await reclaim(node, (b"dead", ballot(5))) == 1
    await node.call(wire.FENCE, wire.Fence(RANGE, 2, wire.ANY_CONFIG))
    await node.call(wire.BEGIN_SWEEP, wire.SweepCall(1))
    await node.call(wire.TOUCH, wire.TouchCall([b"a" * 16]))
    await node.call(wire.DROP_BLOBS, wire.DropBlobs([b"b" * 16]))
    await seal(node)


def rows_of(node: Node) -> dict[bytes, bytes]:
    node.device.flush_stats()
    entries = node.device.index.scan(b"A", b"Z")
    return {key: value for key, value in entries if not key.startswith(b"Mposition")}


def hint_of(node: Node) -> bytearray | None:
    return node.platter.files.get(hints.hint_path(1))


def test_an_index_built_with_hints_is_the_one_built_without() -> None:
    """Row for row; and the bodies are not read for it."""

    async def work(node: Node) -> None:
        await fill(node)
        await node.restart(power_loss=True)
        without = rows_of(node)
        assert await hints.write_missing(node.device) == 1
        assert await hints.write_missing(node.device) == 0
        hint = hint_of(node)
        assert hint is not None
        assert len(hint) * hints.WORTH_SHARE < node.device.log.segment_bytes(1)
        await node.restart(power_loss=True)
        assert rows_of(node) == without
        assert list(verify_device(node.device, deep=True)) == []
        assert bytes((await node.read(b"large", stage=2)).body) == b"".join(
            body_parts(2, meta_bytes=5000)
        )
        assert bytes((await node.read(b"bare", stage=2)).body) == b"inline only"
        data = node.platter.files["log/00000001.seg"]
        data[: len(data)] = bytes(len(data))  # nobody looks: the hint is enough
        await node.restart(power_loss=True)
        small = node.device.register(RANGE, b"small")
        assert small is not None
        assert not small.damaged

    on_node(work)


@given(st.data())
def test_a_hint_that_is_not_whole_is_not_used(data: st.DataObject) -> None:
    """A byte that differs, a cut, another length of its segment."""

    async def work(node: Node) -> None:
        await fill(node)
        await hints.write_missing(node.device)
        hint = hint_of(node)
        assert hint is not None
        size = node.device.log.segment_bytes(1)
        assert hints.read_hint(bytes(hint), 1, size) is not None
        assert hints.read_hint(bytes(hint), 1, size + 1) is None
        assert hints.read_hint(None, 1, size) is None
        at = data.draw(st.integers(0, len(hint) - 1))
        assert hints.read_hint(bytes(hint[:at]), 1, size) is None
        flipped = bytes(hint[:at]) + bytes((hint[at] ^ 1,)) + bytes(hint[at + 1 :])
        assert hints.read_hint(flipped, 1, size) is None
        before = rows_of(node)
        node.platter.files[hints.hint_path(1)] = bytearray(flipped)
        await node.restart(power_loss=True)
        after = rows_of(node)
        assert {key for key in before if key[:1] in b"RBSPQ"} == {
            key for key in after if key[:1] in b"RBSPQ"
        }

    on_node(work)


def test_a_segment_of_small_records_gets_none() -> None:
    """Reading it takes as long."""

    async def work(node: Node) -> None:
        for number in range(300):
            await node.accept(b"%d" % number, ballot(5), body_parts(number))
        await seal(node)
        assert await hints.write_missing(node.device) == 0
        assert hint_of(node) is None

    on_node(work)


def test_a_hint_goes_with_its_segment() -> None:
    """When compaction has copied out what was alive."""

    async def work(node: Node) -> None:
        await fill(node)
        await hints.write_missing(node.device)
        assert hint_of(node) is not None
        await compact.compact_segment(node.device, 1)
        assert hint_of(node) is None
        await node.restart(power_loss=True)
        assert node.device.log.segments[0] == 2

    on_node(work)
