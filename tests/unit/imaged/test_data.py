"""Bytes of images: up, aside, imported, down in ranges, by location, hashed, gone; and what a crash leaves."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from core.http import Request
from core.http_message import Body, BodyTruncated
from imaged import images, states
from tests.image_site import MIB, OCTETS, PROJECTS, ImageSite


def patterned(size: int, seed: int = 7) -> bytes:
    """Bytes that differ from block to block, with long runs of zeros among them."""
    blocks = [
        bytes(4096) if number % 5 == 3 else bytes([(number * seed) % 251 + 1]) * 4096
        for number in range(-(-size // 4096))
    ]
    return b"".join(blocks)[:size]


def test_what_goes_up_comes_down(site: ImageSite) -> None:
    """Exact bytes, size and both hashes; zeros take no room; the volume is frozen under the image's id."""
    data = patterned(9 * MIB + 123)
    image = site.image(data)
    assert image["status"] == "active"
    assert image["size"] == image["virtual_size"] == len(data)
    assert image["checksum"] == hashlib.md5(data).hexdigest()
    assert image["os_hash_algo"] == "sha512"
    assert image["os_hash_value"] == hashlib.sha512(data).hexdigest()
    got = site.call("GET", f"/v2/images/{image['id']}/file")
    assert got.status == 200
    assert got.raw == data
    assert got.headers["content-md5"] == image["checksum"]
    assert got.headers["content-type"] == OCTETS["content-type"]
    info = site.run(site.volumes.describe(image["id"]))
    assert info.size == -(-len(data) // 4096) * 4096
    assert [pin.id for pin in info.snapshots] == [image["id"]]
    disk = site.run(site.volumes.view(image["id"]))
    extents = site.run(disk.extents(0, 20 * 4096))
    assert [extent.data for extent in extents][:4] == [True, False, True, False]


@pytest.mark.parametrize("size", [0, 1, 4096, 4 * MIB, 4 * MIB + 1])
def test_every_size_fits(site: ImageSite, size: int) -> None:
    """Also none at all."""
    data = patterned(size)
    image = site.image(data)
    assert image["size"] == size
    assert site.call("GET", f"/v2/images/{image['id']}/file").raw == data


def test_a_queued_image_has_no_bytes(site: ImageSite) -> None:
    """204, and no hash is shown before the image is active."""
    image = site.image()
    reply = site.call("GET", f"/v2/images/{image['id']}/file")
    assert (reply.status, reply.raw) == (204, b"")
    assert site.call("GET", "/v2/images/x/file").status == 404


@pytest.mark.parametrize(
    ("wanted", "begin", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=90-", 90, 100),
        ("bytes=-5", 95, 100),
        ("bytes=-500", 0, 100),
        ("bytes=50-500", 50, 100),
    ],
)
def test_ranges(site: ImageSite, wanted: str, begin: int, end: int) -> None:
    """One run of bytes: 206 with its place."""
    data = bytes(range(100))
    image = site.image(data)["id"]
    reply = site.call("GET", f"/v2/images/{image}/file", headers={"range": wanted})
    assert (reply.status, reply.raw) == (206, data[begin:end])
    assert reply.headers["content-range"] == f"bytes {begin}-{end - 1}/100"


@pytest.mark.parametrize(
    "wanted", ["bytes=100-", "bytes=5-4", "bytes=-0", "bytes=-", "bytes=0-1,3-4", "lines=1-2", "x"]
)
def test_a_range_that_is_none_is_refused(site: ImageSite, wanted: str) -> None:
    """416 with the size."""
    image = site.image(bytes(100))["id"]
    reply = site.call("GET", f"/v2/images/{image}/file", headers={"range": wanted})
    assert reply.status == 416
    assert reply.headers["content-range"] == "bytes */100"


def test_an_old_client_asks_with_content_range(site: ImageSite) -> None:
    """As the API once had it."""
    image = site.image(bytes(range(100)))["id"]
    headers = {"content-range": "bytes 10-19/100"}
    reply = site.call("GET", f"/v2/images/{image}/file", headers=headers)
    assert (reply.status, reply.raw) == (206, bytes(range(10, 20)))


def test_bytes_are_given_once(site: ImageSite) -> None:
    """A second upload is a conflict, and changes nothing."""
    image = site.image(b"first")["id"]
    assert site.upload(image, b"second").status == 409
    assert site.stage(image, b"second").status == 409
    assert site.call("GET", f"/v2/images/{image}/file").raw == b"first"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 415),
        ({**OCTETS, "x-openstack-image-size": "many"}, 400),
        ({**OCTETS, "x-openstack-image-size": "3"}, 400),
        ({**OCTETS, "x-image-meta-store": "elsewhere"}, 400),
    ],
)
def test_uploads_that_contradict_themselves(
    site: ImageSite, headers: dict[str, str], status: int
) -> None:
    """Refused, and the image can be tried again."""
    image = site.image()["id"]
    path = f"/v2/images/{image}/file"
    assert site.call("PUT", path, raw=b"data", headers=headers).status == status
    assert site.upload(image, b"data").status == 204


def test_only_who_may_uploads(site: ImageSite) -> None:
    """The owner's members and administrators; formats must be known."""
    image = site.image(visibility="community")["id"]
    assert site.upload(image, b"x", who="member@other").status == 403
    assert site.upload(image, b"x", who="reader").status == 403
    vague = site.call("POST", "/v2/images", {"name": "vague"}).body["id"]
    assert site.upload(vague, b"x").status == 400
    assert site.upload(image, b"x").status == 204


def test_too_large_an_image_is_refused(tmp_path: Any) -> None:
    """413, whether it says so or not."""
    site = ImageSite(tmp_path, settings={"image_bytes_max": 1000})
    image = site.image()["id"]
    assert site.upload(image, bytes(1001)).status == 413
    assert site.upload(image, bytes(1000)).status == 204
    site.close()


def test_an_upload_that_breaks_off_leaves_a_queued_image(site: ImageSite) -> None:
    """The client goes away in the middle: nothing of it stays, and another upload works."""
    image = site.image()["id"]
    sent = {b"x-auth-token": b"member", b"content-type": b"application/octet-stream"}
    request = Request("PUT", f"/image/v2/images/{image}/file", "", sent)
    request.body = Body(None, None)
    request.body.feed(patterned(5 * MIB))
    request.body.fail("the client closed the connection")
    with pytest.raises(BodyTruncated):
        site.run(site.app.handle(request))
    assert site.show(image)["status"] == "queued"
    assert site.show(image)["size"] is None
    assert site.upload(image, b"whole").status == 204


def test_deleting_while_bytes_come_in_ends_the_upload(site: ImageSite) -> None:
    """The upload is told 410; nothing is left of the image."""
    image = site.image()["id"]
    sent = {b"x-auth-token": b"member", b"content-type": b"application/octet-stream"}
    request = Request("PUT", f"/image/v2/images/{image}/file", "", sent)
    request.body = Body(None, None)

    async def both() -> tuple[int, int]:
        uploading = asyncio.ensure_future(site.app.handle(request))
        request.body.feed(b"first half")
        while (await site.acall("GET", f"/v2/images/{image}")).body["status"] != "saving":
            await asyncio.sleep(0)
        deleted = await site.acall("DELETE", f"/v2/images/{image}")
        request.body.feed(b"second half")
        request.body.finish()
        return (await uploading).status, deleted.status

    assert site.run(both()) == (410, 204)
    site.settle()
    assert row_of(site, image) is None
    assert volumes_of(site) == set()


def row_of(site: ImageSite, image_id: str) -> Any:
    async def look() -> Any:
        async with site.database.read() as db:
            return await images.rows.by_id(db, images.TABLE, image_id)

    return site.run(look())


def volumes_of(site: ImageSite) -> set[str]:
    return set(site.volumes._volumes)  # type: ignore[attr-defined]


def test_staged_bytes_are_imported(site: ImageSite) -> None:
    """Stage, import, active: with a task that says so."""
    data = patterned(3 * MIB)
    image = site.image()["id"]
    path = f"/v2/images/{image}/import"
    direct = {"method": {"name": "glance-direct"}}
    assert site.call("POST", path, direct).status == 409
    assert site.stage(image, data).status == 204
    staged = site.show(image)
    assert (staged["status"], staged["size"], staged["checksum"]) == ("uploading", len(data), None)
    assert site.call("POST", path, direct).status == 202
    assert site.show(image)["os_glance_import_task"]
    assert site.call("POST", path, direct).status == 409
    site.settle()
    shown = site.show(image)
    assert (shown["status"], shown["stores"]) == ("active", "ringstack")
    assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()
    tasks = site.call("GET", f"/v2/images/{image}/tasks").body["tasks"]
    assert [(task["status"], task["type"]) for task in tasks] == [("success", "api_image_import")]
    assert site.call("GET", f"/v2/images/{image}/file").raw == data
    assert site.call("POST", path, direct).status == 409
    copy = {"method": {"name": "copy-image"}}
    assert site.call("POST", path, copy).status == 403
    assert site.call("POST", path, copy, who="admin").status == 400
    assert site.call("POST", path, {**copy, "all_stores": True}, who="admin").status == 202


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"method": "web-download"},
        {"method": {}},
        {"method": {"name": "magic"}},
        {"method": {"name": "web-download"}},
        {"method": {"name": "web-download", "uri": 1}},
        {"method": {"name": "web-download", "uri": "file:///etc/passwd"}},
        {"method": {"name": "web-download", "uri": "http://127.0.0.1/x"}},
        {"method": {"name": "web-download", "uri": "http://x"}, "all_stores": "yes"},
    ],
)
def test_imports_that_are_none_are_refused(site: ImageSite, body: object) -> None:
    """400, and the image stays as it is."""
    image = site.image()["id"]
    assert site.call("POST", f"/v2/images/{image}/import", body).status == 400
    assert site.show(image)["status"] == "queued"


def test_a_volume_becomes_an_image_without_a_copy(site: ImageSite) -> None:
    """Services name a frozen volume: active at once, its hash follows; the volume may go."""
    data = patterned(2 * MIB)

    async def freeze() -> None:
        await site.volumes.create("vol", 2 * MIB)
        disk = await site.volumes.attach("vol", "test")
        await disk.write(0, data)
        await disk.close()
        await site.volumes.snapshot("vol", "snap")

    site.run(freeze())
    image = site.image()["id"]
    path = f"/v2/images/{image}/locations"
    body = {"url": "ringstack://vol/snap", "validation_data": {}}
    assert site.call("POST", path, body).status == 403
    assert site.call("POST", path, {"url": "http://example.org/x"}).status == 400
    assert site.call("POST", path, {"url": "ringstack://vol/other"}, who="admin").status == 400
    assert site.show(image)["status"] == "queued"
    assert site.call("POST", path, body, who="admin").status == 202
    shown = site.show(image)
    assert (shown["status"], shown["size"]) == ("active", 2 * MIB)
    assert (shown["os_hash_algo"], shown["os_hash_value"]) == ("sha512", None)
    site.settle()
    assert site.show(image)["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert site.call("GET", path).status == 403
    found = site.call("GET", path, who="admin").body
    assert [one["url"] for one in found] == [f"ringstack://{image}/{image}"]
    assert found[0]["metadata"] == {"store": "ringstack", "form": "raw", "size": 2 * MIB}

    assert site.call("POST", f"/v2/images/{image}/actions/deactivate").status == 204
    assert site.call("GET", path, who="admin").body == []
    assert site.call("POST", f"/v2/images/{image}/actions/reactivate").status == 204

    async def forget() -> None:
        await site.volumes.drop_snapshot("vol", "snap")
        await site.volumes.delete("vol")

    site.run(forget())
    assert site.call("GET", f"/v2/images/{image}/file").raw == data


def test_clones_outlive_the_image(site: ImageSite) -> None:
    """A volume that began from an image reads on after the image is gone."""
    data = patterned(MIB)
    image = site.image(data)["id"]
    site.run(site.volumes.clone("server-disk", image, image, size=4 * MIB))
    assert site.call("DELETE", f"/v2/images/{image}").status == 204
    site.settle()
    assert row_of(site, image) is None
    disk = site.run(site.volumes.view("server-disk"))
    assert site.run(disk.read(0, MIB)) == data
    assert site.image(b"again", id=image)["status"] == "active"


def crash(site: ImageSite, image_id: str, **changes: Any) -> None:
    """The row as a process leaves it that dies in the middle."""
    changes |= {"busy_owner": "node-1/dead", "busy_until_us": site.env.wall_us() + 30_000_000}

    async def write() -> None:
        async with site.database.write() as db:
            await images.rows.update(db, images.TABLE, image_id, changes)

    site.run(write())


@pytest.mark.parametrize(
    ("status", "kind"), [("saving", states.UPLOAD), ("uploading", states.STAGE)]
)
def test_an_upload_that_died_with_its_process_is_undone(
    site: ImageSite, status: str, kind: str
) -> None:
    """Whoever starts on the same machine puts the image back; bytes of it go."""
    image = site.image()["id"]
    site.run(site.volumes.create(image, MIB))
    crash(site, image, status=status, busy_kind=kind)
    site.settle()
    assert site.show(image)["status"] == "queued"
    assert volumes_of(site) == set()
    assert site.upload(image, b"again").status == 204


def test_another_machine_waits_for_the_lease_to_end(site: ImageSite) -> None:
    """What a process elsewhere works on is left alone until it has been silent for too long."""
    image = site.image()["id"]
    crash(site, image, status="saving", busy_kind=states.UPLOAD, busy_owner="x")
    site.run(site._end())
    site.start("node-2")
    site.settle()
    assert site.show(image)["status"] == "saving"
    site.env.advance(60)
    site.settle()
    assert site.show(image)["status"] == "queued"


def test_an_import_that_died_fails_and_can_be_repeated(site: ImageSite) -> None:
    """The staged bytes are still there."""
    image = site.image()["id"]
    site.stage(image, b"staged")
    path, direct = f"/v2/images/{image}/import", {"method": {"name": "glance-direct"}}
    assert site.call("POST", path, direct).status == 202
    task = site.call("GET", f"/v2/images/{image}/tasks").body["tasks"][0]["id"]

    async def die() -> None:
        from imaged import tasks

        changes = {"status": "processing", "busy_owner": "node-1/dead", "busy_until_us": 1 << 60}
        async with site.database.write() as db:
            await images.rows.update(db, tasks.TABLE, task, changes)

    site.run(die())
    crash(site, image, status="importing", busy_kind=states.IMPORT)
    site.settle()
    shown = site.show(image)
    assert (shown["status"], shown["os_glance_failed_import"]) == ("uploading", "ringstack")
    assert site.call("GET", f"/v2/images/{image}/tasks").body["tasks"][0]["status"] == "failure"
    assert site.call("POST", path, direct).status == 202
    site.settle()
    assert site.show(image)["status"] == "active"
    assert site.call("GET", f"/v2/images/{image}/file").raw == b"staged"


def test_a_deletion_is_finished_after_a_restart(site: ImageSite) -> None:
    """The row stays until the volumes are gone, and nobody sees it."""
    image = site.image(b"x")["id"]
    site.call("DELETE", f"/v2/images/{image}")
    crash(site, image, busy_kind=states.REMOVE)
    assert row_of(site, image) is not None
    site.run(site._end())
    site.start()
    site.settle()
    assert row_of(site, image) is None
    assert volumes_of(site) == set()


def test_formats_stay_what_the_bytes_were_screened_as(site: ImageSite) -> None:
    """An active raw image never becomes a qcow2 one by a patch (CVE-2024-40767)."""
    image = site.image(b"x")["id"]
    assert (
        site.patch(image, {"op": "replace", "path": "/disk_format", "value": "qcow2"}).status == 403
    )
    queued = site.image()["id"]
    assert (
        site.patch(queued, {"op": "replace", "path": "/disk_format", "value": "qcow2"}).status
        == 200
    )


def test_properties_are_protected_by_role(tmp_path: Any) -> None:
    """The first rule that fits decides; what no rule names is nobody's."""
    rules = [
        {"pattern": "licence.*", "create": ["admin"], "read": ["admin", "member"]},
        {"pattern": "secret", "create": ["@"], "read": ["admin"], "update": ["!"], "delete": ["@"]},
    ]
    site = ImageSite(tmp_path, settings={"property_protection": rules})
    assert site.call("POST", "/v2/images", {"licence_key": "1"}).status == 403
    assert site.call("POST", "/v2/images", {"unnamed": "1"}).status == 403
    made = site.call("POST", "/v2/images", {"licence_key": "1"}, who="admin@demo").body["id"]
    assert site.show(made)["licence_key"] == "1"
    assert "licence_key" not in site.show(made, who="reader")
    assert site.patch(made, {"op": "replace", "path": "/licence_key", "value": "2"}).status == 403
    assert site.patch(made, {"op": "add", "path": "/secret", "value": "2"}).status == 200
    assert "secret" not in site.show(made)
    assert site.patch(made, {"op": "replace", "path": "/secret", "value": "3"}).status == 403
    assert site.patch(made, {"op": "remove", "path": "/secret"}).status == 200
    site.close()


def test_a_project_is_held_to_its_limits(site: ImageSite) -> None:
    """Images, bytes and uploads under way are counted; what is over is 413, and usage says so."""

    class Limits:
        async def of_project(self, project_id: str) -> dict[str, int]:
            assert project_id == PROJECTS["demo"]
            return {"image_count_total": 2, "image_size_total": 3, "image_stage_total": 1}

    from imaged.app import make_service

    site.library = site.library._replace(limits=Limits())
    site.service = make_service(site.library, site._authenticate, "http://x")
    site.app, site.runner = site.service
    first, second = site.image(bytes(2 * MIB)), site.image()
    assert site.call("POST", "/v2/images", {}).status == 413
    assert site.stage(second["id"], bytes(2 * MIB)).status == 413
    assert site.upload(second["id"], bytes(2 * MIB)).status == 413
    usage = site.call("GET", "/v2/info/usage").body["usage"]
    assert usage["image_size_total"] == {"usage": 2, "limit": 3}
    assert usage["image_count_total"] == {"usage": 2, "limit": 2}
    site.call("DELETE", f"/v2/images/{first['id']}")
    assert site.upload(second["id"], bytes(2 * MIB)).status == 204
