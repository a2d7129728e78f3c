"""`/floatingips` and their forwarded ports."""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa

from core import rows
from core.api.call import Call
from core.database import Connection
from core.rows import Row
from networkd import floating, networks, notices, ports
from networkd.api.resource import (
    STANDARD,
    TAGGED,
    Conditions,
    Resource,
    standard_view,
    touch,
)
from networkd.api.subnets import visible_network
from networkd.fault import absent, bad, in_use
from networkd.floating import Inside
from networkd.listing import View
from networkd.tables import port, router
from networkd.values import (
    REQUIRED,
    SHOWN_ONLY,
    UNSET,
    Attribute,
    address,
    choice,
    dns_domain,
    dns_name,
    empty_or,
    integer,
    optional,
    text,
    uuid,
    wrong,
)

DETAILS = (
    "name",
    "network_id",
    "mac_address",
    "admin_state_up",
    "status",
    "device_id",
    "device_owner",
)


class FloatingIps(Resource):
    """Operations on floating addresses."""

    singular = "floatingip"
    plural = "floatingips"
    path = "/v2.0/floatingips"
    what = "Floating IP"
    table = router.floatingip
    pushed = ("floating_network_id", "floating_ip_address", "port_id", "router_id")
    quota = "floatingip"
    attributes: ClassVar = {
        **STANDARD,
        **TAGGED,
        "floating_network_id": Attribute(uuid, REQUIRED, put=False),
        "floating_ip_address": Attribute(optional(address), None, put=False),
        "subnet_id": Attribute(optional(uuid), None, put=False),
        "port_id": Attribute(optional(uuid)),
        "fixed_ip_address": Attribute(optional(address)),
        "dns_name": Attribute(empty_or(dns_name), "", put=False),
        "dns_domain": Attribute(empty_or(dns_domain), "", put=False),
        "router_id": SHOWN_ONLY,
        "status": SHOWN_ONLY,
        "port_details": SHOWN_ONLY,
        "port_forwardings": SHOWN_ONLY,
    }

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """With what they point at."""
        inner = [row["port_id"] for row in found if row["port_id"]]
        targets = {
            row["id"]: row
            for part in ports.pieces(inner)
            for row in await rows.rows(db, sa.select(port.port).where(port.port.c.id.in_(part)))
        }
        up = sa.select(router.router.c.id).where(router.router.c.up)
        living = {str(name) for name in (await db.execute(up)).scalars()}
        forwarded: dict[str, list[View]] = {}
        for part in ports.pieces(row["id"] for row in found):
            for one in await floating.forwardings_of(db, *part):
                forwarded.setdefault(one["floatingip_id"], []).append(summary(one))
        return [
            {
                **self._view(row, row["router_id"] in living),
                "port_details": {name: targets[row["port_id"]][name] for name in DETAILS}
                if row["port_id"] in targets
                else None,
                "port_forwardings": forwarded.get(row["id"], []),
            }
            for row in found
        ]

    def _view(self, row: Row, living: bool) -> View:  # noqa: FBT001
        plain_ones = (
            "floating_network_id",
            "floating_ip_address",
            "port_id",
            "fixed_ip_address",
            "router_id",
            "dns_name",
            "dns_domain",
            "tags",
        )
        return {
            **standard_view(row),
            **{name: row[name] for name in plain_ones},
            "status": "ACTIVE" if row["router_id"] and living else "DOWN",
        }

    async def surroundings(self, db: Connection, call: Call, given: Row) -> dict[str, Any]:
        """The external network, which the caller must be able to see."""
        await visible_network(db, call, given["floating_network_id"])
        return {}

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """An address of the external network, perhaps pointed at a port."""
        name = given["floating_network_id"]
        wanted = {
            key: given[attribute]
            for key, attribute in (
                ("ip_address", "floating_ip_address"),
                ("subnet_id", "subnet_id"),
            )
            if given[attribute] is not None
        }
        if ":" in wanted.get("ip_address", ""):
            raise bad("A floating IP is an IPv4 address.")
        held, found = await floating.outside_port(db, self.service, name, wanted)
        inside = await self._inside_of(db, call, {**given, "id": ""}, given)
        row = {
            **self.new_row(given),
            "floating_ip_address": found,
            "floating_port_id": held["id"],
            "port_id": inside.port_id,
            "fixed_ip_address": inside.address,
            "router_id": inside.router_id,
        }
        await rows.insert(db, self.table, row)
        await rows.update(db, ports.TABLE, held["id"], {"device_id": row["id"]})
        await notices.note(db, self.service, inside.port_id)
        return str(row["id"])

    async def _inside_of(self, db: Connection, call: Call, row: Row, given: Row) -> Inside:
        port_id, text_ = given.get("port_id"), given.get("fixed_ip_address")
        if port_id is None:
            if text_ is not None:
                raise bad("fixed_ip_address cannot be specified without a port_id")
            return Inside()
        inner = await ports.get(db, port_id)
        own = inner["project_id"] in {row["project_id"], call.identity.project_id}
        if not own and not call.may("context_is_admin"):
            home = await networks.get(db, inner["network_id"])
            if not call.may("get_port", of={**inner, "network:project_id": home["project_id"]}):
                raise absent("Port", port_id)
            raise bad(
                f"Cannot process floating IP association with port {port_id}, since that is owned by a different project"
            )
        network_id = row["floating_network_id"]
        return await floating.point(db, network_id, inner, text_, own=row["id"])

    async def update(self, db: Connection, call: Call, row: Row, given: Row) -> None:
        """`port_id` null lets go of the port."""
        columns = {name: value for name, value in given.items() if name == "description"}
        if not given:  # as in Neutron, an empty change lets go of the port
            given = {"port_id": None}
        if "port_id" in given or "fixed_ip_address" in given:
            wanted = {"port_id": row["port_id"], **given}
            if wanted["port_id"] and await floating.forwardings_of(db, row["id"]):
                raise in_use(
                    "FipAssociated",
                    f"Floating IP {row['id']} has forwarded ports, so it cannot be associated with a port.",
                )
            if "port_id" in given or given.get("fixed_ip_address") is not None:
                inside = await self._inside_of(db, call, row, wanted)
                columns |= {
                    "port_id": inside.port_id,
                    "fixed_ip_address": inside.address,
                    "router_id": inside.router_id,
                }
        await rows.update(db, self.table, row["id"], columns)
        if columns.get("port_id", row["port_id"]) != row["port_id"]:
            await notices.note(db, self.service, row["port_id"], columns["port_id"])

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """With its port, unless it forwards ports."""
        del call
        if await floating.forwardings_of(db, row["id"]):
            raise in_use(
                "FipInUseByPortForwarding",
                f"Floating IP {row['id']} in use by Port Forwarding resources.",
            )
        await notices.note(db, self.service, row["port_id"])
        await floating.remove(db, row)


# forwarded ports


def port_range(value: Any, name: str) -> str:
    """`80`, or `80:90`. Raises Fault 400."""
    low, _, high = str(value).partition(":")
    for one in (low, high or low):
        if not one.isascii() or not one.isdigit() or not 1 <= int(one[:9]) <= 65_535:
            raise wrong(name, value, "is not a port or a range of ports")
    if high and int(low) > int(high):
        raise wrong(name, value, "is not a range of ports")
    return f"{int(low)}:{int(high or low)}"


def brief(row: Row) -> View:
    """A forwarded port as its floating address shows it."""
    view: View = {
        "id": row["id"],
        "protocol": row["protocol"],
        "internal_port_id": row["internal_port_id"],
        "internal_ip_address": row["internal_ip_address"],
        "external_port_range": f"{row['external_first']}:{row['external_last']}",
        "internal_port_range": f"{row['internal_first']}:{row['internal_last']}",
        "description": row["description"],
    }
    if row["external_first"] == row["external_last"]:
        view["external_port"] = row["external_first"]
    if row["internal_first"] == row["internal_last"]:
        view["internal_port"] = row["internal_first"]
    return view


def summary(row: Row) -> View:
    """A forwarded port in the view of its floating address."""
    view = brief(row)
    names = ["protocol", "internal_ip_address", "internal_port", "external_port"]
    if "external_port" not in view or "internal_port" not in view:
        names += ["internal_port_range", "external_port_range"]
    return {name: view[name] for name in names if name in view}


class Forwardings(Resource):
    """Operations on the forwarded ports of a floating address."""

    singular = "port_forwarding"
    plural = "port_forwardings"
    path = "/v2.0/floatingips/{floatingip_id}/port_forwardings"
    what = "Port forwarding"
    rule = "floatingip_port_forwarding"
    table = router.forwarding
    attributes: ClassVar = {
        "id": SHOWN_ONLY,
        "description": Attribute(text(255), ""),
        "protocol": Attribute(choice("tcp", "udp"), REQUIRED),
        "internal_port_id": Attribute(uuid, REQUIRED),
        "internal_ip_address": Attribute(optional(address), UNSET),
        "internal_port": Attribute(optional(integer(1, 65_535)), UNSET),
        "external_port": Attribute(optional(integer(1, 65_535)), UNSET),
        "internal_port_range": Attribute(optional(port_range), UNSET),
        "external_port_range": Attribute(optional(port_range), UNSET),
    }

    def within(self, call: Call) -> Conditions:
        """Those of the floating address in the path."""
        return [self.table.c.floatingip_id == call.variables["floatingip_id"]]

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """As the floating address shows them."""
        owners: dict[str, Row] = {}
        for row in found:
            name = row["floatingip_id"]
            if name not in owners:
                owners[name] = await rows.by_id(db, router.floatingip, name) or {}
        return [
            {
                **brief(row),
                "_target": {
                    "ext_parent:project_id": owners[row["floatingip_id"]]["project_id"],
                    "project_id": owners[row["floatingip_id"]]["project_id"],
                },
            }
            for row in found
        ]

    async def _parent(self, db: Connection, call: Call) -> Row:
        name = call.variables["floatingip_id"]
        row = await rows.by_id(db, router.floatingip, name)
        if row is None or not call.may("get_floatingip", of=row):
            raise absent("Floating IP", name)
        return row

    async def surroundings(self, db: Connection, call: Call, given: Row) -> dict[str, Any]:
        """The floating address, which the caller must be able to see."""
        parent = await self._parent(db, call)
        given["project_id"] = parent["project_id"]
        return {"ext_parent:project_id": parent["project_id"]}

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """On an address that points nowhere else."""
        parent = await self._parent(db, call)
        if parent["port_id"] is not None:
            raise in_use(
                "FipAssociated",
                f"Floating IP {parent['id']} is associated with port {parent['port_id']}, so it cannot forward ports.",
            )
        row = {**self.new_row(given), "floatingip_id": parent["id"], **spans(given)}
        await self._settle(db, call, parent, row)
        await rows.insert(db, self.table, row)
        return str(row["id"])

    async def _settle(self, db: Connection, call: Call, parent: Row, row: Row) -> None:
        """The inner address and the router; no two on one outer port. Raises Fault 400, 404."""
        inner = await ports.get(db, row["internal_port_id"])
        own = inner["project_id"] in {parent["project_id"], call.identity.project_id}
        if not own and not call.may("context_is_admin"):
            raise absent("Port", inner["id"])
        held = (await ports.addresses_of(db, [inner["id"]])).get(inner["id"], [])
        wanted = row.get("internal_ip_address")
        four = [one for one in held if ":" not in one.address and wanted in {None, one.address}]
        if not four:
            raise bad(f"Port {inner['id']} does not have the IPv4 address {wanted or 'needed'}.")
        row["internal_ip_address"] = four[0].address
        outside = parent["floating_network_id"]
        router_id = await floating.router_between(db, outside, inner["id"], four[0])
        await self._check_unpointed(db, inner["id"], four[0].address)
        for other in await floating.forwardings_of(db, parent["id"]):
            if other["id"] == row["id"] or other["protocol"] != row["protocol"]:
                continue
            if (
                other["external_first"] <= row["external_last"]
                and row["external_first"] <= other["external_last"]
            ):
                raise bad(f"Port forwarding {other['id']} has some of these outer ports already.")
            if other["internal_ip_address"] == four[0].address and (
                other["internal_first"] <= row["internal_last"]
                and row["internal_first"] <= other["internal_last"]
            ):
                raise bad(
                    f"Port forwarding {other['id']} leads to some of these inner ports already."
                )
            if parent["router_id"] not in {None, router_id}:
                raise bad("All forwarded ports of a floating IP lie behind one router.")
        await rows.update(db, router.floatingip, parent["id"], {"router_id": router_id})
        await touch(db, self.service, router.floatingip, parent["id"])

    async def _check_unpointed(self, db: Connection, port_id: str, address_: str) -> None:
        """Raise Fault 409 when a floating address points at the inner one."""
        table = router.floatingip
        if await rows.count(
            db, table, table.c.port_id == port_id, table.c.fixed_ip_address == address_
        ):
            raise in_use(
                "PortHasBindingFloatingIP",
                f"Cannot create port forwarding to port {port_id}: a floating IP points at {address_}.",
            )

    async def update(self, db: Connection, call: Call, row: Row, given: Row) -> None:
        """With the same checks as a new one."""
        parent = await self._parent(db, call)
        after = {**row, **{name: given[name] for name in given if name in self.table.c}}
        if "internal_port_id" in given and "internal_ip_address" not in given:
            after["internal_ip_address"] = None
        if any("_port" in name and name != "internal_port_id" for name in given):
            held = brief(row)
            sides = {
                f"{side}_port_range": held[f"{side}_port_range"]
                for side in ("internal", "external")
            }
            for side in ("internal", "external"):
                if given.get(f"{side}_port") is not None:
                    sides.pop(f"{side}_port_range")
            after |= spans({**sides, **given})
        await self._settle(db, call, parent, after)
        await rows.update(db, self.table, row["id"], after)

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """The last one lets go of the router."""
        await super().delete(db, call, row)
        name = row["floatingip_id"]
        if not await floating.forwardings_of(db, name):
            await rows.update(db, router.floatingip, name, {"router_id": None})
        await touch(db, self.service, router.floatingip, name)


def spans(given: Row) -> dict[str, int]:
    """First and last ports on both sides. Raises Fault 400."""
    found: dict[str, int] = {}
    for side in ("internal", "external"):
        single, whole = given.get(f"{side}_port"), given.get(f"{side}_port_range")
        if single is not None and whole is not None and whole != f"{single}:{single}":
            raise bad(f"Only one of {side}_port and {side}_port_range may be given.")
        if single is None and whole is None:
            raise bad(f"{side}_port or {side}_port_range must be given.")
        low, _, high = (whole or f"{single}:{single}").partition(":")
        found |= {f"{side}_first": int(low), f"{side}_last": int(high)}
    inner = found["internal_last"] - found["internal_first"]
    outer = found["external_last"] - found["external_first"]
    if inner not in {0, outer}:
        raise bad("The inner range must be one port, or as long as the outer one.")
    return found
