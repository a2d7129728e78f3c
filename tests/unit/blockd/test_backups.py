"""Backups: full, on top of one another, restored byte for byte or refused."""

from __future__ import annotations

import base64
import json

import pytest

from tests.block_site import BlockSite

CHUNK = 4 << 20


def backup(site: BlockSite, volume: str, **more: object) -> dict:
    """A backup, filled."""
    return site.make("backup", volume_id=volume, **more)


def restore(site: BlockSite, name: str, **given: object) -> str:
    """Into a volume, whose id is returned."""
    reply = site.call("POST", f"/backups/{name}/restore", {"restore": given})
    assert reply.status == 202, reply
    return str(reply.body["restore"]["volume_id"])


def test_a_backup_holds_only_what_holds_data(site: BlockSite) -> None:
    """One object for each chunk with data, and the manifest."""
    volume = site.make("volume", size=1)["id"]
    site.write(volume, 0, b"first")
    site.write(volume, 100 * CHUNK + 5, b"far")
    made = backup(site, volume, container="mine")
    assert (made["status"], made["object_count"], made["container"]) == ("available", 3, "mine")
    assert len(site.chunks.objects) == 3
    assert site.status("volume", volume) == "available"


def test_an_increment_stores_only_what_changed(site: BlockSite) -> None:
    """And restores as a whole; its parent cannot go before it."""
    volume = site.make("volume", size=1)["id"]
    for at in range(5):
        site.write(volume, at * CHUNK, b"old" * 100)
    full = backup(site, volume)
    before = site.chunks.put_count
    site.write(volume, 2 * CHUNK, b"new" * 100)
    part = backup(site, volume, incremental=True)
    assert part["is_incremental"]
    assert site.chunks.put_count - before == 2  # a chunk and the manifest
    assert site.call("GET", f"/backups/{full['id']}").body["backup"]["has_dependent_backups"]
    assert site.call("DELETE", f"/backups/{full['id']}").status == 400
    target = restore(site, part["id"])
    assert site.read(target, 0, 3) == b"old"
    assert site.read(target, 2 * CHUNK, 3) == b"new"
    assert site.call("DELETE", f"/backups/{part['id']}").status == 202
    assert site.call("DELETE", f"/backups/{full['id']}").status == 202
    assert site.chunks.objects == {}
    assert site.run(site.volumes.describe(volume)).snapshots == ()


def test_an_increment_without_its_parents_position_compares_digests(site: BlockSite) -> None:
    """When the position is gone, the volume is read, and still only what changed is stored."""
    volume = site.make("volume", size=1)["id"]
    site.write(volume, 0, b"same")
    site.write(volume, CHUNK, b"zero me")
    full = backup(site, volume)
    site.run(site.volumes.drop_snapshot(volume, f"backup-{full['id']}"))
    site.write(volume, CHUNK, bytes(7))
    before = site.chunks.put_count
    part = backup(site, volume, incremental=True)
    assert site.chunks.put_count - before == 1  # the manifest alone
    target = restore(site, part["id"])
    assert site.read(target, 0, 4) == b"same"
    assert site.read(target, CHUNK, 7) == bytes(7)


def test_restoring_over_a_volume_leaves_nothing_of_it(site: BlockSite) -> None:
    """What the backup does not hold becomes zeros; too small a volume is refused."""
    volume = site.make("volume", size=1)["id"]
    site.write(volume, CHUNK, b"kept")
    made = backup(site, volume)
    other = site.make("volume", size=2)["id"]
    site.write(other, 0, b"gone")
    site.write(other, (2 << 30) - 4, b"gone")
    assert restore(site, made["id"], volume_id=other) == other
    assert site.read(other, 0, 4) == bytes(4)
    assert site.read(other, (2 << 30) - 4, 4) == bytes(4)
    assert site.read(other, CHUNK, 4) == b"kept"
    bigger = backup(site, other)
    given = {"restore": {"volume_id": volume}}
    assert site.call("POST", f"/backups/{bigger['id']}/restore", given).status == 400


@pytest.mark.parametrize("harm", ["flip", "lose", "manifest"])
def test_a_damaged_backup_is_never_restored(site: BlockSite, harm: str) -> None:
    """The volume is in error, with a message; no wrong byte counts as restored."""
    volume = site.make("volume", size=1)["id"]
    site.write(volume, 0, b"precious")
    made = backup(site, volume)
    objects = site.chunks.objects
    wanted = "manifest" if harm == "manifest" else "00000000"
    key = next(key for key in objects if key[1].endswith(wanted))
    if harm == "lose":
        del objects[key]
    else:
        objects[key] = bytes([objects[key][0] ^ 1]) + objects[key][1:]
    target = restore(site, made["id"])
    for _ in range(20):
        site.env.advance(30_000)
        site.settle()
    assert site.status("volume", target) == "error"
    assert site.status("backup", made["id"]) == "available"
    assert site.call("GET", "/messages").body["messages"] != []


def test_a_volume_may_be_made_of_a_backup(site: BlockSite) -> None:
    """From version 3.47 on."""
    volume = site.make("volume", size=1, metadata={"kind": "garden"})["id"]
    site.call("POST", f"/volumes/{volume}/action", {"os-set_bootable": {"bootable": True}})
    site.write(volume, 0, b"seed")
    made = backup(site, volume)
    grown = site.make("volume", backup_id=made["id"], size=2)
    assert (grown["metadata"], grown["bootable"]) == ({"kind": "garden"}, "true")
    assert site.read(grown["id"], 0, 4) == b"seed"
    assert grown["size"] == 2


def test_a_record_moves_to_another_service(site: BlockSite) -> None:
    """Exported and imported under another id, it restores; nonsense is refused."""
    volume = site.make("volume", size=1)["id"]
    site.write(volume, 0, b"moved")
    made = backup(site, volume)
    record = site.admin("GET", f"/backups/{made['id']}/export_record").body["backup-record"]
    assert site.call("GET", f"/backups/{made['id']}/export_record").status == 403
    assert site.admin("POST", "/backups/import_record", {"backup-record": record}).status == 400
    inside = json.loads(base64.b64decode(record["backup_url"]))
    inside["id"] = "99999999-9999-4999-8999-999999999999"
    record["backup_url"] = base64.b64encode(json.dumps(inside).encode()).decode()
    reply = site.admin("POST", "/backups/import_record", {"backup-record": record})
    assert reply.status == 201
    reply = site.admin("POST", f"/backups/{inside['id']}/restore", {"restore": {}})
    assert site.read(reply.body["restore"]["volume_id"], 0, 5) == b"moved"
    for url in ("????", base64.b64encode(b"[]").decode(), base64.b64encode(b'{"id":1}').decode()):
        broken = {**record, "backup_url": url}
        reply = site.admin("POST", "/backups/import_record", {"backup-record": broken})
        assert reply.status == 400


def test_a_backup_that_was_never_filled_leaves_no_objects(site: BlockSite) -> None:
    """What was stored before the attempt was given up goes with it."""
    volume = site.make("volume", size=1)["id"]
    site.write(volume, 0, b"one")
    made = backup(site, volume)
    key = next(key for key in site.chunks.objects if key[1].endswith("manifest"))
    del site.chunks.objects[key]
    assert site.chunks.objects
    assert site.call("DELETE", f"/backups/{made['id']}").status == 202
    assert site.status("backup", made["id"]) == "gone"
    assert site.chunks.objects == {}


def test_increments_need_something_to_build_on(site: BlockSite) -> None:
    """And backups a volume that is free or a word that says otherwise."""
    volume = site.make("volume", size=1)["id"]
    given = {"backup": {"volume_id": volume, "incremental": True}}
    assert site.call("POST", "/backups", given).status == 400
    attach = {"instance_uuid": volume, "mountpoint": "/dev/vdb"}
    site.call("POST", f"/volumes/{volume}/action", {"os-attach": attach})
    assert site.call("POST", "/backups", {"backup": {"volume_id": volume}}).status == 400
    made = backup(site, volume, force=True)
    assert made["status"] == "available"
    assert site.exports.flushed == [volume]
    assert site.status("volume", volume) == "in-use"
