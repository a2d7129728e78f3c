"""A device keeps what it acknowledged, through crashes, torn tails, lost indexes, compaction and full disks.

Crash property: after any prefix of operations and a crash, everything acknowledged is there, everything
else is there entirely or not at all, and a recovery of a recovery changes nothing.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.checksum import block_sums
from core.stamp import make_ballot
from objectd import compact, wire
from objectd.device import FULL_RESERVE_BYTES, Device, DeviceIdentity
from objectd.hints import HintWriter, hint_path
from objectd.memindex import MemoryIndex
from sim.disk import Platter, SimDisk
from sim.env import SimEnv
from sim.faults import quiet
from sim.loop import SimLoop
from tests.model.device_state import Kept, State, check_derived, state_of

IDENTITY = DeviceIdentity(0, "d0", "test", 2, 9)
RANGES = (b"r" * 16, b"s" * 16)
NAMES = (b"", b"a", b"b/c", "é".encode(), b"n" * 439, b"n" * 440, b"n" * 441, b"n" * 1000 + b"z")
BLOBS = tuple(b"%016d" % number for number in range(3))
CAPACITY = FULL_RESERVE_BYTES + (1 << 20)


def register_of(range_number: int, name_number: int, version: int) -> tuple[str, Any, Kept]:
    """A write of a register: a ballot stands for one value only, so everything follows from it."""
    chance = random.Random(f"{range_number} {name_number} {version}")
    kept = Kept(
        make_ballot(0, version * 1000, version % 3),
        chance.choice((0, wire.LIVE, wire.LIVE)),
        chance.randrange(1000),
        chance.choice((0, 0, 500, 600)),
        chance.randbytes(chance.randrange(60)),
        chance.randbytes(chance.choice((1, 60, 3000))),
        chance.randbytes(chance.randrange(60)),
    )
    return "register", (RANGES[range_number], NAMES[name_number]), kept


def blob_of(number: int, fragment: int) -> tuple[str, Any, bytes]:
    """A write of a blob: written once, so its bytes follow from its id."""
    size = (0, 1, 5000, 70_000)[(number + fragment) % 4]
    return "blob", (BLOBS[number], fragment), bytes((number,)) * size


registers = st.builds(
    register_of, st.integers(0, 1), st.integers(0, len(NAMES) - 1), st.integers(1, 30)
)
blobs = st.builds(blob_of, st.integers(0, len(BLOBS) - 1), st.integers(0, 2))
drops = st.tuples(st.just("drop"), st.lists(st.sampled_from(BLOBS), min_size=1), st.none())
fences = st.tuples(st.just("fence"), st.sampled_from(RANGES), st.integers(1, 4))
floors = st.builds(
    lambda range_id, clock, stage: ("floor", range_id, make_ballot(stage, clock, 1)),
    st.sampled_from(RANGES),
    st.integers(0, 40_000),
    st.integers(0, 2),
)
forgets = st.builds(
    lambda range_id, name, version: ("forget", (range_id, name), make_ballot(0, version * 1000, 9)),
    st.sampled_from(RANGES),
    st.sampled_from(NAMES),
    st.integers(1, 30),
)
ceilings = st.tuples(st.just("ceiling"), st.just(b""), st.integers(1, 10**6))
writes = st.one_of(registers, registers, blobs, drops, fences, ceilings, floors, forgets)


class DeviceHistory(RuleBasedStateMachine):
    """One device, its platter and its index, driven through any history."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = SimLoop()
        asyncio.set_event_loop(self.loop)
        self.state = State()
        self.forgotten: dict[Any, bytes] = {}

    @initialize(seed=st.integers(0, 2**32))
    def make(self, seed: int) -> None:
        self.platter = Platter(random.Random(seed), quiet(), CAPACITY)
        self.index = MemoryIndex()
        self.env = SimEnv(self.loop, random.Random(seed))
        self.open()

    def open(self) -> None:
        self.disk = SimDisk(self.platter)
        self.device = Device(self.env, self.disk, self.index, IDENTITY)

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        for tasks in list(self.loop.tasks_of.values()):
            for task in list(tasks):
                task.cancel()
        self.run(asyncio.sleep(0))
        self.loop.close()
        asyncio.set_event_loop(None)

    # -- what is done to it --------------------------------------------------------------------

    def begin(self, write: tuple[str, Any, Any], answers: list[tuple[Any, OSError | None]]) -> None:
        """Queue one write; its answer is appended to `answers` once it comes."""
        kind, key, value = write

        def done(error: OSError | None) -> None:
            answers.append((write, error))

        device = self.device
        if kind == "register":
            device.write_register(value.accept(*key), value.body, done)
        elif kind == "blob":
            head = wire.PutBlob(key[0], key[1], bytes(16), len(value), block_sums(value))
            device.write_blob(head, value, done)
        elif kind == "drop":
            device.write_drop(key, done)
        elif kind == "floor":
            device.reclaim.write_floor(key, value, done)
        elif kind == "forget":
            device.reclaim.write_forget(key[0], [(key[1], value)], done)
        elif kind == "fence":
            device.write(4, key, value.to_bytes(4, "big"), (), done)
        else:
            device.write_ceiling(value, done)

    def start(
        self, group: list[tuple[str, Any, Any]], answers: list[tuple[Any, OSError | None]]
    ) -> None:
        async def begin_all() -> None:
            for write in group:
                self.begin(write, answers)

        self.run(begin_all())

    @staticmethod
    def apply(state: State, write: tuple[str, Any, Any]) -> None:
        kind, key, value = write
        if kind == "register":
            state.accept(key, value)
        elif kind == "blob":
            state.blobs[key] = value
        elif kind == "drop":
            for blob in key:
                for held in [one for one in state.blobs if one[0] == blob]:
                    del state.blobs[held]
        elif kind == "floor":
            state.raise_floor(key, value)
        elif kind == "forget":
            state.forget(key, value)
        elif kind == "fence":
            state.stages[key] = max(state.stages[key], value)
        else:
            state.ceiling_us = max(state.ceiling_us, value)

    def allowed(self, group: list[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
        """Without what no acceptor would let in: an accept not above what was forgotten."""
        found = []
        for write in group:
            kind, key, value = write
            if kind == "forget":
                self.forgotten[key] = max(value, self.forgotten.get(key, b""))
            if kind != "register" or value.ballot > self.forgotten.get(key, b""):
                found.append(write)
        return found

    def finish(self, answers: list[tuple[Any, OSError | None]], count: int) -> None:
        self.run(self.device.log.idle())
        assert len(answers) == count
        for write, error in answers:
            if error is None:
                self.apply(self.state, write)

    @rule(group=st.lists(writes, min_size=1, max_size=6))
    def write(self, group: list[tuple[str, Any, Any]]) -> None:
        """A group of writes that share their sync."""
        group = self.allowed(group)
        answers: list[tuple[Any, OSError | None]] = []
        self.start(group, answers)
        self.finish(answers, len(group))

    @rule()
    def commit(self) -> None:
        self.device.commit_index()

    @rule()
    def hint(self) -> None:
        """Of everything that is sealed, whatever it is worth."""
        for number in self.device.log.segments[:-1]:
            writer = HintWriter(self.device.log, number)
            while writer.step():
                pass
            self.disk.write_file(hint_path(number), writer.finish())

    @rule()
    def index_is_full(self) -> None:
        """A commit fails although there seemed to be room."""
        self.index.full = True
        self.device.commit_index()
        self.index.full = False

    @rule()
    def roll(self) -> None:
        self.device.log.roll()

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        """Any sealed segment, whatever is alive in it."""
        sealed = [n for n in self.device.log.segments if n != self.device.log.active]
        if sealed:
            segment = data.draw(st.sampled_from(sealed))
            self.run(compact.compact_segment(self.device, segment))
            assert segment not in self.device.log.segments

    @rule(size=st.integers(0, 1 << 17))
    def fill_up(self, size: int) -> None:
        """Another program takes the space; a write is refused whole, or fits."""
        self.platter.capacity_bytes = self.platter.used_bytes() + size
        group = [("blob", (b"%016d" % 99, 0), bytes(1 << 16)), ("fence", RANGES[0], 1)]
        answers: list[tuple[Any, OSError | None]] = []
        self.start(group, answers)
        self.finish(answers, len(group))
        self.platter.capacity_bytes = CAPACITY

    # -- how it dies ---------------------------------------------------------------------------

    def reopen(self, *, in_flight: list[tuple[str, Any, Any]], order_kept: bool) -> None:
        """Open again; whatever was acknowledged is there, and a second recovery changes nothing."""
        self.open()
        found = state_of(self.device)
        check_derived(self.device, found)
        assert any(found == one for one in possible(self.state, in_flight, order_kept=order_kept))
        self.state = found
        self.disk.dead = True
        self.index = self.index.crash()
        self.open()
        assert state_of(self.device) == found
        assert self.device.recovered_records == 0

    @rule()
    def crash(self) -> None:
        """kill -9: what the kernel has stays."""
        self.disk.dead = True
        self.index = self.index.crash()
        self.reopen(in_flight=[], order_kept=True)

    @rule()
    def power_loss(self) -> None:
        self.disk.dead = True
        self.platter.crash()
        self.index = MemoryIndex()
        self.reopen(in_flight=[], order_kept=True)

    @rule(group=st.lists(writes, min_size=1, max_size=4), power=st.booleans())
    def crash_while_writing(self, group: list[tuple[str, Any, Any]], *, power: bool) -> None:
        """Whole or not at all; the tail may be torn anywhere."""
        group = self.allowed(group)
        answers: list[tuple[Any, OSError | None]] = []
        self.start(group, answers)
        self.run(asyncio.sleep(0))
        self.run(asyncio.sleep(0))
        self.disk.dead = True
        if power:
            self.platter.crash()
            self.index = MemoryIndex()
        else:
            self.index = self.index.crash()
        self.run(asyncio.sleep(1))
        acknowledged = [write for write, error in answers if error is None]
        assert not acknowledged
        self.reopen(in_flight=group, order_kept=not power)

    @rule(data=st.data(), steps=st.integers(1, 12))
    def crash_while_compacting(self, data: st.DataObject, steps: int) -> None:
        """At any step of it."""
        sealed = [n for n in self.device.log.segments if n != self.device.log.active]
        if not sealed:
            return
        task = self.loop.create_task(
            compact.compact_segment(self.device, data.draw(st.sampled_from(sealed)))
        )
        for _ in range(steps):
            self.run(asyncio.sleep(0))
        self.disk.dead = True
        self.index = self.index.crash()
        task.cancel()
        self.run(asyncio.gather(task, return_exceptions=True))
        self.reopen(in_flight=[], order_kept=True)

    # -- what always holds ---------------------------------------------------------------------

    @invariant()
    def everything_acknowledged_is_there(self) -> None:
        if not hasattr(self, "device"):
            return
        found = state_of(self.device)
        assert found == self.state
        check_derived(self.device, found)


def possible(
    state: State, in_flight: list[tuple[str, Any, Any]], *, order_kept: bool
) -> list[State]:
    """States after a crash: each write of the last group is there or not.

    The process alone dying cuts a group at one place; a power loss may also lose sectors in the middle.
    """
    result = [state.copy()]
    for write in in_flight:
        applied = []
        for one in result[-1:] if order_kept else result:
            twin = one.copy()
            DeviceHistory.apply(twin, write)
            applied.append(twin)
        result += applied
    return result


DeviceHistory.TestCase.settings = settings(max_examples=80, stateful_step_count=25)
TestDevice = DeviceHistory.TestCase
