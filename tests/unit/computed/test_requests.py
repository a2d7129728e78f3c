"""What requests for servers may say: refused clearly, shown by version, filtered, told to guests."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from computed.pattern import Pattern
from core.api.fault import Fault
from tests.compute_site import IMAGE, NETWORK, ComputeSite


def asked(**attributes: Any) -> dict[str, Any]:
    body = {"name": "one", "flavorRef": "1", "imageRef": IMAGE, "networks": "none", **attributes}
    return {"server": {key: value for key, value in body.items() if value is not None}}


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"name": ""}, "name"),
        ({"name": " a"}, "name"),
        ({"name": "a" * 256}, "name"),
        ({"name": "a\u0000"}, "name"),
        ({"flavorRef": "none"}, "Flavor"),
        ({"imageRef": "no"}, "imageRef"),
        ({"imageRef": "99999999-0000-4000-8000-000000000001"}, "could not be found"),
        ({"imageRef": None}, "imageRef"),
        ({"networks": None}, "networks"),
        ({"networks": [{"uuid": "x"}]}, "uuid"),
        ({"networks": [{"uuid": "99999999-0000-4000-8000-000000000001"}]}, "Network"),
        ({"networks": [{"port": "99999999-0000-4000-8000-000000000001"}]}, "Port"),
        ({"key_name": "none"}, "key_name"),
        ({"user_data": "***"}, "base64"),
        ({"availability_zone": "moon"}, "availability zone"),
        ({"min_count": 3, "max_count": 2}, "min_count"),
        ({"min_count": 0}, "min_count"),
        ({"metadata": {"a" * 256: "b"}}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"accessIPv4": "1.2.3"}, "ipv4"),
        ({"tags": ["a,b"]}, "tags"),
        ({"hostname": "a b"}, "hostname"),
        ({"unheard": 1}, "unheard"),
        ({"security_groups": [{"name": "missing"}], "networks": [{"uuid": NETWORK}]}, "missing"),
        ({"block_device_mapping_v2": [{"boot_index": 3}]}, "Block Device Mapping"),
        ({"personality": []}, "personality"),
    ],
)
def test_what_makes_no_sense_is_refused(shared: ComputeSite, attributes: Any, word: str) -> None:
    reply = shared.call("POST", "/servers", asked(**attributes))
    assert reply.status == 400, reply
    assert word in reply.body["badRequest"]["message"], reply
    assert shared.call("GET", "/servers").body["servers"] == []


def test_an_image_that_is_larger_than_the_flavor_is_refused(small: ComputeSite) -> None:
    import msgspec

    small.images.held[IMAGE] = msgspec.structs.replace(small.images.held[IMAGE], min_disk=5)
    reply = small.call("POST", "/servers", asked())
    assert reply.status == 400
    assert "Flavor's disk is smaller" in reply.body["badRequest"]["message"]


def test_shapes_follow_the_version(small: ComputeSite) -> None:
    name = small.boot(description="d", tags=["t"])["id"]
    old = small.call("GET", f"/servers/{name}", version="2.1").body["server"]
    assert "description" not in old
    assert set(old["flavor"]) == {"id", "links"}
    new = small.call("GET", f"/servers/{name}", version="2.96").body["server"]
    assert new["flavor"]["original_name"] == "f1"
    assert (new["description"], new["tags"], new["locked"]) == ("d", ["t"], False)
    assert "OS-EXT-SRV-ATTR:host" not in new
    assert "OS-EXT-SRV-ATTR:host" in small.show(name)
    assert small.call("GET", f"/servers/{name}/tags", version="2.25").status == 404


def test_lists_are_filtered_and_paged(small: ComputeSite) -> None:
    for name in ("web-1", "web-2", "db"):
        small.begin(name=name, tags=[name[:2]])
    small.settle()

    def names(query: str) -> list[str]:
        return [row["name"] for row in small.call("GET", f"/servers?{query}").body["servers"]]

    assert names("name=web") == ["web-2", "web-1"]
    assert names("name=^web-[0-9]$&sort_key=display_name&sort_dir=asc") == ["web-1", "web-2"]
    assert names("tags=db") == ["db"]
    assert names("not-tags=we") == ["db"]
    assert names("status=ACTIVE&limit=1") == ["db"]
    assert names("status=SHUTOFF") == []
    page = small.call("GET", "/servers?limit=2").body
    assert len(page["servers"]) == 2
    assert "marker=" in page["servers_links"][0]["href"]
    assert small.call("GET", "/servers?status=NONSENSE").status == 400
    assert small.call("GET", "/servers?marker=gone").status == 400
    assert small.call("GET", "/servers?name=(a%2B)%2B").status == 400
    assert small.call("GET", "/servers?all_tenants=1").status == 403
    assert names("ip=10.0.0.") == ["db", "web-2", "web-1"]


def test_a_pattern_that_would_be_slow_elsewhere_is_not() -> None:
    """Linear time, whatever is asked."""
    assert not Pattern("a*a*a*a*a*a*a*a*b$").found_in("a" * 255)
    assert Pattern(r"^.*\-instance\-[0-9]+$").found_in("my-instance-42")
    assert not Pattern(r"^.*\-instance\-[0-9]+$").found_in("my-instance-")
    with pytest.raises(Fault):
        Pattern("[a")


def test_guests_are_told_of_themselves_by_their_port_alone(small: ComputeSite) -> None:
    data = base64.b64encode(b"#!/bin/sh\n").decode()
    name = small.boot(user_data=data, metadata={"k": "v"}, config_drive=True)["id"]
    port_id = next(iter(small.networks.ports))

    def told(path: str) -> Any:
        return small.call("GET", f"/metadata/{port_id}/{path}", who="service", prefix="/compute")

    meta = told("openstack/latest/meta_data.json").body
    assert (meta["uuid"], meta["meta"]) == (name, {"k": "v"})
    assert told("openstack/latest/user_data").raw == b"#!/bin/sh\n"
    assert told("latest/meta-data/local-ipv4").raw == b"10.0.0.2"
    assert b"instance-id" in told("2009-04-04/meta-data").raw
    assert told("latest/user-data").raw == b"#!/bin/sh\n"
    assert told("openstack/latest/network_data.json").body["links"][0]["vif_id"] == port_id
    assert told("openstack/latest/nothing").status == 404
    assert told("..%2f..%2fetc").status == 404
    fake = next(fake for fake in small.fakes.values() if name in fake.machines)
    drive = fake.machines[name].domain.config_drive
    assert base64.b64decode(drive["openstack/latest/user_data"]) == b"#!/bin/sh\n"


def test_a_guest_keeps_its_password_once(small: ComputeSite) -> None:
    """Encrypted by the guest, shown to its user, cleared by them; nobody else's port changes it."""
    name = small.boot()["id"]
    path = f"/metadata/{next(iter(small.networks.ports))}/openstack/2013-10-17/password"

    def post(data: bytes, who: str = "service") -> int:
        return small.call("POST", path, raw=data, who=who, prefix="/compute").status

    assert post(b"secret", who="demo") == 403
    assert post(b"") == 400
    assert post(b"x" * 1021) == 400
    assert post(b"secret") == 200
    assert post(b"other") == 409
    where = f"/servers/{name}/os-server-password"
    assert small.call("GET", where).body == {"password": "secret"}
    assert small.call("DELETE", where).status == 204
    assert post(b"other") == 200
    gone = "/metadata/absent/openstack/2013-10-17/password"
    assert small.call("POST", gone, raw=b"x", who="service", prefix="/compute").status == 404


def test_keys_are_given_or_made(small: ComputeSite) -> None:
    made = small.call("POST", "/os-keypairs", {"keypair": {"name": "a"}}, version="2.60")
    assert "BEGIN RSA PRIVATE KEY" in made.body["keypair"]["private_key"]
    given = {"name": "b", "public_key": made.body["keypair"]["public_key"]}
    reply = small.call("POST", "/os-keypairs", {"keypair": given})
    assert reply.status == 201
    assert reply.body["keypair"]["fingerprint"] == made.body["keypair"]["fingerprint"]
    bad = {"name": "c", "public_key": "ssh-rsa nonsense"}
    assert small.call("POST", "/os-keypairs", {"keypair": bad}).status == 400
    assert small.call("GET", "/os-keypairs/a", who="other").status == 404


def test_consoles_open_for_ten_minutes_and_one_server(small: ComputeSite) -> None:
    name = small.boot()["id"]
    body = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    url = small.call("POST", f"/servers/{name}/remote-consoles", body).body["remote_console"]["url"]
    token = url.rpartition("%3D")[2]
    path = f"/os-console-auth-tokens/{token}"
    assert small.call("GET", path).status == 403
    assert small.call("GET", path, who="service").body["console"]["instance_uuid"] == name
    small.env.advance(601)
    assert small.call("GET", path, who="service").status == 404


def test_what_was_done_is_recorded(small: ComputeSite) -> None:
    name = small.boot()["id"]
    small.act(name, "os-stop")
    found = small.call("GET", f"/servers/{name}/os-instance-actions").body["instanceActions"]
    assert [one["action"] for one in found] == ["stop", "create"]
    request_id = found[0]["request_id"]
    path = f"/servers/{name}/os-instance-actions/{request_id}"
    shown = small.call("GET", path).body["instanceAction"]
    assert [one["result"] for one in shown["events"]] == ["Success"]


def test_locked_servers_are_left_alone(small: ComputeSite) -> None:
    name = small.boot()["id"]
    small.act(name, "lock", {"locked_reason": "mine"})
    assert small.act(name, "os-stop").status == 409
    assert small.call("DELETE", f"/servers/{name}").status == 409
    assert small.act(name, "os-stop", who="admin").status == 202
    small.act(name, "unlock")
    assert small.act(name, "os-start").status == 202


def test_ports_and_volumes_of_the_users_own_survive_the_server(small: ComputeSite) -> None:
    port = small.networks.add(project_id="d" * 32)
    volume = small.volumes.add(bootable=True)
    mapping = {
        "uuid": volume.id,
        "source_type": "volume",
        "destination_type": "volume",
        "boot_index": 0,
    }
    row = small.boot(imageRef=None, networks=[{"port": port.id}], block_device_mapping_v2=[mapping])
    assert row["status"] == "ACTIVE"
    assert row["image"] == ""
    assert [one["id"] for one in row["os-extended-volumes:volumes_attached"]] == [volume.id]
    small.call("DELETE", f"/servers/{row['id']}")
    small.settle()
    assert small.networks.ports[port.id].device_id == ""
    assert small.volumes.held[volume.id].status == "available"
