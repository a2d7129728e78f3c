"""The life of a server, from the request to the machine and back, on both databases."""

from __future__ import annotations

from tests.compute_site import IMAGE, NETWORK, ComputeSite


def machines(site: ComputeSite) -> dict[str, str]:
    return {
        name: machine.power
        for fake in site.fakes.values()
        for name, machine in fake.machines.items()
    }


def test_a_server_boots_with_its_own_disk_and_a_port_and_leaves_nothing(site: ComputeSite) -> None:
    """Volume, attachment, port and claim are made, shown or hidden, and given back."""
    row = site.boot(metadata={"a": "b"}, tags=["t"])
    assert row["status"] == "ACTIVE"
    assert row["addresses"]["private"][0]["addr"] == "10.0.0.2"
    assert row["os-extended-volumes:volumes_attached"] == []
    assert machines(site) == {row["id"]: "running"}
    assert [one[2] for one in site.volumes.attachments.values()] == ["attached"]
    usage = site.admin("GET", "/os-hypervisors/statistics", version="2.80").body
    assert usage["hypervisor_statistics"]["vcpus_used"] == 1
    assert site.call("DELETE", f"/servers/{row['id']}").status == 204
    site.settle()
    assert site.status(row["id"]) == "gone"
    assert machines(site) == {}
    assert (site.volumes.held, site.volumes.attachments, site.networks.ports) == ({}, {}, {})
    usage = site.admin("GET", "/os-hypervisors/statistics", version="2.80").body
    assert usage["hypervisor_statistics"]["vcpus_used"] == 0


def test_power_goes_where_it_is_told(small: ComputeSite) -> None:
    name = small.boot()["id"]
    for action, body, status in (
        ("os-stop", None, "SHUTOFF"),
        ("os-start", None, "ACTIVE"),
        ("pause", None, "PAUSED"),
        ("unpause", None, "ACTIVE"),
        ("suspend", None, "SUSPENDED"),
        ("resume", None, "ACTIVE"),
        ("reboot", {"type": "SOFT"}, "ACTIVE"),
        ("reboot", {"type": "HARD"}, "ACTIVE"),
    ):
        assert small.act(name, action, body).status == 202, action
        assert small.status(name) == status, action
    machine = next(fake.machines[name] for fake in small.fakes.values() if name in fake.machines)
    assert machine.boots == 4
    refused = small.act(name, "os-start")
    assert refused.status == 409
    assert "vm_state active" in refused.body["conflictingRequest"]["message"]


def test_a_guest_that_powers_itself_off_is_shown_so_and_stays_off(small: ComputeSite) -> None:
    name = small.boot()["id"]
    fake = next(fake for fake in small.fakes.values() if name in fake.machines)
    fake.machines[name].power = "stopped"
    host = small.show(name)["OS-EXT-SRV-ATTR:host"]
    small.run(small.agents[host].act())
    assert small.status(name) == "SHUTOFF"
    small.run(small.agents[host].act())
    assert fake.machines[name].power == "stopped"


def test_no_valid_host_tells_which_host_lacked_how_much(small: ComputeSite) -> None:
    sizes = {"name": "big", "id": "9", "ram": 65536, "vcpus": 2, "disk": 1}
    small.admin("POST", "/flavors", {"flavor": sizes})
    small.admin("PUT", f"/os-quota-sets/{'d' * 32}", {"quota_set": {"ram": -1}})
    row = small.boot(flavorRef="9")
    assert row["status"] == "ERROR"
    assert (
        "host1: 65536 MB of RAM are more than one server may have there" in row["fault"]["message"]
    )
    assert small.networks.ports == {}
    why = small.call("GET", f"/why/{row['id']}", who="service", prefix="/compute").body
    assert {one["filter"] for one in why["reasons"]} == {"room"}


def test_no_address_left_gives_everything_back(site: ComputeSite) -> None:
    site.networks.full = True
    row = site.boot()
    assert row["status"] == "ERROR"
    assert "No more IP addresses" in row["fault"]["message"]
    assert (site.volumes.held, site.volumes.attachments, site.networks.ports) == ({}, {}, {})
    assert machines(site) == {}


def test_a_volume_is_plugged_in_and_out(small: ComputeSite) -> None:
    name = small.boot()["id"]
    volume = small.volumes.add(size_gb=3)
    path = f"/servers/{name}/os-volume_attachments"
    reply = small.call("POST", path, {"volumeAttachment": {"volumeId": volume.id}})
    assert reply.status == 200
    assert reply.body["volumeAttachment"]["device"] == "/dev/vdb"
    small.settle()
    assert small.volumes.held[volume.id].status == "in-use"
    fake = next(fake for fake in small.fakes.values() if name in fake.machines)
    assert len(fake.machines[name].disks) == 2
    assert small.call("DELETE", f"{path}/{volume.id}").status == 202
    small.settle()
    assert small.volumes.held[volume.id].status == "available"
    assert len(fake.machines[name].disks) == 1


def test_an_interface_is_plugged_in_and_out(small: ComputeSite) -> None:
    name = small.boot()["id"]
    path = f"/servers/{name}/os-interface"
    reply = small.call("POST", path, {"interfaceAttachment": {"net_id": NETWORK}})
    assert reply.status == 200
    small.settle()
    assert len(small.show(name)["addresses"]["private"]) == 2
    port_id = reply.body["interfaceAttachment"]["port_id"]
    assert small.call("DELETE", f"{path}/{port_id}").status == 202
    small.settle()
    assert port_id not in small.networks.ports
    assert len(small.show(name)["addresses"]["private"]) == 1


def test_a_resize_keeps_the_way_back_until_it_is_confirmed(site: ComputeSite) -> None:
    name = site.boot()["id"]
    assert site.act(name, "resize", {"flavorRef": "2"}).status == 202
    assert site.status(name) == "VERIFY_RESIZE"

    def claimed() -> int:
        found = site.admin("GET", "/os-hypervisors/statistics", version="2.80").body
        return int(found["hypervisor_statistics"]["vcpus_used"])

    assert claimed() == 2
    assert site.act(name, "revertResize").status == 202
    assert site.show(name)["flavor"]["original_name"] == "f1"
    assert claimed() == 1
    site.act(name, "resize", {"flavorRef": "2"})
    assert site.act(name, "confirmResize").status == 204
    assert site.status(name) == "ACTIVE"
    assert claimed() == 1
    assert len(machines(site)) == 1


def test_a_cold_migration_moves_a_server_and_copies_no_disk(small: ComputeSite) -> None:
    row = small.boot()
    name, before = row["id"], row["OS-EXT-SRV-ATTR:host"]
    volumes = set(small.volumes.held)
    assert small.act(name, "migrate", who="admin").status == 202
    assert small.show(name)["OS-EXT-SRV-ATTR:host"] != before
    assert small.act(name, "confirmResize", who="admin").status == 204
    assert set(small.volumes.held) == volumes
    assert name not in small.fakes[before].machines


def test_rescue_and_back(small: ComputeSite) -> None:
    name = small.boot()["id"]
    assert small.act(name, "rescue", {}).status == 200
    assert small.status(name) == "RESCUE"
    fake = next(fake for fake in small.fakes.values() if name in fake.machines)
    booted = [disk for disk in fake.machines[name].domain.disks if disk.boot_index == 0]
    assert len(fake.machines[name].domain.disks) == 2
    assert len(booted) == 1
    assert small.act(name, "unrescue").status == 202
    assert small.status(name) == "ACTIVE"
    assert len(small.volumes.held) == 1


def test_a_rebuild_gives_a_fresh_disk_and_keeps_the_port(small: ComputeSite) -> None:
    name = small.boot()["id"]
    before, ports = set(small.volumes.held), set(small.networks.ports)
    assert small.act(name, "rebuild", {"imageRef": IMAGE, "name": "new"}).status == 202
    row = small.show(name)
    assert (row["status"], row["name"]) == ("ACTIVE", "new")
    assert not before & set(small.volumes.held)
    assert len(small.volumes.held) == 1
    assert set(small.networks.ports) == ports


def test_shelved_servers_are_on_no_host_and_come_back(site: ComputeSite) -> None:
    name = site.boot()["id"]
    assert site.act(name, "shelve").status == 202
    row = site.show(name)
    assert (row["status"], row["OS-EXT-SRV-ATTR:host"]) == ("SHELVED_OFFLOADED", None)
    assert machines(site) == {}
    assert [image.name for image in site.images.held.values()] == ["tiny", "one-shelved"]
    assert site.act(name, "unshelve", None, version="2.60").status == 202
    assert site.status(name) == "ACTIVE"
    assert [image.name for image in site.images.held.values()] == ["tiny"]


def test_a_shelved_server_goes_with_its_image(small: ComputeSite) -> None:
    name = small.boot()["id"]
    small.act(name, "shelve")
    small.call("DELETE", f"/servers/{name}")
    small.settle()
    assert small.status(name) == "gone"
    assert [image.name for image in small.images.held.values()] == ["tiny"]
    assert small.volumes.held == {}


def test_an_image_of_a_server_is_filled_and_its_snapshot_goes(small: ComputeSite) -> None:
    name = small.boot()["id"]
    reply = small.act(name, "createImage", {"name": "kept"})
    assert reply.status == 202
    assert small.images.held[reply.body["image_id"]].status == "active"
    assert small.volumes.snapshots == {}
    assert small.status(name) == "ACTIVE"


def test_a_server_is_evacuated_from_a_host_that_died(small: ComputeSite) -> None:
    row = small.boot()
    name, dead = row["id"], row["OS-EXT-SRV-ATTR:host"]
    refused = small.act(name, "evacuate", {}, who="admin", version="2.90")
    assert refused.status == 400
    small.apis[dead].down = True
    small.env.advance(20)
    alive = next(host for host in small.fakes if host != dead)
    small.report(alive)
    assert small.act(name, "evacuate", {}, who="admin", version="2.90").status == 200
    row = small.show(name)
    assert (row["status"], row["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", alive)


def test_two_requests_cannot_both_take_the_last_of_a_quota(small: ComputeSite) -> None:
    small.admin("PUT", f"/os-quota-sets/{'d' * 32}", {"quota_set": {"instances": 1}})
    small.begin()
    body = {"server": {"name": "b", "flavorRef": "1", "imageRef": IMAGE, "networks": "none"}}
    refused = small.call("POST", "/servers", body)
    assert refused.status == 403
    assert "Quota exceeded for instances" in refused.body["forbidden"]["message"]


def test_affinity_and_its_opposite(small: ComputeSite) -> None:
    made = {}
    for policy in ("affinity", "anti-affinity"):
        body = {"server_group": {"name": policy, "policy": policy}}
        made[policy] = small.call("POST", "/os-server-groups", body).body["server_group"]["id"]
    together = [small.boot(hints={"group": made["affinity"]}) for _ in range(2)]
    assert len({row["OS-EXT-SRV-ATTR:host"] for row in together}) == 1
    apart = [small.boot(hints={"group": made["anti-affinity"]}) for _ in range(3)]
    assert len({row["OS-EXT-SRV-ATTR:host"] for row in apart[:2]}) == 2
    assert "of its group are there already" in apart[2]["fault"]["message"]
