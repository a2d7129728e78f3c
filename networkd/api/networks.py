"""`/networks`: what subnets and ports lie on."""

from __future__ import annotations

from typing import ClassVar

import sqlalchemy as sa

from core import rows
from core.api.call import Call
from core.database import Connection
from core.rows import Row
from networkd import floating, groups, networks, ports, subnets
from networkd.api.resource import NAMED, STANDARD, TAGGED, Conditions, Resource, standard_view
from networkd.fault import bad, in_use, invalid
from networkd.listing import View
from networkd.networks import FLAT, LOCAL, VXLAN
from networkd.service import UNDERLAY_MTU, VXLAN_NUMBERS, VXLAN_OVERHEAD, ZONE
from networkd.tables import network, port, router
from networkd.values import (
    SHOWN_ONLY,
    Attribute,
    array,
    boolean,
    choice,
    dns_domain,
    integer,
    nothing_but,
    optional,
    plain,
)

TYPE, PHYSICAL, NUMBER = (
    "provider:network_type",
    "provider:physical_network",
    "provider:segmentation_id",
)
MTU_MAX = {VXLAN: UNDERLAY_MTU - VXLAN_OVERHEAD, FLAT: UNDERLAY_MTU, LOCAL: 65_535}
MTU_DEFAULT = {**MTU_MAX, LOCAL: UNDERLAY_MTU}
ZONES = array(choice(ZONE))


class Networks(Resource):
    """Operations on networks."""

    singular = "network"
    plural = "networks"
    path = "/v2.0/networks"
    what = "Network"
    table = network.network
    pushed = ("name",)
    quota = "network"
    attributes: ClassVar = {
        **STANDARD,
        **NAMED,
        **TAGGED,
        "admin_state_up": Attribute(boolean, True),
        "shared": Attribute(boolean, False),
        "router:external": Attribute(boolean, False),
        "is_default": Attribute(boolean, False),
        "port_security_enabled": Attribute(boolean, True),
        "mtu": Attribute(integer(0, 65_535)),
        "dns_domain": Attribute(dns_domain, ""),
        "availability_zone_hints": Attribute(ZONES, [], put=False),
        "availability_zones": SHOWN_ONLY,
        "status": SHOWN_ONLY,
        "subnets": SHOWN_ONLY,
        TYPE: Attribute(optional(choice(VXLAN, FLAT, LOCAL))),
        PHYSICAL: Attribute(optional(plain(64))),
        NUMBER: Attribute(optional(integer(1, VXLAN_NUMBERS[1]))),
        "vlan_transparent": Attribute(optional(nothing_but(False)), put=False),
    }

    def sight(self, call: Call) -> Conditions:
        """One's own, shared and external ones."""
        table = self.table
        return [*super().sight(call), table.c.shared, table.c.external]

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """With the ids of their subnets."""
        table = network.subnet
        statement = sa.select(table.c.network_id, table.c.id).order_by(
            table.c.created_us, table.c.id
        )
        if len(found) == 1:
            statement = statement.where(table.c.network_id == found[0]["id"])
        subnets: dict[str, list[str]] = {}
        for network_id, subnet_id in (await db.execute(statement)).all():
            subnets.setdefault(network_id, []).append(subnet_id)
        return [self._view(row, subnets.get(row["id"], [])) for row in found]

    def _view(self, row: Row, subnets: list[str]) -> View:
        view = {
            **standard_view(row),
            "name": row["name"],
            "admin_state_up": row["admin_state_up"],
            "status": "ACTIVE",
            "subnets": subnets,
            "shared": row["shared"],
            "router:external": row["external"],
            "mtu": row["mtu"],
            "port_security_enabled": row["port_security_enabled"],
            "dns_domain": row["dns_domain"],
            "availability_zone_hints": row["availability_zone_hints"],
            "availability_zones": [ZONE] if subnets else [],
            "tags": row["tags"],
            TYPE: row["kind"],
            PHYSICAL: row["physical"] or None,
            NUMBER: row["number"],
        }
        if row["external"]:
            view["is_default"] = row["is_default"]
        return view

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """A number for its tunnel is taken when it needs one."""
        del call
        columns = await self._segment(db, given)
        if given["is_default"]:
            await self._only_default(db, given, "")
        mtu = given.get("mtu") or MTU_DEFAULT[columns["kind"]]
        check_mtu(mtu, columns["kind"])
        row = {
            **self.new_row(given),
            **columns,
            "external": given["router:external"],
            "mtu": mtu,
        }
        await rows.insert(db, self.table, row)
        if given["project_id"]:
            await groups.ensure_default(db, self.service, given["project_id"])
        return str(row["id"])

    async def _segment(self, db: Connection, given: Row) -> Row:
        kind: str = given.get(TYPE) or VXLAN
        physical, number = given.get(PHYSICAL), given.get(NUMBER)
        if given.get(TYPE) is None and (physical or number):
            raise invalid("provider:network_type required")
        if kind == FLAT:
            if not physical:
                raise invalid("physical_network required for flat provider network")
            if number is not None:
                raise invalid("segmentation_id prohibited for flat provider network")
            await networks.check_physical(db, physical)
        elif physical:
            raise invalid(f"provider:physical_network specified for {kind} network")
        if kind == LOCAL and number is not None:
            raise invalid("segmentation_id prohibited for local provider network")
        if kind == VXLAN and number is None:
            number = await networks.free_number(db)
        elif kind == VXLAN and number is not None:
            await networks.check_number(db, number)
        return {"kind": kind, "physical": physical or "", "number": number}

    async def _only_default(self, db: Connection, given: Row, own: str) -> None:
        """One network at most is what routers go out by when nobody says which."""
        if not given.get("router:external", True):
            raise bad("The default network must be an external one.")
        others = self.table.c.id != own
        if await rows.count(db, self.table, self.table.c.is_default, others):
            raise in_use(
                "DefaultExternalNetworkExists",
                "A default external network already exists.",
            )

    async def update(self, db: Connection, call: Call, row: Row, given: Row) -> None:
        """What others rely on stays: a shared network that they use, an external one with gateways."""
        del call
        columns = {name: value for name, value in given.items() if name in self.table.c}
        for name, column in ((TYPE, "kind"), (PHYSICAL, "physical"), (NUMBER, "number")):
            if name in given and given[name] != (row[column] or None):
                raise invalid("Plugin does not support updating provider attributes.")
        if "mtu" in given:
            check_mtu(given["mtu"], row["kind"])
            await self._check_mtu_of_subnets(db, row, given["mtu"])
        if given.get("is_default"):
            after = {**given, "router:external": given.get("router:external", row["external"])}
            await self._only_default(db, after, row["id"])
        if row["shared"] and given.get("shared") is False:
            await self._check_unshared(db, row)
        if "router:external" in given:
            columns["external"] = given["router:external"]
            if row["external"] and not given["router:external"]:
                await self._check_inner(db, row)
        await rows.update(db, self.table, row["id"], columns)

    async def _check_mtu_of_subnets(self, db: Connection, row: Row, mtu: int) -> None:
        for version in {one["ip_version"] for one in await ports.subnets_of(db, row["id"])}:
            subnets.check_mtu(mtu, version)

    async def _check_unshared(self, db: Connection, row: Row) -> None:
        table = port.port
        foreign = (
            table.c.network_id == row["id"],
            table.c.project_id.not_in((row["project_id"], "")),
        )
        if await rows.count(db, table, *foreign):
            raise in_use(
                "InvalidSharedSetting",
                f"Unable to reconfigure sharing settings for network {row['name']}. Multiple projects are using it.",
            )

    async def _check_inner(self, db: Connection, row: Row) -> None:
        gateways = router.router.c.gateway_network_id == row["id"]
        used = router.floatingip.c.floating_network_id == row["id"]
        if await rows.count(db, router.router, gateways) or await rows.count(
            db, router.floatingip, used
        ):
            raise in_use(
                "ExternalNetworkInUse",
                f"External network {row['id']} cannot be updated to be made non-external, since it has existing"
                " gateway ports or floating IPs.",
            )

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """With its subnets, its own ports, and floating addresses that point nowhere."""
        del call
        await networks.check_unused(db, row["id"])
        for one in await rows.matching(db, floating.TABLE, floating_network_id=row["id"]):
            await floating.remove(db, one)
        await rows.delete(db, self.table, self.table.c.id == row["id"])


def check_mtu(mtu: int, kind: str) -> None:
    """Raise Fault 400 for an MTU that is too large for what carries it."""
    if mtu > MTU_MAX[kind]:
        raise invalid(f"Requested MTU {mtu} is larger than {MTU_MAX[kind]}.")
