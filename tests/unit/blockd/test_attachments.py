"""Attachments, by the new API and by the old actions."""

from __future__ import annotations

import pytest

from tests.block_site import BlockSite

INSTANCE = "11111111-1111-4111-8111-111111111111"
CONNECTOR = {"host": "compute1", "mountpoint": "/dev/vdb"}


def attach(site: BlockSite, volume: str, **more: object) -> dict:
    """An attachment of a volume, reserved."""
    given = {"volume_uuid": volume, "instance_uuid": INSTANCE, **more}
    reply = site.call("POST", "/attachments", {"attachment": given})
    assert reply.status == 200, reply
    found: dict = reply.body["attachment"]
    return found


def status(site: BlockSite, volume: str) -> str:
    """Of a volume."""
    return site.status("volume", volume)


def test_an_attachment_from_reservation_to_end(site: BlockSite) -> None:
    """Reserved, connected, complete, deleted; the volume's status goes with it."""
    volume = site.make("volume", size=1)["id"]
    one = attach(site, volume)
    assert (one["status"], one["connection_info"]) == ("reserved", {})
    assert status(site, volume) == "reserved"
    path = f"/attachments/{one['id']}"
    assert site.call("POST", f"{path}/action", {"os-complete": None}).status == 409
    reply = site.call("PUT", path, {"attachment": {"connector": CONNECTOR}})
    info = reply.body["attachment"]["connection_info"]
    assert info["driver_volume_type"] == "nbd"
    assert info["export"] in site.exports.open_ones
    assert info["volume_id"] == volume
    assert site.call("POST", f"{path}/action", {"os-complete": None}).status == 204
    assert status(site, volume) == "in-use"
    shown = site.call("GET", f"/volumes/{volume}").body["volume"]
    assert shown["attachments"][0]["server_id"] == INSTANCE
    assert shown["attachments"][0]["device"] == "/dev/vdb"
    assert site.call("DELETE", f"/volumes/{volume}").status == 400
    assert site.admin("DELETE", path).status == 200
    assert status(site, volume) == "available"
    assert site.exports.open_ones == {}


def test_a_second_attachment_needs_a_type_that_allows_it(site: BlockSite) -> None:
    """400 for others; with it, both are open and the volume is free after the last."""
    plain = site.make("volume", size=1)["id"]
    attach(site, plain)
    again = {"attachment": {"volume_uuid": plain, "instance_uuid": INSTANCE}}
    assert site.call("POST", "/attachments", again).status == 400
    kind = {"name": "shared", "extra_specs": {"multiattach": "<is> True"}}
    assert site.admin("POST", "/types", {"volume_type": kind}).status == 200
    shared = site.make("volume", size=1, volume_type="shared")["id"]
    ids = []
    for host in ("a", "b"):
        one = attach(site, shared, connector={"host": host})
        site.call("POST", f"/attachments/{one['id']}/action", {"os-complete": None})
        ids.append(one["id"])
    assert len(site.exports.open_ones) == 2
    site.admin("DELETE", f"/attachments/{ids[0]}")
    assert status(site, shared) == "in-use"
    site.admin("DELETE", f"/attachments/{ids[1]}")
    assert status(site, shared) == "available"


def test_what_an_instance_uses_is_not_taken_from_it(site: BlockSite) -> None:
    """CVE-2023-2088: the owner may not delete a complete attachment behind the compute service's back."""
    volume = site.make("volume", size=1)["id"]
    one = attach(site, volume, connector=CONNECTOR)
    site.call("POST", f"/attachments/{one['id']}/action", {"os-complete": None})
    assert site.call("DELETE", f"/attachments/{one['id']}").status == 409
    assert status(site, volume) == "in-use"
    assert site.admin("DELETE", f"/attachments/{one['id']}").status == 200


def test_what_compute_says_a_server_uses_is_let_go_by_compute_alone(site: BlockSite) -> None:
    """CVE-2023-2088: by the old actions too, and by an administrator; a server that Compute does not know holds nothing."""
    volume = site.make("volume", size=1)["id"]
    action = f"/volumes/{volume}/action"
    attached = {"instance_uuid": INSTANCE, "mountpoint": "/dev/vdb"}
    assert site.admin("POST", action, {"os-attach": attached}).status == 202
    site.servers.uses_of.add((INSTANCE, volume))
    for body in (
        {"os-detach": {}},
        {"os-terminate_connection": {"connector": {"ip": "192.0.2.1"}}},
        {"os-force_detach": {"connector": CONNECTOR}},
    ):
        assert site.admin("POST", action, body).status == 409, body
    assert status(site, volume) == "in-use"
    site.servers.uses_of.clear()
    assert site.admin("POST", action, {"os-detach": {}}).status == 202
    assert status(site, volume) == "available"


def test_a_reservation_that_nobody_completes_is_given_up(site: BlockSite) -> None:
    """After a day; the export that was opened for it is closed."""
    volume = site.make("volume", size=1)["id"]
    one = attach(site, volume, connector=CONNECTOR)
    assert one["id"] in site.exports.open_ones
    site.env.advance(86_401)
    site.settle()
    assert status(site, volume) == "available"
    assert site.exports.open_ones == {}
    assert site.call("GET", f"/attachments/{one['id']}").status == 404


def test_a_daemon_that_does_not_answer_leaves_nothing_behind(site: BlockSite) -> None:
    """503, and the volume is free."""
    volume = site.make("volume", size=1)["id"]
    site.exports.down = True
    given = {"volume_uuid": volume, "instance_uuid": INSTANCE, "connector": CONNECTOR}
    assert site.call("POST", "/attachments", {"attachment": given}).status == 503
    assert status(site, volume) == "available"
    assert site.call("GET", "/attachments").body["attachments"] == []


def test_the_old_way_ends_in_the_same(site: BlockSite) -> None:
    """reserve, initialise, attach, begin to detach, terminate, detach."""
    volume = site.make("volume", size=1)["id"]
    action = f"/volumes/{volume}/action"

    def act(name: str, argument: object = None) -> int:
        return site.call("POST", action, {name: argument}).status

    assert act("os-reserve") == 202
    assert act("os-reserve") == 400
    reply = site.call("POST", action, {"os-initialize_connection": {"connector": CONNECTOR}})
    assert reply.status == 200
    assert reply.body["connection_info"]["driver_volume_type"] == "nbd"
    assert act("os-attach", {"instance_uuid": INSTANCE, "mountpoint": "/dev/vdb"}) == 202
    assert status(site, volume) == "in-use"
    assert len(site.call("GET", "/attachments").body["attachments"]) == 1
    assert act("os-begin_detaching") == 202
    assert act("os-roll_detaching") == 202
    assert status(site, volume) == "in-use"
    assert act("os-begin_detaching") == 202
    assert act("os-terminate_connection", {"connector": CONNECTOR}) == 202
    assert act("os-detach", {}) == 202
    assert status(site, volume) == "available"
    assert site.exports.open_ones == {}


def test_read_only_volumes_are_attached_read_only(site: BlockSite) -> None:
    """Writing is refused, reading is not; the export refuses writes too."""
    volume = site.make("volume", size=1)["id"]
    readonly = {"os-update_readonly_flag": {"readonly": True}}
    site.call("POST", f"/volumes/{volume}/action", readonly)
    given = {"volume_uuid": volume, "instance_uuid": INSTANCE, "connector": CONNECTOR}
    assert site.call("POST", "/attachments", {"attachment": given}).status == 400
    one = attach(site, volume, mode="ro", connector=CONNECTOR)
    assert one["connection_info"]["read_only"] is True
    assert site.exports.open_ones[one["id"]][1] is True


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"volume_uuid": "x"},
        {"volume_uuid": INSTANCE, "mode": "rx"},
        {"volume_uuid": INSTANCE, "connector": []},
        {"volume_uuid": INSTANCE, "extra": 1},
        {"volume_uuid": INSTANCE, "connector": {"host": "a\0b"}},
        {"volume_uuid": INSTANCE, "connector": {"host": 7}},
    ],
)
def test_what_makes_no_attachment_is_400(site: BlockSite, given: object) -> None:
    """Each by its shape."""
    assert site.call("POST", "/attachments", {"attachment": given}).status == 400


def test_limits_reach_the_export(site: BlockSite) -> None:
    """QoS specs of the type, also those that grow with the size."""
    kind = site.admin("POST", "/types", {"volume_type": {"name": "slow"}}).body["volume_type"]["id"]
    specs = {
        "name": "slow",
        "consumer": "back-end",
        "total_iops_sec": "50",
        "read_iops_sec_per_gb": "3",
    }
    qos = site.admin("POST", "/qos-specs", {"qos_specs": specs}).body["qos_specs"]["id"]
    path = f"/qos-specs/{qos}/associate?vol_type_id={kind}"
    assert site.admin("GET", path).status == 202
    volume = site.make("volume", size=2, volume_type="slow")["id"]
    one = attach(site, volume, connector=CONNECTOR)
    limits = site.exports.open_ones[one["id"]][2]
    assert (limits.total_iops, limits.read_iops) == (50, 6)
