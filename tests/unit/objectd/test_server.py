"""A storage node's answers: fences, damage, full and failing disks, and calls that make no sense."""

from __future__ import annotations

import asyncio
import errno
import logging
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.checksum import sums_match
from core.limits import SUM_BLOCK_BYTES
from core.stamp import ZERO, stage_of
from objectd import rows, wire
from objectd.device import FULL_RESERVE_BYTES
from objectd.listing import SKIPS_MAX
from objectd.memindex import MemoryIndex
from tests.unit.objectd.node import RANGE, Node, ballot, body_parts
from tests.virtual import World, run


def on_node(work, index=None):
    async def main(world: World):
        return await work(await Node(world, index).start())

    return run(main)


# -- registers ---------------------------------------------------------------------------------------


def test_an_accepted_record_is_read_back_as_much_as_is_wanted() -> None:
    """Ballot only, without or with the inline bytes; meta too large for the index comes from the log."""

    async def work(node: Node) -> None:
        for number, meta_bytes in enumerate((20, 5000)):
            name, parts = b"n%d" % number, body_parts(1, meta_bytes=meta_bytes)
            assert (await node.accept(name, ballot(5), parts)).status == wire.OK
            for want, body in (
                (wire.WANT_BALLOT, b""),
                (wire.WANT_META, parts[0] + parts[1]),
                (wire.WANT_ALL, b"".join(parts)),
            ):
                frame = await node.read(name, want)
                held = wire.decode_held(frame.head)
                assert (frame.status, held.ballot, bytes(frame.body)) == (wire.OK, ballot(5), body)
                assert held.digest == wire.digest_of(b"".join(parts))
        absent = wire.decode_held((await node.read(b"absent")).head)
        assert absent.ballot == ZERO

    on_node(work)


def test_calls_on_a_register_wait_for_its_accept() -> None:
    """Nothing is answered from a record that is not durable yet, and nothing gets in between."""

    async def work(node: Node) -> None:
        order: list[str] = []

        async def note(what: str, call) -> None:
            frame = await call
            order.append(what)
            if what != "accept":
                assert wire.decode_held(frame.head).ballot == ballot(5)

        await asyncio.gather(
            note("accept", node.accept(b"n", ballot(5), body_parts(1))),
            note("read", node.read(b"n")),
            note("prepare", node.prepare(b"n", ballot(6))),
        )
        assert order[0] == "accept"

    on_node(work)


def test_a_repeated_accept_is_answered_and_not_written_twice() -> None:
    """Its first answer was lost."""

    async def work(node: Node) -> None:
        assert (await node.accept(b"n", ballot(5), body_parts(1))).status == wire.OK
        position = node.device.log.position
        assert (await node.accept(b"n", ballot(5), body_parts(1))).status == wire.OK
        assert node.device.log.position == position
        assert (await node.accept(b"n", ballot(4), body_parts(2))).status == wire.REFUSED

    on_node(work)


def test_an_accept_whose_bytes_do_not_verify_is_not_stored() -> None:
    """Checked before it is written, as after it is read."""

    async def work(node: Node) -> None:
        head, body = node.accept_call(b"n", ballot(5), body_parts(1))
        frame = await node.call(wire.ACCEPT, head, body[:-1] + b"x")
        assert frame.status == wire.CORRUPT
        assert await node.names() == []

    on_node(work)


def test_promises_survive_a_restart() -> None:
    """By the ceiling that was synced before the first of them."""

    async def work(node: Node) -> None:
        now = node.world.env().wall_us()
        assert (await node.prepare(b"n", ballot(now))).status == wire.OK
        await node.restart(power_loss=True)
        refused = await node.prepare(b"n", ballot(now - 1))
        assert refused.status == wire.REFUSED
        above = wire.decode_refusal(refused.head).ballot
        assert (await node.accept(b"n", ballot(now - 1), body_parts(1))).status == wire.REFUSED
        assert above > ballot(now)

    on_node(work)


def test_a_promise_at_a_later_stage_survives_a_restart() -> None:
    """An older stage is refused for ever, however high its clock."""

    async def work(node: Node) -> None:
        now = node.world.env().wall_us()
        assert (await node.prepare(b"n", ballot(now, stage=1))).status == wire.OK
        await node.restart(power_loss=True)
        later = ballot(now + 10**9)
        assert (await node.prepare(b"n", later)).status == wire.STALE
        assert (await node.accept(b"n", later, body_parts(1))).status == wire.STALE

    on_node(work)


# -- fences --------------------------------------------------------------------------------------------


def test_a_fence_counts_from_the_moment_it_comes() -> None:
    """An accept behind it is refused although the fence is not on disk yet: or a listing could miss it."""

    async def work(node: Node) -> None:
        fence, before, after = await asyncio.gather(
            node.call(wire.FENCE, wire.Fence(RANGE, 1, wire.ANY_CONFIG)),
            node.accept(b"behind", ballot(5), body_parts(1)),
            node.accept(b"new stage", ballot(6, stage=1), body_parts(1)),
        )
        assert fence.status == wire.OK
        assert before.status == wire.STALE
        assert stage_of(wire.decode_refusal(before.head).ballot) == 1
        assert after.status == wire.OK
        assert await node.names(stage=1) == ["new stage"]

    on_node(work)


def test_what_was_accepted_before_a_fence_is_listed_behind_it() -> None:
    """The deleter of a container must see it."""

    async def work(node: Node) -> None:
        accepting = asyncio.ensure_future(node.accept(b"n", ballot(5), body_parts(1)))
        await asyncio.sleep(0)
        assert (
            await node.call(wire.FENCE, wire.Fence(RANGE, 1, wire.ANY_CONFIG))
        ).status == wire.OK
        assert await node.names(stage=1) == ["n"]
        assert (await accepting).status == wire.OK
        for refused in (node.read(b"n"), node.prepare(b"n", ballot(9)), node.read(b"n", stage=0)):
            assert (await refused).status == wire.STALE
        assert (
            await node.call(wire.FENCE, wire.Fence(RANGE, 0, wire.ANY_CONFIG))
        ).status == wire.STALE
        assert (await node.read(b"n", stage=1)).status == wire.OK
        await node.restart(power_loss=True)
        assert (await node.read(b"n")).status == wire.STALE

    on_node(work)


def test_a_fence_that_could_not_be_written_is_lifted() -> None:
    """The device was full; nobody was told that it holds."""

    async def work(node: Node) -> None:
        node.platter.capacity_bytes = node.platter.used_bytes()
        assert (
            await node.call(wire.FENCE, wire.Fence(RANGE, 1, wire.ANY_CONFIG))
        ).status == wire.FULL
        node.platter.capacity_bytes = 1 << 30
        assert (await node.read(b"n")).status == wire.OK

    on_node(work)


# -- damage --------------------------------------------------------------------------------------------


def test_a_register_that_went_bad_is_never_sent() -> None:
    """Small and large, with and without its inline part: another replica has it."""

    async def work(node: Node) -> None:
        for number, meta_bytes in enumerate((20, 5000)):
            name, parts = b"n%d" % number, body_parts(number, meta_bytes=meta_bytes)
            await node.accept(name, ballot(5), parts)
            node.flip(parts[2])
            assert (await node.read(name, wire.WANT_ALL)).status == wire.CORRUPT
            if meta_bytes > rows.META_IN_ROW_BYTES_MAX:
                assert (await node.read(name, wire.WANT_META)).status == wire.CORRUPT

    on_node(work)


def test_a_damaged_register_takes_no_part_until_it_is_written_again() -> None:
    """What it holds is unknown, so it may neither promise nor tell; a repeated accept heals it."""

    async def work(node: Node) -> None:
        parts = body_parts(1)
        await node.accept(b"n", ballot(5), parts)
        node.device.log.roll()
        await node.accept(b"other", ballot(5), body_parts(2))
        node.flip(parts[1])
        await node.restart(power_loss=True)
        now = node.world.env().wall_us() + 10**9
        for want in (wire.WANT_BALLOT, wire.WANT_META, wire.WANT_ALL):
            assert (await node.read(b"n", want)).status == wire.CORRUPT
        assert (await node.prepare(b"n", ballot(now))).status == wire.CORRUPT
        assert await node.names() == ["n", "other"]
        assert (await node.accept(b"n", ballot(now), body_parts(3))).status == wire.OK
        assert bytes((await node.read(b"n")).body) == b"".join(body_parts(3))

    on_node(work)


def test_a_blob_is_sent_in_whole_verified_blocks() -> None:
    """The answer is widened to blocks, and carries their sums."""
    data = random.Random(1).randbytes(3 * SUM_BLOCK_BYTES + 100)

    async def work(node: Node) -> None:
        assert await node.put_blob(b"b" * 16, data) == wire.OK
        for start, length in ((0, 1), (SUM_BLOCK_BYTES - 1, 2), (200_000, 10), (0, 1 << 40)):
            frame = await node.get_blob(b"b" * 16, start, length)
            head = wire.decode_blob_bytes(frame.head)
            assert frame.status == wire.OK
            assert head.start % SUM_BLOCK_BYTES == 0
            assert head.start <= start
            assert head.size == len(data)
            assert bytes(frame.body) == data[head.start : head.start + len(frame.body)]
            assert head.start + len(frame.body) >= min(len(data), start + length)
            assert sums_match(frame.body, head.sums)
        assert (await node.get_blob(b"c" * 16)).status == wire.ABSENT
        beyond = await node.get_blob(b"b" * 16, 1 << 30, 5)
        assert (beyond.status, bytes(beyond.body)) == (wire.OK, b"")

    on_node(work)


def test_a_blob_that_went_bad_is_never_sent() -> None:
    """In its bytes, its sums, or its head; blocks beside the damage still verify."""
    data = random.Random(1).randbytes(2 * SUM_BLOCK_BYTES)

    async def work(node: Node) -> None:
        assert await node.put_blob(b"b" * 16, data) == wire.OK
        node.flip(data[SUM_BLOCK_BYTES : SUM_BLOCK_BYTES + 100])
        assert (await node.get_blob(b"b" * 16, SUM_BLOCK_BYTES, 5)).status == wire.CORRUPT
        assert (await node.get_blob(b"b" * 16)).status == wire.CORRUPT
        assert (await node.get_blob(b"b" * 16, 0, 5)).status == wire.OK
        assert await node.put_blob(b"c" * 16, data) == wire.OK
        node.flip(b"c" * 16)
        assert (await node.get_blob(b"c" * 16)).status == wire.CORRUPT
        wrong = wire.PutBlob(b"d" * 16, 0, RANGE, 3, bytes(16))
        assert (await node.call(wire.PUT_BLOB, wrong, b"abc")).status == wire.CORRUPT

    on_node(work)


def test_a_row_that_points_at_another_blob_is_noticed() -> None:
    """Bytes that verify are not enough: they must be the ones that were asked for."""

    async def work(node: Node) -> None:
        await node.put_blob(b"a" * 16, b"one")
        await node.put_blob(b"b" * 16, b"two")
        other = node.device.index.get(node.device.blob_key(b"b" * 16, 0))
        node.device.index.put(node.device.blob_key(b"a" * 16, 0), other)
        assert (await node.get_blob(b"a" * 16)).status == wire.CORRUPT

    on_node(work)


def test_a_lost_segment_costs_answers_not_connections() -> None:
    """A file that somebody deleted: every call on it is answered, and all others go on."""

    async def work(node: Node) -> None:
        await node.accept(b"n", ballot(5), body_parts(1))
        await node.put_blob(b"b" * 16, b"data")
        node.device.log.roll()
        await node.accept(b"m", ballot(5), body_parts(2))
        node.device.log._files.pop(1)
        assert (await node.read(b"n")).status == wire.FAILED
        assert (await node.get_blob(b"b" * 16)).status == wire.CORRUPT
        assert (await node.read(b"m")).status == wire.OK

    on_node(work)


# -- full and failing disks ----------------------------------------------------------------------------


def test_a_full_device_refuses_what_grows_and_goes_on_reading() -> None:
    """507 for bodies; tombstones, fences and reads go on; room that comes back is used at once."""

    async def work(node: Node) -> None:
        await node.accept(b"n", ballot(5), body_parts(1))
        await node.put_blob(b"b" * 16, b"data")
        node.platter.capacity_bytes = node.platter.used_bytes() + FULL_RESERVE_BYTES - 1
        node.device.status()
        large = body_parts(2, inline_bytes=5000)
        assert (await node.accept(b"m", ballot(5), large)).status == wire.FULL
        assert await node.put_blob(b"c" * 16, b"data") == wire.FULL
        assert (await node.read(b"n")).status == wire.OK
        assert (await node.get_blob(b"b" * 16)).status == wire.OK
        assert (await node.accept(b"n", ballot(6), body_parts(1), flags=0)).status == wire.OK
        assert (await node.call(wire.DROP_BLOBS, wire.DropBlobs([b"b" * 16]))).status == wire.OK
        node.platter.capacity_bytes = 1 << 30
        assert (await node.accept(b"m", ballot(5), large)).status == wire.OK
        assert await node.put_blob(b"c" * 16, b"data") == wire.OK

    on_node(work)


def test_a_disk_without_any_room_answers_everything() -> None:
    """Writes are refused one by one and whole; what is there stays readable through a restart."""

    async def work(node: Node) -> None:
        now = node.world.env().wall_us()
        await node.accept(b"n", ballot(now), body_parts(1))
        node.platter.capacity_bytes = node.platter.used_bytes()
        small = (b"\xc0", b"m", b"")
        assert (await node.accept(b"m", ballot(now), small)).status == wire.FULL
        assert (await node.prepare(b"m", ballot(now + 10**8))).status == wire.FAILED
        await node.restart()
        assert bytes((await node.read(b"n")).body) == b"".join(body_parts(1))
        assert await node.names() == ["n"]
        node.device.commit_index()
        assert node.device.uncommitted == 1
        node.platter.capacity_bytes = 1 << 30
        node.device.commit_index()
        assert node.device.uncommitted == 0

    on_node(work)


def test_a_failing_disk_takes_no_more_writes_and_goes_on_reading() -> None:
    """A sync that failed may have lost pages, so it is never tried again."""

    async def work(node: Node) -> None:
        await node.accept(b"n", ballot(5), body_parts(1))
        node.platter.write_errno = errno.EIO
        answers = await asyncio.gather(
            *(node.accept(b"m%d" % n, ballot(5), body_parts(2)) for n in range(5))
        )
        assert {frame.status for frame in answers} == {wire.FAILED}
        node.platter.write_errno = 0
        assert (await node.accept(b"late", ballot(5), body_parts(2))).status == wire.FAILED
        assert await node.put_blob(b"b" * 16, b"x") == wire.FAILED
        assert (
            await node.prepare(b"late", ballot(node.world.env().wall_us()))
        ).status == wire.FAILED
        assert (await node.read(b"n")).status == wire.OK
        assert not node.device.status().writable
        await node.restart()
        assert (await node.accept(b"late", ballot(5), body_parts(2))).status == wire.OK

    on_node(work)


class BreakingIndex(MemoryIndex):
    """An index that breaks when told to."""

    broken = False

    def put(self, key: bytes, value: bytes) -> None:
        if self.broken:
            raise RuntimeError("the index is broken")
        super().put(key, value)

    def crash(self) -> MemoryIndex:
        return MemoryIndex(self._committed)


def test_an_index_that_breaks_stops_the_device_not_its_callers() -> None:
    """Everybody in the group is answered; nothing is committed; a restart has all that was written."""
    logging.getLogger("ringstack.objectd").propagate = False

    async def work(node: Node) -> None:
        await node.accept(b"n", ballot(5), body_parts(1))
        node.device.commit_index()
        node.index.broken = True
        answers = await asyncio.gather(
            *(node.accept(b"m%d" % n, ballot(5), body_parts(2)) for n in range(3))
        )
        assert {frame.status for frame in answers} == {wire.FAILED}
        node.index.broken = False
        node.device.commit_index()
        assert (await node.read(b"n")).status == wire.OK
        assert (await node.accept(b"late", ballot(5), body_parts(2))).status == wire.FAILED
        await node.restart()
        assert await node.names() == ["m0", "m1", "m2", "n"]

    on_node(work, BreakingIndex())
    logging.getLogger("ringstack.objectd").propagate = True


# -- other calls ---------------------------------------------------------------------------------------


def test_expired_registers_are_told_in_order_of_time() -> None:
    """With the name and stage needed to delete them, long names too."""

    async def work(node: Node) -> None:
        names = [b"x" * 1000, b"soon", b"later", b"never"]
        for name, expires_s in zip(names, (30, 20, 90, 0), strict=True):
            head, body = node.accept_call(name, ballot(5), body_parts(1))
            head = msgspec.structs.replace(head, expires_s=expires_s)
            assert (await node.call(wire.ACCEPT, head, body)).status == wire.OK
        await node.call(wire.FENCE, wire.Fence(RANGE, 4, wire.ANY_CONFIG))

        async def expired(before_s: int, limit: int = 10) -> list[tuple[bytes, int]]:
            frame = await node.call(wire.EXPIRED, wire.ExpiredCall(before_s, limit))
            return [(row.name, row.stage) for row in wire.decode_expired(frame.body)]

        assert await expired(20) == []
        assert await expired(21) == [(b"soon", 4)]
        assert await expired(50) == [(b"soon", 4), (b"x" * 1000, 4)]
        assert await expired(1000, 1) == [(b"soon", 4)]
        tombstone = await node.accept(b"soon", ballot(6, stage=4), body_parts(1), flags=0)
        assert tombstone.status == wire.OK
        assert await expired(50) == [(b"x" * 1000, 4)]

    on_node(work)


def test_statistics_are_told_for_ranges_known_and_unknown() -> None:
    """In the order asked."""

    async def work(node: Node) -> None:
        await node.accept(b"a", ballot(5), body_parts(1))
        await node.accept(b"b", ballot(7), body_parts(1))
        await node.accept(b"b", ballot(8), body_parts(1), flags=0)
        frame = await node.call(
            wire.STATS, wire.StatsCall([b"?" * 16, RANGE], [wire.ANY_CONFIG] * 2)
        )
        empty, ours = wire.decode_stats(frame.body)
        assert (empty.count, empty.size_bytes, empty.top) == (0, 0, ZERO)
        assert (ours.count, ours.size_bytes, ours.top) == (1, 38, ballot(8))
        [status] = wire.decode_status((await node.call(wire.STATUS, None)).body)
        assert (status.register_count, status.blob_count, status.writable) == (2, 0, True)

    on_node(work)


def test_a_listing_through_many_tombstones_lets_others_in_between() -> None:
    """It is right all the same, and the node answers other calls meanwhile."""
    count = 3 * SKIPS_MAX

    async def work(node: Node) -> None:
        await node.accept(b"z", ballot(5), body_parts(1))
        [row] = [v for k, v in node.device.index.scan(b"R", b"S")]
        dead = rows.pack_register(
            rows.unpack_register(row)._replace(flags=0, summary=b"", summary_bytes=0)
        )
        for number in range(count):
            node.device.index.put(rows.register_key(RANGE, b"gone %d" % number), dead)
        ended: list[str] = []

        async def note(what: str, call) -> None:
            assert (await call).status == wire.OK
            ended.append(what)

        listing = wire.ListCall(RANGE, 0, wire.ANY_CONFIG, b"", b"", b"", b"", 10, reverse=False)
        await asyncio.gather(
            note("list", node.call(wire.LIST, listing)), note("read", node.read(b"z"))
        )
        assert ended == ["read", "list"]
        assert await node.names() == ["z"]

    on_node(work)


def test_dropped_blobs_are_gone_with_all_their_fragments() -> None:
    """Unknown ones are fine, and cost nothing."""

    async def work(node: Node) -> None:
        for fragment in range(3):
            assert await node.put_blob(b"b" * 16, b"data", fragment) == wire.OK
        position = node.device.log.position
        assert (await node.call(wire.DROP_BLOBS, wire.DropBlobs([b"?" * 16]))).status == wire.OK
        assert node.device.log.position == position
        assert (await node.call(wire.DROP_BLOBS, wire.DropBlobs([b"b" * 16]))).status == wire.OK
        assert (await node.get_blob(b"b" * 16)).status == wire.ABSENT
        assert node.device.blob_count == 0
        await node.restart(power_loss=True)
        assert (await node.get_blob(b"b" * 16)).status == wire.ABSENT

    on_node(work)


def test_a_drop_behind_a_blob_that_is_being_written_drops_it() -> None:
    """A write that was given up must not leave its pieces behind."""

    async def work(node: Node) -> None:
        stored, dropped = await asyncio.gather(
            node.put_blob(b"b" * 16, b"data"),
            node.call(wire.DROP_BLOBS, wire.DropBlobs([b"b" * 16])),
        )
        assert (stored, dropped.status) == (wire.OK, wire.OK)
        assert (await node.get_blob(b"b" * 16)).status == wire.ABSENT

    on_node(work)


# -- nonsense ------------------------------------------------------------------------------------------

OPERATIONS = [
    value for name, value in vars(wire).items() if name.isupper() and value in range(1, 30)
]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 255),
            st.integers(0, 3),
            st.one_of(
                st.binary(max_size=60),
                st.lists(
                    st.one_of(
                        st.integers(-5, 2**64 - 1),
                        st.binary(max_size=17),
                        st.just(b"r" * 16),
                        st.booleans(),
                        st.text(max_size=3),
                        st.lists(st.tuples(st.just(b"b" * 16), st.integers(-1, 300)), max_size=2),
                    ),
                    max_size=11,
                ).map(msgspec.msgpack.encode),
            ),
            st.binary(max_size=40),
        ),
        max_size=20,
    )
)
def test_calls_that_make_no_sense_are_answered(calls) -> None:
    """Whatever a head holds, the node answers it and every call after it."""
    logging.getLogger("ringstack.objectd").setLevel(logging.CRITICAL)

    async def work(node: Node) -> None:
        for operation, device, head, body in calls:
            async with asyncio.timeout(30):
                frame = await node.link.ask(operation, device, head, body)
            assert frame.status in range(8)
        assert (await node.accept(b"sane", ballot(10**12), body_parts(1))).status in {
            wire.OK,
            wire.STALE,
            wire.REFUSED,
        }
        assert not node.device._broken
        await node.restart(power_loss=True)

    on_node(work)
    logging.getLogger("ringstack.objectd").setLevel(logging.NOTSET)


GOOD = wire.Accept(RANGE, b"n", ballot(5), wire.LIVE, 1, 0, wire.digest_of(b""), 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"range_id": b"short"},
        {"name": b"n" * (wire.NAME_BYTES_MAX + 1)},
        {"ballot": b""},
        {"flags": 2},
        {"flags": 0x81},
        {"size": -1},
        {"expires_s": -1},
        {"digest": b"?"},
        {"summary_bytes": 0x10000},
        {"summary_bytes": 1},
        {"meta_bytes": 5},
    ],
)
def test_a_record_that_the_formats_cannot_hold_is_refused(change) -> None:
    """Before it is written: a log that cannot be replayed would be the end of every replica."""

    async def work(node: Node) -> None:
        bad = msgspec.structs.replace(GOOD, **change)
        assert (await node.call(wire.ACCEPT, bad)).status == wire.BAD
        assert (await node.call(wire.ACCEPT, GOOD)).status == wire.OK

    on_node(work)


def test_a_rotten_blob_counts_as_missing_until_it_is_put_again() -> None:
    """So repair replaces it; the good copy is served from then on."""
    data = random.Random(1).randbytes(5000)

    async def work(node: Node) -> None:
        async def held() -> list[bool]:
            frame = await node.call(wire.HAVE, wire.HaveCall([(b"b" * 16, 0), (b"c" * 16, 0)]))
            return wire.decode_have(frame.body)

        assert await node.put_blob(b"b" * 16, data) == wire.OK
        assert await held() == [True, False]
        node.flip(data[1000:1100])
        assert await held() == [True, False]
        assert (await node.get_blob(b"b" * 16)).status == wire.CORRUPT
        assert await held() == [False, False]
        assert await node.put_blob(b"b" * 16, data) == wire.OK
        assert await held() == [True, False]
        assert bytes((await node.get_blob(b"b" * 16)).body) == data

    on_node(work)
