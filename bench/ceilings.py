"""What this machine could do at most: disk, checksums and loopback, measured without our server.

Short and rough on purpose: they are there to be divided by, in the same run as what they bound.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import uvloop
import xxhash

from bench import load
from bench.client import S3Client
from bench.connection import Answer, Failed
from bench.figure import MIB, Ceilings
from bench.peer_swift import free_ports

BLOCK = 4096
BLOCKS_PER_SYNC = 64
FILE_BYTES = 256 * MIB
START_TRIES = 200


def measure(directory: Path, *, seconds: float = 0.5) -> Ceilings:
    """Every ceiling, with temporary files in `directory`."""
    path = directory / "ceiling"
    try:
        return Ceilings(
            synced_blocks(path, seconds),
            sequential_write(path),
            cached_read(path),
            digest_speed(hashlib.md5, seconds),
            digest_speed(hashlib.sha256, seconds),
            digest_speed(xxhash.xxh3_128, seconds),
            bare_answers(seconds),
        )
    finally:
        path.unlink(missing_ok=True)


def synced_blocks(path: Path, seconds: float) -> float:
    """4 KiB blocks per second appended to one file, 64 with each fdatasync."""
    group = os.urandom(BLOCK * BLOCKS_PER_SYNC)
    count = 0
    with path.open("wb", buffering=0) as file:
        started = time.perf_counter()
        while (passed := time.perf_counter() - started) < seconds:
            file.write(group)
            os.fdatasync(file.fileno())
            count += BLOCKS_PER_SYNC
    return count / passed


def sequential_write(path: Path) -> float:
    """MB/s of one stream into a new file, synced at the end."""
    path.unlink(missing_ok=True)
    piece = os.urandom(MIB)
    started = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(FILE_BYTES // MIB):
            file.write(piece)
        os.fdatasync(file.fileno())
    return FILE_BYTES / 1e6 / (time.perf_counter() - started)


def cached_read(path: Path) -> float:
    """MB/s of reading back the file that was just written."""
    piece = bytearray(MIB)
    started = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass
    return FILE_BYTES / 1e6 / (time.perf_counter() - started)


def digest_speed(make: Callable[[bytes], object], seconds: float) -> float:
    """MB/s of one core, in pieces of 64 KiB."""
    piece = os.urandom(64 * 1024)
    count = 0
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        for _ in range(64):
            make(piece)
        count += 64
    return count * len(piece) / 1e6 / passed


def bare_answers(seconds: float) -> float:
    """4 KiB answers per second of a server that does nothing, to our client on 16 connections."""
    (port,) = free_ports(1)
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.bare", str(port)], cwd=Path(__file__).parent.parent
    )
    try:
        return uvloop.run(_ask_bare(port, seconds))
    finally:
        server.kill()
        server.wait()


async def _ask_bare(port: int, seconds: float) -> float:
    async with S3Client(f"http://127.0.0.1:{port}", "access", "secret") as client:
        await _answers(client)
        tally = await load.run(
            lambda _number: client.get("bucket", "name"),
            lambda _number, answer: None if len(answer.body) == BLOCK else "short",
            count(),
            connections=16,
            seconds=seconds,
        )
    return tally.rate


async def _answers(client: S3Client) -> Answer:
    """Wait for the server. Raises Failed when it does not come up."""
    for _ in range(START_TRIES):
        try:
            return await client.get("bucket", "name")
        except Failed:
            await asyncio.sleep(0.05)
    raise Failed("BareServerFailed", "the bare server did not start")


def file_system_of(path: Path) -> str:
    """Type of the file system below a directory (proc(5): mountinfo); empty when it is not known."""
    best, kind = "", ""
    wanted = f"{path.resolve()}/"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, rest = line.partition(" - ")
        mounted = place.split()[4].rstrip("/") + "/"
        if wanted.startswith(mounted) and len(mounted) >= len(best):
            best, kind = mounted, rest.split()[0]
    return kind
