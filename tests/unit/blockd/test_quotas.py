"""Quotas and transfers: what a project may use, and what it takes over."""

from __future__ import annotations

import asyncio
import json

import pytest

from core.http import Request
from tests.block_site import PROJECTS, BlockSite
from tests.identity_site import reply_of

DEMO = f"/os-quota-sets/{PROJECTS['demo']}"


def limit(site: BlockSite, **limits: int) -> None:
    """Set quotas of the demo project."""
    assert site.admin("PUT", DEMO, {"quota_set": limits}).status == 200


def test_a_quota_holds_for_volumes_snapshots_and_backups(site: BlockSite) -> None:
    """413 beyond it, with the numbers; nothing is left behind."""
    limit(site, volumes=1, gigabytes=4, snapshots=1, backups=0)
    row = site.make("volume", size=2)
    assert site.call("POST", "/volumes", {"volume": {"size": 1}}).status == 413
    site.make("snapshot", volume_id=row["id"])
    refused = site.call("POST", "/snapshots", {"snapshot": {"volume_id": row["id"]}})
    assert refused.status == 413
    assert refused.body["overLimit"]["code"] == 413
    assert site.call("POST", "/backups", {"backup": {"volume_id": row["id"]}}).status == 413
    action = f"/volumes/{row['id']}/action"
    assert site.call("POST", action, {"os-extend": {"new_size": 3}}).status == 413
    used = site.call("GET", f"{DEMO}?usage=true").body["quota_set"]
    assert used["volumes"] == {"limit": 1, "in_use": 1, "reserved": 0}
    assert used["gigabytes"]["in_use"] == 4
    absolute = site.call("GET", "/limits").body["limits"]["absolute"]
    assert (absolute["maxTotalVolumes"], absolute["totalVolumesUsed"]) == (1, 1)


def test_types_have_quotas_of_their_own(site: BlockSite) -> None:
    """Whatever the whole allows."""
    site.admin("POST", "/types", {"volume_type": {"name": "rare"}})
    limit(site, volumes_rare=1, gigabytes_rare=5)
    site.make("volume", size=2, volume_type="rare")
    body = {"volume": {"size": 1, "volume_type": "rare"}}
    assert site.call("POST", "/volumes", body).status == 413
    site.make("volume", size=1)
    limit(site, per_volume_gigabytes=3)
    assert site.call("POST", "/volumes", {"volume": {"size": 4}}).status == 413


@pytest.mark.parametrize(
    "given",
    [{"apples": 1}, {"volumes": -2}, {"volumes": "many"}, {"volumes": True}, {"volumes": 2**31}],
)
def test_quotas_that_make_no_sense_are_400(site: BlockSite, given: object) -> None:
    """And change nothing."""
    assert site.admin("PUT", DEMO, {"quota_set": given}).status == 400


def test_quotas_are_for_administrators_to_set(site: BlockSite) -> None:
    """A project sees its own; the class `default` holds for all."""
    assert site.call("PUT", DEMO, {"quota_set": {"volumes": 99}}).status == 403
    assert site.call("GET", DEMO).status == 200
    assert site.call("GET", DEMO, who="other").status == 403
    strange = f"/os-quota-sets/{'x' * 65}"
    assert site.admin("PUT", strange, {"quota_set": {"volumes": 1}}).status == 400
    body = {"quota_class_set": {"volumes": 7}}
    assert site.admin("PUT", "/os-quota-class-sets/default", body).status == 200
    assert site.call("GET", DEMO).body["quota_set"]["volumes"] == 7
    limit(site, volumes=3)
    assert site.admin("DELETE", DEMO).status == 200
    assert site.call("GET", f"{DEMO}/defaults").body["quota_set"]["volumes"] == 7


def test_the_last_of_a_quota_is_given_once(site: BlockSite) -> None:
    """However many ask at the same time."""
    limit(site, volumes=3)
    site.settles = False

    async def ask() -> int:
        data = json.dumps({"volume": {"size": 1}}).encode()
        sent = {b"host": b"cloud.test", b"content-type": b"application/json"}
        sent[b"x-auth-token"] = site.token("demo").encode()
        request = Request("POST", "/volume/v3/volumes", "", sent)
        request.body.length = len(data)
        request.body.feed(data)
        request.body.finish()
        return reply_of(await site.app.handle(request)).status

    async def storm() -> list[int]:
        return list(await asyncio.gather(*(ask() for _ in range(10))))

    assert sorted(site.run(storm())) == [202] * 3 + [413] * 7


@pytest.mark.parametrize("path", ["/os-volume-transfer", "/volume-transfers"])
def test_a_volume_is_handed_over_with_its_key(site: BlockSite, path: str) -> None:
    """Once, to whoever has the key and the room; the old owner sees it no more."""
    row = site.make("volume", size=1)
    made = site.call("POST", path, {"transfer": {"volume_id": row["id"]}})
    assert made.status == 202
    offer, key = made.body["transfer"]["id"], made.body["transfer"]["auth_key"]
    assert site.status("volume", row["id"]) == "awaiting-transfer"
    assert site.call("POST", path, {"transfer": {"volume_id": row["id"]}}).status == 400
    accept = f"{path}/{offer}/accept"
    wrong = {"accept": {"auth_key": "0" * 32}}
    assert site.call("POST", accept, wrong, who="other").status == 400
    site.admin("PUT", f"/os-quota-sets/{PROJECTS['other']}", {"quota_set": {"volumes": 0}})
    right = {"accept": {"auth_key": key}}
    assert site.call("POST", accept, right, who="other").status == 413
    site.admin("PUT", f"/os-quota-sets/{PROJECTS['other']}", {"quota_set": {"volumes": 1}})
    assert site.call("POST", accept, right, who="other").status == 202
    assert site.call("POST", accept, right).status == 404
    assert site.call("GET", f"/volumes/{row['id']}").status == 404
    assert site.call("GET", f"/volumes/{row['id']}", who="other").status == 200


def test_an_offer_can_be_taken_back(site: BlockSite) -> None:
    """The volume is available again; nobody else sees the offer."""
    row = site.make("volume", size=1)
    made = site.call("POST", "/volume-transfers", {"transfer": {"volume_id": row["id"]}})
    path = f"/volume-transfers/{made.body['transfer']['id']}"
    assert site.call("GET", path, who="other").status == 404
    assert "auth_key" not in site.call("GET", path).body["transfer"]
    assert site.call("DELETE", path).status == 202
    assert site.status("volume", row["id"]) == "available"
