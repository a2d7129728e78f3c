"""Volumes of images and images of volumes: nothing is copied."""

from __future__ import annotations

import pytest

from blockd.port import ImageInfo, Place
from tests.block_site import BlockSite

IMAGE = "77777777-7777-4777-8777-777777777777"


@pytest.fixture
def image(site: BlockSite) -> str:
    """An active image of 2 GiB whose boot form is a frozen volume."""
    site.run(site.volumes.create(IMAGE, 2 << 30))
    site.write(IMAGE, 0, b"bootable")
    site.run(site.volumes.snapshot(IMAGE, IMAGE))
    info = ImageInfo(
        id=IMAGE,
        status="active",
        name="linux",
        disk_format="qcow2",
        container_format="bare",
        size=1 << 20,
        virtual_size=2 << 30,
        min_disk=1,
        properties={"os_distro": "minix"},
    )
    site.images.add(info, Place(IMAGE, IMAGE))
    return IMAGE


@pytest.mark.parametrize("reference", [IMAGE, "linux", f"http://cloud.test/v2/images/{IMAGE}"])
def test_a_volume_begins_as_an_image(site: BlockSite, image: str, reference: str) -> None:
    """By id, unique name or address; bootable, at least as large, with the image's properties."""
    row = site.make("volume", imageRef=reference, size=3)
    assert site.read(row["id"], 0, 8) == b"bootable"
    assert row["bootable"] == "true"
    assert row["volume_image_metadata"]["image_id"] == image
    assert row["volume_image_metadata"]["os_distro"] == "minix"
    parent = site.run(site.volumes.describe(row["id"])).parent
    assert parent == image  # a clone: no byte was copied
    small = {"volume": {"imageRef": reference, "size": 1}}
    assert site.call("POST", "/volumes", small).status == 400


def test_an_image_that_cannot_be_used_is_refused(site: BlockSite, image: str) -> None:
    """Unknown, ambiguous or not active."""
    for reference, status in (("none", 400), ("twice", 409), ("raw", 400)):
        for number in range(2):
            site.images.add(ImageInfo(id=f"t{number}", status="active", name="twice"))
        site.images.add(ImageInfo(id="q", status="queued", name="raw"))
        body = {"volume": {"imageRef": reference, "size": 3}}
        assert site.call("POST", "/volumes", body).status == status, reference


def test_an_encrypted_volume_of_a_plain_image_is_encrypted(site: BlockSite, image: str) -> None:
    """The bytes are the same, in a volume with a key of its own."""
    kind = site.admin("POST", "/types", {"volume_type": {"name": "sealed"}}).body["volume_type"]
    given = {"provider": "luks", "control_location": "back-end", "cipher": "aes-xts-plain64"}
    path = f"/types/{kind['id']}/encryption"
    assert site.admin("POST", path, {"encryption": given}).status == 200
    row = site.make("volume", imageRef=image, size=2, volume_type="sealed")
    assert row["encrypted"] is True
    assert row["encryption_key_id"]
    info = site.run(site.volumes.describe(row["id"]))
    assert (info.encrypted, info.parent) == (True, None)
    assert site.read(row["id"], 0, 8) == b"bootable"


def test_an_image_is_made_of_a_volume(site: BlockSite) -> None:
    """Active, with the bytes of that moment; the volume is as before and may go."""
    row = site.make("volume", size=1)
    site.write(row["id"], 0, b"image me")
    given = {"os-volume_upload_image": {"image_name": "mine", "visibility": "private"}}
    reply = site.call("POST", f"/volumes/{row['id']}/action", given)
    assert reply.status == 202
    made = reply.body["os-volume_upload_image"]["image_id"]
    assert site.images.images[made].status == "active"
    assert site.read(made, 0, 8) == b"image me"
    assert site.status("volume", row["id"]) == "available"
    assert site.run(site.volumes.describe(row["id"])).snapshots == ()
    assert site.call("DELETE", f"/volumes/{row['id']}").status == 202
    assert site.read(made, 0, 8) == b"image me"
    other = site.make("volume", size=1)
    public = {"os-volume_upload_image": {"image_name": "mine", "visibility": "public"}}
    assert site.call("POST", f"/volumes/{other['id']}/action", public).status == 403
    qcow2 = {"os-volume_upload_image": {"image_name": "mine", "disk_format": "qcow2"}}
    assert site.call("POST", f"/volumes/{other['id']}/action", qcow2).status == 501


def test_an_image_that_comes_to_nothing_is_removed(site: BlockSite) -> None:
    """The volume is as before, and its project is told."""
    row = site.make("volume", size=1)
    site.images.refusing = True
    given = {"os-volume_upload_image": {"image_name": "mine"}}
    reply = site.call("POST", f"/volumes/{row['id']}/action", given)
    assert reply.status == 202
    site.settle()
    assert site.images.deleted == [reply.body["os-volume_upload_image"]["image_id"]]
    assert site.status("volume", row["id"]) == "available"
    assert len(site.call("GET", "/messages").body["messages"]) == 1


def test_a_volume_begins_again_with_an_image(site: BlockSite, image: str) -> None:
    """From 3.68 on; what it held goes, unless a snapshot of it is kept."""
    row = site.make("volume", size=2)
    site.write(row["id"], 0, b"old data")
    pin = site.make("snapshot", volume_id=row["id"])
    action = f"/volumes/{row['id']}/action"
    given = {"os-reimage": {"image_id": image}}
    assert site.call("POST", action, given, version="3.67").status == 404
    assert site.call("POST", action, given).status == 202
    shown = site.call("GET", f"/volumes/{row['id']}").body["volume"]
    assert (shown["status"], shown["bootable"]) == ("available", "true")
    site.env.advance(8000)
    site.settle()
    back = site.make("volume", snapshot_id=pin["id"])
    assert site.read(back["id"], 0, 8) == b"old data"
    given = {"instance_uuid": row["id"], "mountpoint": "/dev/vdb"}
    site.call("POST", action, {"os-attach": given})
    assert site.call("DELETE", f"/snapshots/{pin['id']}").status == 202
    with pytest.raises(Exception, match="no volume"):
        site.run(site.volumes.describe(row["id"]))  # nothing stands for the old contents any more
