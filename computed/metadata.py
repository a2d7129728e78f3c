"""What a guest is told of itself, in OpenStack's form and EC2's: for the metadata service and config drives. Pure.

Versions are dated directories; every one of them shows what is known today, as a guest reads the newest that it knows.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from typing import Any

import msgspec

from core.rows import Row

OPENSTACK_VERSIONS = (
    "2012-08-10",
    "2013-04-04",
    "2013-10-17",
    "2015-10-15",
    "2016-06-30",
    "2016-10-06",
    "2017-02-22",
    "2018-08-27",
    "2020-10-14",
    "latest",
)
EC2_VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "latest",
)
OPENSTACK_FILES = ("meta_data.json", "network_data.json", "vendor_data.json", "vendor_data2.json")


def user_data_of(server: Row) -> bytes | None:
    """User data as it was given, decoded; None when there is none."""
    given = server["user_data"]
    return base64.b64decode(given) if given else None


def meta_data(server: Row, disks: list[Row], nics: list[Row]) -> dict[str, Any]:
    """`meta_data.json`."""
    body: dict[str, Any] = {
        "uuid": server["id"],
        "name": server["name"],
        "hostname": server["hostname"],
        "availability_zone": server["availability_zone"],
        "launch_index": server["launch_index"],
        "project_id": server["project_id"],
        "meta": server["metadata"],
        "devices": devices(disks, nics),
        "dedicated_cpus": [],
        "random_seed": seed(server["id"]),
    }
    if server["key_data"]:
        name, key = server["key_name"], server["key_data"]
        body["public_keys"] = {name: key}
        body["keys"] = [{"name": name, "type": "ssh", "data": key}]
    if server["files"]:
        body["files"] = [
            {"path": path, "content_path": f"/content/{at:04}"}
            for at, path in enumerate(server["files"])
        ]
    return body


def seed(server_id: str) -> str:
    """Some bytes that differ from server to server; no secret."""
    return base64.b64encode(hashlib.sha512(server_id.encode()).digest()).decode()


def devices(disks: list[Row], nics: list[Row]) -> list[dict[str, Any]]:
    """Devices that their user has tagged."""
    found: list[dict[str, Any]] = [
        {
            "type": "disk",
            "bus": "none",
            "address": "none",
            "serial": row["volume_id"],
            "path": f"/dev/{row['device'].removeprefix('/dev/')}",
            "tags": [row["tag"]],
        }
        for row in disks
        if row["tag"] and row["volume_id"]
    ]
    return found + [
        {
            "type": "nic",
            "bus": "none",
            "address": "none",
            "mac": row["mac"],
            "tags": [row["tag"]],
        }
        for row in nics
        if row["tag"]
    ]


def network_data(nics: list[Row]) -> dict[str, Any]:
    """`network_data.json`: links, and networks that are set up by DHCP."""
    links, networks = [], []
    for at, row in enumerate(nic for nic in nics if nic["port_id"]):
        link = f"tap{row['port_id'][:11]}"
        links.append(
            {
                "id": link,
                "vif_id": row["port_id"],
                "type": "tap",
                "mtu": row["mtu"] or None,
                "ethernet_mac_address": row["mac"],
            }
        )
        for one in row["addresses"]:
            six = ipaddress.ip_address(one["addr"]).version == 6
            networks.append(
                {
                    "id": f"network{at}",
                    "type": "ipv6_dhcp" if six else "ipv4_dhcp",
                    "link": link,
                    "network_id": row["network_id"],
                }
            )
    return {"links": links, "networks": networks, "services": []}


def openstack_file(name: str, server: Row, disks: list[Row], nics: list[Row]) -> bytes | None:
    """A file below `openstack/VERSION/`; None when there is none of that name."""
    if name == "meta_data.json":
        return msgspec.json.encode(meta_data(server, disks, nics))
    if name == "network_data.json":
        return msgspec.json.encode(network_data(nics))
    if name in {"vendor_data.json", "vendor_data2.json"}:
        return b"{}"
    if name == "user_data":
        return user_data_of(server)
    return None


def ec2_tree(server: Row, nics: list[Row]) -> dict[str, Any]:
    """`meta-data/` of EC2, as nested dictionaries of texts."""
    local, public = "", ""
    for row in nics:
        for one in row["addresses"]:
            if ipaddress.ip_address(one["addr"]).version == 4:
                local = local or (one["addr"] if one["type"] == "fixed" else "")
                public = public or (one["addr"] if one["type"] == "floating" else "")
    tree: dict[str, Any] = {
        "ami-id": f"ami-{server['number']:08x}",
        "ami-launch-index": str(server["launch_index"]),
        "ami-manifest-path": "FIXME",
        "block-device-mapping": {"ami": "vda", "root": server["root_device"]},
        "hostname": server["hostname"],
        "instance-action": "none",
        "instance-id": f"i-{server['number']:08x}",
        "instance-type": server["flavor"]["name"],
        "local-hostname": server["hostname"],
        "local-ipv4": local,
        "placement": {"availability-zone": server["availability_zone"]},
        "public-hostname": server["hostname"],
        "public-ipv4": public,
        "reservation-id": server["reservation_id"],
        "security-groups": "\n".join(server["security_groups"]),
    }
    if server["key_data"]:
        tree["public-keys"] = {"0": {"openssh-key": server["key_data"], "": server["key_name"]}}
    return tree


def listing(tree: dict[str, Any]) -> str:
    """A directory of EC2's form: keys are `0=name`, directories end with a slash."""
    lines = []
    for name, value in tree.items():
        if isinstance(value, dict) and "" in value:
            lines.append(f"{name}={value['']}")
        elif name:
            lines.append(f"{name}/" if isinstance(value, dict) else name)
    return "\n".join(lines)


def ec2_entry(tree: dict[str, Any], segments: list[str]) -> bytes | None:
    """What stands at a path below `meta-data`; None when nothing does."""
    held: Any = tree
    for segment in segments:
        if not isinstance(held, dict) or segment not in held:
            return None
        held = held[segment]
    return listing(held).encode() if isinstance(held, dict) else str(held).encode()


def answer(path: str, server: Row, disks: list[Row], nics: list[Row]) -> bytes | None:
    """What a guest that asks for a path is given; None is 404."""
    segments = [one for one in path.split("/") if one]
    if not segments:
        return "\n".join((*EC2_VERSIONS[:-1], "latest", "openstack")).encode()
    if segments[0] == "openstack":
        return _openstack(segments[1:], server, disks, nics)
    if segments[0] not in EC2_VERSIONS:
        return None
    if len(segments) == 1:
        return b"meta-data/\nuser-data" if server["user_data"] else b"meta-data/"
    if segments[1] == "user-data" and len(segments) == 2:
        return user_data_of(server)
    if segments[1] == "meta-data":
        return ec2_entry(ec2_tree(server, nics), segments[2:])
    return None


def _openstack(segments: list[str], server: Row, disks: list[Row], nics: list[Row]) -> bytes | None:
    if not segments:
        return "\n".join(OPENSTACK_VERSIONS).encode()
    if segments[0] == "content" and len(segments) == 2:
        contents = list(server["files"].values())
        at = int(segments[1]) if segments[1].isdigit() and len(segments[1]) < 6 else -1
        return base64.b64decode(contents[at]) if 0 <= at < len(contents) else None
    if segments[0] not in OPENSTACK_VERSIONS:
        return None
    if len(segments) == 1:
        names = [*OPENSTACK_FILES, *(["user_data"] if server["user_data"] else [])]
        return "\n".join(names).encode()
    return openstack_file(segments[1], server, disks, nics) if len(segments) == 2 else None


def drive_files(server: Row, disks: list[Row], nics: list[Row]) -> dict[str, bytes]:
    """All files of a config drive, by path."""
    found: dict[str, bytes] = {}
    for version in ("2018-08-27", "latest"):
        for name in (*OPENSTACK_FILES, "user_data"):
            held = openstack_file(name, server, disks, nics)
            if held is not None:
                found[f"openstack/{version}/{name}"] = held
    for at, content in enumerate(server["files"].values()):
        found[f"openstack/content/{at:04}"] = base64.b64decode(content)
    tree = {**ec2_tree(server, nics), "public-keys": {"0": {"openssh-key": server["key_data"]}}}
    found["ec2/latest/meta-data.json"] = msgspec.json.encode(tree)
    data = user_data_of(server)
    if data is not None:
        found["ec2/latest/user-data"] = data
    return found
