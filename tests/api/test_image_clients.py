"""A day's work on images with the clients that people use: openstacksdk and python-glanceclient.

`openstack image …` is in docs/images.md, which is run by another test.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openstack
import pytest
from openstack.connection import Connection

from tests import disk_images, installing
from tests.running_cloud import RunningCloud

ROOT = Path(__file__).parents[2]
GLANCE = ROOT / ".venv" / "glance"
CLIENT = "python-glanceclient==4.13.0"
WAIT_S = 60.0


def until(what: Callable[[], Any]) -> Any:
    """The first answer that is something."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it took too long")


def connection(cloud: RunningCloud) -> Connection:
    return openstack.connect(
        auth_url=cloud.env["OS_AUTH_URL"],
        username=cloud.env["OS_USERNAME"],
        password=cloud.env["OS_PASSWORD"],
        project_name=cloud.env["OS_PROJECT_NAME"],
        user_domain_id="default",
        project_domain_id="default",
        region_name=cloud.env["OS_REGION_NAME"],
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_day_with_openstacksdk(cloud: RunningCloud, tmp_path: Path) -> None:
    """Upload, find, change, share, tag, download, import, and a volume in between that copies nothing."""
    sdk = connection(cloud)
    data = disk_images.content()
    path = tmp_path / "disk.raw"
    path.write_bytes(data)
    image = sdk.create_image("sdk", filename=str(path), disk_format="raw", wait=True, os_distro="x")
    assert image.status == "active"
    assert image.hash_value == hashlib.sha512(data).hexdigest()
    assert sdk.image.find_image("sdk").id == image.id
    sdk.image.update_image(image, name="renamed", min_disk=1)
    sdk.image.add_tag(image, "lab")
    assert [one.name for one in sdk.image.images(tag="lab")] == ["renamed"]
    member = sdk.image.add_member(image, member_id="d" * 32)
    assert member.status == "pending"
    sdk.image.remove_member(member, image=image)
    assert sdk.image.download_image(image, stream=False).content == data
    parts = sdk.image.download_image(image, stream=True, chunk_size=1 << 20)
    assert b"".join(parts.iter_content(1 << 20)) == data
    with pytest.raises(openstack.exceptions.NotFoundException):
        sdk.image.get_image("00000000-0000-4000-8000-000000000000")
    staged = sdk.image.create_image(
        "staged", data=data, disk_format="raw", container_format="bare", use_import=True
    )
    until(lambda: sdk.image.get_image(staged.id).status == "active")
    volume = sdk.create_volume(1, image=image.id, wait=True, bootable=True)
    assert volume.status == "available"
    made = sdk.block_storage.upload_volume_to_image(volume, "from-volume")
    found = until(
        lambda: [one for one in sdk.image.images(name="from-volume") if one.status == "active"]
    )
    assert found[0].size == 1 << 30
    assert made["image_id"] == found[0].id
    first = sdk.image.get(
        f"/images/{found[0].id}/file", headers={"Range": f"bytes=0-{len(data) - 1}"}
    )
    assert (first.status_code, first.content) == (206, data)
    for one in (image.id, staged.id, found[0].id):
        sdk.image.delete_image(one)
    sdk.delete_volume(volume.id, wait=True)
    assert not {image.id, staged.id, found[0].id} & {one.id for one in sdk.image.images()}
    sdk.close()


@pytest.fixture(scope="module")
def glance() -> Path:
    """The command of python-glanceclient, in a virtual environment of its own."""
    return installing.environment(GLANCE, CLIENT) / "glance"


@pytest.mark.slow
def test_a_day_with_glanceclient(cloud: RunningCloud, glance: Path, tmp_path: Path) -> None:
    """It builds its models of the schemas that it is served, so they must be true."""
    data = os.urandom(3 << 20)
    path = tmp_path / "disk.raw"
    path.write_bytes(data)

    def run(*words: str | Path, fails: bool = False) -> str:
        # with an input that is no terminal it would upload that
        done = cloud.run("sh", "-c", 'exec "$0" "$@" <&-', glance, *words, check=not fails)
        assert (done.returncode != 0) is fails, done.stdout
        return done.stdout + done.stderr

    formats = ("--disk-format", "raw", "--container-format", "bare")
    made = run("image-create", "--name", "gl", *formats, "--file", path, "--property", "a=b")
    image = next(line.split()[3] for line in made.splitlines() if line.startswith("| id "))
    assert "active" in run("image-show", image)
    run("image-download", image, "--file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert "| c " in run("image-update", image, "--property", "c=d", "--remove-property", "a")
    run("image-tag-update", image, "lab")
    assert "gl" in run("image-list", "--tag", "lab", "--sort", "name:asc", "--limit", "5")
    assert "pending" in run("member-create", image, "e" * 32)
    assert "e" * 32 in run("member-list", "--image-id", image)
    run("member-delete", image, "e" * 32)
    run("image-deactivate", image)
    run("image-reactivate", image)
    assert "ringstack" in run("stores-info")
    assert "web-download" in run("import-info")
    assert "image_count_total" in run("usage")
    other = run("image-create", "--name", "staged", *formats)
    staged = next(line.split()[3] for line in other.splitlines() if line.startswith("| id "))
    run("image-stage", staged, "--file", path)
    run("image-import", staged, "--import-method", "glance-direct")
    until(lambda: "| active" in run("image-show", staged))
    assert "success" in run("image-tasks", staged)
    run("md-namespace-create", "lab", "--visibility", "public")
    run("md-object-create", "lab", "--name", "thing", "--schema", '{"description": "x"}')
    schema = '{"minimum": 1}'
    run(
        "md-property-create",
        "lab",
        "--name",
        "p",
        "--title",
        "P",
        "--type",
        "integer",
        "--schema",
        schema,
    )
    run("md-tag-create", "lab", "--name", "fast")
    assert "thing" in run("md-namespace-show", "lab")
    assert "OS::Nova::Server" in run("md-resource-type-list")
    run("md-namespace-delete", "lab")
    assert "No image found" in run("image-show", "00000000-0000-4000-8000-000000000000", fails=True)
    run("image-delete", image, staged)
    assert image not in run("image-list")
