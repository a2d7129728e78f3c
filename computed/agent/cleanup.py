"""What ends a host's guests when its cloud is stopped: `python -m computed.agent.cleanup --data DIR`.

They are asked to power themselves off and have a few seconds for it; then they are powered off, while their disks are still
served, and libvirtd ends.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

from computed.agent.domain_xml import Surroundings
from computed.agent.libvirt_driver import LibvirtHypervisor
from computed.agent.libvirtd import Libvirtd
from computed.agent.place import Place
from computed.port import RUNNING, Capacity, Hypervisor
from core import log as logs
from core.errors import RingstackError
from core.installation import Installation
from core.namespace import host_namespace
from core.real import RealEnv

log = logging.getLogger("ringstack.compute")

ASKED_S = 5.0
LOOK_S = 0.1


async def stop_all(hypervisor: Hypervisor) -> None:
    """Power off every machine. Raises Unavailable."""
    running = [
        one.server_id for one in (await hypervisor.observe()).values() if one.power == RUNNING
    ]
    await asyncio.gather(*(hypervisor.shutdown(server_id) for server_id in running))
    for _ in range(int(ASKED_S / LOOK_S)):
        seen = await hypervisor.observe()
        if all(one.power != RUNNING for one in seen.values()):
            break
        await asyncio.sleep(LOOK_S)
    off = [one.server_id for one in (await hypervisor.observe()).values() if one.power == RUNNING]
    await asyncio.gather(*(hypervisor.stop(server_id) for server_id in off))


async def clean_up(data: Path) -> None:
    """End all guests of a cloud on this machine."""
    installation = Installation(data)
    place = Place.of(installation, installation.config())
    libvirtd = Libvirtd(place.directory, host_namespace(installation))
    if not libvirtd.pid():
        return
    nothing = Capacity(0, 0, 0, "", 0, place.host)
    around = Surroundings("", str(place.machines))
    hypervisor = LibvirtHypervisor(RealEnv(), libvirtd.uri, around, nothing)
    try:
        await stop_all(hypervisor)
    except RingstackError as error:
        log.warning("guests could not be stopped in order: %s", error.message)
    hypervisor.close()
    await libvirtd.stop()


def main() -> None:
    """Parse arguments and clean up."""
    parser = argparse.ArgumentParser(prog="computed.agent.cleanup")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    logs.setup()
    asyncio.run(clean_up(arguments.data))


if __name__ == "__main__":
    main()
