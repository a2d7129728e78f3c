"""`/servers/{id}/action`: power, lock, rescue, rebuild, images, security groups, states set by hand."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from computed import consoles, creating, making, quotas, servers, states
from computed.api import server_shape
from computed.api.moves import Moves
from computed.api.paths import both
from computed.api.proxies import said
from computed.api.server_view import view
from computed.api.servers import begin_delete, plain
from computed.api.shape import any_address, empty, name, whole
from computed.api.shape import metadata as metadata_shape
from computed.fault import not_built
from computed.port import PAUSED, RUNNING, STOPPED, SUSPENDED
from computed.servers import Doing
from computed.service import Service
from computed.sight import about, allowed
from core import rows
from core.api.action import Action, Actions
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, conflict
from core.api.route import Route
from core.api.shape import Check, Shape, choice, nullable, plain_object, text
from core.database import Connection
from core.errors import Conflict, NotFound, Refused
from core.rows import Row

API = "os_compute_api:"
IMAGE_S = 3600
CREATE_IMAGE = Shape({"name": text(1, 255), "metadata": plain_object}, ["name"], more=False)
BACKUP = Shape(
    {
        "name": name,
        "backup_type": text(),
        "rotation": whole(0),
        "metadata": plain_object,
    },
    ["name", "backup_type", "rotation"],
    more=False,
)
REBOOT = Shape(
    {"type": choice("HARD", "Hard", "hard", "SOFT", "Soft", "soft")}, ["type"], more=False
)
RESCUE = Shape({"adminPass": text(0, 255), "rescue_image_ref": text(0, 512)}, more=False)
GROUP = Shape({"name": text(1, 255)}, ["name"], more=False)
STATE = Shape({"state": choice("active", "error")}, ["state"], more=False)
PASSWORD = Shape({"adminPass": text(0, 255)}, ["adminPass"], more=False)
LOCK = nullable(Shape({"locked_reason": text(1, 255)}, more=False))
CONSOLE_TYPES: dict[str, str] = {
    "os-getVNCConsole": "vnc",
    "os-getSerialConsole": "serial",
    "os-getSPICEConsole": "spice",
    "os-getRDPConsole": "rdp",
}
OUTPUT = nullable(Shape({"length": nullable(whole(-1))}, more=False))
# action: rule, verb of the state table, wanted power, order, task is the table's
POWER: dict[str, tuple[str, str, str, str]] = {
    "os-start": ("servers:start", "start", RUNNING, "start"),
    "os-stop": ("servers:stop", "stop", STOPPED, ""),
    "pause": ("os-pause-server:pause", "pause", PAUSED, ""),
    "unpause": ("os-pause-server:unpause", "unpause", RUNNING, ""),
    "suspend": ("os-suspend-server:suspend", "suspend", SUSPENDED, ""),
    "resume": ("os-suspend-server:resume", "resume", RUNNING, ""),
}
STOP_S = 180
FLOATING = Shape({"address": any_address, "fixed_address": any_address}, ["address"], more=False)
FLOATING_UNTIL = (2, 43)


class ServerActions:
    """Actions on servers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        here: list[tuple[str, str, Any, int, Check]] = [
            ("reboot", "servers:reboot", self.reboot, 202, REBOOT),
            ("lock", "os-lock-server:lock", self.lock, 202, LOCK),
            ("unlock", "os-lock-server:unlock", self.unlock, 202, empty),
            ("rescue", "os-rescue", self.rescue, 200, nullable(RESCUE)),
            ("unrescue", "os-unrescue", self.unrescue, 202, empty),
            ("rebuild", "servers:rebuild", self.rebuild, 202, plain_object),
            ("createImage", "servers:create_image", self.create_image, 202, CREATE_IMAGE),
            ("createBackup", "os-create-backup", self.backup, 202, BACKUP),
            ("forceDelete", "os-deferred-delete:force", self.force_delete, 202, empty),
            ("restore", "os-deferred-delete:restore", self.restore, 202, empty),
            ("os-resetState", "os-admin-actions:reset_state", self.reset_state, 202, STATE),
            ("addSecurityGroup", "os-security-groups:add", self.add_group, 202, GROUP),
            ("removeSecurityGroup", "os-security-groups:remove", self.remove_group, 202, GROUP),
            ("addFloatingIp", "os-floating-ips:add", self.add_floating, 202, FLOATING),
            ("removeFloatingIp", "os-floating-ips:remove", self.remove_floating, 202, FLOATING),
            ("changePassword", "os-admin-password", self.change_password, 202, PASSWORD),
            ("os-getConsoleOutput", "os-console-output", self.output, 200, OUTPUT),
            ("trigger_crash_dump", "servers:trigger_crash_dump", self.crash_dump, 202, empty),
            ("resetNetwork", "os-admin-actions:reset_state", self.reset_network, 202, empty),
            (
                "injectNetworkInfo",
                "os-admin-actions:inject_network_info",
                self.reset_network,
                202,
                empty,
            ),
        ]
        found = [Action(key, API + rule, call, ok, body) for key, rule, call, ok, body in here]
        found += [
            Action(key, API + rule, self.power, 202, empty) for key, (rule, *_) in POWER.items()
        ]
        found += [
            Action(key, f"{API}os-remote-consoles", self.console, 200, plain_object)
            for key in CONSOLE_TYPES
        ]
        found += Moves(self._service).actions()
        return both([Actions("POST", "/servers/{server_id}/action", found).route])

    async def _row(self, db: Connection, call: Call, *, locked: bool = False) -> Row:
        row = await allowed(db, call)
        if not locked:
            servers.check_unlocked(call, row)
        return row

    async def power(self, call: Call) -> None:
        """Start, stop, pause, suspend and back."""
        _, action, goal, order = POWER[next(iter(call.body))]
        async with self._database.write() as db:
            row = await self._row(db, call)
            await self.begin_power(db, call, row, action, goal=goal, order=order)
        self._service.wake()

    async def begin_power(
        self, db: Connection, call: Call, row: Row, action: str, *, goal: str, order: str
    ) -> None:
        """Wish a power state, in the transaction that says so."""
        servers.check(row, action)
        servers.check_placed(row)
        wish = servers.wish(row, goal, order)
        shown = action.removesuffix("_hard")
        doing = Doing(shown, "server.power", states.ACTIONS[action].task, STOP_S)
        number = wish["order_number"] if order else 0
        await servers.begin(db, self._service, call, row, doing, wish, power=goal, number=number)

    async def reboot(self, call: Call) -> None:
        """By the guest, or by its power."""
        hard = call.body["reboot"]["type"].upper() == "HARD"
        async with self._database.write() as db:
            row = await self._row(db, call)
            action, order = ("reboot_hard", "reset") if hard else ("reboot", "reboot")
            await self.begin_power(db, call, row, action, goal=RUNNING, order=order)
        self._service.wake()

    async def lock(self, call: Call) -> None:
        """Nobody but administrators may change it."""
        given = call.body["lock"]
        if given and call.microversion < (2, 73):
            raise bad_request("Invalid input for field 'lock': reasons begin with version 2.73")
        async with self._database.write() as db:
            row = await self._row(db, call, locked=True)
            owner = (
                row["user_id"] == call.identity.user_id
                or row["project_id"] == call.identity.project_id
            )
            await servers.note(db, self._service, call, row["id"], "lock")
            await servers.change(
                db,
                self._service,
                row["id"],
                locked=True,
                locked_by="owner" if owner and not call.may("context_is_admin") else "admin",
                locked_reason=(given or {}).get("locked_reason"),
            )

    async def unlock(self, call: Call) -> None:
        """Its owner may change it again; what an administrator locked, an administrator unlocks."""
        async with self._database.write() as db:
            row = await self._row(db, call, locked=True)
            if row["locked"] and row["locked_by"] == "admin":
                override = f"{API}os-lock-server:unlock:unlock_override"
                call.allow(override, of=about(row))
            await servers.note(db, self._service, call, row["id"], "unlock")
            columns = {"locked": False, "locked_by": None, "locked_reason": None}
            await servers.change(db, self._service, row["id"], **columns)

    async def rescue(self, call: Call) -> dict[str, Any]:
        """Boot from another image."""
        given = call.body["rescue"] or {}
        async with self._database.read() as db:
            row = await self._row(db, call)
            disks = await servers.disks_of(db, row["id"])
        servers.check(row, "rescue")
        servers.check_placed(row)
        reference = given.get("rescue_image_ref") or row["image_id"]
        if not row["image_id"] and call.microversion < (2, 87):
            raise bad_request("Cannot rescue a volume-backed instance")
        if not reference:
            raise bad_request("A volume-backed server is rescued with an image that is named.")
        image = await making.image_of(self._service, call, reference)
        disk = making.root_of(self._service, image, {"disk_gb": 0})
        taken = {one["device"] for one in disks}
        disk |= {
            "source": "rescue",
            "boot_index": -1,
            "device": making.free_device(taken),
            "server_id": row["id"],
            "position": len(disks),
        }
        async with self._database.write() as db:
            row = await self._row(db, call)
            servers.check(row, "rescue")
            await rows.insert(db, servers.DISKS, disk)
            doing = Doing("rescue", "server.rescue", "rescuing")
            await servers.begin(db, self._service, call, row, doing, disk_id=disk["id"])
        self._service.wake()
        return {"adminPass": given.get("adminPass") or making.password(self._service)}

    async def unrescue(self, call: Call) -> None:
        """Boot from its own disk again."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            servers.check(row, "unrescue")
            doing = Doing("unrescue", "server.unrescue", "unrescuing")
            await servers.begin(db, self._service, call, row, doing)
        self._service.wake()

    async def rebuild(self, call: Call) -> Answer:
        """A fresh disk from an image."""
        given = call.body["rebuild"]
        versions = server_shape.REBUILD_VERSIONS
        known, version = server_shape.REBUILT, call.microversion
        server_shape.fit(given, known, version, versions=versions, required=("imageRef",))
        async with self._database.read() as db:
            row = await self._row(db, call)
        servers.check(row, "rebuild")
        servers.check_placed(row)
        if not row["image_id"]:
            if version < (2, 93):
                raise bad_request(
                    "Unable to rebuild with a different image for a volume-backed server."
                )
            raise not_built("Rebuilding a server that was booted from a volume")
        image = await making.image_of(self._service, call, given["imageRef"])
        making.check_size(image, row["flavor"], local=True)
        fresh = making.root_of(self._service, image, row["flavor"])
        fresh |= {"server_id": row["id"], "boot_index": -1, "device": row["root_device"]}
        async with self._database.write() as db:
            row = await self._row(db, call)
            servers.check(row, "rebuild")
            await creating.check_items(db, row["project_id"], given)
            columns = await self._rebuilt(db, call, row, given)
            columns |= {"image_id": image.id, "image": making.frozen_image(image), "progress": 0}
            await rows.insert(db, servers.DISKS, fresh)
            doing = Doing("rebuild", "server.rebuild", "rebuilding")
            await servers.begin(db, self._service, call, row, doing, columns, disk_id=fresh["id"])
            row = await servers.get(db, row["id"])
            shown = await view(db, self._service, call, row)
        self._service.wake()
        shown["adminPass"] = given.get("adminPass") or making.password(self._service)
        if version < (2, 75):
            shown = {k: v for k, v in shown.items() if not k.startswith("OS-") or "DCF" in k}
            for key in (
                "security_groups",
                "config_drive",
                "host_status",
                "os-extended-volumes:volumes_attached",
            ):
                shown.pop(key, None)
            shown["addresses"] = {net: plain(held) for net, held in shown["addresses"].items()}
            if version < (2, 54):
                shown.pop("key_name", None)
        if version >= (2, 57):
            shown.pop("OS-EXT-SRV-ATTR:user_data", None)
            shown["user_data"] = row["user_data"]
        return Answer({"server": shown}, headers=(("Location", shown["links"][0]["href"]),))

    async def _rebuilt(self, db: Connection, call: Call, row: Row, given: Row) -> Row:
        """Columns that a rebuild changes beside the image."""
        columns: Row = {}
        for key, column in (
            ("name", "name"),
            ("metadata", "metadata"),
            ("accessIPv4", "access_ipv4"),
            ("accessIPv6", "access_ipv6"),
            ("description", "description"),
            ("OS-DCF:diskConfig", "disk_config"),
            ("user_data", "user_data"),
            ("hostname", "hostname"),
        ):
            if key in given:
                columns[column] = given[key]
        if "key_name" in given:
            pair = await creating.keypair_of(db, call, given["key_name"])
            columns["key_name"] = pair["name"] if pair else None
            columns["key_data"] = pair["public_key"] if pair else None
        if "personality" in given:
            columns["files"] = {
                one["path"]: one.get("contents", "") for one in given["personality"]
            }
        del row
        return columns

    async def create_image(self, call: Call) -> Answer:
        """An image of its disk."""
        given = call.body["createImage"]
        async with self._database.read() as db:
            row = await self._row(db, call, locked=True)
            metadata = given.get("metadata") or {}
            await quotas.check_items(db, row["project_id"], "metadata_items", len(metadata))
        if not given["name"].strip():
            raise bad_request("Invalid input for field 'name'")
        metadata_shape(metadata, "metadata")
        servers.check(row, "createImage")
        if not row["image_id"]:
            raise not_built(
                "An image of a server that was booted from a volume: snapshot the volume;"
            )
        image_id = await making.queued_image(self._service, call, row, given["name"], metadata)
        async with self._database.write() as db:
            row = await self._row(db, call, locked=True)
            servers.check(row, "createImage")
            doing = Doing("createImage", "server.image", "image_snapshot", IMAGE_S)
            await servers.begin(db, self._service, call, row, doing, image_id=image_id)
        self._service.wake()
        where = ("Location", call.url("images", image_id))
        if call.microversion >= (2, 45):
            return Answer({"image_id": image_id}, 202)
        return Answer(None, 202, (where,))

    async def backup(self, call: Call) -> Answer:
        """An image of its disk by a rota: of a kind, only the newest few are kept."""
        given = call.body["createBackup"]
        notes = {**(given.get("metadata") or {}), "backup_type": given["backup_type"]}
        metadata_shape(given.get("metadata") or {}, "metadata")
        async with self._database.read() as db:
            row = await self._row(db, call)
            await quotas.check_items(db, row["project_id"], "metadata_items", len(notes))
        servers.check(row, "createImage")
        if not row["image_id"]:
            raise bad_request("Backup is not supported for volume-backed instances.")
        image_id = await making.queued_image(
            self._service, call, row, given["name"], notes, kind="backup"
        )
        async with self._database.write() as db:
            row = await self._row(db, call)
            servers.check(row, "createImage")
            doing = Doing("createBackup", "server.image", "image_backup", IMAGE_S)
            kept = {"backup_type": given["backup_type"], "rotation": int(given["rotation"])}
            await servers.begin(db, self._service, call, row, doing, image_id=image_id, backup=kept)
        self._service.wake()
        if call.microversion >= (2, 45):
            return Answer({"image_id": image_id}, 202)
        return Answer(None, 202, (("Location", call.url("images", image_id)),))

    async def add_floating(self, call: Call) -> None:
        """Lead an outside address to one of its ports (until 2.43)."""
        given = call.body["addFloatingIp"]
        row, floating = await self._floating(call, given["address"])
        if floating is None:
            raise Fault(404, "floating IP not found")
        async with self._database.read() as db:
            nics = await servers.nics_of(db, row["id"])
        wanted = given.get("fixed_address")
        for nic in nics:
            inside = [one["addr"] for one in nic["addresses"] if one["type"] == "fixed"]
            inside = [one for one in inside if ":" not in one and wanted in {None, one}]
            if nic["port_id"] and inside:
                change = {"port_id": nic["port_id"], "fixed_ip_address": inside[0]}
                await self._lead(call, floating, change)
                return await self._refresh(call, row)
        raise bad_request("No fixed IP addresses available: unable to associate floating IP.")

    async def remove_floating(self, call: Call) -> None:
        """Lead it there no more."""
        row, floating = await self._floating(call, call.body["removeFloatingIp"]["address"])
        if floating is None:
            raise Fault(404, "floating IP not found")
        async with self._database.read() as db:
            ports = {nic["port_id"] for nic in await servers.nics_of(db, row["id"])}
        if floating.get("port_id") not in ports:
            raise conflict(f"Floating IP is not associated with instance {row['id']}")
        await self._lead(call, floating, {"port_id": None})
        await self._refresh(call, row)

    async def _floating(self, call: Call, address: str) -> tuple[Row, Row | None]:
        if call.microversion > FLOATING_UNTIL:
            raise Fault(404, "The action is not there in this version of the API.")
        async with self._database.read() as db:
            row = await self._row(db, call, locked=True)
        path = f"/v2.0/floatingips?floating_ip_address={quote(address)}"
        status, body = await self._service.networks.ask("GET", path, token=making.token_of(call))
        found = body["floatingips"] if status == 200 else []
        return row, found[0] if found else None

    async def _lead(self, call: Call, floating: Row, change: Row) -> None:
        path = f"/v2.0/floatingips/{floating['id']}"
        status, body = await self._service.networks.ask(
            "PUT", path, {"floatingip": change}, token=making.token_of(call)
        )
        if status >= 300:
            raise bad_request(f"Unable to associate floating IP: {said(body)}")

    async def _refresh(self, call: Call, row: Row) -> None:
        """Its addresses have changed."""
        async with self._database.write() as db:
            await servers.promise(db, self._service, call, "nic.refresh", row["id"], action_id="")
        self._service.wake()

    async def force_delete(self, call: Call) -> None:
        """As delete: nothing is kept for a while here."""
        async with self._database.write() as db:
            row = await self._row(db, call)
            await begin_delete(db, self._service, call, row)
        self._service.wake()
        self._service.reported.wake()

    async def restore(self, call: Call) -> None:
        """There is never a server that is deleted and still kept."""
        async with self._database.read() as db:
            servers.check(await self._row(db, call), "restore")

    async def reset_state(self, call: Call) -> None:
        """Set the state by hand; work that was under way ends without a word."""
        state = call.body["os-resetState"]["state"]
        async with self._database.write() as db:
            row = await self._row(db, call, locked=True)
            table = servers.BOOK.table
            others = (table.c.subject_id == row["id"], table.c.kind != "server.delete")
            await rows.delete(db, table, *others)
            columns: Row = {"vm_state": state, "task_state": None}
            if state == states.ACTIVE:
                columns |= {"fault": None}
            await servers.note(db, self._service, call, row["id"], "reset-state")
            await servers.change(db, self._service, row["id"], **columns)
        self._service.wake()

    async def reset_network(self, call: Call) -> None:
        """Nothing to do: guests' networks need no resetting."""
        async with self._database.read() as db:
            await self._row(db, call)
        if call.microversion >= (2, 93):
            raise Fault(410, "The action is gone.")

    async def _groups(self, call: Call, key: str) -> tuple[Row, str, list[Row]]:
        """The server, the id of the group that is named, and its ports."""
        async with self._database.read() as db:
            row = await self._row(db, call, locked=True)
            nics = await servers.nics_of(db, row["id"])
        wanted = call.body[key]["name"]
        try:
            ids = await self._service.networks.group_ids(
                [wanted], token=making.token_of(call), project_id=row["project_id"]
            )
        except NotFound as error:
            raise Fault(404, error.message) from None
        except Conflict as error:
            raise conflict(error.message) from None
        return row, ids[0], [nic for nic in nics if nic["port_id"]]

    async def add_group(self, call: Call) -> None:
        """Put a security group on its ports."""
        await self._change_groups(call, "addSecurityGroup", add=True)

    async def remove_group(self, call: Call) -> None:
        """Take one off."""
        await self._change_groups(call, "removeSecurityGroup", add=False)

    async def _change_groups(self, call: Call, key: str, *, add: bool) -> None:
        row, group_id, nics = await self._groups(call, key)
        networks = self._service.networks
        found: set[str] = set()
        held = False
        for nic in nics:
            port = await networks.port(nic["port_id"])
            held = held or group_id in port.group_ids
            left = [one for one in port.group_ids if one != group_id]
            if add and not port.addresses:
                raise bad_request("Network requires port_security_enabled and subnet associated.")
            await networks.set_groups(port.id, [*left, group_id] if add else left)
            found |= {*left, group_id} if add else set(left)
        if not add and not held:
            raise Fault(
                404, f"Security group {group_id} not associated with the instance {row['id']}"
            )
        try:
            names = await networks.group_names(sorted(found))
        except Refused:
            names = {}
        async with self._database.write() as db:
            columns = {"security_groups": sorted(set(names.values()))}
            await servers.change(db, self._service, row["id"], **columns)

    async def change_password(self, call: Call) -> None:
        """Nobody in the guest listens for it."""
        async with self._database.read() as db:
            row = await self._row(db, call)
        servers.check(row, "changePassword")
        raise Fault(501, "Unable to set password on instance: guests have no agent for it")

    async def crash_dump(self, call: Call) -> None:
        """Hosts do not offer it."""
        if call.microversion < (2, 17):
            raise bad_request("There is no such action: trigger_crash_dump")
        async with self._database.read() as db:
            servers.check(await self._row(db, call), "trigger_crash_dump")
        raise not_built("trigger_crash_dump")

    async def output(self, call: Call) -> dict[str, Any]:
        """The last lines of its serial console."""
        given = call.body["os-getConsoleOutput"] or {}
        length = given.get("length")
        async with self._database.read() as db:
            row = await self._row(db, call, locked=True)
            text_ = await consoles.output(db, self._service, row)
        lines = text_.split("\n")
        if length is not None and int(length) >= 0:
            lines = lines[-int(length) :] if int(length) else []
        return {"output": "\n".join(lines)}

    async def console(self, call: Call) -> dict[str, Any]:
        """A console by the old actions (until 2.5)."""
        key = next(iter(call.body))
        if call.microversion >= (2, 6):
            raise Fault(404, "The action is not there in this version of the API.")
        kind = str(call.body[key].get("type") or "")
        protocol = CONSOLE_TYPES[key]
        url = await consoles.open_console(self._service, call, protocol, kind)
        return {"console": {"type": kind, "url": url}}
