"""Block storage as its clients use it, against real processes: a day's work, nothing copied, and a kill at any moment."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
from keystoneauth1.exceptions import ClientException
from openstack.connection import Connection
from openstack.exceptions import HttpException, SDKException

from tests.running_cloud import RunningCloud, kill

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SETTLED = {"available", "error", "in-use"}
IMAGE_BYTES = 48 << 20
SETTLE_S = 90.0


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud for this module."""
    running = RunningCloud(tmp_path_factory.mktemp("blocks") / "data")
    running.up()
    yield running
    running.end()


def connection_of(cloud: RunningCloud) -> Connection:
    """The administrator's connection."""
    env = cloud.env
    return openstack.connect(
        auth_url=env["OS_AUTH_URL"],
        username=env["OS_USERNAME"],
        password=env["OS_PASSWORD"],
        project_name=env["OS_PROJECT_NAME"],
        user_domain_id="default",
        project_domain_id="default",
        region_name=env["OS_REGION_NAME"],
        block_storage_api_version="3",
        block_storage_default_microversion="3.70",
        load_yaml_config=False,
        load_envvars=False,
    )


@pytest.fixture
def sdk(blocks: RunningCloud) -> Iterator[Connection]:
    """openstacksdk."""
    connection = connection_of(blocks)
    yield connection
    connection.close()


def within(seconds: float, what: Callable[[], Any]) -> Any:
    """Ask again until the answer is true."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        found = what()
        if found or time.monotonic() > deadline:
            return found
        pause.wait(0.2)


def settled(sdk: Connection, kind: str, name: str) -> str:
    """The status of something once it is no longer on its way."""

    def look() -> str | None:
        found = getattr(sdk.block_storage, f"get_{kind}")(name)
        return found.status if found.status in SETTLED else None

    status = within(SETTLE_S, look)
    assert status, f"{kind} {name} is on its way for ever"
    return str(status)


def stored_bytes(cloud: RunningCloud) -> int:
    """What the devices' files take."""
    return sum(
        path.stat().st_blocks * 512
        for path in (cloud.data / "devices").rglob("*")
        if path.is_file()
    )


def test_the_command_line_does_a_days_work(blocks: RunningCloud) -> None:
    """`openstack volume …`: made, changed, grown, snapshotted, cloned, handed over, removed."""

    def run(*words: str) -> str:
        return blocks.run("openstack", "--os-volume-api-version", "3.70", *words).stdout.strip()

    def status(name: str) -> bool:
        shown = run("volume", "show", name, "-f", "value", "-c", "status")
        return shown == "available"

    run("volume", "create", "--size", "1", "first")
    assert within(SETTLE_S, lambda: status("first"))
    run("volume", "set", "--property", "team=blue", "--size", "2", "first")
    assert within(SETTLE_S, lambda: status("first"))
    run("volume", "snapshot", "create", "--volume", "first", "moment")
    run("volume", "create", "--source", "first", "second")
    assert within(SETTLE_S, lambda: status("second"))
    listed = run("volume", "list", "-f", "value", "-c", "Name", "-c", "Size")
    assert sorted(listed.splitlines()) == ["first 2", "second 2"]
    run("volume", "snapshot", "delete", "moment")
    run("volume", "delete", "second")
    assert within(SETTLE_S, lambda: "second" not in run("volume", "list", "-f", "value"))
    assert "cinder-volume" in run("volume", "service", "list", "-f", "value")


def test_nothing_is_copied_between_images_and_volumes(
    blocks: RunningCloud, sdk: Connection, tmp_path: Path
) -> None:
    """Image → volume → snapshot → volume → image: the object store hardly grows; every byte is the same."""
    path = tmp_path / "image.raw"
    data = os.urandom(IMAGE_BYTES)
    path.write_bytes(data)
    image = sdk.create_image(
        "large", filename=str(path), disk_format="raw", container_format="bare", wait=True
    )
    within(5, lambda: sdk.image.get_image(image.id).checksum)
    before = stored_bytes(blocks)
    volume = sdk.block_storage.create_volume(size=1, image_id=image.id, name="boot")
    assert settled(sdk, "volume", volume.id) == "available"
    pin = sdk.block_storage.create_snapshot(volume_id=volume.id, name="pin")
    assert settled(sdk, "snapshot", pin.id) == "available"
    clone = sdk.block_storage.create_volume(size=2, snapshot_id=pin.id)
    assert settled(sdk, "volume", clone.id) == "available"
    made = sdk.block_storage.upload_volume_to_image(
        clone.id, "again", disk_format="raw", container_format="bare"
    )["image_id"]
    assert within(SETTLE_S, lambda: sdk.image.get_image(made).status == "active")
    assert stored_bytes(blocks) - before < IMAGE_BYTES // 8
    found = sdk.image.download_image(made).content
    assert found[:IMAGE_BYTES] == data
    assert found[IMAGE_BYTES:].strip(b"\0") == b""


def test_a_backup_restores_what_it_holds(
    blocks: RunningCloud, sdk: Connection, tmp_path: Path
) -> None:
    """Through the object store: what is restored is the image that the volume began as."""
    path = tmp_path / "small.raw"
    path.write_bytes(os.urandom(5 << 20))
    image = sdk.create_image(
        "small", filename=str(path), disk_format="raw", container_format="bare", wait=True
    )
    volume = sdk.block_storage.create_volume(size=1, image_id=image.id)
    assert settled(sdk, "volume", volume.id) == "available"
    backup = sdk.block_storage.create_backup(volume_id=volume.id, name="kept")
    assert settled(sdk, "backup", backup.id) == "available"
    assert sdk.block_storage.get_backup(backup.id).object_count == 3  # two chunks and the manifest
    sdk.block_storage.restore_backup(backup.id, name="back")
    found = within(SETTLE_S, lambda: sdk.block_storage.find_volume("back"))
    assert settled(sdk, "volume", found.id) == "available"
    made = sdk.block_storage.upload_volume_to_image(
        found.id, "restored", disk_format="raw", container_format="bare"
    )["image_id"]
    assert within(SETTLE_S, lambda: sdk.image.get_image(made).status == "active")
    assert sdk.image.download_image(made).content[: 5 << 20] == path.read_bytes()


def work_for_a_while(sdk: Connection, seed: int, stop: threading.Event, made: list[str]) -> None:
    """Create, snapshot, grow and remove at random until told to stop; what is refused is refused."""
    rng = random.Random(seed)
    while not stop.is_set():
        try:
            choice = rng.randrange(5)
            if choice < 2 or not made:
                made.append(sdk.block_storage.create_volume(size=1, name=f"w{seed}").id)
            elif choice == 2:
                sdk.block_storage.create_snapshot(volume_id=rng.choice(made))
            elif choice == 3:
                sdk.block_storage.extend_volume(rng.choice(made), 2)
            else:
                sdk.block_storage.delete_volume(made.pop(rng.randrange(len(made))), cascade=True)
        except (SDKException, HttpException, ClientException):
            stop.wait(0.05)


def test_nothing_stays_on_its_way_when_the_service_is_killed(blocks: RunningCloud) -> None:
    """kill -9 of the API process, five times under work: everything ends available, in error or gone."""
    admin = connection_of(blocks)
    admin.block_storage.update_quota_set(
        admin.current_project_id, volumes=1000, snapshots=1000, gigabytes=10_000
    )
    stop, made = threading.Event(), [list[str]() for _ in range(3)]
    connections = [connection_of(blocks) for _ in made]
    workers = [
        threading.Thread(target=work_for_a_while, args=(connection, seed, stop, names))
        for seed, (connection, names) in enumerate(zip(connections, made, strict=True))
    ]
    for worker in workers:
        worker.start()
    pause = threading.Event()
    for _ in range(5):
        pause.wait(2.5)
        kill(blocks.pid("apid"))
        assert within(30, lambda: blocks.pid("apid") > 0)
    pause.wait(1)
    stop.set()
    for worker in workers:
        worker.join()

    def on_their_way() -> list[str] | None:
        try:
            rows = [*admin.block_storage.volumes(), *admin.block_storage.snapshots()]
        except (SDKException, ClientException):
            return ["unknown"]
        return [f"{row.id} {row.status}" for row in rows if row.status not in SETTLED]

    assert within(SETTLE_S, lambda: not on_their_way()), on_their_way()
    rows = list(admin.block_storage.volumes())
    assert rows
    assert {row.status for row in rows} == {"available"}
    for connection in (admin, *connections):
        connection.close()
