"""`/address-groups`: addresses that rules may name together."""

from __future__ import annotations

from typing import Any, ClassVar

from core import rows
from core.api.call import Call
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from networkd import groups
from networkd.api.resource import (
    NAMED,
    STANDARD,
    TAGGED,
    Resource,
    check_revision,
    standard_view,
    target_of,
    touch,
)
from networkd.fault import NetworkFault, bad, in_use, malformed
from networkd.listing import View
from networkd.tables import security_group
from networkd.values import SHOWN_ONLY, Attribute, Convert, address_or_cidr, array, cidr


def prefix(value: Any, name: str) -> str:
    """A network; one address is a prefix of full length."""
    found: str = cidr(value, name)
    return found


ADDRESSES = array(prefix)


class AddressGroups(Resource):
    """Operations on groups of addresses."""

    singular = "address_group"
    plural = "address_groups"
    path = "/v2.0/address-groups"
    what = "Address group"
    table = security_group.address_group
    pushed = ("name",)
    attributes: ClassVar = {
        **STANDARD,
        **NAMED,
        **TAGGED,
        "addresses": Attribute(ADDRESSES, [], put=False),
        "shared": SHOWN_ONLY,
    }

    def routes(self) -> list[Route]:
        """Also addresses one by one."""
        single = f"{self.path}/{{id}}"
        return [
            *super().routes(),
            Route("PUT", f"{single}/add_addresses", "add_addresses", self.add, 200, _any),
            Route("PUT", f"{single}/remove_addresses", "remove_addresses", self.take, 200, _any),
        ]

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """As they are."""
        del db
        return [
            {
                **standard_view(row),
                "name": row["name"],
                "addresses": row["addresses"],
                "shared": False,
                "tags": row["tags"],
            }
            for row in found
        ]

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """With its first addresses."""
        del call
        row = self.new_row(given)
        await rows.insert(db, self.table, row)
        return str(row["id"])

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """Unless rules name it."""
        if await rows.count(db, groups.RULES, groups.RULES.c.remote_address_group_id == row["id"]):
            raise in_use(
                "AddressGroupInUse",
                f"Address group {row['id']} is in use on one or more security group rules.",
            )
        await super().delete(db, call, row)

    def _given(self, call: Call, convert: Convert = ADDRESSES) -> list[str]:
        item = call.body.get(self.singular, call.body)
        if not isinstance(item, dict) or set(item) != {"addresses"}:
            raise malformed("The body must be an address group with its addresses.")
        found: list[str] = convert(item["addresses"], "addresses")
        if not found:
            raise bad("No addresses are given.")
        return found

    async def _change(
        self, db: Connection, call: Call, row: Row, addresses: list[str]
    ) -> dict[str, Any]:
        check_revision(call, row)
        await rows.update(db, self.table, row["id"], {"addresses": addresses})
        await touch(db, self.service, self.table, row["id"])
        return {"address_group": await self.answer(db, call, row["id"])}

    async def add(self, call: Call) -> dict[str, Any]:
        """Addresses that are not in it yet."""
        given = self._given(call)
        async with self.service.write() as db:
            row, view = await self.seen(db, call, call.variables["id"])
            self.permit(call, "add_addresses", target_of(view))
            known = sorted(set(given) & set(row["addresses"]))
            if known:
                raise bad(
                    f"Addresses {', '.join(known)} already exist in the address group {row['id']}.",
                    "AddressesAlreadyExist",
                )
            return await self._change(db, call, row, [*row["addresses"], *given])

    async def take(self, call: Call) -> dict[str, Any]:
        """Addresses that are in it; one that is no network cannot be."""
        given = self._given(call, array(address_or_cidr))
        async with self.service.write() as db:
            row, view = await self.seen(db, call, call.variables["id"])
            self.permit(call, "remove_addresses", target_of(view))
            unknown = sorted(set(given) - set(row["addresses"]))
            if unknown:
                raise NetworkFault(
                    404,
                    "AddressesNotFound",
                    f"Addresses {', '.join(unknown)} not found in the address group {row['id']}.",
                )
            rest = [one for one in row["addresses"] if one not in given]
            return await self._change(db, call, row, rest)


def _any(value: Any, where: str) -> None:
    del value, where
