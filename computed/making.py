"""What a request for servers means: images, disks, ports and groups looked up as the caller sees them, and checked."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, NamedTuple

import msgspec

from computed import flavors
from computed.api.shape import UUID, truth
from computed.outside import ImageInfo, NetworkInfo
from computed.service import Service
from core.api.call import Call
from core.api.fault import Fault, bad_request, conflict
from core.database import Connection
from core.errors import Conflict, NotFound, Refused
from core.rows import Row

GIB = 1 << 30
MAX_DEVICES = 26
SOURCES = {
    ("volume", "volume"),
    ("snapshot", "volume"),
    ("image", "volume"),
    ("blank", "volume"),
    ("image", "local"),
    ("blank", "local"),
}


class Nics(NamedTuple):
    """Interfaces as rows without server; `allocate`: a network of the project's own is to be made."""

    rows: list[Row]
    allocate: bool = False


def token_of(call: Call) -> str:
    """The caller's token, for what the caller named."""
    return call.request.header("x-auth-token") or ""


async def flavor_of(db: Connection, call: Call, reference: Any) -> Row:
    """The flavor that a request names by id or link. Raises Fault 400."""
    flavor_id = str(reference).rstrip("/").rpartition("/")[2]
    try:
        row = await flavors.get(db, flavor_id)
    except Fault:
        row = None
    if row is None or not await flavors.may_use(db, row, call.identity.project_id):
        raise bad_request(f"Flavor {flavor_id[:80]} could not be found.")
    return row


async def image_of(service: Service, call: Call, reference: str) -> ImageInfo:
    """The image that a request names by id or link. Raises Fault 400."""
    image_id = reference.rstrip("/").rpartition("/")[2]
    if not UUID.fullmatch(image_id):
        raise bad_request("Invalid imageRef provided.")
    try:
        image = await service.images.show(image_id, token=token_of(call))
    except NotFound:
        raise bad_request(f"Image {image_id} could not be found.") from None
    if image.status != "active":
        raise bad_request(f"Image {image_id} is not active.")
    return image


def frozen_image(image: ImageInfo) -> Row:
    """What a server keeps of its image."""
    return {
        "name": image.name,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "properties": dict(image.properties),
    }


def check_size(image: ImageInfo, flavor: Row, *, local: bool) -> None:
    """Raises Fault 400 for an image that is too large for a flavor; `local`: the flavor makes the disk."""
    if image.min_ram > flavor["ram_mb"]:
        raise bad_request("Flavor's memory is too small for requested image.")
    disk_gb = flavor["disk_gb"]
    if not local or not disk_gb:
        return
    size = max(image.virtual_size, image.size)
    if size > disk_gb * GIB:
        raise bad_request(
            f"Flavor's disk is too small for requested image. Flavor disk is {disk_gb * GIB} bytes,"
            f" image is {size} bytes."
        )
    if image.min_disk > disk_gb:
        raise bad_request(
            f"Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is"
            f" {disk_gb * GIB} bytes, minimum size is {image.min_disk * GIB} bytes."
        )


def disk_row(service: Service, source: str, source_id: str, **columns: Any) -> Row:
    """A disk; `columns` say what is not as usual."""
    return {
        "id": service.new_id(),
        "volume_id": None,
        "attachment_id": None,
        "source": source,
        "source_id": source_id,
        "size_gb": 0,
        "device": "",
        "boot_index": -1,
        "tag": None,
        "bus": "virtio",
        "kind": "disk",
        "volume_type": None,
        "delete_with_server": False,
        "hidden": False,
        "plugged": False,
        "connection": None,
        "position": 0,
        "created_us": service.now_us(),
        **columns,
    }


def root_of(service: Service, image: ImageInfo, flavor: Row) -> Row:
    """The server's own disk, a clone of its image."""
    size_gb = flavor["disk_gb"] or -(-max(image.virtual_size, image.size, 1) // GIB)
    size_gb = max(size_gb, image.min_disk, 1)
    return disk_row(
        service,
        "image",
        image.id,
        size_gb=size_gb,
        boot_index=0,
        delete_with_server=True,
        hidden=True,
    )


def own_disks(service: Service, flavor: Row) -> list[Row]:
    """Blank disks that a flavor promises beside the root: ephemeral, and swap."""
    sizes = [flavor["ephemeral_gb"], -(-flavor["swap_mb"] // 1024)]
    return [
        disk_row(service, "blank", "", size_gb=size, delete_with_server=True, hidden=True)
        for size in sizes
        if size
    ]


def mappings_of(call: Call, given: Row) -> list[Row]:
    """Block device mappings in their second form, whichever was sent. Raises Fault 400."""
    old, new = given.get("block_device_mapping"), given.get("block_device_mapping_v2")
    if old and new:
        raise bad_request(
            "Using different block_device_mapping syntaxes is not allowed in the same request."
        )
    found: list[Row] = []
    for one in old or ():
        source = "snapshot" if one.get("snapshot_id") else "volume"
        found.append(
            {
                "source_type": source,
                "destination_type": "volume",
                "uuid": one.get("snapshot_id") or one.get("volume_id"),
                "volume_size": one.get("volume_size"),
                "delete_on_termination": one.get("delete_on_termination", False),
                "device_name": one.get("device_name"),
                "boot_index": 0 if not found and not given.get("imageRef") else -1,
            }
        )
    for one in new or ():
        if call.microversion < (2, 42) and "tag" in one and call.microversion != (2, 32):
            raise bad_request("Additional properties are not allowed ('tag' was unexpected)")
        if call.microversion < (2, 67) and "volume_type" in one:
            raise bad_request(
                "Additional properties are not allowed ('volume_type' was unexpected)"
            )
        if not one.get("no_device"):
            found.append(one)
    return found


async def disks_of(
    service: Service, call: Call, given: Row, *, image: ImageInfo | None, flavor: Row
) -> list[Row]:
    """All disks of a server, the one to boot from first. Raises Fault 400, 403."""
    found = [
        await _mapped(service, call, mapping, image=image, flavor=flavor)
        for mapping in mappings_of(call, given)
    ]
    boots = sorted(row["boot_index"] for row in found if row["boot_index"] >= 0)
    if image is not None and 0 not in boots:
        found.insert(0, root_of(service, image, flavor))
        boots = sorted([0, *boots])
    if not boots:
        raise bad_request(
            "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping"
            " combination is not valid."
            if found
            else "Invalid imageRef provided."
        )
    if boots != list(range(len(boots))):
        raise bad_request("Block Device Mapping is Invalid: Boot sequence is not valid.")
    found += own_disks(service, flavor)
    found.sort(key=lambda row: (row["boot_index"] < 0, row["boot_index"]))
    return named(found)


def named(found: list[Row]) -> list[Row]:
    """Disks with their positions and device names. Raises Fault 400, 403 for too many or equal names."""
    if len(found) > MAX_DEVICES:
        raise Fault(
            403,
            "The maximum allowed number of disk devices to attach to a single instance has been exceeded.",
        )
    taken = {row["device"] for row in found if row["device"]}
    if len(taken) != sum(bool(row["device"]) for row in found):
        raise bad_request("Block Device Mapping is Invalid: two devices have the same name.")
    for position, row in enumerate(found):
        row["position"] = position
        row["device"] = row["device"] or free_device(taken)
        taken.add(row["device"])
    return found


def free_device(taken: set[str]) -> str:
    """The first device name that is free."""
    for letter in "abcdefghijklmnopqrstuvwxyz":
        if f"vd{letter}" not in taken:
            return f"vd{letter}"
    raise Fault(
        403,
        "The maximum allowed number of disk devices to attach to a single instance has been exceeded.",
    )


def device_of(given: Any) -> str:
    """A device name without its directory. Raises Fault 400."""
    name = str(given or "").removeprefix("/dev/")
    if name and not re.fullmatch(r"[a-z]{1,8}[a-z0-9]{0,8}", name):
        raise bad_request(f"The supplied device path ({str(given)[:80]}) is invalid.")
    return name


async def _mapped(
    service: Service, call: Call, mapping: Row, *, image: ImageInfo | None, flavor: Row
) -> Row:
    """One block device mapping as a disk."""
    source = mapping.get("source_type") or "volume"
    target = mapping.get("destination_type") or (
        "local" if source in {"image", "blank"} else "volume"
    )
    if (source, target) not in SOURCES:
        raise bad_request(
            "Block Device Mapping is Invalid: the combination of source and destination is not."
        )
    uuid = mapping.get("uuid") or ""
    if source != "blank" and not UUID.fullmatch(str(uuid)):
        raise bad_request("Block Device Mapping is Invalid: failed to get volume or image.")
    index = mapping.get("boot_index")
    size = int(mapping.get("volume_size") or 0)
    columns: Row = {
        "boot_index": -1 if index is None or int(index) < 0 else int(index),
        "delete_with_server": truth(mapping.get("delete_on_termination", False)),
        "device": device_of(mapping.get("device_name")),
        "tag": mapping.get("tag"),
        "volume_type": mapping.get("volume_type"),
        "size_gb": size,
    }
    if mapping.get("disk_bus") in {"virtio", "scsi", "sata", "ide", "usb"}:
        columns["bus"] = mapping["disk_bus"]
    if target == "local":
        return _local(service, source, str(uuid), columns, image=image, flavor=flavor)
    if source in {"image", "blank"} and not size:
        raise bad_request(
            "Block Device Mapping is Invalid: Images with destination_type 'volume' need to have a non-zero size specified"
        )
    if source == "volume":
        return await _volume(service, call, str(uuid), columns)
    if source == "snapshot":
        try:
            held = await service.volumes.snapshot_size_gb(str(uuid), token=token_of(call))
        except Refused:
            raise bad_request(
                f"Block Device Mapping is Invalid: failed to get snapshot {uuid}."
            ) from None
        columns["size_gb"] = max(size, held)
    if source == "image":
        await image_of(service, call, str(uuid))
    return disk_row(service, source, str(uuid), **columns)


def _local(
    service: Service, source: str, uuid: str, columns: Row, *, image: ImageInfo | None, flavor: Row
) -> Row:
    if source == "image":
        if image is None or image.id != uuid or columns["boot_index"] != 0:
            raise bad_request(
                "Block Device Mapping is Invalid: Mapping image to local is not supported."
            )
        return root_of(service, image, flavor) | {"tag": columns["tag"]}
    if columns["size_gb"] > flavor["ephemeral_gb"] and not flavor["swap_mb"]:
        raise bad_request("Ephemeral disks requested are larger than the instance type allows.")
    columns |= {"delete_with_server": True, "hidden": True, "size_gb": max(1, columns["size_gb"])}
    return disk_row(service, "blank", "", **columns)


async def _volume(service: Service, call: Call, volume_id: str, columns: Row) -> Row:
    try:
        volume = await service.volumes.show(volume_id, token=token_of(call))
    except Refused:
        raise bad_request(
            f"Block Device Mapping is Invalid: failed to get volume {volume_id}."
        ) from None
    shared = volume.multiattach and volume.status == "in-use" and call.microversion >= (2, 60)
    if volume.status != "available" and not shared:
        raise bad_request(
            f"Block Device Mapping is Invalid: volume {volume_id} is {volume.status}, it must be available."
        )
    if columns["boot_index"] == 0 and not volume.bootable:
        raise bad_request(f"Block Device {volume_id} is not bootable.")
    columns["size_gb"] = volume.size_gb
    return disk_row(service, "volume", volume_id, volume_id=volume_id, **columns)


def nic_row(service: Service, network_id: str, **columns: Any) -> Row:
    """An interface; `columns` say what is not as usual."""
    return {
        "id": service.new_id(),
        "port_id": None,
        "network_id": network_id,
        "network_name": "",
        "mac": "",
        "mtu": 0,
        "asked": {},
        "addresses": [],
        "tag": None,
        "made": True,
        "plugged": False,
        "position": 0,
        "created_us": service.now_us(),
        **columns,
    }


async def nics_of(service: Service, call: Call, given: Row, group_names: list[str]) -> Nics:
    """The interfaces of a server. Raises Fault 400, 403, 409."""
    wanted = given.get("networks")
    token, project_id = token_of(call), call.identity.project_id
    if wanted == "none":
        return Nics([])
    if isinstance(wanted, str) and wanted != "auto":
        raise bad_request("Invalid input for field 'networks'")
    if not isinstance(wanted, list) or not wanted:
        if wanted == [] and call.microversion >= (2, 37):
            return Nics([])
        found = await service.networks.networks(token=token, project_id=project_id)
        if len(found) > 1:
            raise conflict(
                "Multiple possible networks found, use a Network ID to be more specific."
            )
        rows_ = [nic_row(service, one.id, network_name=one.name) for one in found]
        if not rows_ and wanted == "auto":
            return Nics([], allocate=True)
    else:
        rows_ = await _named_nics(service, call, wanted)
    group_ids: list[str] = []
    made = [row for row in rows_ if row["made"]]
    if made and group_names != ["default"]:
        try:
            group_ids = await service.networks.group_ids(
                group_names, token=token, project_id=project_id
            )
        except (NotFound, Conflict) as error:
            raise bad_request(error.message) from None
    for position, row in enumerate(rows_):
        row["position"] = position
        if row["made"]:
            row["asked"] = {**row["asked"], "group_ids": group_ids}
    return Nics(rows_)


async def _named_nics(service: Service, call: Call, wanted: list[Row]) -> list[Row]:
    networks = await _networks(
        service, call, [str(one["uuid"]) for one in wanted if one.get("uuid")]
    )
    found: list[Row] = []
    for one in wanted:
        if (
            one.get("tag") is not None
            and call.microversion < (2, 42)
            and call.microversion != (2, 32)
        ):
            raise bad_request("Additional properties are not allowed ('tag' was unexpected)")
        port_id = one.get("port")
        if port_id:
            found.append(await port_row(service, call, str(port_id), tag=one.get("tag")))
            continue
        if not one.get("uuid"):
            raise bad_request("Bad network format: missing 'uuid'")
        network = networks[str(one["uuid"])]
        asked = {"address": one["fixed_ip"]} if one.get("fixed_ip") else {}
        found.append(
            nic_row(service, network.id, network_name=network.name, asked=asked, tag=one.get("tag"))
        )
    ports = [row["port_id"] for row in found if row["port_id"]]
    if len(set(ports)) != len(ports):
        raise bad_request("A port is named twice.")
    return found


async def _networks(service: Service, call: Call, ids: list[str]) -> dict[str, NetworkInfo]:
    for one in ids:
        if not UUID.fullmatch(one):
            raise bad_request(
                f"Bad networks format: network uuid is not in proper format ({one[:80]})"
            )
    if not ids:
        return {}
    found = await service.networks.networks(
        token=token_of(call), project_id=call.identity.project_id, ids=ids
    )
    held = {one.id: one for one in found}
    for one in ids:
        if one not in held:
            raise bad_request(f"Network {one} could not be found.")
        if held[one].external and not call.may("network:attach_external_network"):
            raise Fault(403, f"It is not allowed to create an interface on external network {one}")
        if not held[one].subnet_ids:
            raise bad_request(f"Network {one} requires a subnet in order to boot instances on.")
    return held


async def port_row(service: Service, call: Call, port_id: str, *, tag: str | None = None) -> Row:
    """The interface that a port of the caller's makes. Raises Fault 400, 409."""
    try:
        port = await service.networks.port(port_id, token=token_of(call))
    except NotFound:
        raise bad_request(f"Port id {port_id[:80]} could not be found.") from None
    if port.device_id:
        raise conflict(f"Port {port_id} is still in use.")
    if not port.addresses:
        raise bad_request(f"Port {port_id} requires a FixedIP in order to be used.")
    return nic_row(service, port.network_id, port_id=port.id, mac=port.mac, made=False, tag=tag)


async def default_network(service: Service, call: Call) -> str:
    """A network of the project's own, made if need be (`auto`). Raises Fault 400."""
    path = f"/v2.0/auto-allocated-topology/{call.identity.project_id}"
    status, body = await service.networks.ask("GET", path, token=token_of(call))
    if status != 200:
        raise bad_request(
            f"Unable to automatically allocate a network for project {call.identity.project_id}"
        )
    return str(body["auto_allocated_topology"]["id"])


def canonical(address: str | None) -> str | None:
    """An address in its shortest form. Pure."""
    return str(ipaddress.ip_address(address)) if address else None


def hostname_of(name: str, server_id: str) -> str:
    """A server's name as a name of a host. Pure."""
    clean = re.sub(r"[^a-z0-9-]+", "-", name.lower().replace("_", "-").replace(" ", "-"))
    return clean.strip("-.")[:63].strip("-") or f"server-{server_id}"


def plain(value: Any) -> Any:
    """A JSON copy, so that no two rows share an object."""
    return msgspec.json.decode(msgspec.json.encode(value))


ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
PASSWORD_CHARS = 12


def password(service: Service) -> str:
    """A random password, which nobody remembers here."""
    drawn = service.env.random_bytes(PASSWORD_CHARS)
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in drawn)


async def queued_image(
    service: Service,
    call: Call,
    server: Row,
    name: str,
    metadata: dict[str, str],
    *,
    kind: str = "snapshot",
) -> str:
    """Id of a new image of the caller's that a server's disk will fill. Raises Fault 400, 403."""
    properties = {
        key: value
        for key, value in server["image"].get("properties", {}).items()
        if not key.startswith(("os_glance_", "cinder_"))
    }
    attributes = {
        **properties,
        "instance_uuid": server["id"],
        "user_id": server["user_id"],
        "image_type": kind,
        "base_image_ref": server["image_id"],
        **metadata,
        "name": name,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "private",
        "min_disk": max(server["flavor"]["disk_gb"], server["image"].get("min_disk", 0)),
        "min_ram": server["image"].get("min_ram", 0),
    }
    try:
        image = await service.images.create(attributes, token=token_of(call))
    except Fault:
        raise
    except Refused as error:
        raise bad_request(error.message) from None
    return image.id
