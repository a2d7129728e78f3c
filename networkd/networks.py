"""Networks in SQL: look up, numbers of tunnels, and what stands in the way of a removal."""

from __future__ import annotations

import sqlalchemy as sa

from core import rows
from core.database import Connection
from core.rows import Row
from networkd.fault import NetworkFault, absent, in_use
from networkd.service import VXLAN_NUMBERS
from networkd.tables import network, port, router

TABLE = network.network
VXLAN, FLAT, LOCAL = "vxlan", "flat", "local"
# ports that nobody made and that go with their network
OWN_PORTS = ("network:dhcp",)


async def get(db: Connection, network_id: str) -> Row:
    """A network, whoever asks. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, network_id)
    if row is None:
        raise absent("Network", network_id)
    return row


async def free_number(db: Connection) -> int:
    """The lowest number that no VXLAN has. Raises Fault 503 when there is none."""
    taken = (await db.execute(sa.select(TABLE.c.number).order_by(TABLE.c.number))).scalars()
    wanted, last = VXLAN_NUMBERS
    for number in taken:
        if number == wanted:
            wanted += 1
        elif number is not None and number > wanted:
            break
    if wanted > last:
        raise NetworkFault(
            503, "NoNetworkAvailable", "Unable to create the network. No tunnel number is left."
        )
    return wanted


async def check_number(db: Connection, number: int) -> None:
    """Raise Fault 409 when another network has a number."""
    if await rows.count(db, TABLE, TABLE.c.number == number):
        raise in_use(
            "TunnelIdInUse",
            f"Unable to create the network. The tunnel ID {number} is in use.",
        )


async def check_physical(db: Connection, physical: str) -> None:
    """Raise Fault 409 when another flat network lies on a physical one."""
    if await rows.count(db, TABLE, TABLE.c.kind == FLAT, TABLE.c.physical == physical):
        raise in_use(
            "FlatNetworkInUse",
            f"Unable to create the flat network. Physical network {physical} is in use.",
        )


async def check_unused(db: Connection, network_id: str) -> None:
    """Raise Fault 409 when ports that somebody uses are on a network.

    Floating addresses that point nowhere do not count: they go with the network.
    """
    table = port.port
    idle = sa.select(router.floatingip.c.floating_port_id).where(
        router.floatingip.c.floating_network_id == network_id,
        router.floatingip.c.port_id.is_(None),
    )
    statement = (
        sa.select(table.c.id)
        .where(
            table.c.network_id == network_id,
            table.c.device_owner.not_in(OWN_PORTS),
            table.c.id.not_in(idle),
        )
        .order_by(table.c.id)
        .limit(10)
    )
    found = [str(name) for name in (await db.execute(statement)).scalars()]
    if found:
        raise in_use(
            "NetworkInUse",
            f"Unable to complete operation on network {network_id}. There are one or more ports still in use"
            f" on the network, id for these ports is {', '.join(found)}.",
        )
