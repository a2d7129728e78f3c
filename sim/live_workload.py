"""Clients of a running cloud that note a history: S3 and Swift, plain and conditional, on shared names.

Every attempt is one operation of the history: nothing is sent again behind its back. An answer of 5xx and
a connection that breaks leave a write's outcome open.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import NamedTuple

from bench.client import Answer, Failed, S3Client, SwiftClient
from sim import history as h
from sim.history import History, Operation

CONTAINER = "linear"
KINDS = (
    *([h.GET] * 6),
    *([h.PUT] * 2),
    *([h.PUT_IF_MATCH] * 4),
    *([h.PUT_IF_ABSENT] * 1),
    *([h.DELETE] * 1),
    *([h.DELETE_IF_MATCH] * 1),
)
SIZES = (64, 64, 512, 4096, 20_000)
TIMEOUT_S = 25.0


class Endpoints(NamedTuple):
    """Where and as whom."""

    s3_url: str
    access_key: str
    secret_key: str
    region: str
    swift_auth: str
    user: str
    key: str


class LiveClient:
    """One client with a connection to each API. `wrong` collects what must never be seen.

    What one client has seen of a name the others use in their conditions too, so that many conditions
    hold and many only just do not.
    """

    def __init__(  # noqa: PLR0913
        self,
        history: History,
        endpoints: Endpoints,
        number: int,
        seen: dict[str, str | None],
        *,
        keys: int,
        seed: int,
        prefix: str = "",
        pause_s: float = 0.0,
    ) -> None:
        self._history = history
        self._endpoints = endpoints
        self._name = f"c{number}"
        self._keys = [f"{prefix}name-{key}" for key in range(keys)]
        self._random = random.Random(f"{seed}/{prefix}{number}")
        self._seen = seen
        self._pause_s = pause_s
        self._count = 0
        self.wrong: list[str] = []

    async def run(self, until: float) -> None:
        """Perform operations until the loop's clock shows `until`."""
        e = self._endpoints
        s3 = S3Client(e.s3_url, e.access_key, e.secret_key, e.region, resend=False)
        swift = SwiftClient(e.swift_auth, e.user, e.key, resend=False)
        loop = asyncio.get_running_loop()
        async with s3:
            await log_in(swift)
            while loop.time() < until:
                await self._step(s3, swift)
                if self._pause_s:
                    await asyncio.sleep(self._pause_s)
            await swift.__aexit__(None, None, None)

    async def _step(self, s3: S3Client, swift: SwiftClient) -> None:
        kind = self._random.choice(KINDS)
        key = self._random.choice(self._keys)
        loop = asyncio.get_running_loop()
        operation = self._history.call(self._name, kind, key, loop.time())
        operation.expected = self._seen.get(key) or "0" * 32
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._send(s3, swift, operation)
        except (Failed, OSError, TimeoutError):
            await asyncio.sleep(0.02)
            return
        self._note(operation, answer, loop.time())

    async def _send(self, s3: S3Client, swift: SwiftClient, operation: Operation) -> Answer:
        kind, key = operation.kind, operation.key
        if kind == h.GET:
            client = s3 if self._random.random() < 0.5 else swift
            return await client.get(CONTAINER, key)
        if kind == h.DELETE:
            return await swift.delete(CONTAINER, key)
        headers = {"if-match": f'"{operation.expected}"'}
        if kind == h.DELETE_IF_MATCH:
            return await s3.delete(CONTAINER, key, headers=headers)
        body = self._body()
        operation.value = hashlib.md5(body, usedforsecurity=False).hexdigest()
        if kind == h.PUT:
            client = s3 if self._random.random() < 0.5 else swift
            return await client.put(CONTAINER, key, body)
        if kind == h.PUT_IF_ABSENT:
            headers = {"if-none-match": "*"}
        return await s3.put(CONTAINER, key, body, headers=headers)

    def _body(self) -> bytes:
        self._count += 1
        tag = f"{self._name}/{self._count}/".encode()
        size = self._random.choice(SIZES)
        return (tag * (size // len(tag) + 1))[:size]

    def _note(self, operation: Operation, answer: Answer, now: float) -> None:
        """Turn an answer into an outcome of the history."""
        kind, key = operation.kind, operation.key
        if kind == h.GET:
            if answer.status == 200:
                operation.value = hashlib.md5(answer.body, usedforsecurity=False).hexdigest()
                if answer.fields.get("etag", "").strip('"') != operation.value:
                    self.wrong.append(f"{key}: the body is not the one its ETag names")
            elif answer.status != 404:
                return
            self._seen[key] = operation.value
            operation.finish(now, h.OK)
        elif answer.status in {200, 201, 204}:
            self._seen[key] = operation.value
            operation.finish(now, h.OK)
        elif answer.status in {404, 412}:
            self._seen.pop(key, None)
            operation.finish(now, h.REFUSED)
        elif answer.status < 500:
            self.wrong.append(f"{kind} of {key}: unexpected status {answer.status}")


async def log_in(swift: SwiftClient) -> None:
    """Log in, however long the cloud takes to answer."""
    while True:
        try:
            await swift.log_in()
            return
        except (Failed, OSError):
            await asyncio.sleep(0.1)
