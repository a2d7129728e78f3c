"""Volumes: made, listed, changed and removed."""

from __future__ import annotations

import pytest

from tests.block_site import PROJECTS, BlockSite

GIB = 1 << 30


def test_a_volume_is_made_shown_and_removed(site: BlockSite) -> None:
    """Creating, then available with its size in the library, then gone from both."""
    site.settles = False
    reply = site.call("POST", "/volumes", {"volume": {"size": 2, "name": " one "}})
    assert reply.status == 202
    assert reply.body["volume"]["status"] == "creating"
    assert reply.headers["openstack-api-version"] == "volume 3.71"
    name = reply.body["volume"]["id"]
    site.settle()
    shown = site.call("GET", f"/volumes/{name}").body["volume"]
    assert shown["status"] == "available"
    assert shown["name"] == "one"
    assert site.run(site.volumes.describe(name)).size == 2 * GIB
    assert site.call("DELETE", f"/volumes/{name}").status == 202
    assert site.status("volume", name) == "deleting"
    site.settle()
    assert site.status("volume", name) == "gone"


def test_clones_begin_as_what_they_are_made_from(site: BlockSite) -> None:
    """A snapshot, a volume: the bytes of that moment, and no more than that."""
    first = site.make("volume", size=1)
    site.write(first["id"], 0, b"before" * 1000)
    pin = site.make("snapshot", volume_id=first["id"])
    site.write(first["id"], 0, b"after!" * 1000)
    old = site.make("volume", snapshot_id=pin["id"])
    new = site.make("volume", source_volid=first["id"], size=3)
    assert site.read(old["id"], 0, 6) == b"before"
    assert site.read(new["id"], 0, 6) == b"after!"
    assert (old["size"], new["size"]) == (1, 3)
    assert old["snapshot_id"] == pin["id"]
    assert new["source_volid"] == first["id"]
    # the snapshot that the copy went through is nobody's
    assert [one.id for one in site.run(site.volumes.describe(first["id"])).snapshots] == [pin["id"]]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"size": 0},
        {"size": -1},
        {"size": "many"},
        {"size": 1.5},
        {"size": True},
        {"size": 16 * 1024 + 1},
        {"size": 10**30},
        {"size": 1, "name": "x" * 256},
        {"size": 1, "name": 7},
        {"size": 1, "metadata": {"a": 1}},
        {"size": 1, "metadata": {"": "a"}},
        {"size": 1, "metadata": {"a": "x" * 256}},
        {"size": 1, "availability_zone": "mars"},
        {"size": 1, "snapshot_id": "no-uuid"},
        {"size": 1, "multiattach": True},
        {"size": 1, "status": "available"},
        {"size": 1, "snapshot_id": "a" * 32, "source_volid": "b" * 32},
        {"size": 1, "group_id": "x\0y"},
    ],
)
def test_what_makes_no_volume_is_400(site: BlockSite, given: object) -> None:
    """In the service's own form, and nothing is left behind."""
    reply = site.call("POST", "/volumes", {"volume": given})
    assert reply.status == 400, reply
    assert reply.body["badRequest"]["code"] == 400
    assert site.call("GET", "/volumes").body["volumes"] == []


@pytest.mark.parametrize("name", ["volume_type", "snapshot_id", "source_volid"])
def test_a_source_or_type_that_is_not_there_is_404(site: BlockSite, name: str) -> None:
    """By whatever attribute it is named."""
    value = "00000000-0000-4000-8000-000000000000"
    assert site.call("POST", "/volumes", {"volume": {"size": 1, name: value}}).status == 404


def test_other_projects_volumes_are_not_there(site: BlockSite) -> None:
    """Neither shown, changed, removed, cloned nor snapshotted; an administrator sees them."""
    name = site.make("volume", size=1)["id"]
    path = f"/volumes/{name}"
    assert site.call("GET", path, who="other").status == 404
    assert site.call("PUT", path, {"volume": {"name": "mine"}}, who="other").status == 404
    assert site.call("DELETE", path, who="other").status == 404
    taken = {"volume": {"size": 1, "source_volid": name}}
    assert site.call("POST", "/volumes", taken, who="other").status == 404
    pin = {"snapshot": {"volume_id": name}}
    assert site.call("POST", "/snapshots", pin, who="other").status == 404
    reserve = {"attachment": {"volume_uuid": name}}
    assert site.call("POST", "/attachments", reserve, who="other").status == 404
    assert site.call("POST", f"{path}/action", {"os-reserve": None}, who="other").status == 404
    assert site.admin("GET", path).status == 200
    assert site.call("GET", "/volumes?all_tenants=1", who="other").body["volumes"] == []
    assert len(site.admin("GET", "/volumes?all_tenants=1").body["volumes"]) == 1


def test_readers_read(site: BlockSite) -> None:
    """And change nothing."""
    name = site.make("volume", size=1)["id"]
    assert site.call("GET", f"/volumes/{name}", who="demo:reader").status == 200
    assert site.call("GET", "/volumes/detail", who="demo:reader").status == 200
    for method, path, body in (
        ("POST", "/volumes", {"volume": {"size": 1}}),
        ("PUT", f"/volumes/{name}", {"volume": {"name": "x"}}),
        ("DELETE", f"/volumes/{name}", None),
        ("POST", f"/volumes/{name}/action", {"os-extend": {"new_size": 2}}),
        ("POST", "/snapshots", {"snapshot": {"volume_id": name}}),
    ):
        assert site.call(method, path, body, who="demo:reader").status == 403, path


def test_a_path_names_the_tokens_own_project_or_none(site: BlockSite) -> None:
    """Both addresses lead to the same; another project's is refused."""
    name = site.make("volume", size=1)["id"]
    assert site.call("GET", f"/{PROJECTS['demo']}/volumes/{name}").status == 200
    assert site.call("GET", f"/{PROJECTS['other']}/volumes/{name}").status == 400


def test_lists_are_sorted_filtered_and_cut(site: BlockSite) -> None:
    """By sort keys, exact and loose filters, markers, offsets and metadata, with counts."""
    for name, size in (("b", 1), ("a", 2), ("c", 1)):
        site.make("volume", name=name, size=size, metadata={"key": name})

    def names(query: str) -> list[str]:
        reply = site.call("GET", f"/volumes?{query}")
        assert reply.status == 200, reply
        return [row["name"] for row in reply.body["volumes"]]

    assert names("sort=name:asc") == ["a", "b", "c"]
    assert names("sort=size:desc,name:desc") == ["a", "c", "b"]
    assert names("sort_key=name&sort_dir=desc") == ["c", "b", "a"]
    assert names("name=a") == ["a"]
    assert names("name~=a") == ["a"]
    assert names("size=1&sort=name:asc") == ["b", "c"]
    assert names("metadata=%7B%27key%27%3A%27c%27%7D") == ["c"]
    assert names("status=error") == []
    first = site.call("GET", "/volumes?sort=name:asc&limit=2&with_count=true").body
    assert [row["name"] for row in first["volumes"]] == ["a", "b"]
    assert first["count"] == 3
    rest = first["volumes_links"][0]["href"].partition("/volume/v3")[2]
    assert [row["name"] for row in site.call("GET", rest).body["volumes"]] == ["c"]
    assert names("sort=name:asc&offset=1&limit=1") == ["b"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=-1", 400),
        ("limit=x", 400),
        ("offset=x", 400),
        ("sort=color:asc", 400),
        ("sort=name:up", 400),
        ("marker=none", 404),
        ("metadata=x", 400),
        ("created_at=gt:soon", 400),
        ("bootable=perhaps", 400),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(site: BlockSite, query: str, status: int) -> None:
    """With its reason."""
    assert site.call("GET", f"/volumes/detail?{query}").status == status


def test_extending_grows_and_never_shrinks(site: BlockSite) -> None:
    """Detached through the library, attached through the export, each within the quota."""
    row = site.make("volume", size=2)
    action = f"/volumes/{row['id']}/action"
    for size in (2, 1, 0, "x"):
        assert site.call("POST", action, {"os-extend": {"new_size": size}}).status == 400
    assert site.call("POST", action, {"os-extend": {"new_size": 3}}).status == 202
    assert site.run(site.volumes.describe(row["id"])).size == 3 * GIB
    assert site.call("POST", action, {"os-extend": {"new_size": 2000}}).status == 413
    given = {"instance_uuid": row["id"], "mountpoint": "/dev/vdb"}
    assert site.call("POST", action, {"os-attach": given}).status == 202
    extend = {"os-extend": {"new_size": 4}}
    assert site.call("POST", action, extend, version="3.41").status == 400
    assert site.call("POST", action, extend).status == 202
    shown = site.call("GET", f"/volumes/{row['id']}").body["volume"]
    assert (shown["size"], shown["status"]) == (4, "in-use")


def test_reverting_needs_the_newest_snapshot(site: BlockSite) -> None:
    """Then the volume reads as it did, and both are available again."""
    row = site.make("volume", size=1)
    site.write(row["id"], 0, b"one")
    old = site.make("snapshot", volume_id=row["id"])
    site.write(row["id"], 0, b"two")
    new = site.make("snapshot", volume_id=row["id"])
    site.write(row["id"], 0, b"six")
    action = f"/volumes/{row['id']}/action"
    assert site.call("POST", action, {"revert": {"snapshot_id": old["id"]}}).status == 400
    assert site.call("POST", action, {"revert": {"snapshot_id": new["id"]}}).status == 202
    assert site.read(row["id"], 0, 3) == b"two"
    assert site.status("volume", row["id"]) == "available"
    assert site.status("snapshot", new["id"]) == "available"


def test_deleting_waits_for_snapshots_unless_told_to_cascade(site: BlockSite) -> None:
    """400 while there are any; with cascade they go too, and clones of them stay whole."""
    row = site.make("volume", size=1)
    site.write(row["id"], 0, b"kept")
    pin = site.make("snapshot", volume_id=row["id"])
    clone = site.make("volume", snapshot_id=pin["id"])
    assert site.call("DELETE", f"/volumes/{row['id']}").status == 400
    assert site.call("DELETE", f"/volumes/{row['id']}?cascade=true").status == 202
    assert site.status("volume", row["id"]) == "gone"
    assert site.status("snapshot", pin["id"]) == "gone"
    assert site.read(clone["id"], 0, 4) == b"kept"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"os-extend": {"new_size": 2}, "os-reserve": None},
        {"os-fly": {}},
        {"os-extend": None},
        {"os-extend": {}},
        {"os-reset_status": {"status": "shiny"}},
        {"os-volume_upload_image": {"image_name": ""}},
        {"os-set_bootable": {"bootable": "perhaps"}},
        {"os-retype": {}},
    ],
)
def test_an_action_that_makes_no_sense_is_400(site: BlockSite, body: object) -> None:
    """Whoever asks."""
    row = site.make("volume", size=1)
    assert site.admin("POST", f"/volumes/{row['id']}/action", body).status == 400


def test_flags_status_and_metadata_are_set(site: BlockSite) -> None:
    """Bootable, read-only, status by an administrator, metadata and image metadata."""
    row = site.make("volume", size=1, metadata={"a": "1"})
    path, action = f"/volumes/{row['id']}", f"/volumes/{row['id']}/action"
    assert site.call("POST", action, {"os-set_bootable": {"bootable": "True"}}).status == 200
    readonly = {"os-update_readonly_flag": {"readonly": True}}
    assert site.call("POST", action, readonly).status == 202
    shown = site.call("GET", path).body["volume"]
    assert (shown["bootable"], shown["metadata"]["readonly"]) == ("true", "True")
    assert site.call("POST", action, {"os-reset_status": {"status": "error"}}).status == 403
    assert site.admin("POST", action, {"os-reset_status": {"status": "error"}}).status == 202
    assert site.status("volume", row["id"]) == "error"
    added = site.call("POST", f"{path}/metadata", {"metadata": {"b": "2"}}).body["metadata"]
    assert added == {"a": "1", "b": "2"}
    assert site.call("PUT", f"{path}/metadata/b", {"meta": {"c": "3"}}).status == 400
    assert site.call("DELETE", f"{path}/metadata/b").status == 200
    assert site.call("GET", f"{path}/metadata/b").status == 404
    given = {"os-set_image_metadata": {"metadata": {"os": "minix"}}}
    assert site.call("POST", action, given).body["metadata"] == {"os": "minix"}
    assert site.call("POST", action, {"os-unset_image_metadata": {"key": "cpu"}}).status == 404


def test_the_summary_counts(site: BlockSite) -> None:
    """Number, size and, from 3.36 on, metadata."""
    site.make("volume", size=1, metadata={"k": "v"})
    site.make("volume", size=2)
    body = site.call("GET", "/volumes/summary").body["volume-summary"]
    assert body == {"total_size": 3, "total_count": 2, "metadata": {"k": ["v"]}}
    assert (
        "metadata"
        not in site.call("GET", "/volumes/summary", version="3.12").body["volume-summary"]
    )
    assert site.call("GET", "/volumes/summary", version="3.11").status == 404
