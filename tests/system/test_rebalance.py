"""A cloud of real processes gets a device more and loses one, while clients write and read."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from bench.client import S3Client
from tests.running_cloud import RunningCloud

BUCKET = "moving"
OBJECTS = 120


def body_of(number: int) -> bytes:
    return random.Random(number).randbytes(100 if number % 3 else 90_000)


def ring(cloud: RunningCloud, *arguments: str) -> str:
    return cloud.command("ring", *arguments)


def status(cloud: RunningCloud) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ring(cloud, "status", "--json"))
    return found


def s3(cloud: RunningCloud) -> S3Client:
    env = cloud.env
    return S3Client(
        env["AWS_ENDPOINT_URL"],
        env["AWS_ACCESS_KEY_ID"],
        env["AWS_SECRET_ACCESS_KEY"],
        env["AWS_DEFAULT_REGION"],
        resend=False,
    )


@pytest.mark.slow
def test_a_ring_changes_under_load_and_nothing_is_missed(tmp_path: Path) -> None:
    """A device joins, another leaves; every request is answered; then every byte is where the ring says."""
    cloud = RunningCloud(tmp_path / "cloud")
    cloud.up()
    try:
        asyncio.run(_story(cloud, tmp_path))
    finally:
        cloud.down()


async def _story(cloud: RunningCloud, tmp_path: Path) -> None:
    async with s3(cloud) as client:
        (await client.make_container(BUCKET)).expect()
        for number in range(OBJECTS):
            (await client.put(BUCKET, f"o{number}", body_of(number))).expect()
    stop = asyncio.Event()
    load = [asyncio.create_task(_load(cloud, worker, stop)) for worker in range(3)]
    (tmp_path / "extra").mkdir()
    added = ring(cloud, "add", "--path", str(tmp_path / "extra"))
    assert "Staged device 4" in added
    plan = json.loads(ring(cloud, "plan", "--json"))
    assert plan["bytes"] > 0
    await asyncio.to_thread(ring, cloud, "apply")
    ring(cloud, "remove", "0")
    await asyncio.to_thread(ring, cloud, "apply")
    stop.set()
    requests = sum(await asyncio.gather(*load))
    assert requests > 20
    found = status(cloud)
    assert not found["moving"]
    assert found["devices"] == 4
    async with s3(cloud) as client:
        for number in range(OBJECTS):
            answer = (await client.get(BUCKET, f"o{number}")).expect()
            assert hashlib.md5(answer.body).digest() == hashlib.md5(body_of(number)).digest()
    for _ in range(60):
        report = status(cloud)["health"]
        if report["replicated"]:
            return
        await asyncio.sleep(1)
    raise AssertionError(report)


async def _load(cloud: RunningCloud, worker: int, stop: asyncio.Event) -> int:
    """Write, read and delete names of its own; every answer must be the right one."""
    count = 0
    async with s3(cloud) as client:
        while not stop.is_set():
            name, body = f"w{worker}-{count % 7}", b"%d/%d " % (worker, count) * 900
            (await client.put(BUCKET, name, body)).expect()
            answer = (await client.get(BUCKET, name)).expect()
            assert answer.body == body
            if count % 5 == 0:
                (await client.delete(BUCKET, name)).expect()
                assert (await client.get(BUCKET, name)).status == 404
            count += 3
    return count
