"""`/servers/{id}/os-volume_attachments` and `/os-interface`: disks and interfaces of servers that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from computed import listing, making, servers, states
from computed.api.paths import both
from computed.api.shape import any_address, flag, one, tag, truth, uuid
from computed.deeds.parts import shown_addresses
from computed.fault import absent
from computed.outside import PortAsk, PortInfo
from computed.servers import Doing
from computed.service import Service
from computed.sight import allowed
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, conflict
from core.api.route import Route
from core.api.shape import Shape, anything, array, nullable, text
from core.database import Connection
from core.errors import Conflict, NotFound, Refused
from core.rows import Row

API = "os_compute_api:"
ATTACH = one(
    "volumeAttachment",
    Shape(
        {
            "volumeId": uuid,
            "device": nullable(text(1, 255, pattern=r"(/dev/)?[a-z0-9/]+")),
            "tag": tag,
            "delete_on_termination": flag,
        },
        ["volumeId"],
        more=False,
    ),
)
UPDATE = one(
    "volumeAttachment",
    Shape(
        {
            "volumeId": uuid,
            "delete_on_termination": flag,
            "device": anything,
            "serverId": uuid,
            "tag": anything,
            "id": uuid,
        },
        ["volumeId"],
        more=False,
    ),
)
PLUG = one(
    "interfaceAttachment",
    Shape(
        {
            "net_id": uuid,
            "port_id": uuid,
            "fixed_ips": array(Shape({"ip_address": any_address}, ["ip_address"]), least=1, most=1),
            "tag": tag,
        },
        more=False,
    ),
)


def disk_shown(call: Call, row: Row) -> dict[str, Any]:
    """An attached volume."""
    version = call.microversion
    body: dict[str, Any] = {
        "volumeId": row["volume_id"],
        "serverId": row["server_id"],
        "device": f"/dev/{row['device']}",
    }
    if version < (2, 89):
        body["id"] = row["volume_id"]
    if version >= (2, 70):
        body["tag"] = row["tag"]
    if version >= (2, 79):
        body["delete_on_termination"] = row["delete_with_server"]
    if version >= (2, 89):
        body["attachment_id"] = row["attachment_id"]
        body["bdm_uuid"] = row["id"]
    return body


class VolumeAttachments:
    """Volumes of servers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/servers/{server_id}/os-volume_attachments"
        single, rule = f"{top}/{{volume_id}}", f"{API}os-volumes-attachments"
        return both(
            [
                Route("GET", top, f"{rule}:index", self.list),
                Route("POST", top, f"{rule}:create", self.attach, 200, ATTACH),
                Route("GET", single, f"{rule}:show", self.show),
                Route("PUT", single, f"{rule}:update", self.update, 202, UPDATE),
                Route("DELETE", single, f"{rule}:delete", self.detach, 202),
            ]
        )

    async def _disks(self, db: Connection, row: Row) -> list[Row]:
        held = await servers.disks_of(db, row["id"])
        return [one for one in held if not one["hidden"] and one["volume_id"]]

    async def _disk(self, db: Connection, call: Call, row: Row) -> Row:
        wanted = call.variables["volume_id"]
        for disk in await self._disks(db, row):
            if disk["volume_id"] == wanted:
                return disk
        raise Fault(404, f"Instance {row['id']} is not attached to volume {wanted[:80]}.")

    async def list(self, call: Call) -> dict[str, Any]:
        """All."""
        async with self._database.read() as db:
            row = await allowed(db, call)
            held = await self._disks(db, row)
        start = listing.whole(call, "offset") or 0
        held = held[start : start + listing.limit_of(call)]
        return {"volumeAttachments": [disk_shown(call, disk) for disk in held]}

    async def show(self, call: Call) -> dict[str, Any]:
        """One."""
        async with self._database.read() as db:
            row = await allowed(db, call)
            return {"volumeAttachment": disk_shown(call, await self._disk(db, call, row))}

    async def attach(self, call: Call) -> Answer:
        """Reserve the volume; the host plugs it in."""
        given = call.part("volumeAttachment")
        version = call.microversion
        for name, since in (("tag", (2, 49)), ("delete_on_termination", (2, 79))):
            if name in given and version < since:
                raise bad_request(
                    f"Additional properties are not allowed ('{name}' was unexpected)"
                )
        async with self._database.read() as db:
            row = await allowed(db, call)
            servers.check_unlocked(call, row)
            servers.check(row, "attach_volume")
            held = await servers.disks_of(db, row["id"])
        shelved = row["vm_state"] in {states.SHELVED, states.OFFLOADED}
        if shelved and version < (2, 20):
            raise conflict(
                f"Cannot 'attach_volume' instance {row['id']} while it is in vm_state {row['vm_state']}"
            )
        if any(disk["volume_id"] == given["volumeId"] for disk in held):
            raise bad_request(
                f"Invalid volume: volume {given['volumeId']} is already attached to instance {row['id']}"
            )
        disk = await self._new_disk(call, row, held, given)
        attachment_id = await self._reserve(call, row, disk)
        disk["attachment_id"] = attachment_id
        async with self._database.write() as db:
            row = await servers.get(db, row["id"])
            await rows.insert(db, servers.DISKS, disk)
            doing = Doing("attach_volume", "disk.attach", row["task_state"])
            await servers.begin(db, self._service, call, row, doing, part_id=disk["id"])
        self._service.wake()
        return Answer({"volumeAttachment": disk_shown(call, disk)})

    async def _new_disk(self, call: Call, row: Row, held: Sequence[Row], given: Row) -> Row:
        volume_id = given["volumeId"]
        try:
            volume = await self._service.volumes.show(volume_id, token=making.token_of(call))
        except NotFound:
            raise Fault(404, f"Volume {volume_id} could not be found.") from None
        if volume.multiattach and call.microversion < (2, 60) and volume.status == "in-use":
            raise bad_request(
                "Multiattach volumes are only supported starting with compute API version 2.60"
            )
        if volume.status != "available" and not (volume.multiattach and volume.status == "in-use"):
            raise bad_request(
                f"Invalid input received: Invalid volume: Volume {volume_id} status must be available, but it is {volume.status}."
            )
        taken = {disk["device"] for disk in held}
        # guests name their disks by themselves, so the wish is not followed, as with other drivers of virtio
        making.device_of(given.get("device"))
        disk = making.disk_row(
            self._service,
            "volume",
            volume_id,
            volume_id=volume_id,
            size_gb=volume.size_gb,
            device=making.free_device(taken),
            tag=given.get("tag"),
            delete_with_server=truth(given.get("delete_on_termination", False)),
            position=len(held),
        )
        return disk | {"server_id": row["id"]}

    async def _reserve(self, call: Call, row: Row, disk: Row) -> str:
        """The attachment, before anything is promised: who is late hears so. Raises Fault 400."""
        del call
        try:
            return await self._service.volumes.reserve(disk["volume_id"], row["id"])
        except Refused as error:
            raise bad_request(error.message) from None

    async def update(self, call: Call) -> None:
        """Whether the volume goes with the server (2.85). Another volume in its place is not built."""
        given = call.part("volumeAttachment")
        async with self._database.write() as db:
            row = await allowed(db, call)
            disk = await self._disk(db, call, row)
            if given["volumeId"] != disk["volume_id"]:
                call.allow(f"{API}os-volumes-attachments:swap")
                raise Fault(501, "Swapping a volume is not built.")
            if call.microversion < (2, 85):
                raise bad_request("The old and new volume must be different.")
            goes = truth(given.get("delete_on_termination", False))
            await rows.update(db, servers.DISKS, disk["id"], {"delete_with_server": goes})

    async def detach(self, call: Call) -> None:
        """Take it out."""
        async with self._database.write() as db:
            row = await allowed(db, call)
            servers.check_unlocked(call, row)
            servers.check(row, "detach_volume")
            disk = await self._disk(db, call, row)
            if disk["boot_index"] == 0 and row["vm_state"] != states.OFFLOADED:
                raise Fault(403, f"Can't detach root device volume {disk['volume_id']}")
            doing = Doing("detach_volume", "disk.detach", row["task_state"])
            await servers.begin(db, self._service, call, row, doing, part_id=disk["id"])
        self._service.wake()


def nic_shown(call: Call, row: Row, port: PortInfo | None) -> dict[str, Any]:
    """An interface."""
    fixed = () if port is None else port.addresses
    body: dict[str, Any] = {
        "net_id": row["network_id"],
        "port_id": row["port_id"],
        "mac_addr": row["mac"] or (port.mac if port else ""),
        "port_state": port.status if port else "DOWN",
        "fixed_ips": [{"subnet_id": subnet, "ip_address": address} for subnet, address in fixed],
    }
    if call.microversion >= (2, 70):
        body["tag"] = row["tag"]
    return body


class Interfaces:
    """Interfaces of servers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/servers/{server_id}/os-interface"
        single, rule = f"{top}/{{port_id}}", f"{API}os-attach-interfaces"
        return both(
            [
                Route("GET", top, f"{rule}:list", self.list),
                Route("POST", top, f"{rule}:create", self.attach, 200, PLUG),
                Route("GET", single, f"{rule}:show", self.show),
                Route("DELETE", single, f"{rule}:delete", self.detach, 202),
            ]
        )

    async def list(self, call: Call) -> dict[str, Any]:
        """All."""
        async with self._database.read() as db:
            row = await allowed(db, call)
            nics = await servers.nics_of(db, row["id"])
        ports = {one.id: one for one in await self._service.networks.ports_of(row["id"])}
        shown = [nic_shown(call, nic, ports.get(nic["port_id"])) for nic in nics if nic["port_id"]]
        return {"interfaceAttachments": shown}

    async def _nic(self, db: Connection, call: Call, row: Row) -> Row:
        wanted = call.variables["port_id"]
        for nic in await servers.nics_of(db, row["id"]):
            if nic["port_id"] == wanted:
                return nic
        raise absent("Port", wanted)

    async def show(self, call: Call) -> dict[str, Any]:
        """One."""
        async with self._database.read() as db:
            row = await allowed(db, call)
            nic = await self._nic(db, call, row)
        try:
            port: PortInfo | None = await self._service.networks.port(nic["port_id"])
        except NotFound:
            raise absent("Port", nic["port_id"]) from None
        return {"interfaceAttachment": nic_shown(call, nic, port)}

    async def attach(self, call: Call) -> dict[str, Any]:
        """Make or take a port; the host plugs it in."""
        given = call.body.get("interfaceAttachment") or {}
        if given.get("net_id") and given.get("port_id"):
            raise bad_request("Must not input both network_id and port_id")
        if given.get("fixed_ips") and not given.get("net_id"):
            raise bad_request("Must input network_id when request IP address")
        if "tag" in given and call.microversion < (2, 49):
            raise bad_request("Additional properties are not allowed ('tag' was unexpected)")
        async with self._database.read() as db:
            row = await allowed(db, call)
            servers.check_unlocked(call, row)
            servers.check(row, "attach_interface")
            servers.check_placed(row)
            held = await servers.nics_of(db, row["id"])
        nic = await self._wanted(call, row, given)
        nic |= {"server_id": row["id"], "position": len(held), "tag": given.get("tag")}
        nic, port = await self._made(row, nic)
        async with self._database.write() as db:
            row = await servers.get(db, row["id"])
            await rows.insert(db, servers.NICS, nic)
            doing = Doing("attach_interface", "nic.attach", row["task_state"], 120)
            await servers.begin(db, self._service, call, row, doing, part_id=nic["id"])
        self._service.wake()
        return {"interfaceAttachment": nic_shown(call, nic, port)}

    async def _wanted(self, call: Call, row: Row, given: Row) -> Row:
        if given.get("port_id"):
            try:
                return await making.port_row(self._service, call, given["port_id"])
            except Fault as fault:
                raise Fault(
                    404 if "could not be found" in fault.message else fault.status, fault.message
                ) from None
        asked = [{"uuid": given["net_id"]}] if given.get("net_id") else None
        if asked and given.get("fixed_ips"):
            asked[0]["fixed_ip"] = given["fixed_ips"][0]["ip_address"]
        found = await making.nics_of(self._service, call, {"networks": asked}, ["default"])
        if not found.rows:
            raise bad_request("No suitable network is available to attach.")
        del row
        return found.rows[0]

    async def _made(self, row: Row, nic: Row) -> tuple[Row, PortInfo]:
        """The port itself, at once: the answer shows its addresses."""
        networks = self._service.networks
        ask = PortAsk(
            nic["network_id"],
            row["id"],
            f"compute:{row['availability_zone']}",
            row["project_id"],
            row["host"],
            tuple(nic["asked"].get("group_ids", ())),
            str(nic["asked"].get("address", "")),
        )
        try:
            if nic["port_id"]:
                port = await networks.bind_port(nic["port_id"], ask)
            else:
                port = await networks.create_port(ask)
            network = await networks.name(port.network_id)
        except (Conflict, Refused) as error:
            raise bad_request(error.message) from None
        made = {
            "port_id": port.id,
            "network_id": port.network_id,
            "network_name": network.name,
            "mac": port.mac,
            "mtu": network.mtu,
            "addresses": shown_addresses(port),
            "asked": {**nic["asked"], "bound": row["host"]},
        }
        return {**nic, **made}, port

    async def detach(self, call: Call) -> None:
        """Take it out."""
        async with self._database.write() as db:
            row = await allowed(db, call)
            servers.check_unlocked(call, row)
            servers.check(row, "detach_interface")
            nic = await self._nic(db, call, row)
            doing = Doing("detach_interface", "nic.detach", row["task_state"], 120)
            await servers.begin(db, self._service, call, row, doing, part_id=nic["id"])
        self._service.wake()
