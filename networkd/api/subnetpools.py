"""`/subnetpools`: where the addresses of subnets come from."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar

import sqlalchemy as sa

from core import rows
from core.api.call import Call
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from networkd import subnets
from networkd.addresses import compacted, inside
from networkd.api.resource import (
    NAMED,
    STANDARD,
    TAGGED,
    Conditions,
    Resource,
    check_revision,
    standard_view,
    target_of,
    touch,
)
from networkd.fault import bad, in_use, malformed
from networkd.listing import View
from networkd.tables import network
from networkd.values import (
    REQUIRED,
    SHOWN_ONLY,
    Attribute,
    array,
    boolean,
    cidr,
    integer,
    nothing_but,
    optional,
)

PREFIXES = array(cidr, unique=False)
LENGTH = integer(0, 128)
LENGTHS = ("min_prefixlen", "max_prefixlen", "default_prefixlen")
SMALLEST = {4: 8, 6: 64}


class SubnetPools(Resource):
    """Operations on pools."""

    singular = "subnetpool"
    plural = "subnetpools"
    path = "/v2.0/subnetpools"
    what = "Subnet pool"
    table = network.subnetpool
    pushed = ("name",)
    quota = "subnetpool"
    attributes: ClassVar = {
        **STANDARD,
        **NAMED,
        **TAGGED,
        "prefixes": Attribute(PREFIXES, REQUIRED),
        "min_prefixlen": Attribute(optional(LENGTH)),
        "max_prefixlen": Attribute(optional(LENGTH)),
        "default_prefixlen": Attribute(optional(LENGTH)),
        "default_quota": Attribute(optional(integer()), None),
        "shared": Attribute(boolean, False, put=False),
        "is_default": Attribute(boolean, False),
        "address_scope_id": Attribute(optional(nothing_but(None)), None),
        "ip_version": SHOWN_ONLY,
    }

    def routes(self) -> list[Route]:
        """Also prefixes one by one."""
        single = f"{self.path}/{{id}}"
        return [
            *super().routes(),
            Route("PUT", f"{single}/add_prefixes", "add_prefixes", self.add, 200, _any),
            Route("PUT", f"{single}/remove_prefixes", "remove_prefixes", self.take, 200, _any),
        ]

    def sight(self, call: Call) -> Conditions:
        """One's own and shared ones."""
        return [*super().sight(call), self.table.c.shared]

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """As they are."""
        del db
        plain_ones = (
            "name",
            "prefixes",
            "default_quota",
            "shared",
            "is_default",
            "ip_version",
            "tags",
        )
        return [
            {
                **standard_view(row),
                **{name: row[name] for name in plain_ones},
                **{name: str(row[name]) for name in LENGTHS},  # texts, as the reference has them
                "address_scope_id": None,
            }
            for row in found
        ]

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """With bounds that go with the prefixes."""
        del call
        if not given["prefixes"]:
            raise bad("Empty subnet pool prefix list.", "EmptySubnetPoolPrefixList")
        net = ipaddress.ip_network(given["prefixes"][0])
        least = given.get("min_prefixlen")
        most = given.get("max_prefixlen")
        least = SMALLEST[net.version] if least is None else least
        usual = given.get("default_prefixlen")
        row = {
            **self.new_row(given),
            "ip_version": net.version,
            "min_prefixlen": least,
            "max_prefixlen": net.max_prefixlen if most is None else most,
            "default_prefixlen": least if usual is None else usual,
        }
        row["prefixes"] = subnets.check_prefixes(row)
        if row["is_default"]:
            await self._only_default(db, row)
        await rows.insert(db, self.table, row)
        return str(row["id"])

    async def _only_default(self, db: Connection, row: Row) -> None:
        table = self.table
        others = (
            table.c.is_default,
            table.c.ip_version == row["ip_version"],
            table.c.id != row["id"],
        )
        if await rows.count(db, table, *others):
            raise bad(
                f"A default subnetpool for this IP family has already been set: IPv{row['ip_version']}"
            )

    async def update(self, db: Connection, call: Call, row: Row, given: Row) -> None:
        """Prefixes may be added, not taken away; bounds must go with them."""
        del call
        columns = {
            name: value
            for name, value in given.items()
            if name in self.table.c and (value is not None or name == "default_quota")
        }
        after = {**row, **columns}
        columns["prefixes"] = subnets.check_prefixes(after)
        for prefix in row["prefixes"]:
            if not inside(prefix, columns["prefixes"]):
                raise bad(
                    f"Illegal update to prefixes: {prefix} would be left out.",
                    "IllegalSubnetPoolPrefixUpdate",
                )
        if given.get("is_default"):
            await self._only_default(db, after)
        await rows.update(db, self.table, row["id"], columns)

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """Unless subnets were cut from it."""
        if await subnets.nets_of(db, row["id"]):
            raise in_use(
                "SubnetPoolInUse",
                f"Unable to complete operation on subnet pool {row['id']}. Subnet pool has existing allocations.",
            )
        await super().delete(db, call, row)

    def _given(self, call: Call) -> list[str]:
        body = call.body.get("subnetpool", call.body)
        if not isinstance(body, dict) or set(body) != {"prefixes"}:
            raise malformed("The body must hold prefixes.")
        found: list[str] = PREFIXES(body["prefixes"], "prefixes")
        return found

    async def _change(self, db: Connection, row: Row, prefixes: list[str]) -> dict[str, Any]:
        after = {**row, "prefixes": prefixes}
        prefixes = subnets.check_prefixes(after)
        await rows.update(db, self.table, row["id"], {"prefixes": prefixes})
        await touch(db, self.service, self.table, row["id"])
        return {"prefixes": prefixes}

    async def add(self, call: Call) -> dict[str, Any]:
        """More prefixes."""
        given = self._given(call)
        async with self.service.write() as db:
            row, view = await self.seen(db, call, call.variables["id"])
            self.permit(call, "add_prefixes", target_of(view))
            check_revision(call, row)
            return await self._change(db, row, [*row["prefixes"], *given])

    async def take(self, call: Call) -> dict[str, Any]:
        """Fewer, as long as no subnet was cut from them."""
        given = self._given(call)
        async with self.service.write() as db:
            row, view = await self.seen(db, call, call.variables["id"])
            self.permit(call, "remove_prefixes", target_of(view))
            check_revision(call, row)
            rest = without(row["prefixes"], given)
            for subnet in await rows.rows(
                db, sa.select(network.subnet).where(network.subnet.c.subnetpool_id == row["id"])
            ):
                if not inside(subnet["cidr"], rest):
                    raise bad(
                        f"Illegal update to prefixes: subnet {subnet['id']} was cut from them.",
                        "IllegalSubnetPoolPrefixUpdate",
                    )
            return await self._change(db, row, rest)


def without(prefixes: list[str], gone: list[str]) -> list[str]:
    """Prefixes with some addresses taken out."""
    rest: list[Any] = [ipaddress.ip_network(prefix) for prefix in prefixes]
    for text in gone:
        net: Any = ipaddress.ip_network(text)
        kept: list[Any] = []
        for one in rest:
            if one.version != net.version or not one.overlaps(net):
                kept.append(one)
            elif one.prefixlen < net.prefixlen:
                kept += list(one.address_exclude(net))
        rest = kept
    return compacted(str(one) for one in rest)


def _any(value: Any, where: str) -> None:
    del value, where
