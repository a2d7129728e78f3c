"""What administrators see and switch: services, hosts, pools, capabilities, clusters, filters."""

from __future__ import annotations

from tests.block_site import PROJECTS, BlockSite


def test_services_are_listed_and_switched(site: BlockSite) -> None:
    """With the reason; a service that is not there is 404, a body without a name 400."""
    rows = site.admin("GET", "/os-services").body["services"]
    assert {row["binary"] for row in rows} == {"cinder-volume", "cinder-scheduler", "cinder-backup"}
    named = {"host": "node1@ringstack", "binary": "cinder-volume"}
    told = {**named, "disabled_reason": "repairs"}
    assert site.admin("PUT", "/os-services/disable-log-reason", told).status == 200
    row = site.admin("GET", "/os-services?binary=cinder-volume").body["services"][0]
    assert (row["status"], row["disabled_reason"]) == ("disabled", "repairs")
    assert site.admin("PUT", "/os-services/enable", named).body["status"] == "enabled"
    assert site.admin("PUT", "/os-services/disable", {"host": "moon", "binary": "x"}).status == 404
    assert site.admin("PUT", "/os-services/disable", {}).status == 400
    assert site.admin("PUT", "/os-services/freeze", {"host": "moon"}).status == 400
    assert site.admin("PUT", "/os-services/failover_host", named).status == 501
    assert site.call("GET", "/os-services").status == 403


def test_hosts_tell_what_each_project_holds(site: BlockSite) -> None:
    """Totals first."""
    site.make("volume", size=3)
    rows = site.admin("GET", "/os-hosts/node1@ringstack").body["host"]
    assert [row["resource"]["project"] for row in rows] == ["(total)", PROJECTS["demo"]]
    assert rows[1]["resource"]["total_volume_gb"] == "3"
    assert site.admin("GET", "/os-hosts/moon").status == 404


def test_pools_capabilities_and_zones(site: BlockSite) -> None:
    """One of each."""
    pools = site.admin("GET", "/scheduler-stats/get_pools?detail=true").body["pools"]
    assert [pool["name"] for pool in pools] == ["node1@ringstack#ringstack"]
    assert pools[0]["capabilities"]["storage_protocol"] == "nbd"
    found = site.admin("GET", "/capabilities/node1@ringstack").body
    assert found["volume_backend_name"] == "ringstack"
    zones = site.call("GET", "/os-availability-zone").body["availabilityZoneInfo"]
    assert zones == [{"zoneName": "nova", "zoneState": {"available": True}}]
    assert site.admin("GET", "/clusters").body == {"clusters": []}
    assert site.call("GET", "/resource_filters?resource=backup").body["resource_filters"] == [
        {"resource": "backup", "filters": ["name", "status", "volume_id"]}
    ]
