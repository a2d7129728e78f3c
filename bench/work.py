"""What a round of each kind of case does on one target, and how its answers are checked.

Small objects: PUT writes new names, GET and HEAD choose among what was written, DELETE removes it in
the order of writing and ends early when nothing is left. A listing is read page by page to its end;
"changed" ones each follow a PUT, so that none can be answered from what the last one left behind.
A stream is one object that is written or read once in a round.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from itertools import count, repeat
from typing import Protocol

from bench import load
from bench.connection import Answer, Failed
from bench.figure import (
    DELETE,
    GET,
    HEAD,
    LIST_CHANGED,
    MIB,
    PUT,
    PUT_STREAM,
    STREAM_BYTES,
    Case,
)
from bench.load import Tally
from bench.target import Target

COMPARED_BYTES_MAX = 64 * 1024  # of larger bodies, one of COMPARED_EVERY
COMPARED_EVERY = 8
FILL_CONNECTIONS = 16
LISTED_BODY = b"x"
STREAM_NAME = "stream"


class Work(Protocol):
    """Cases of one kind on one target."""

    async def prepare(self) -> None:
        """Make what the rounds need. Raises Failed."""
        ...

    async def round(self, case: Case, seconds: float) -> Tally:
        """One round."""
        ...


class SmallWork:
    """PUT, GET, HEAD and DELETE of objects of one size."""

    def __init__(
        self, target: Target, container: str, bodies: Sequence[bytes], *, prefix: str, seed: int
    ) -> None:
        self._client = target.client
        self._container = container
        self._bodies = bodies
        self._size = len(bodies[0])
        self._length_line = b"\r\ncontent-length: %d\r\n" % self._size
        self._prefix = prefix
        self._chance = random.Random(seed)
        self._fresh = count()
        self._stored: list[int] = []

    async def prepare(self) -> None:
        """Nothing: the first case writes."""

    async def round(self, case: Case, seconds: float) -> Tally:
        """One round."""
        action, check, numbers = {
            PUT: (self._put, self._check_put, self._fresh),
            GET: (self._get, self._check_get, self._any_stored()),
            HEAD: (self._head, self._check_head, self._any_stored()),
            DELETE: (self._delete, self._check_delete, self._take_stored()),
        }[case.operation]
        tally = await load.run(
            action, check, numbers, connections=case.connections, seconds=seconds
        )
        if case.operation == PUT:
            self._stored += tally.done
        return tally

    def _any_stored(self) -> Iterator[int]:
        stored, draw = self._stored, self._chance.random
        while stored:
            yield stored[int(draw() * len(stored))]

    def _take_stored(self) -> Iterator[int]:
        self._stored.reverse()
        while self._stored:
            yield self._stored.pop()

    def _name(self, number: int) -> str:
        return f"{self._prefix}-{number:06}"

    def _body(self, number: int) -> bytes:
        return self._bodies[number % len(self._bodies)]

    async def _put(self, number: int) -> Answer:
        return await self._client.put(self._container, self._name(number), self._body(number))

    async def _get(self, number: int) -> Answer:
        return await self._client.get(self._container, self._name(number))

    async def _head(self, number: int) -> Answer:
        return await self._client.head(self._container, self._name(number))

    async def _delete(self, number: int) -> Answer:
        return await self._client.delete(self._container, self._name(number))

    def _check_put(self, number: int, answer: Answer) -> str | None:
        del number
        return None if answer.status in {200, 201} else f"PUT answered {answer.status}"

    def _check_get(self, number: int, answer: Answer) -> str | None:
        if answer.status != 200:
            return f"GET answered {answer.status}"
        if len(answer.body) != self._size:
            return "GET of a wrong length"
        if self._size > COMPARED_BYTES_MAX and number % COMPARED_EVERY:
            return None
        return None if answer.body == self._body(number) else "GET of wrong bytes"

    def _check_head(self, number: int, answer: Answer) -> str | None:
        del number
        if answer.status != 200:
            return f"HEAD answered {answer.status}"
        good = self._length_line in answer.head.lower() + b"\r\n"
        return None if good else "HEAD of a wrong length"

    def _check_delete(self, number: int, answer: Answer) -> str | None:
        del number
        return None if answer.status == 204 else f"DELETE answered {answer.status}"


class ListingWork:
    """Whole listings of a container that holds nothing else."""

    def __init__(self, target: Target, container: str, size: int) -> None:
        self._target = target
        self._client = target.client
        self._container = container
        self._names = [f"{number:05}" for number in range(size)]

    async def prepare(self) -> None:
        """Make and fill the container. Raises Failed."""
        (await self._client.make_container(self._container)).expect()
        if self._target.fill_listing is not None:
            self._target.fill_listing(self._container, len(self._names))
        else:
            tally = await load.run(
                self._put,
                _check_stored,
                iter(range(len(self._names))),
                connections=FILL_CONNECTIONS,
                seconds=600,
            )
            if tally.errors:
                raise Failed("NotFilled", f"could not store names to list: {dict(tally.errors)}")
        listed = [entry.name for entry in await self._client.list(self._container)]
        if listed != self._names:
            raise Failed("WrongListing", f"{self._target.name} lists {len(listed)} other names")

    async def round(self, case: Case, seconds: float) -> Tally:
        """One round."""
        if case.operation == LIST_CHANGED:
            return await self._changed(seconds)
        return await load.run(
            self._list, _check_listed, repeat(0), connections=case.connections, seconds=seconds
        )

    async def _changed(self, seconds: float) -> Tally:
        """PUT and LIST in turns; the time is that of the listings, the CPU time that of both."""
        total = Tally()
        deadline = time.perf_counter() + seconds
        while True:
            change = await load.run(
                self._put,
                _check_stored,
                iter((len(total.done) % len(self._names),)),
                connections=1,
                seconds=0,
            )
            listing = await load.run(self._list, _check_listed, repeat(0), connections=1, seconds=0)
            total.errors.update(change.errors)
            total.add(listing)
            if time.perf_counter() >= deadline or change.errors or listing.errors:
                return total

    async def _put(self, number: int) -> Answer:
        return await self._client.put(self._container, self._names[number], LISTED_BODY)

    async def _list(self, number: int) -> Answer:
        del number
        page_max = self._client.page_max
        for first in range(0, len(self._names), page_max):
            after = self._names[first - 1] if first else ""
            page = await self._client.page(self._container, after=after, limit=page_max)
            page.expect(200)
            names = min(page_max, len(self._names) - first)
            last = self._names[first + names - 1].encode()
            if page.body.count(self._target.name_mark) != names or last not in page.body:
                raise Failed("LIST of wrong names")
        return page


def _check_stored(number: int, answer: Answer) -> str | None:
    del number
    return None if answer.status in {200, 201} else f"PUT answered {answer.status}"


def _check_listed(number: int, answer: Answer) -> str | None:
    del number, answer
    return None  # every page was checked when it came


class StreamWork:
    """One large object, written and read as a stream of the same mebibyte again and again."""

    def __init__(self, target: Target, container: str, size: int = STREAM_BYTES) -> None:
        self._client = target.client
        self._container = container
        self._size = size
        self._piece = random.Random(1).randbytes(MIB)

    async def prepare(self) -> None:
        """Make the container. Raises Failed."""
        (await self._client.make_container(self._container)).expect()

    async def round(self, case: Case, seconds: float) -> Tally:
        """One round, however long it takes."""
        del seconds
        tally = Tally()
        started = time.perf_counter()
        try:
            if case.operation == PUT_STREAM:
                await self._put()
            else:
                await self._get()
        except Failed as error:
            tally.errors[f"{case.operation}: {error.code}"] += 1
        tally.seconds = time.perf_counter() - started
        if not tally.errors:
            tally.latencies.append(tally.seconds)
        return tally

    async def _put(self) -> None:
        pieces = repeat(self._piece, self._size // MIB)
        answer = await self._client.put(self._container, STREAM_NAME, pieces, size=self._size)
        answer.expect()

    async def _get(self) -> None:
        piece = self._piece * 2
        got = 0
        async with self._client.stream(self._container, STREAM_NAME) as download:
            if download.status != 200:
                raise Failed(f"answered {download.status}")
            async for part in download:
                if not (got // MIB) % COMPARED_EVERY:
                    at = got % MIB
                    if part != piece[at : at + len(part)]:
                        raise Failed("wrong bytes")
                got += len(part)
        if got != self._size:
            raise Failed("wrong length")
