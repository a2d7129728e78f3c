"""`/ports`: interfaces on networks, with addresses, groups and a host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import sqlalchemy as sa

from core import rows
from core.api.call import Call
from core.database import Connection
from core.rows import Row
from networkd import groups, notices, ports, routers, serving
from networkd.addresses import Asking, Choice
from networkd.api.resource import (
    NAMED,
    STANDARD,
    TAGGED,
    Conditions,
    Resource,
    standard_view,
)
from networkd.api.subnets import visible_network
from networkd.fault import absent, bad, in_use
from networkd.listing import View
from networkd.ports import DOWN, OF_ROUTERS
from networkd.service import DNS_DOMAIN
from networkd.tables import network, port
from networkd.values import (
    REQUIRED,
    SHOWN_ONLY,
    Attribute,
    address,
    address_or_cidr,
    array,
    boolean,
    choice,
    dns_name,
    empty_or,
    mac,
    optional,
    plain,
    plain_object,
    record,
    text,
    uuid,
    wrong,
)

FIXED = record({"subnet_id": uuid, "ip_address": address})
PAIR = record({"ip_address": address_or_cidr, "mac_address": mac}, "ip_address")
PAIRS_MAX = 10
HOST = re.compile(r"[A-Za-z0-9._-]{0,200}")
OPTION = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
HOST_ID, PROFILE, VNIC = "binding:host_id", "binding:profile", "binding:vnic_type"
RESERVED_OWNERS = (*OF_ROUTERS, ports.DHCP)
DETAILS = {"connectivity": "l2", "port_filter": True}


def host_name(value: Any, name: str) -> str:
    """A host's name: it becomes part of names of our own."""
    found = "" if value is None else value
    if not isinstance(found, str) or not HOST.fullmatch(found):
        raise wrong(name, value, "is not the name of a host")
    return found


def option_name(value: Any, name: str) -> str:
    """The name or number of a DHCP option: it becomes part of a server's configuration."""
    if not isinstance(value, str) or not OPTION.fullmatch(value):
        raise wrong(name, value, "is not the name of a DHCP option")
    return value


DHCP_OPTION = record(
    {
        "opt_name": option_name,
        "opt_value": optional(plain(255)),
        "ip_version": choice(4, 6, "4", "6"),
    },
    "opt_name",
)


class Ports(Resource):
    """Operations on ports."""

    singular = "port"
    plural = "ports"
    path = "/v2.0/ports"
    what = "Port"
    table = port.port
    pushed = ("name", "network_id", "device_id", "device_owner", "mac_address")
    quota = "port"
    attributes: ClassVar = {
        **STANDARD,
        **NAMED,
        **TAGGED,
        "network_id": Attribute(uuid, REQUIRED, put=False),
        "admin_state_up": Attribute(boolean, True),
        "mac_address": Attribute(optional(mac)),
        "fixed_ips": Attribute(array(FIXED, most=100, unique=False)),
        "device_id": Attribute(empty_or(text(255)), ""),
        "device_owner": Attribute(empty_or(plain(255)), ""),
        "security_groups": Attribute(array(uuid)),
        "allowed_address_pairs": Attribute(array(PAIR, unique=False), []),
        "extra_dhcp_opts": Attribute(array(DHCP_OPTION, most=100, unique=False), []),
        "port_security_enabled": Attribute(boolean),
        HOST_ID: Attribute(host_name),
        PROFILE: Attribute(plain_object, {}),
        VNIC: Attribute(choice("normal"), "normal"),
        "binding:vif_type": SHOWN_ONLY,
        "binding:vif_details": SHOWN_ONLY,
        "dns_name": Attribute(empty_or(dns_name), ""),
        "dns_assignment": SHOWN_ONLY,
        "status": SHOWN_ONLY,
    }

    def sight(self, call: Call) -> Conditions:
        """One's own, and all on networks of one's own."""
        table = network.network
        homes = sa.select(table.c.id).where(table.c.project_id == call.identity.project_id)
        return [*super().sight(call), self.table.c.network_id.in_(homes)]

    async def shown(self, db: Connection, found: list[Row]) -> list[View]:
        """With their addresses, groups and networks' owners."""
        names = [row["id"] for row in found]
        held = await ports.addresses_of(db, names)
        members = await ports.groups_of(db, names)
        table = network.network
        statement = sa.select(table.c.id, table.c.project_id)
        if len(found) == 1:
            statement = statement.where(table.c.id == found[0]["network_id"])
        owners = {str(name): str(owner) for name, owner in (await db.execute(statement)).all()}
        return [
            {
                **port_view(row, held.get(row["id"], []), members.get(row["id"], [])),
                "_target": {"network:project_id": owners[row["network_id"]]},
            }
            for row in found
        ]

    async def surroundings(self, db: Connection, call: Call, given: Row) -> dict[str, Any]:
        """The network, which the caller must be able to see."""
        home = await visible_network(db, call, given["network_id"])
        return {"network:project_id": home["project_id"], "shared": home["shared"], "_home": home}

    async def create(self, db: Connection, call: Call, given: Row) -> str:
        """With a MAC, addresses and groups; bound when a host is named."""
        home = await visible_network(db, call, given["network_id"])
        check_owner(given["device_owner"])
        trusted = given["device_owner"].startswith("network:")
        guarded = given.get("port_security_enabled", home["port_security_enabled"] and not trusted)
        row = {
            **self.new_row(given),
            "mac_address": await ports.mac_for(
                db, self.service, home["id"], given.get("mac_address") or ""
            ),
            "port_security_enabled": guarded,
            "host": given.get(HOST_ID, ""),
            "profile": given[PROFILE],
            "vnic_type": given[VNIC],
            "status": DOWN,
            "extra_dhcp_opts": merged_options([], given["extra_dhcp_opts"]),
        }
        row["allowed_address_pairs"] = check_pairs(row, given["allowed_address_pairs"])
        members = await self._groups(db, call, row, given.get("security_groups"))
        asking = Asking(home["id"], row["mac_address"], row["device_owner"])
        choices = await ports.choose(db, asking, given.get("fixed_ips"))
        await rows.insert(db, self.table, row)
        await ports.put_addresses(db, row["id"], choices)
        await ports.put_groups(db, row["id"], members)
        if row["host"]:
            await serving.refresh_dhcp(db, self.service, home["id"])
        return str(row["id"])

    async def _groups(
        self, db: Connection, call: Call, row: Row, wanted: Sequence[str] | None
    ) -> list[str]:
        """The groups of a port: those wanted, or the default one where ports are guarded. Raises Fault 404, 409."""
        if wanted is None:
            if not row["port_security_enabled"] or not row["project_id"]:
                return []
            return [await groups.ensure_default(db, self.service, row["project_id"])]
        if wanted and not row["port_security_enabled"]:
            raise in_use(
                "PortSecurityPortHasSecurityGroup",
                "Port has security group associated. Cannot disable port security or IP address until"
                " security group is removed.",
            )
        kinds = set()
        for name in wanted:
            group = await groups.get(db, name)
            kinds.add(group["stateful"])
            own = group["project_id"] in {row["project_id"], call.identity.project_id}
            if not own and not call.may("context_is_admin"):
                raise absent("Security group", name)
        if len(kinds) > 1:
            raise in_use(
                "SecurityGroupConflict",
                "Stateful and stateless security groups cannot be on one port together.",
            )
        return list(wanted)

    async def update(self, db: Connection, call: Call, row: Row, given: Row) -> None:
        """Addresses that stay keep their place; a port that is bound elsewhere is down until it is wired there."""
        columns = {name: value for name, value in given.items() if name in self.table.c}
        self._check_change(row, given)
        if HOST_ID in given and given[HOST_ID] != row["host"]:
            columns |= {"host": given[HOST_ID], "status": DOWN}
        for name, column in ((PROFILE, "profile"), (VNIC, "vnic_type")):
            if name in given:
                columns[column] = given[name]
        if "mac_address" in given and given["mac_address"] != row["mac_address"]:
            columns["mac_address"] = await self._new_mac(db, row, given["mac_address"])
        if "extra_dhcp_opts" in given:
            columns["extra_dhcp_opts"] = merged_options(
                row["extra_dhcp_opts"], given["extra_dhcp_opts"]
            )
        after = {**row, **columns}
        pairs: Any = given.get("allowed_address_pairs", row["allowed_address_pairs"])
        columns["allowed_address_pairs"] = check_pairs(after, pairs)
        await self._update_groups(db, call, after, given)
        await rows.update(db, self.table, row["id"], columns)
        if "fixed_ips" in given:
            await self._update_addresses(db, after, given["fixed_ips"])
            await notices.note(db, self.service, row["id"])
        if row["host"] or after["host"]:
            await serving.refresh_dhcp(db, self.service, row["network_id"])

    def _check_change(self, row: Row, given: Row) -> None:
        """Ports of ours keep their device. Raises Fault 409."""
        for name in ("device_id", "device_owner"):
            changed = name in given and given[name] != row[name]
            if changed and row["device_owner"] in RESERVED_OWNERS:
                raise in_use(
                    "PortInUse",
                    f"Unable to complete operation on port {row['id']} for network {row['network_id']}."
                    f" Port already has an attached device {row['device_id']}.",
                )
        if given.get("device_owner", row["device_owner"]) != row["device_owner"]:
            check_owner(given["device_owner"])

    async def _new_mac(self, db: Connection, row: Row, wanted: str | None) -> str:
        if row["host"]:
            raise in_use(
                "PortBound",
                f"Unable to complete operation on port {row['id']}, port is already bound, port type: tap,"
                f" old_mac {row['mac_address']}, new_mac {wanted}.",
            )
        return await ports.mac_for(db, self.service, row["network_id"], wanted or "")

    async def _update_groups(self, db: Connection, call: Call, after: Row, given: Row) -> None:
        if "security_groups" in given:
            members = await self._groups(db, call, after, given["security_groups"])
            await ports.put_groups(db, after["id"], members)
        elif not after["port_security_enabled"]:
            held = (await ports.groups_of(db, [after["id"]])).get(after["id"])
            await self._groups(db, call, after, held or [])

    async def _update_addresses(
        self, db: Connection, row: Row, wanted: Sequence[dict[str, str]]
    ) -> None:
        own = (await ports.addresses_of(db, [row["id"]])).get(row["id"], [])
        asking = Asking(row["network_id"], row["mac_address"], row["device_owner"], tuple(own))
        choices = await ports.choose(db, asking, wanted)
        if row["device_owner"] in {ports.INTERFACE, ports.GATEWAY}:
            found = await routers.subnet_rows(db, {one.subnet_id for one in choices})
            await routers.check_overlap(db, row["device_id"], list(found.values()), but=row["id"])
        await ports.put_addresses(db, row["id"], choices)
        await ports.forget_addresses(db, row["id"], {one.address for one in choices})

    async def delete(self, db: Connection, call: Call, row: Row) -> None:
        """Unless a router or a floating address needs it."""
        del call
        if row["device_owner"] in OF_ROUTERS:
            raise in_use(
                "ServicePortInUse",
                f"Port {row['id']} cannot be deleted directly via the port API: has device owner"
                f" {row['device_owner']}.",
            )
        await ports.drop(db, row["id"])
        if row["host"]:
            await serving.refresh_dhcp(db, self.service, row["network_id"])


def port_view(row: Row, held: list[Choice], members: list[str]) -> View:
    """A port as administrators see it."""
    plain_ones = (
        "name",
        "network_id",
        "mac_address",
        "admin_state_up",
        "status",
        "device_id",
        "device_owner",
        "allowed_address_pairs",
        "extra_dhcp_opts",
        "port_security_enabled",
        "dns_name",
        "tags",
    )
    return {
        **standard_view(row),
        **{name: row[name] for name in plain_ones},
        "fixed_ips": [{"subnet_id": one.subnet_id, "ip_address": one.address} for one in held],
        "security_groups": members,
        "dns_assignment": [assignment(row["dns_name"], one.address) for one in held],
        HOST_ID: row["host"],
        PROFILE: row["profile"],
        VNIC: row["vnic_type"],
        "binding:vif_type": "tap" if row["host"] else "unbound",
        "binding:vif_details": DETAILS if row["host"] else {},
    }


def assignment(name: str, text: str) -> dict[str, str]:
    """What the name service answers for an address."""
    label = name.removesuffix(".") or f"host-{text.replace('.', '-').replace(':', '-')}"
    fqdn = name if name.endswith(".") else f"{label}.{DNS_DOMAIN}"
    return {"ip_address": text, "hostname": label.partition(".")[0], "fqdn": fqdn}


def check_owner(owner: str) -> None:
    """Raise Fault 409 for owners that only Networking itself gives."""
    if owner in RESERVED_OWNERS:
        raise in_use(
            "UnsupportedPortDeviceOwner",
            f"Operation is not supported for device_owner {owner}: routers and networks make these ports.",
        )


def check_pairs(row: Row, pairs: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Allowed address pairs with their MACs. Raises Fault 400, 409."""
    if pairs and not row["port_security_enabled"]:
        raise in_use(
            "AddressPairAndPortSecurityRequired",
            "Port Security must be enabled in order to have allowed address pairs on a port.",
        )
    if len(pairs) > PAIRS_MAX:
        raise bad(
            f"The number of allowed address pair exceeds the maximum {PAIRS_MAX}.",
            "AllowedAddressPairExhausted",
        )
    found = [
        {
            "mac_address": pair.get("mac_address") or row["mac_address"],
            "ip_address": pair["ip_address"],
        }
        for pair in pairs
    ]
    if len({tuple(pair.values()) for pair in found}) != len(found):
        raise bad("Request contains duplicate address pair.", "DuplicateAddressPairInRequest")
    return found


def merged_options(
    held: Sequence[dict[str, Any]], given: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """DHCP options after a change: each given replaces its namesake, and one without a value removes it."""
    found = {(one["opt_name"], one["ip_version"]): one["opt_value"] for one in held}
    for one in given:
        key = (one["opt_name"], int(one.get("ip_version", 4)))
        if one.get("opt_value") is None:
            found.pop(key, None)
        else:
            found[key] = one["opt_value"]
    return [
        {"opt_name": name, "opt_value": value, "ip_version": version}
        for (name, version), value in found.items()
    ]
