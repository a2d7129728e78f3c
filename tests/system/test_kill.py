"""kill -9 of each kind of daemon, and what clients see of it."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time

import pytest

from tests.running_cloud import BIN, RunningCloud, kill, wait_gone
from tests.system.swift import Swift

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory):
    running = RunningCloud(tmp_path_factory.mktemp("kill") / "data")
    running.up()
    with Swift(running) as swift:
        assert swift.put("c") == 201
        assert swift.put("coded", X_Storage_Policy="erasure-2-1") == 201
    yield running
    running.end()


def retried(work, seconds: float = 10.0):
    """Result of a call that may be cut off by a proxy's death, as any client would retry it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work()
        except (OSError, AssertionError):
            if time.monotonic() > deadline:
                raise


def test_what_was_acknowledged_is_there_right_after_a_kill(cloud: RunningCloud) -> None:
    """Of every storage node and every proxy in turn, before and after it comes back."""
    names = [row["name"] for row in cloud.processes() if row["name"] != "supervisor"]
    bodies: dict[str, bytes] = {}
    for number, victim in enumerate(names):
        for size in (100, 50_000, 5_000_000):
            for container in ("c", "coded"):
                path = f"{container}/{victim}-{size}"
                bodies[path] = random.Random(f"{number}{path}").randbytes(size)

                def put(path: str = path) -> None:
                    with Swift(cloud) as swift:
                        assert swift.put(path, bodies[path]) == 201

                retried(put)
        before = cloud.pid(victim)
        kill(before)

        def read_back() -> None:
            with Swift(cloud) as swift:
                for path, content in bodies.items():
                    assert swift.get(path) == content

        retried(read_back)
        wait_gone(before)
    deadline = time.monotonic() + 20
    while True:
        rows = {row["name"]: row for row in cloud.processes()}
        if all(row["ready"] for row in rows.values()):
            break
        assert time.monotonic() < deadline
    assert all(rows[name]["restarts"] >= 1 for name in names)
    with Swift(cloud) as swift:
        for path, content in bodies.items():
            assert swift.get(path) == content
        assert len(swift.names("c")) + len(swift.names("coded")) == len(bodies)


def test_a_write_cut_off_by_a_kill_of_everything_is_whole_or_absent(cloud: RunningCloud) -> None:
    """Power cut, as far as processes can tell: acknowledged bodies are all there, others not torn."""
    acknowledged: dict[str, bytes] = {}
    told = threading.Event()

    def write(number: int) -> None:
        count = 0
        try:
            with Swift(cloud) as swift:
                while not told.is_set():
                    path = f"c/cut-{number}-{count}"
                    content = random.Random(path).randbytes(300_000)
                    if swift.put(path, content) == 201:
                        acknowledged[path] = content
                    count += 1
        except (OSError, AssertionError):
            return

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    while len(acknowledged) < 40:
        time.sleep(0.01)
    cloud.kill_everything()
    told.set()
    for writer in writers:
        writer.join()
    cloud.up()
    with Swift(cloud) as swift:
        for path, content in acknowledged.items():
            assert swift.get(path) == content
        for name in swift.names("c?prefix=cut-"):
            path = f"c/{name}"
            assert swift.get(path) == random.Random(path).randbytes(300_000)


def test_histories_under_kill_and_pause_are_linearizable() -> None:
    """The product's own check, for a few seconds."""
    done = subprocess.run(
        [BIN / "ringstack", "check", "linear", "--seconds", "8", "--clients", "8", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] == "valid"
    assert report["answered"] > 50
    assert report["faults: kill"] >= 1
