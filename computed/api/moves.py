"""Actions that move a server: resize, migrate, evacuate, shelve."""

from __future__ import annotations

from typing import Any

from computed import (
    claims,
    flavors,
    hosts,
    journeys,
    making,
    placing,
    quotas,
    servers,
    states,
)
from computed.api.server_shape import DISK_CONFIG
from computed.api.shape import empty, flag
from computed.fault import not_built
from computed.servers import Doing
from computed.service import Service
from computed.sight import allowed
from core.api.action import Action
from core.api.call import Answer, Call
from core.api.fault import bad_request, conflict
from core.api.shape import Shape, anything, nullable, text
from core.database import Connection
from core.rows import Row

API = "os_compute_api:"
MOVE_S = 900
RESIZE = Shape({"flavorRef": anything, "OS-DCF:diskConfig": DISK_CONFIG}, ["flavorRef"], more=False)
MIGRATE = nullable(Shape({"host": nullable(text(1, 255))}, more=False))
EVACUATE = Shape(
    {"host": text(1, 255), "adminPass": text(0, 255), "onSharedStorage": flag, "force": flag},
    more=False,
)
UNSHELVE = nullable(
    Shape({"availability_zone": nullable(text(1, 255)), "host": text(1, 255)}, more=False)
)
LIVE = Shape(
    {
        "host": nullable(text(1, 255)),
        "block_migration": anything,
        "disk_over_commit": anything,
        "force": flag,
    },
    ["host"],
)


class Moves:
    """The actions."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def actions(self) -> list[Action]:
        """What is served."""
        return [
            Action("resize", f"{API}servers:resize", self.resize, 202, RESIZE),
            Action("confirmResize", f"{API}servers:confirm_resize", self.confirm, 204, empty),
            Action("revertResize", f"{API}servers:revert_resize", self.revert, 202, empty),
            Action("migrate", f"{API}os-migrate-server:migrate", self.migrate, 202, MIGRATE),
            Action("evacuate", f"{API}os-evacuate", self.evacuate, 200, EVACUATE),
            Action("shelve", f"{API}os-shelve:shelve", self.shelve, 202, empty),
            Action("shelveOffload", f"{API}os-shelve:shelve_offload", self.offload, 202, empty),
            Action("unshelve", f"{API}os-shelve:unshelve", self.unshelve, 202, UNSHELVE),
            Action("os-migrateLive", f"{API}os-migrate-server:migrate_live", self.live, 202, LIVE),
        ]

    async def _row(self, db: Connection, call: Call, action: str) -> Row:
        row = await allowed(db, call)
        servers.check_unlocked(call, row)
        servers.check(row, action)
        return row

    async def resize(self, call: Call) -> None:
        """Another flavor."""
        given = call.body["resize"]
        async with self._database.read() as db:
            row = await self._row(db, call, "resize")
            servers.check_placed(row)
            flavor_id = str(given["flavorRef"]).rpartition("/")[2]
            if flavor_id == row["flavor_id"]:
                raise bad_request("When resizing, instances must change flavor!")
            flavor = await making.flavor_of(db, call, given["flavorRef"])
        if row["image_id"] and flavor["disk_gb"] < row["flavor"]["disk_gb"]:
            if flavor["disk_gb"] == 0:
                raise bad_request("Resize to zero disk flavor is not allowed.")
            raise bad_request("Resizing down: a disk cannot shrink.")
        async with self._database.write() as db:
            row = await self._row(db, call, "resize")
            old, new = row["flavor"], flavors.frozen(flavor)
            more = {
                "cores": new["vcpus"] - old["vcpus"],
                "ram": new["ram_mb"] - old["ram_mb"],
            }
            more = {name: amount for name, amount in more.items() if amount > 0}
            await quotas.check(db, row["project_id"], row["user_id"], more)
            if given.get("OS-DCF:diskConfig"):
                columns = {"disk_config": given["OS-DCF:diskConfig"]}
                await servers.change(db, self._service, row["id"], **columns)
            await self._begin(db, call, row, flavor=new, kind="resize")
        self._service.wake()

    async def migrate(self, call: Call) -> None:
        """The same size on another host."""
        given = call.body["migrate"] or {}
        host = given.get("host") or ""
        if given and call.microversion < (2, 56):
            raise bad_request("Invalid input for field 'migrate': it is not of type 'null'")
        async with self._database.write() as db:
            row = await self._row(db, call, "migrate")
            servers.check_placed(row)
            if host and await hosts.named(db, host) is None:
                raise bad_request(f"Compute host {host[:80]} could not be found.")
            if host == row["host"]:
                raise bad_request("The server is on that host.")
            await self._begin(db, call, row, flavor=row["flavor"], kind="migration", host=host)
        self._service.wake()

    async def _begin(
        self, db: Connection, call: Call, row: Row, *, flavor: Row, kind: str, host: str = ""
    ) -> None:
        """Claim a place for what the server will be, and keep the one that it has. Raises Fault 400."""
        migration_id = self._service.new_id()
        owner = {"project_id": row["project_id"], "user_id": row["user_id"]}
        await claims.move(
            db, self._service, row["id"], migration_id, owner={**owner, "kind": "MIGRATION"}
        )
        excluded = frozenset({row["host"]}) if kind == "migration" else frozenset()
        ask = await placing.ask_of(db, {**row, "flavor": flavor}, host=host, excluded=excluded)
        verdict = await placing.place(db, self._service, row, ask)
        if verdict.host is None:
            raise bad_request(verdict.summary())
        target = verdict.host.name
        columns = {
            "kind": kind,
            "target": target,
            "old_flavor_id": row["flavor_id"],
            "new_flavor_id": flavor["id"],
        }
        await journeys.add(db, self._service, call, row, migration_id, columns)
        doing = Doing(
            "resize" if kind == "resize" else "migrate", "server.resize", "resize_prep", MOVE_S
        )
        await servers.begin(
            db,
            self._service,
            call,
            row,
            doing,
            {"progress": 0},
            flavor=flavor,
            host=target,
            migration_id=migration_id,
        )

    async def _open(self, db: Connection, row: Row) -> Row:
        """The move that waits to be confirmed or reverted. Raises Fault 400."""
        found = await journeys.finished_of(db, row["id"])
        if found is None:
            raise bad_request("Instance has not been resized.")
        return found

    async def confirm(self, call: Call) -> None:
        """It stays; the claim on the place before is given back."""
        async with self._database.write() as db:
            row = await self._row(db, call, "confirmResize")
            move = await self._open(db, row)
            action_id = await servers.note(
                db, self._service, call, row["id"], "confirmResize", event="compute_confirm_resize"
            )
            await claims.release(db, self._service, move["id"])
            await journeys.change(db, self._service, move["id"], "confirmed")
            end = states.ACTIVE if row["power"] == "running" else states.STOPPED
            columns = {"vm_state": end, "old_flavor": None, "old_host": None}
            await servers.change(db, self._service, row["id"], **columns)
            await servers.conclude(db, self._service, action_id, host=row["host"])
        self._service.wake()

    async def revert(self, call: Call) -> None:
        """Back to what it was."""
        async with self._database.write() as db:
            row = await self._row(db, call, "revertResize")
            move = await self._open(db, row)
            await journeys.change(db, self._service, move["id"], "reverting")
            doing = Doing("revertResize", "server.revert", "resize_reverting", MOVE_S)
            await servers.begin(
                db,
                self._service,
                call,
                row,
                doing,
                host=row["old_host"],
                migration_id=move["id"],
                power_on=row["power"] == "running",
            )
        self._service.wake()

    async def evacuate(self, call: Call) -> Answer:
        """Away from a host that is down. Raises Fault 400 while it is up."""
        given = call.body["evacuate"]
        version = call.microversion
        if "onSharedStorage" in given and version >= (2, 14):
            raise bad_request(
                "Additional properties are not allowed ('onSharedStorage' was unexpected)"
            )
        if "force" in given and not (2, 29) <= version < (2, 68):
            raise bad_request("Additional properties are not allowed ('force' was unexpected)")
        async with self._database.write() as db:
            row = await self._row(db, call, "evacuate")
            servers.check_placed(row)
            await self._evacuate(db, call, row, given.get("host") or "")
        self._service.wake()
        if version < (2, 14):
            return Answer({"adminPass": given.get("adminPass") or making.password(self._service)})
        return Answer(None, 200)

    async def _evacuate(self, db: Connection, call: Call, row: Row, host: str) -> None:
        old = await hosts.named(db, row["host"])
        if old is not None and hosts.alive(self._service, old):
            raise bad_request(f"Compute service of {row['host']} is still in use.")
        if host and await hosts.named(db, host) is None:
            raise bad_request(f"Compute host {host[:80]} not found.")
        if host == row["host"]:
            raise bad_request("The target host can't be the same one.")
        ask = await placing.ask_of(db, row, host=host, excluded=frozenset({row["host"]}))
        await claims.release(db, self._service, row["id"])
        verdict = await placing.place(db, self._service, row, ask)
        if verdict.host is None:
            raise bad_request(verdict.summary())
        migration_id = self._service.new_id()
        columns = {
            "kind": "evacuation",
            "target": verdict.host.name,
            "old_flavor_id": row["flavor_id"],
            "new_flavor_id": row["flavor_id"],
            "status": "accepted",
        }
        await journeys.add(db, self._service, call, row, migration_id, columns)
        doing = Doing("evacuate", "server.evacuate", "rebuilding", MOVE_S)
        moved = {
            "host": verdict.host.name,
            "availability_zone": verdict.host.zone,
            "seen_power": "absent",
            "seen": {"disks": [], "interfaces": []},
            "present": False,
        }
        power_on = row["vm_state"] != states.STOPPED and call.microversion < (2, 95)
        await servers.begin(
            db,
            self._service,
            call,
            row,
            doing,
            moved,
            host=verdict.host.name,
            migration_id=migration_id,
            power_on=power_on,
        )

    async def shelve(self, call: Call) -> None:
        """Away from its host, with an image of its disk."""
        async with self._database.read() as db:
            row = await self._row(db, call, "shelve")
            servers.check_placed(row)
        image_id = ""
        if row["image_id"]:
            image_id = await making.queued_image(
                self._service, call, row, f"{row['name']}-shelved", {}
            )
        async with self._database.write() as db:
            row = await self._row(db, call, "shelve")
            hints = {**row["hints"], "shelved_image": image_id}
            doing = Doing("shelve", "server.shelve", "shelving", MOVE_S)
            await servers.begin(
                db, self._service, call, row, doing, {"hints": hints}, image_id=image_id
            )
        self._service.wake()

    async def offload(self, call: Call) -> None:
        """Shelving leaves the host at once, so there is nothing to offload."""
        async with self._database.read() as db:
            await self._row(db, call, "shelveOffload")
        raise conflict("The server is not on a host any more.")

    async def unshelve(self, call: Call) -> None:
        """On a host again."""
        given: dict[str, Any] = call.body["unshelve"] or {}
        version = call.microversion
        if given and version < (2, 77):
            raise bad_request("Invalid input for field 'unshelve': it is not of type 'null'")
        if call.body["unshelve"] == {} and (2, 77) <= version < (2, 91):
            raise bad_request("'availability_zone' is a required property")
        if "host" in given:
            if version < (2, 91):
                raise bad_request("Additional properties are not allowed ('host' was unexpected)")
            call.allow(f"{API}os-shelve:unshelve_to_host")
        async with self._database.write() as db:
            row = await self._row(db, call, "unshelve")
            if "availability_zone" in given:
                zone = given["availability_zone"]
                if zone is not None and zone not in await hosts.zones(db):
                    raise bad_request(
                        f"The requested availability zone is not available: {zone[:80]}"
                    )
                row = {**row, "pinned_zone": zone}
            ask = await placing.ask_of(db, row, host=given.get("host", ""))
            verdict = await placing.place(db, self._service, row, ask)
            if verdict.host is None:
                raise conflict(verdict.summary())
            columns = {
                "host": verdict.host.name,
                "availability_zone": verdict.host.zone,
                "pinned_zone": row["pinned_zone"],
                "seen_power": "absent",
                "seen": {"disks": [], "interfaces": []},
            }
            doing = Doing("unshelve", "server.unshelve", "unshelving", MOVE_S)
            image_id = row["hints"].get("shelved_image", "")
            await servers.begin(db, self._service, call, row, doing, columns, image_id=image_id)
        self._service.wake()

    async def live(self, call: Call) -> None:
        """Not built."""
        async with self._database.read() as db:
            row = await self._row(db, call, "os-migrateLive")
            host = call.body["os-migrateLive"].get("host")
            if host and await hosts.named(db, host) is None:
                raise bad_request(f"Compute host {str(host)[:80]} could not be found.")
        servers.check_placed(row)
        raise not_built("Live migration")
