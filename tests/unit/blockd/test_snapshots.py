"""Snapshots, alone and of groups."""

from __future__ import annotations

import pytest

from tests.block_site import BlockSite


def test_a_snapshot_is_taken_changed_and_dropped(site: BlockSite) -> None:
    """With its progress for those who list with details; gone from the library in the end."""
    row = site.make("volume", size=1)
    pin = site.make("snapshot", volume_id=row["id"], name="first", metadata={"a": "b"})
    assert pin["status"] == "available"
    assert pin["os-extended-snapshot-attributes:progress"] == "100%"
    changed = site.call("PUT", f"/snapshots/{pin['id']}", {"snapshot": {"name": "second"}})
    assert changed.body["snapshot"]["name"] == "second"
    assert site.call("GET", "/snapshots?name=second").body["snapshots"][0]["id"] == pin["id"]
    assert site.call("DELETE", f"/snapshots/{pin['id']}").status == 202
    assert site.status("snapshot", pin["id"]) == "gone"
    assert site.run(site.volumes.describe(row["id"])).snapshots == ()


def test_an_attached_volume_is_flushed_first(site: BlockSite) -> None:
    """By force before 3.66, always after; one that is not attached needs no daemon."""
    row = site.make("volume", size=1)
    site.make("snapshot", volume_id=row["id"])
    assert site.exports.flushed == []
    given = {"instance_uuid": row["id"], "mountpoint": "/dev/vdb"}
    site.call("POST", f"/volumes/{row['id']}/action", {"os-attach": given})
    body = {"snapshot": {"volume_id": row["id"]}}
    assert site.call("POST", "/snapshots", body, version="3.65").status == 400
    assert site.call("POST", "/snapshots", body).status == 202
    assert site.exports.flushed == [row["id"]]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 400),
        ({"volume_id": None}, 404),
        ({"volume_id": "none"}, 404),
        ({"volume_id": 7}, 400),
        ({"volume_id": "x", "size": 1}, 400),
    ],
)
def test_what_makes_no_snapshot(site: BlockSite, given: object, status: int) -> None:
    """400 for a body, 404 for a volume that is not there."""
    assert site.call("POST", "/snapshots", {"snapshot": given}).status == status


def test_a_driver_may_report_only_what_follows(site: BlockSite) -> None:
    """creating → available or error; nothing else, and no silly progress."""
    row = site.make("volume", size=1)
    pin = site.make("snapshot", volume_id=row["id"])
    action = f"/snapshots/{pin['id']}/action"
    report = {"os-update_snapshot_status": {"status": "error"}}
    assert site.call("POST", action, report).status == 400
    assert site.admin("POST", action, {"os-reset_status": {"status": "creating"}}).status == 202
    odd = {"os-update_snapshot_status": {"status": "available", "progress": "lots"}}
    assert site.call("POST", action, odd).status == 400
    fine = {"os-update_snapshot_status": {"status": "available", "progress": "80%"}}
    assert site.call("POST", action, fine).status == 202
    assert site.call("GET", f"/snapshots/{pin['id']}").body["snapshot"]["status"] == "available"


def test_unmanaged_things_can_be_managed_again(site: BlockSite) -> None:
    """By administrators, by their names in the library, with their contents; nothing else can be taken."""
    row = site.make("volume", size=1, who="admin")
    site.write(row["id"], 0, b"kept")
    pin = site.make("snapshot", volume_id=row["id"], who="admin")
    assert site.admin("POST", f"/snapshots/{pin['id']}/action", {"os-unmanage": {}}).status == 202
    body = {"volume_id": row["id"], "ref": {"source-name": pin["id"]}}
    made = site.admin("POST", "/manageable_snapshots", {"snapshot": body})
    assert made.status == 202
    again = made.body["snapshot"]["id"]
    assert site.admin("DELETE", f"/snapshots/{again}").status == 202
    assert site.admin("POST", f"/volumes/{row['id']}/action", {"os-unmanage": {}}).status == 202
    assert site.status("volume", row["id"]) == "gone"
    wanted = {"host": "node1@ringstack#ringstack", "ref": {"source-name": row["id"]}}
    assert site.call("POST", "/manageable_volumes", {"volume": wanted}).status == 403
    strange = {**wanted, "ref": {"source-name": "somebody-elses"}}
    assert site.admin("POST", "/manageable_volumes", {"volume": strange}).status == 400
    made = site.admin("POST", "/manageable_volumes", {"volume": wanted})
    assert made.status == 202
    taken = made.body["volume"]["id"]
    assert site.status("volume", taken) == "available"
    site.write(row["id"], 4, b"more")
    assert site.read(row["id"], 0, 8) == b"keptmore"
    listed = site.admin("GET", "/manageable_volumes?host=node1").body["manageable-volumes"]
    assert [one["safe_to_manage"] for one in listed] == [False]


def group_of(site: BlockSite, count: int) -> tuple[str, list[str]]:
    """A group of so many volumes of the default type."""
    kind = site.call("GET", "/types/default").body["volume_type"]["id"]
    group_type = site.call("GET", "/group_types/default").body["group_type"]["id"]
    given = {"group_type": group_type, "volume_types": [kind], "name": "group"}
    group = site.call("POST", "/groups", {"group": given}).body["group"]["id"]
    names = [
        site.make("volume", size=1, group_id=group, volume_type=kind)["id"] for _ in range(count)
    ]
    return group, names


def test_a_group_is_snapshotted_at_one_cut_and_copied(site: BlockSite) -> None:
    """Attached ones through the daemon, together; the copy has volumes of its own."""
    group, names = group_of(site, 2)
    for name in names:
        site.write(name, 0, name.encode())
    given = {"instance_uuid": names[0], "mountpoint": "/dev/vdb"}
    site.call("POST", f"/volumes/{names[0]}/action", {"os-attach": given})
    made = site.call("POST", "/group_snapshots", {"group_snapshot": {"group_id": group}})
    assert made.status == 202
    pin = made.body["group_snapshot"]["id"]
    assert sorted(site.exports.cuts[0]) == sorted(names)
    assert site.status("group_snapshot", pin) == "available"
    assert site.call("DELETE", f"/volumes/{names[1]}").status == 400
    copied = {"create-from-src": {"group_snapshot_id": pin, "name": "copy"}}
    copy = site.call("POST", "/groups/action", copied).body["group"]["id"]
    site.env.advance(5)
    site.settle()
    shown = site.call("GET", f"/groups/{copy}?list_volume=true").body["group"]
    assert shown["status"] == "available"
    assert {site.read(one, 0, 36).decode() for one in shown["volumes"]} == set(names)
    delete = {"delete": {"delete-volumes": True}}
    assert site.call("POST", f"/groups/{group}/action", delete).status == 400  # it has a snapshot
    assert site.call("DELETE", f"/group_snapshots/{pin}").status == 202
    assert site.status("group_snapshot", pin) == "gone"
    assert site.call("GET", "/snapshots").body["snapshots"] == []
    assert site.call("POST", f"/groups/{copy}/action", delete).status == 202
    assert site.status("group", copy) == "gone"


def test_volumes_join_and_leave_groups(site: BlockSite) -> None:
    """Of a type that the group takes, and one group at a time."""
    group, names = group_of(site, 1)
    alone = site.make("volume", size=1)["id"]
    change = {"group": {"add_volumes": alone, "remove_volumes": names[0]}}
    assert site.call("PUT", f"/groups/{group}", change).status == 202
    shown = site.call("GET", f"/groups/{group}?list_volume=true").body["group"]
    assert shown["volumes"] == [alone]
    other, _ = group_of(site, 0)
    taken = {"group": {"add_volumes": alone}}
    assert site.call("PUT", f"/groups/{other}", taken).status == 400
    unknown = {"group": {"add_volumes": "none"}}
    assert site.call("PUT", f"/groups/{other}", unknown).status == 404
