"""Volumes: made, listed, changed and removed."""

from __future__ import annotations

from tests.block_site import BlockSite


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
    assert site.run(site.volumes.describe(name)).size == 2 << 30
    assert site.call("DELETE", f"/volumes/{name}").status == 202
    assert site.status("volume", name) == "deleting"
    site.settle()
    assert site.status("volume", name) == "gone"
