"""Logs that end anywhere and logs with a bad byte: recovery tells a torn tail from damage, and never guesses."""

from __future__ import annotations

import random
from typing import Any

import pytest

from core.checksum import block_sums
from core.errors import Corrupt
from core.stamp import make_ballot
from objectd import record as records
from objectd import wire
from objectd.device import Device, DeviceIdentity
from objectd.memindex import MemoryIndex
from sim.disk import Platter, SimDisk
from sim.faults import quiet
from tests.model.device_state import Kept, State, check_derived, state_of
from tests.virtual import World, run

IDENTITY = DeviceIdentity(0, "d0", "test", 2, 9)
RANGE = b"r" * 16
SEGMENT = "log/00000001.seg"


def register(number: int, version: int = 1) -> tuple[bytes, Kept]:
    kept = Kept(
        make_ballot(0, version * 1000, 1), wire.LIVE, 7, 0, b"sum", b"m" * 40, b"inline%d" % version
    )
    return b"name %d" % number, kept


class Built:
    """A device's files after some groups of writes, and what must be in them."""

    def __init__(self, *groups: list[tuple[str, Any]], roll_after: int = -1) -> None:
        self.platter = Platter(random.Random(1), quiet())
        self.states = [State()]
        self.starts: list[int] = []

        async def work(world: World) -> None:
            device = Device(world.env(), SimDisk(self.platter), MemoryIndex(), IDENTITY)
            for number, group in enumerate(groups):
                self.starts.append(device.log.position[1])
                await self._write(device, group)
                if number == roll_after:
                    device.log.roll()

        run(work)

    async def _write(self, device: Device, group: list[tuple[str, Any]]) -> None:
        state = self.states[-1].copy()
        answers: list[OSError | None] = []
        for kind, value in group:
            if kind == "register":
                name, kept = value
                device.write_register(kept.accept(RANGE, name), kept.body, answers.append)
                state.accept((RANGE, name), kept)
            else:
                head = wire.PutBlob(value[0], 0, RANGE, len(value[1]), block_sums(value[1]))
                device.write_blob(head, value[1], answers.append)
                state.blobs[value[0], 0] = value[1]
        await device.log.idle()
        assert answers == [None] * len(group)
        self.states.append(state)

    def recover(self, data: bytes, segment: str = SEGMENT) -> Device:
        """A device on these bytes, its index lost. Recovering it twice must change nothing."""
        platter = Platter(random.Random(1), quiet())
        platter.files = {path: bytearray(content) for path, content in self.platter.files.items()}
        platter.files[segment] = bytearray(data)

        async def work(world: World) -> Device:
            index = MemoryIndex()
            Device(world.env(), SimDisk(platter), index, IDENTITY)
            again = Device(world.env(), SimDisk(platter), index.crash(), IDENTITY)
            assert again.recovered_records == 0
            return Device(world.env(), SimDisk(platter), MemoryIndex(), IDENTITY)

        return run(work)


LAST = [
    ("register", register(1, 2)),
    ("blob", (b"b" * 16, b"bytes of a blob" * 4)),
    ("register", register(3)),
]


def test_a_log_cut_anywhere_in_its_last_group_keeps_all_before_it() -> None:
    """Every length: each record of the last group is whole or absent, in the order of writing."""
    built = Built([("register", register(0)), ("register", register(1))], LAST)
    data = bytes(built.platter.files[SEGMENT])
    allowed = [built.states[1]]
    for kind, value in LAST:
        state = allowed[-1].copy()
        if kind == "register":
            state.accept((RANGE, value[0]), value[1])
        else:
            state.blobs[value[0], 0] = value[1]
        allowed.append(state)
    seen = set()
    for length in range(built.starts[1], len(data) + 1):
        device = built.recover(data[:length])
        state = state_of(device)
        check_derived(device, state)
        assert state in allowed, f"cut at {length}"
        seen.add(allowed.index(state))
    assert seen == {0, 1, 2, 3}


def test_a_log_with_holes_in_its_last_group_keeps_all_before_it() -> None:
    """A sector in the middle never made it: what it touched is absent, nothing before it is lost."""
    built = Built([("register", register(0)), ("register", register(1))], LAST)
    data = bytes(built.platter.files[SEGMENT])
    for start in range(built.starts[1], len(data), 7):
        holed = data[:start] + bytes(min(64, len(data) - start)) + data[start + 64 :]
        device = built.recover(holed[: len(data)])
        state = state_of(device)
        check_derived(device, state)
        before, after = built.states[1], built.states[2]
        for key, kept in state.registers.items():
            assert kept in {before.registers.get(key), after.registers[key]}
        assert before.registers.keys() <= state.registers.keys()
        assert state.blobs in ({}, after.blobs)


def body_ranges(data: bytes) -> list[tuple[int, int]]:
    """Where the bodies of a segment's registers and blobs are."""
    found = []
    offset = 0
    while offset < len(data):
        header = records.decode_header(data[offset:])
        if header.body_bytes:
            found.append((offset + header.total - header.body_bytes, offset + header.total))
        offset += header.total
    return found


FIRST = [
    ("register", register(0)),
    ("blob", (b"a" * 16, b"first blob" * 9)),
    ("register", register(1)),
]


@pytest.mark.parametrize("sealed", [True, False])
def test_a_bad_byte_in_a_synced_body_costs_its_own_record_only(sealed: bool) -> None:
    """A register is known to be damaged (its ballot stays), a blob does not verify; all else is there."""
    built = Built(FIRST, LAST, [("register", register(9))], roll_after=0 if sealed else -1)
    data = bytes(built.platter.files[SEGMENT])
    end = built.starts[1] or len(data)
    costs = (1, 1, 0)  # the third record was written again later, so it no longer matters
    for (start, stop), cost in zip(body_ranges(data[:end]), costs, strict=True):
        for at in (start, (start + stop) // 2, stop - 1):
            device = built.recover(data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :])
            damaged = bad = 0
            for number in (0, 1, 3, 9):
                row = device.register(RANGE, b"name %d" % number)
                assert row is not None
                assert row.ballot == built.states[-1].registers[RANGE, b"name %d" % number].ballot
                damaged += row.damaged
            for (blob, fragment), content in built.states[-1].blobs.items():
                held = device.blob(blob, fragment)
                assert held is not None
                body = device.log.read_record(held.place)[-held.body_bytes :]
                bad += body != content
            assert damaged + bad == cost
            assert device.stats(RANGE).live_count == 4


def test_a_bad_byte_anywhere_in_a_sealed_segment_is_never_silent() -> None:
    """Either the device refuses to open, or every register is there, whole or known to be damaged."""
    built = Built(FIRST, LAST, roll_after=0)
    data = bytes(built.platter.files[SEGMENT])
    final = built.states[-1]
    refused = 0
    for at in range(len(data)):
        spoiled = data[:at] + bytes((data[at] ^ 0x01,)) + data[at + 1 :]
        try:
            device = built.recover(spoiled)
        except Corrupt as error:
            refused += error.message.startswith("segment 1 is damaged at byte")
            continue
        for (_, name), kept in final.registers.items():
            row = device.register(RANGE, name)
            assert row is not None, f"a register was forgotten, byte {at}"
            assert row.ballot == kept.ballot
            assert row.damaged or row.summary + row.meta == kept.summary + kept.meta
        for (blob, fragment), content in final.blobs.items():
            held = device.blob(blob, fragment)
            if held is not None and blob == b"b" * 16:
                assert device.log.read_record(held.place)[-held.body_bytes :] == content
    assert 0 < refused < len(data)


def test_a_damaged_register_is_healed_by_the_next_accept() -> None:
    """A repeated accept of the same ballot, or a newer one, makes it whole again."""
    built = Built(FIRST, LAST, roll_after=0)
    data = bytearray(built.platter.files[SEGMENT])
    start, _ = body_ranges(bytes(data))[0]
    data[start] ^= 1
    device = built.recover(bytes(data))
    name, kept = register(0)
    row = device.register(RANGE, name)
    assert row is not None
    assert row.damaged
    assert row.summary == row.meta == b""

    async def heal(_: World) -> None:
        answers: list[OSError | None] = []
        device.write_register(kept.accept(RANGE, name), kept.body, answers.append)
        await device.log.idle()
        assert answers == [None]

    run(heal)
    assert state_of(device) == built.states[-1]
    check_derived(device, built.states[-1])


def test_a_forged_record_inside_a_body_is_never_found() -> None:
    """A client's object may be a copy of a log; damage around it must not bring its records to life."""
    name, kept = register(666)
    head = records.encode_head(
        records.RegisterHead(
            kept.ballot, wire.LIVE, 7, 0, wire.digest_of(kept.body), 3, len(kept.meta)
        )
    )
    forged = records.encode_prefix(records.REGISTER, RANGE + name, head, len(kept.body), 0)
    body = (forged + kept.body) * 5
    built = Built([("blob", (b"e" * 16, body))], [("register", register(0))])
    data = bytes(built.platter.files[SEGMENT])
    for at in range(48, data.index(forged) + 20):
        try:
            device = built.recover(data[:at] + bytes((data[at] ^ 0x02,)) + data[at + 1 :])
        except Corrupt:
            continue
        assert device.register(RANGE, name) is None


def test_a_log_shorter_than_its_index_is_another_disk() -> None:
    """Bytes that the index points to are missing: nothing may be built on that."""
    built = Built(FIRST, LAST)
    platter = built.platter

    async def work(world: World) -> None:
        index = MemoryIndex()
        Device(world.env(), SimDisk(platter), index, IDENTITY)
        del platter.files[SEGMENT][-10:]
        with pytest.raises(Corrupt) as caught:
            Device(world.env(), SimDisk(platter), index.crash(), IDENTITY)
        assert caught.value.code == "LogBehindIndex"
        platter.files.clear()
        with pytest.raises(Corrupt) as caught:
            Device(world.env(), SimDisk(platter), index.crash(), IDENTITY)
        assert caught.value.code == "LogBehindIndex"

    run(work)


def test_a_misdirected_row_is_noticed_by_the_key() -> None:
    """A row that points at another blob's record must not serve its bytes (see the server's tests)."""
    built = Built([("blob", (b"a" * 16, b"one")), ("blob", (b"b" * 16, b"two"))])
    device = built.recover(bytes(built.platter.files[SEGMENT]))
    other = device.index.get(device.blob_key(b"b" * 16, 0))
    assert other is not None
    device.index.put(device.blob_key(b"a" * 16, 0), other)
    with pytest.raises(AssertionError):
        state_of(device)
