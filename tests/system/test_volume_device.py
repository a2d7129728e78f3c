"""Volumes as block devices of this machine: file systems, a database, and kill -9 of whoever serves them."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openstack
import pytest

from tests import nbd_tools, postgres
from tests.nbd_tools import nbdsh, run
from tests.running_cloud import RunningCloud, differences, kill, wait_gone

pytestmark = [
    pytest.mark.slow,
    # openstacksdk warns of what its next version will not have
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]
TOOLS = ("nbdsh", "nbdfuse", "nbdkit", "fusermount3", "fio", "mkfs.ext4", "mkfs.xfs", "losetup")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    nbd_tools.install(*TOOLS)
    running = RunningCloud(tmp_path_factory.mktemp("devices") / "data")
    running.up("--devices", "3")
    yield running
    running.end()


class Device:
    """A volume that is attached to this machine, and where it is mounted."""

    def __init__(self, cloud: RunningCloud, name: str, where: Path, size: int = 1) -> None:
        self.cloud = cloud
        self.name = name
        self.where = where
        with openstack.connect(**credentials(cloud)) as connection:
            volume = connection.block_storage.create_volume(name=name, size=size)
            connection.block_storage.wait_for_status(volume, "available", interval=0.1, wait=30)
        self.path = ""
        self.attach()

    def attach(self) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(
            self.cloud.command("volume", "attach", self.name, "--json")
        )
        self.path = row["device"]
        return row

    def mount(self) -> None:
        self.where.mkdir(exist_ok=True)
        run("mount", self.path, self.where)

    def unmount(self) -> None:
        run("umount", self.where)

    def detach(self) -> None:
        self.cloud.command("volume", "detach", self.name)


def credentials(cloud: RunningCloud) -> dict[str, str]:
    names = {name.removeprefix("OS_").lower(): value for name, value in cloud.env.items()}
    wanted = ("auth_url", "username", "password", "project_name", "user_domain_id")
    return {
        **{name: names[name] for name in (*wanted, "project_domain_id")},
        "region_name": names["region_name"],
    }


def kill_daemon(cloud: RunningCloud, name: str) -> None:
    pid = cloud.pid(name)
    kill(pid)
    wait_gone(pid)


def working_in(directory: Path) -> list[int]:
    """Processes whose working directory this is: a database server and its children."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == directory:
                    found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("make", "check"),
    [
        (["mkfs.ext4", "-q"], ["fsck.ext4", "-f", "-n"]),
        (["mkfs.xfs", "-q"], ["xfs_repair", "-n"]),
    ],
)
def test_a_file_system_holds_a_tree_through_a_kill(
    cloud: RunningCloud, tmp_path: Path, make: list[str], check: list[str]
) -> None:
    """The daemon dies while the tree is written; it reads back whole, here and after another attachment."""
    name = make[0].replace(".", "-")
    device = Device(cloud, name, tmp_path / "mnt")
    run(*make, device.path)
    device.mount()
    source = Path(__file__).parents[2]
    tree = tmp_path / "tree"
    skipped = shutil.ignore_patterns(".git", ".venv", ".*", "__pycache__")
    shutil.copytree(source, tree, ignore=skipped)
    threading.Timer(0.2, kill_daemon, (cloud, "blockd")).start()
    shutil.copytree(tree, device.where / "tree")
    run("sync", "-f", device.where)
    assert differences(tree, device.where / "tree") == []
    refused = cloud.command("volume", "detach", name, check=False)
    assert refused == ""
    assert device.where.is_mount()
    run("/usr/bin/python3", "-m", "compileall", "-q", device.where / "tree")
    device.unmount()
    run(*check, device.path)
    device.detach()
    device.attach()
    device.mount()
    assert not [one for one in differences(tree, device.where / "tree") if "__pycache__" not in one]
    device.unmount()
    device.detach()
    assert name not in Path("/proc/self/mounts").read_text()
    assert json.loads(cloud.command("volume", "exports", "--json")) == []


def test_what_fio_wrote_verifies_whoever_dies(cloud: RunningCloud, tmp_path: Path) -> None:
    """kill -9 of the block daemon and of storage nodes, one after the other, under the writer's feet."""
    device = Device(cloud, "fio", tmp_path / "mnt")
    over = threading.Event()

    def disturb() -> None:
        for victim in ("blockd", "objectd-0", "blockd", "objectd-1", "blockd"):
            if not over.wait(2.5):
                kill_daemon(cloud, victim)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        run(
            "fio", "--name=v", f"--filename={device.path}", "--direct=1", "--ioengine=libaio",
            "--rw=randwrite", "--bs=4k", "--iodepth=16", "--size=48m", "--rate=4m", "--fsync=64",
            "--verify=crc32c", "--do_verify=1", f"--output={tmp_path}/fio.log", f"--aux-path={tmp_path}",
        )  # fmt: skip
    finally:
        over.set()
        thread.join()
    device.detach()


def test_a_volume_is_exported_over_tls_and_as_it_was(cloud: RunningCloud, tmp_path: Path) -> None:
    """By addresses that the command prints: with its key over the network, a snapshot, a moment of the past."""
    with openstack.connect(**credentials(cloud)) as connection:
        storage = connection.block_storage
        kind = storage.create_type(name="past", extra_specs={"ringstack:retention_s": "600"})
        volume = storage.create_volume(name="past", size=1, volume_type=kind.name)
        storage.wait_for_status(volume, "available", interval=0.1, wait=30)
        address = cloud.command("volume", "export", "past").strip()
        over_tls = cloud.command("volume", "export", "past", "--tls").strip()
        assert over_tls.startswith("nbds://")
        first = tmp_path / "first"
        first.write_bytes(b"1" * 4096)
        run("nbdcopy", "--flush", first, over_tls)
        snapshot = storage.create_snapshot(volume_id=volume.id, name="one", force=True)
        storage.wait_for_status(snapshot, "available", interval=0.1, wait=30)
        before = datetime.now(UTC).isoformat()
        nbdsh(address, "h.pwrite(b'2' * 4096, 0); h.flush()")
        shown = "print(h.pread(1, 0).decode(), h.is_read_only())"
        views = ("--snapshot", snapshot.id), ("--at", before)
        for view in views:
            uri = cloud.command("volume", "export", "past", *view).strip()
            assert nbdsh(uri, shown).split() == ["1", "True"]
        assert nbdsh(address, shown).split() == ["2", "False"]
        for name in {
            row["name"] for row in json.loads(cloud.command("volume", "exports", "--json"))
        }:
            cloud.command("volume", "detach", name)
        assert not list((cloud.data / "block" / "attached").iterdir())


def test_after_the_death_of_the_host_side_what_was_synced_is_there(
    cloud: RunningCloud, tmp_path: Path
) -> None:
    """nbdfuse is killed under a mounted file system; attaching again goes on with the same attachment."""
    device = Device(cloud, "host", tmp_path / "mnt")
    run("mkfs.ext4", "-q", device.path)
    device.mount()
    before = device.attach()
    (device.where / "synced").write_bytes(b"kept" * 1000)
    run("sync", "-f", device.where)
    (device.where / "open").write_bytes(bytes(100_000))
    kill(before["pid"])
    wait_gone(before["pid"])
    run("umount", "-l", device.where)
    deadline = time.monotonic() + 20
    while device.path in run("losetup", "-a") and time.monotonic() < deadline:
        subprocess.run(["losetup", "-d", device.path], capture_output=True, check=False)
    after = device.attach()
    assert after["attachment_id"] == before["attachment_id"]
    device.mount()
    assert (device.where / "synced").read_bytes() == b"kept" * 1000
    device.unmount()
    run("fsck.ext4", "-f", "-n", device.path)
    device.detach()


def test_a_database_that_is_killed_stays_consistent(cloud: RunningCloud, tmp_path: Path) -> None:
    """PostgreSQL on a volume: it and the block daemon are killed under pgbench; the sums agree afterwards."""
    programs = postgres.programs()
    device = Device(cloud, "database", tmp_path / "mnt")
    run("mkfs.ext4", "-q", device.path)
    device.mount()
    account = pwd.getpwnam("postgres")
    os.chown(device.where, account.pw_uid, account.pw_gid)
    for parent in tmp_path.parents:
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    data = device.where / "data"

    def sql(program: str, *words: str | Path) -> str:
        return run("runuser", "-u", "postgres", "--", programs / program, *words)

    def start() -> None:
        options = f"-k {device.where} -h ''"
        sql(
            "pg_ctl",
            "-D",
            data,
            "-w",
            "-t",
            "60",
            "-l",
            device.where / "log",
            "-o",
            options,
            "start",
        )

    sql("initdb", "-D", data, "-A", "trust")
    start()
    sql("pgbench", "-h", device.where, "-i", "-q", "-s", "2", "postgres")
    bench = subprocess.Popen(
        ["runuser", "-u", "postgres", "--", programs / "pgbench", "-h", device.where, "-c", "4", "-T", "8", "postgres"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(2)
    kill_daemon(cloud, "blockd")
    time.sleep(2)
    for process in working_in(data):
        kill(process)
    for process in working_in(data):
        wait_gone(process)
    bench.wait(60)
    # where nobody reaps a dead process, PostgreSQL thinks that it is alive
    for lock in (data / "postmaster.pid", device.where / ".s.PGSQL.5432.lock"):
        lock.unlink(missing_ok=True)
    start()
    sums = [
        sql("psql", "-h", device.where, "-At", "-c", f"select coalesce(sum({column}),0) from {table}", "postgres")
        for table, column in (
            ("pgbench_accounts", "abalance"),
            ("pgbench_branches", "bbalance"),
            ("pgbench_tellers", "tbalance"),
            ("pgbench_history", "delta"),
        )
    ]  # fmt: skip
    assert len(set(sums)) == 1, sums
    count = sql(
        "psql", "-h", device.where, "-At", "-c", "select count(*) from pgbench_history", "postgres"
    )
    assert int(count) > 10
    sql("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
    device.unmount()
    run("fsck.ext4", "-f", "-n", device.path)
    device.detach()
