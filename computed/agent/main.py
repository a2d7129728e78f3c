"""The compute agent: runs the guests of one machine, and serves their consoles.

`python -m computed.agent.main --data DIR`. It may die at any time: guests run on, and the next one goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from pathlib import Path

from computed.agent import acceleration
from computed.agent.api import HttpApi
from computed.agent.console import SERIAL, Consoles, as_json
from computed.agent.domain_xml import Surroundings, console_socket, serial_socket
from computed.agent.libvirt_driver import LibvirtHypervisor
from computed.agent.libvirtd import Libvirtd
from computed.agent.loop import Agent, Orders
from computed.agent.place import Place
from computed.port import Capacity
from core import process
from core.authenticator import Authenticator
from core.installation import Installation, identity_url
from core.keyring import Keyring
from core.metrics import Metrics
from core.namespace import ensure, host_namespace
from core.real import RealEnv, make_directory
from core.revocation import RevocationList
from core.service_identity import ServiceIdentity

log = logging.getLogger("ringstack.compute")

KIB = 1024
RESERVED_MB = 512  # of the machine's memory, for the cloud itself


def capacity_of(place: Place, kind: str) -> Capacity:
    """What this machine offers to guests."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    total_kib = next(int(line.split()[1]) for line in lines if line.startswith("MemTotal:"))
    room = os.statvfs(place.directory)
    return Capacity(
        vcpus=os.cpu_count() or 1,
        memory_mb=max(0, total_kib // KIB - RESERVED_MB),
        disk_gb=room.f_blocks * room.f_frsize >> 30,
        hypervisor_type=kind.upper(),
        hypervisor_version=0,
        hostname=place.host,
        host_ip=place.address,
        cpu_info={"arch": "x86_64"},
        traits=("HW_ARCH_X86_64", "COMPUTE_VIRTIO"),
    )


async def serve(data: Path) -> None:
    """Run until told to stop."""
    installation = Installation(data)
    config = installation.config()
    place = Place.of(installation, config)
    env = RealEnv()
    keyring = Keyring(installation.keys)
    keyring.load()
    make_directory(place.machines)
    await ensure(host_namespace(installation))
    libvirtd = Libvirtd(place.directory, host_namespace(installation))
    kind, _ = await asyncio.gather(acceleration.best(), libvirtd.start(place.host_uuid(env)))
    around = Surroundings(kind, str(place.machines))
    hypervisor = LibvirtHypervisor(env, libvirtd.uri, around, capacity_of(place, kind))
    api = HttpApi(
        identity_url(config).removesuffix("/identity"), ServiceIdentity(env, keyring), place.host
    )
    consoles = consoles_of(env, keyring, hypervisor, api, place)
    port = await consoles.listen(config.listen, 0)
    console = f"{place.address}:{port}"
    agent = Agent(place.host, hypervisor, api, Orders(place.orders), console=console)
    metrics_port = await process.serve_metrics(
        Metrics(lambda: {"compute_machines": len(agent.observed)})
    )
    process.report_ready({"console": port, "metrics": metrics_port})
    log.info("guests run by %s", "the processor" if kind == "kvm" else "software emulation")
    running = asyncio.create_task(agent.run_for_ever())
    await process.until_told(asyncio.Event())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await consoles.close()
    hypervisor.close()


def consoles_of(
    env: RealEnv, keyring: Keyring, hypervisor: LibvirtHypervisor, api: HttpApi, place: Place
) -> Consoles:
    """The consoles of a host's machines."""
    directory = str(place.machines)

    async def log_of(server_id: str) -> tuple[str, bytes]:
        return "text/plain", await hypervisor.console_log(server_id)

    async def facts_of(server_id: str) -> tuple[str, bytes]:
        return as_json(await hypervisor.diagnostics(server_id))

    async def screen_of(server_id: str) -> tuple[str, bytes]:
        return "image/png", await hypervisor.screenshot(server_id)

    return Consoles(
        Authenticator(env, keyring, RevocationList()),
        api.server_of,
        lambda server_id, kind: (serial_socket if kind == SERIAL else console_socket)(
            directory, server_id
        ),
        {"log": log_of, "diagnostics": facts_of, "screenshot": screen_of},
    )


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="computed.agent")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    process.run(lambda: serve(arguments.data))


if __name__ == "__main__":
    main()
