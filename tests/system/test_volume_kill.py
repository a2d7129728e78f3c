"""Real processes: the writer of a volume is killed or paused, a storage node dies, and the volume is a prefix."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.installation import Installation
from core.real import RealEnv
from proxy.connect import connect
from proxy.store.verbs import ClusterStore
from sim.block_model import content_of
from tests.running_cloud import RunningCloud, kill
from tests.system.volume_writer import BLOCKS, plan
from volume.keys import MemoryKeys
from volume.library import StoreVolumes, volumes_on
from volume.port import BLOCK_BYTES

pytestmark = pytest.mark.slow
ROUNDS = 4
SEED = 7


@contextmanager
def writer(data: Path, volume: str, first: int) -> Iterator[subprocess.Popen[str]]:
    """A writing process that has attached; it does not outlive the block."""
    script = Path(__file__).with_name("volume_writer.py")
    process = subprocess.Popen(
        [sys.executable, script, data, volume, str(SEED), str(first)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "attached\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def with_volumes(data: Path, work: Callable[[StoreVolumes], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        env = RealEnv()
        cluster = connect(Installation(data), env)
        await cluster.wait_up(10)
        try:
            return await work(volumes_on(env, ClusterStore(cluster), MemoryKeys(env)))
        finally:
            cluster.close()

    return asyncio.run(run())


def create(data: Path, volume: str) -> None:
    with_volumes(data, lambda volumes: volumes.create(volume, BLOCKS * BLOCK_BYTES))


def content(data: Path, volume: str) -> Any:
    async def work(volumes: StoreVolumes) -> Any:
        disk = await volumes.attach(volume, "judge")
        found = content_of(await disk.read(0, disk.size))
        disk.abandon()
        return found

    return with_volumes(data, work)


def prefix_end(found: Any, first: int, flushed: int, start: Any) -> int | None:
    """The write after which the volume looked like this, at or after a flush."""
    state = start.copy()
    for number in range(first, flushed + 20_000):
        if number > first:
            block, count = plan(SEED, number)
            state[block : block + count] = number
        if number >= flushed and np.array_equal(state, found):
            return number
    return None


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory):
    running = RunningCloud(tmp_path_factory.mktemp("volumes") / "data")
    running.up()
    yield running
    running.end()


def test_a_killed_writer_leaves_a_prefix(cloud: RunningCloud) -> None:
    """Time and again, at any moment, a storage node being killed as well every other time."""
    create(cloud.data, "v")
    names = [row["name"] for row in cloud.processes() if row["name"].startswith("objectd")]
    state, number = np.zeros(BLOCKS, np.uint64), 0
    for turn in range(ROUNDS):
        with writer(cloud.data, "v", number) as process:
            time.sleep(0.3 + 0.17 * turn)
            if turn % 2:
                kill(cloud.pid(names[turn % len(names)]))
                time.sleep(0.3)
            process.send_signal(signal.SIGKILL)
            lines = process.communicate(timeout=30)[0].split()
        flushed = max([number, *(int(line) for line in lines)])
        found = content(cloud.data, "v")
        assert found is not None
        reached = prefix_end(found, number, flushed, state)
        assert reached is not None, f"round {turn}: no prefix at or after write {flushed}"
        state, number = found, reached
    assert number > 100


def test_a_paused_writer_is_fenced_when_it_wakes(cloud: RunningCloud) -> None:
    """It learns so, and nothing of it is seen."""
    create(cloud.data, "w")
    with writer(cloud.data, "w", 0) as process:
        time.sleep(0.4)
        process.send_signal(signal.SIGSTOP)
        taken = content(cloud.data, "w")
        process.send_signal(signal.SIGCONT)
        lines = process.communicate(timeout=30)[0].split()
    assert lines[-1] == "fenced"
    flushed = max(int(line) for line in lines[:-1])
    assert prefix_end(taken, 0, flushed, np.zeros(BLOCKS, np.uint64)) is not None
    assert np.array_equal(content(cloud.data, "w"), taken)
