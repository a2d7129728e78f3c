"""New devices of a machine: their names, and the addresses at which they will be served. Pure.

An objectd of its own for each device, or, once there are `objectd_count`, the one with the fewest. Where
a node is reached over the network ("tls:HOST:PORT" is its own daemon), its objectd listen at the ports
above; a cloud of one machine uses unix sockets in its run directory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from core.errors import Bug, Refused
from ring.device import Device
from ring.local import objectd_name

WEIGHT = 100.0
PORT_MAX = 65_535


def next_address(listen: str, taken: Sequence[Device], objectd_count: int | None) -> str:
    """Where a further device of a node is served; `taken` are those it has.

    `listen` is "tls:HOST:PORT", "tcp:HOST:PORT" or "unix:DIRECTORY". Raises Refused without a port left.
    """
    used = Counter(device.address for device in taken)
    if objectd_count is not None and len(used) >= objectd_count:
        return min(used, key=lambda address: used[address])
    names = {objectd_name(address) for address in used}
    kind, _, rest = listen.partition(":")
    for number in range(len(used) + 1):
        if kind == "unix":
            address = f"unix:{rest}/objectd-{number}.sock"
        else:
            host, _, port = rest.rpartition(":")
            if int(port) + 1 + number > PORT_MAX:
                raise Refused("NoPort", f"no port above {port} is left for another device")
            address = f"{kind}:{host}:{int(port) + 1 + number}"
        if objectd_name(address) not in names:
            return address
    raise Bug("NoAddress", "every address is taken")


def new_devices(
    paths: Sequence[str],
    *,
    node: str,
    zone: int,
    region: int,
    listen: str,
    objectd_count: int | None = None,
    first_id: int = 0,
) -> tuple[Device, ...]:
    """Devices of one node, of equal weight; names carry the node where there are others."""
    made: list[Device] = []
    prefix = "" if listen.startswith("unix:") else f"{node[:40]}-"
    for number, path in enumerate(paths):
        address = next_address(listen, made, objectd_count)
        name = f"{prefix}d{number}"
        made.append(Device(first_id + number, name, region, zone, node, address, path, WEIGHT))
    return tuple(made)
