"""The constant load of a fault test: writers that know what they wrote, and notice whatever is not so.

Requests go through any node, as through a balancer that turns away from a node which does not answer: a
failed attempt is made again elsewhere, and the time until one succeeds is the operation's error window.
Between two requests a writer waits, so that the load is the same in quiet and in trouble.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bench.client import Answer, Failed, S3Client
from sim import ledger
from sim.ledger import ABSENT, Entry
from sim.live_workload import Endpoints

ATTEMPT_S = 2.0
ATTEMPT_BYTES_S = 2_000_000  # larger bodies get more time
AVOID_S = 4.0  # a door that failed is tried last for so long: longer than another one takes to fail
GIVE_UP_S = 60.0
OPEN_S = 30.0  # after the end of trouble no unanswered write takes effect any more
BUCKETS = ("durable", "coded")

Send = Callable[[S3Client], Awaitable[Answer]]


@dataclass(slots=True)
class Tally:
    """What happened in one phase. Times in seconds."""

    operations: int = 0
    attempts_failed: int = 0
    given_up: int = 0
    longest_read_s: float = 0.0
    longest_write_s: float = 0.0
    durations_s: list[float] = field(default_factory=list)
    bytes_written: int = 0

    def quantile_ms(self, share: float) -> float:
        """A quantile of the time that operations took, retries included."""
        ordered = sorted(self.durations_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


class Doors:
    """The object ports of all nodes; one that failed is avoided for a while."""

    def __init__(self, endpoints: Sequence[Endpoints]) -> None:
        self._clients: list[S3Client] = []
        self._bad_until: list[float] = []
        for one in endpoints:
            self.add(one)

    def add(self, one: Endpoints) -> None:
        """One more node."""
        client = S3Client(one.s3_url, one.access_key, one.secret_key, one.region, resend=False)
        self._clients.append(client)
        self._bad_until.append(0.0)

    def choose(self, rng: random.Random, now: float) -> int:
        """A door that has not failed lately, or the one that failed longest ago."""
        good = [n for n, until in enumerate(self._bad_until) if until <= now]
        if good:
            return rng.choice(good)
        return min(range(len(self._clients)), key=lambda number: self._bad_until[number])

    def client(self, number: int) -> S3Client:
        """The client of a door."""
        return self._clients[number]

    def failed(self, number: int, now: float) -> None:
        """Do not choose it for a while."""
        self._bad_until[number] = now + AVOID_S

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.disconnect()


class Load:
    """All writers, what they hold to be true, and what they have seen that is not."""

    def __init__(
        self, endpoints: Sequence[Endpoints], *, writers: int, names: int, rate: float, seed: int
    ) -> None:
        self.doors = Doors(endpoints)
        self.wrong: list[str] = []
        self.tally = Tally()
        self.read_only = False
        self._in_trouble = False
        self._running = asyncio.Event()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        each = -(-names // writers)
        self.writers = [
            Writer(self, number, each, rate / writers, random.Random(f"{seed}/{number}"))
            for number in range(writers)
        ]

    async def fill(self) -> None:
        """Write every object once, as fast as it goes."""
        await asyncio.gather(*(writer.fill() for writer in self.writers))

    def go(self) -> None:
        """Let the writers work."""
        self._running.set()

    async def pause(self) -> None:
        """Have no request under way."""
        self._running.clear()
        await self._idle.wait()

    def new_tally(self) -> Tally:
        """Begin a new phase; returns the last one's."""
        last, self.tally = self.tally, Tally()
        return last

    async def turn(self) -> None:
        """Wait until requests may be made."""
        await self._running.wait()

    def begin(self) -> None:
        """A request is under way."""
        self._busy += 1
        self._idle.clear()

    def end(self) -> None:
        """It has ended."""
        self._busy -= 1
        if not self._busy:
            self._idle.set()

    def trouble_begins(self) -> None:
        """From now on nobody knows how long an unanswered write may be under way."""
        self._in_trouble = True

    def trouble_ends(self) -> None:
        """Whatever is under way ends, one way or the other, within a known time."""
        self._in_trouble = False
        until = self.open_until(asyncio.get_running_loop().time())
        for writer in self.writers:
            for entry in writer.entries.values():
                entry.trouble_ends(until)

    def open_until(self, now: float) -> float:
        """When a write that is not answered now can take effect no more."""
        return float("inf") if self._in_trouble else now + OPEN_S

    async def run(self) -> None:
        """All writers, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for writer in self.writers:
                group.create_task(writer.run())

    async def audit(self, count: int | None = None) -> int:
        """Read objects (all without a count) and compare; returns how many."""
        shares = [None if count is None else -(-count // len(self.writers))] * len(self.writers)
        done = await asyncio.gather(
            *(writer.audit(share) for writer, share in zip(self.writers, shares, strict=True))
        )
        return sum(done)


class Writer:
    """One writer and its names, in a prefix of its own in each bucket."""

    def __init__(
        self, load: Load, number: int, names: int, rate: float, rng: random.Random
    ) -> None:
        self._load = load
        self._rng = rng
        self._rate = rate
        self._prefix = f"w{number}/"
        self.entries = {
            (BUCKETS[n % 4 == 3], f"{self._prefix}{n:06d}"): Entry() for n in range(names)
        }
        self._keys = list(self.entries)

    async def fill(self) -> None:
        """Every object once."""
        for key in self._keys:
            await self._put(key)

    async def run(self) -> None:
        """One operation after the other, at the wanted rate."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._rng.expovariate(self._rate))
            await self._load.turn()
            drawn = self._rng.random() * (0.6 if self._load.read_only else 1.0)
            key = self._rng.choice(self._keys)
            self._load.begin()
            began = loop.time()
            try:
                if drawn < 0.6:
                    await self._get(key)
                elif drawn < 0.88:
                    await self._put(key)
                elif drawn < 0.97:
                    await self._delete(key)
                else:
                    await self._list(key)
            finally:
                self._load.end()
            took_s = loop.time() - began
            tally = self._load.tally
            tally.operations += 1
            tally.durations_s.append(took_s)
            if 0.6 <= drawn < 0.97:
                tally.longest_write_s = max(tally.longest_write_s, took_s)
            else:
                tally.longest_read_s = max(tally.longest_read_s, took_s)

    async def audit(self, count: int | None) -> int:
        """Read some names (all without a count), whatever their state."""
        keys = self._keys if count is None else self._rng.sample(self._keys, count)
        for key in keys:
            await self._get(key)
        return len(keys)

    # -- operations ----------------------------------------------------------------------------

    async def _until_answered(
        self, send: Send, size: int, unanswered: Callable[[float], None] | None
    ) -> Answer | None:
        """Attempts through one door after the other; None when given up.

        `unanswered` is told of each attempt whose outcome is open.
        """
        load, loop = self._load, asyncio.get_running_loop()
        deadline = loop.time() + GIVE_UP_S
        while loop.time() < deadline:
            number = load.doors.choose(self._rng, loop.time())
            began = loop.time()
            try:
                async with asyncio.timeout(ATTEMPT_S + size / ATTEMPT_BYTES_S):
                    answer = await send(load.doors.client(number))
                if answer.status < 500:
                    load.tally.bytes_written += size
                    return answer
            except (Failed, OSError, TimeoutError):
                pass
            if unanswered is not None:
                unanswered(load.open_until(loop.time()))
            load.tally.attempts_failed += 1
            load.doors.failed(number, loop.time())
            if loop.time() - began < 0.05:
                await asyncio.sleep(0.05)
        load.tally.given_up += 1
        return None

    async def _put(self, key: tuple[str, str]) -> None:
        bucket, name = key
        entry = self.entries[key]
        version = entry.next_version()
        body = ledger.content(name, version)
        answer = await self._until_answered(
            lambda client: client.put(bucket, name, body),
            len(body),
            lambda until: entry.unanswered(version, until),
        )
        if answer is not None:
            self._expect(answer, (200,), f"PUT {bucket}/{name}")
            entry.acknowledged(version, asyncio.get_running_loop().time())

    async def _delete(self, key: tuple[str, str]) -> None:
        bucket, name = key
        entry = self.entries[key]
        answer = await self._until_answered(
            lambda client: client.delete(bucket, name),
            0,
            lambda until: entry.unanswered(ABSENT, until),
        )
        if answer is not None:
            self._expect(answer, (204,), f"DELETE {bucket}/{name}")
            entry.acknowledged(ABSENT, asyncio.get_running_loop().time())

    async def _get(self, key: tuple[str, str]) -> None:
        bucket, name = key
        entry = self.entries[key]
        began = asyncio.get_running_loop().time()
        possible = entry.possible()
        answer = await self._until_answered(lambda client: client.get(bucket, name), 0, None)
        if answer is None:
            return
        self._expect(answer, (200, 404), f"GET {bucket}/{name}")
        version = ABSENT if answer.status == 404 else ledger.version_of(name, answer.body)
        if version is None:
            self._load.wrong.append(f"{bucket}/{name}: wrong bytes ({len(answer.body)})")
        elif version not in possible:
            what = "is not there" if version == ABSENT else f"is version {version}"
            if version != ABSENT and possible == {ABSENT}:
                what += ", which was deleted"
            self._load.wrong.append(f"{bucket}/{name}: {what}; possible are {sorted(possible)}")
        else:
            entry.saw(version, began)

    async def _list(self, key: tuple[str, str]) -> None:
        """A page of own names: those certainly there are listed, those certainly not are not."""
        bucket, name = key
        states = {
            own: entry.possible() for (place, own), entry in self.entries.items() if place == bucket
        }
        answer = await self._until_answered(
            lambda client: client.page(bucket, prefix=self._prefix, after=name, limit=100), 0, None
        )
        if answer is None:
            return
        self._expect(answer, (200,), f"listing of {bucket}/{self._prefix}")
        listed = [line.name for line in self._load.doors.client(0).names_in(answer)]
        last = listed[-1] if len(listed) == 100 else "\U0010ffff"
        for own, possible in states.items():
            if not name < own <= last:
                continue
            if possible == {ABSENT} and own in listed:
                self._load.wrong.append(f"{bucket}/{own} is listed, but was deleted")
            elif ABSENT not in possible and own not in listed:
                self._load.wrong.append(f"{bucket}/{own} is not listed, but is there")

    def _expect(self, answer: Answer, statuses: tuple[int, ...], what: str) -> None:
        if answer.status not in statuses:
            self._load.wrong.append(f"{what}: unexpected status {answer.status}")
