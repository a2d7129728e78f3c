"""Work that outlives its request: retried, given up at its deadline, taken over after a crash."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from blockd import work
from blockd.app import worker_of
from core.errors import NotFound
from tests.block_site import BlockSite


def test_another_process_finishes_what_one_began(site: BlockSite) -> None:
    """A worker that dies between claim and end leaves a row that the next start takes over at once."""
    site.settles = False
    name = site.call("POST", "/volumes", {"volume": {"size": 1}}).body["volume"]["id"]

    async def crash() -> None:
        async with site.database.write() as db:
            await work.claim(db, "node1/dead", site.env.wall_us(), 10)

    site.run(crash())
    site.settle()
    assert site.status("volume", name) == "creating"  # somebody else's, as far as anyone can tell
    fresh = worker_of(site.service)

    async def start() -> None:
        task = asyncio.create_task(fresh.run_for_ever())
        async with asyncio.timeout(20):
            while True:
                async with site.database.read() as db:
                    if not await work.pending(db):
                        break
                await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    site.run(start())
    assert site.status("volume", name) == "available"


def test_what_cannot_be_done_now_is_tried_until_its_deadline(site: BlockSite) -> None:
    """While the daemon is down an attached volume waits; in time it is extended, too late it is in error."""
    row = site.make("volume", size=1)
    action = f"/volumes/{row['id']}/action"
    given = {"instance_uuid": row["id"], "mountpoint": "/dev/vdb"}
    site.call("POST", action, {"os-attach": given})
    site.exports.down = True
    assert site.call("POST", action, {"os-extend": {"new_size": 2}}).status == 202
    assert site.status("volume", row["id"]) == "extending"
    site.exports.down = False
    site.env.advance(5)
    site.settle()
    assert site.status("volume", row["id"]) == "in-use"
    site.exports.down = True
    site.call("POST", action, {"os-extend": {"new_size": 3}})
    site.env.advance(3600)
    site.settle()
    assert site.status("volume", row["id"]) == "error_extending"
    told = site.call("GET", "/messages").body["messages"]
    assert [one["resource_uuid"] for one in told] == [row["id"]]


def test_what_is_just_being_made_is_removed_after_that(site: BlockSite) -> None:
    """A forced delete ends work that waits, and waits for work that somebody is at: nothing is left over."""
    site.settles = False
    name = site.call("POST", "/volumes", {"volume": {"size": 1}}).body["volume"]["id"]

    async def begin(owner: str) -> dict:
        async with site.database.write() as db:
            claimed = await work.claim(db, owner, site.env.wall_us(), 10)
        return claimed[0]

    held = site.run(begin("node2/busy"))
    forced = {"os-force_delete": {}}
    assert site.admin("POST", f"/volumes/{name}/action", forced).status == 202
    site.settle()
    assert site.status("volume", name) == "deleting"  # somebody is just at it
    site.run(site.volumes.create(name, 1 << 30))

    async def release() -> None:
        async with site.database.write() as db:
            await work.release(db, held["id"], site.env.wall_us() + 10**9)

    site.run(release())
    site.env.advance(40)
    site.settle()
    assert site.status("volume", name) == "gone"
    with pytest.raises(NotFound):
        site.run(site.volumes.describe(name))
    site.env.advance(10**4)
    site.settle()
    with pytest.raises(NotFound):
        site.run(site.volumes.describe(name))


def test_a_client_that_never_comes_back_leaves_nothing_attaching(site: BlockSite) -> None:
    """Reserved and forgotten: available after an hour; detaching and forgotten: in use."""
    row = site.make("volume", size=1)
    action = f"/volumes/{row['id']}/action"
    assert site.call("POST", action, {"os-reserve": None}).status == 202
    assert site.status("volume", row["id"]) == "attaching"
    site.env.advance(3601)
    site.settle()
    assert site.status("volume", row["id"]) == "available"
    given = {"instance_uuid": row["id"], "mountpoint": "/dev/vdb"}
    site.call("POST", action, {"os-attach": given})
    site.call("POST", action, {"os-begin_detaching": None})
    assert site.status("volume", row["id"]) == "detaching"
    site.env.advance(3601)
    site.settle()
    assert site.status("volume", row["id"]) == "in-use"


def test_a_requirement_that_no_backend_meets_is_told(site: BlockSite) -> None:
    """The volume is in error and a message says why; it can be shown and removed."""
    made = site.admin(
        "POST", "/types", {"volume_type": {"name": "far", "extra_specs": {"vendor_name": "Far"}}}
    )
    assert made.status == 200
    row = site.make("volume", size=1, volume_type="far")
    assert row["status"] == "error"
    told = site.call("GET", "/messages").body["messages"]
    assert told[0]["resource_uuid"] == row["id"]
    assert site.call("GET", f"/messages/{told[0]['id']}", who="other").status == 404
    assert site.call("DELETE", f"/messages/{told[0]['id']}").status == 204
    assert site.call("GET", "/messages").body["messages"] == []
