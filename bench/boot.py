"""How long a server takes from being asked for to running, and to being gone again; for small and large disks.

The method is that of Rally's `NovaServers.boot_and_delete_server`, by which Nova's own figures are published: one server after
the other, from POST until ACTIVE, then DELETE until 404; nothing in between. A server is ACTIVE once its machine runs, so the
first instruction of its guest lies before the end of the first figure.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from bench.quantile import percentiles_ms
from cli.openstack import OpenStack, until
from cli.seed import IMAGE, PRIVATE
from core.errors import NotFound, Refused

COMPUTE, NETWORK = "/compute/v2.1", "/network/v2.0"
STEP_S = 120.0
NOVA_S = 8.6  # median of boot and delete that Nova's own gate publishes


class Figure(NamedTuple):
    """One size of disk. Seconds."""

    disk_gb: int
    servers: int
    boot_p50_s: float
    boot_max_s: float
    both_p50_s: float

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return self._asdict()


async def bench(cloud: OpenStack, disks_gb: tuple[int, ...], count: int) -> list[Figure]:
    """Boot and delete `count` servers with a root disk of each size. Raises RingstackError."""
    await cloud.log_in()
    image = await _id(cloud, "/image/v2/images", "images", IMAGE)
    network = await _id(cloud, f"{NETWORK}/networks", "networks", PRIVATE)
    figures = []
    for disk_gb in disks_gb:
        flavor = await _flavor(cloud, disk_gb)
        try:
            times = [await _once(cloud, image, flavor, network) for _ in range(count)]
        finally:
            await cloud.call("DELETE", f"{COMPUTE}/flavors/{flavor}")
        boots, both = [one[0] for one in times], [sum(one) for one in times]
        figures.append(
            Figure(
                disk_gb,
                count,
                percentiles_ms(boots)[0] / 1e3,
                max(boots),
                percentiles_ms(both)[0] / 1e3,
            )
        )
    return figures


async def _id(cloud: OpenStack, path: str, kind: str, name: str) -> str:
    found = await cloud.named(path, kind, name)
    if found is None:
        raise NotFound("NoSuchThing", f"the cloud has no {name} among its {kind}")
    return str(found["id"])


async def _flavor(cloud: OpenStack, disk_gb: int) -> str:
    wanted = {"name": f"bench-{disk_gb}", "vcpus": 1, "ram": 192, "disk": disk_gb}
    body = await cloud.call("POST", f"{COMPUTE}/flavors", {"flavor": wanted})
    return str(body["flavor"]["id"])


async def _once(cloud: OpenStack, image: str, flavor: str, network: str) -> tuple[float, float]:
    """Seconds to boot, and to delete."""
    wanted = {
        "name": "bench",
        "imageRef": image,
        "flavorRef": flavor,
        "networks": [{"uuid": network}],
    }
    began = time.monotonic()
    made = await cloud.call("POST", f"{COMPUTE}/servers", {"server": wanted})
    path = f"{COMPUTE}/servers/{made['server']['id']}"

    async def active() -> bool | None:
        server = (await cloud.call("GET", path))["server"]
        if server["status"] == "ERROR":
            raise Refused("Server", str(server.get("fault", {}).get("message", "it is in error")))
        return True if server["status"] == "ACTIVE" else None

    async def gone() -> bool | None:
        try:
            await cloud.call("GET", path)
        except NotFound:
            return True
        return None

    try:
        await until(active, "the boot", STEP_S)
        booted = time.monotonic()
    finally:
        await cloud.call("DELETE", path)
    await until(gone, "the deletion", STEP_S)
    return booted - began, time.monotonic() - booted


def show(figures: list[Figure]) -> None:
    """A table for a person."""
    print(
        f"{'root disk':>10} {'servers':>8} {'boot p50':>10} {'boot max':>10} {'boot + delete p50':>18}"
    )
    for one in figures:
        print(
            f"{one.disk_gb:>7} GB {one.servers:>8} {one.boot_p50_s:>8.2f} s {one.boot_max_s:>8.2f} s"
            f" {one.both_p50_s:>16.2f} s"
        )
    print(
        f"Nova's own gate publishes a median of {NOVA_S} s for boot + delete, by the same method."
    )
