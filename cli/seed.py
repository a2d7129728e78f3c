"""What a new cloud that runs guests begins with: flavors, a public and a private network with a router, and a small image.

Everything is made through the cloud's own APIs, by name and only when it is missing, so it may be done again.
"""

from __future__ import annotations

import asyncio
import io
import ipaddress
import json
import subprocess
from pathlib import Path

from rich.console import Console

from cli.guest import image as guest_image
from cli.image import Cloud as Images
from cli.openstack import Body, OpenStack
from core.errors import RingstackError, Unavailable
from core.installation import Installation

FLAVORS = (  # name, processors, memory in MB, disk in GB
    ("tiny", 1, 192, 1),
    ("small", 1, 512, 5),
    ("medium", 2, 2048, 20),
)
IMAGE = "guest"
PUBLIC, PRIVATE, ROUTER = "public", "private", "router"
PHYSICAL = "public"
PRIVATE_CIDR = "10.10.0.0/24"
SUBNETS_OF = ipaddress.IPv4Network("172.24.0.0/16")
FIRST = 4
SSH_PORT = 22


async def seed(installation: Installation) -> list[str]:
    """Make what is missing; returns what was made. Raises RingstackError."""
    cloud = OpenStack(installation)
    await cloud.log_in()
    return [
        *await flavors(cloud),
        *await networks(cloud, used_networks()),
        *await security(cloud),
        *await image(installation, cloud),
    ]


async def flavors(cloud: OpenStack) -> list[str]:
    """Sizes of servers."""
    known = {row["name"] for row in (await cloud.call("GET", "/compute/v2.1/flavors"))["flavors"]}
    made = []
    for name, vcpus, memory_mb, disk_gb in FLAVORS:
        if name not in known:
            flavor = {"name": name, "vcpus": vcpus, "ram": memory_mb, "disk": disk_gb}
            await cloud.call("POST", "/compute/v2.1/flavors", {"flavor": flavor})
            made.append(f"flavor {name}")
    return made


async def networks(cloud: OpenStack, used: list[ipaddress.IPv4Network]) -> list[str]:
    """A network that the machine itself reaches, one for the project, and a router between them."""
    base = "/network/v2.0"
    if await cloud.named(f"{base}/networks", "networks", PUBLIC) is not None:
        return []
    outside = {
        "name": PUBLIC,
        "router:external": True,
        "provider:network_type": "flat",
        "provider:physical_network": PHYSICAL,
    }
    public = (await cloud.call("POST", f"{base}/networks", {"network": outside}))["network"]
    cidr = free_network(used)
    subnet: Body = {
        "name": f"{PUBLIC}-subnet",
        "network_id": public["id"],
        "ip_version": 4,
        "cidr": str(cidr),
        "gateway_ip": str(cidr[1]),
        "enable_dhcp": False,
        "allocation_pools": [{"start": str(cidr[10]), "end": str(cidr[250])}],
    }
    await cloud.call("POST", f"{base}/subnets", {"subnet": subnet})
    inside = (await cloud.call("POST", f"{base}/networks", {"network": {"name": PRIVATE}}))[
        "network"
    ]
    subnet = {
        "name": f"{PRIVATE}-subnet",
        "network_id": inside["id"],
        "ip_version": 4,
        "cidr": PRIVATE_CIDR,
    }
    private = (await cloud.call("POST", f"{base}/subnets", {"subnet": subnet}))["subnet"]
    gateway = {"network_id": public["id"]}
    wanted = {"router": {"name": ROUTER, "external_gateway_info": gateway}}
    router = (await cloud.call("POST", f"{base}/routers", wanted))["router"]
    leg = {"subnet_id": private["id"]}
    await cloud.call("PUT", f"{base}/routers/{router['id']}/add_router_interface", leg)
    return [f"network {PUBLIC} ({cidr})", f"network {PRIVATE} ({PRIVATE_CIDR})", ROUTER]


async def security(cloud: OpenStack) -> list[str]:
    """The project's default security group lets in ping and SSH."""
    base = "/network/v2.0"
    path = f"{base}/security-groups?project_id={cloud.project_id}"
    group = await cloud.named(path, "security_groups", "default")
    if group is None:
        raise Unavailable("NoGroup", "the project has no default security group")
    open_now = {
        (rule["protocol"], rule["port_range_min"])
        for rule in group["security_group_rules"]
        if rule["direction"] == "ingress" and rule["remote_ip_prefix"]
    }
    made = []
    for protocol, port in (("icmp", None), ("tcp", SSH_PORT)):
        if (protocol, port) not in open_now:
            rule = {
                "security_group_id": group["id"],
                "direction": "ingress",
                "ethertype": "IPv4",
                "protocol": protocol,
                "port_range_min": port,
                "port_range_max": port,
                "remote_ip_prefix": "0.0.0.0/0",
            }
            await cloud.call("POST", f"{base}/security-group-rules", {"security_group_rule": rule})
            made.append(f"security group default lets in {protocol}")
    return made


async def image(installation: Installation, cloud: OpenStack) -> list[str]:
    """A small guest, made on this machine."""
    if await cloud.named("/image/v2/images", "images", IMAGE) is not None:
        return []
    guest_image.install_tools()
    path = await asyncio.to_thread(guest_image.image)
    attributes = {
        "name": IMAGE,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
    }
    await Images(installation).make(attributes, Path(path), Console(file=io.StringIO()))
    return [f"image {IMAGE}"]


def used_networks() -> list[ipaddress.IPv4Network]:
    """Networks that this machine has already."""
    done = subprocess.run(
        ["ip", "-j", "-4", "address", "show"], capture_output=True, text=True, check=False
    )
    rows = json.loads(done.stdout or "[]")
    return [
        ipaddress.IPv4Interface(f"{one['local']}/{one['prefixlen']}").network
        for row in rows
        for one in row.get("addr_info", [])
    ]


def free_network(used: list[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """A /24 for the public network that nothing of this machine overlaps. Raises Unavailable. Pure."""
    for network in list(SUBNETS_OF.subnets(new_prefix=24))[FIRST:]:
        if not any(network.overlaps(one) for one in used):
            return network
    raise Unavailable("NoNetwork", f"all of {SUBNETS_OF} is in use on this machine")


def seed_quietly(installation: Installation) -> str:
    """`seed`, and a line for a person about what it did."""
    try:
        made = asyncio.run(seed(installation))
    except RingstackError as error:
        return f"not made: {error.message}"
    return ", ".join(made) if made else "all there"
