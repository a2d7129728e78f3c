"""A thousand hosts and ten thousand servers in one database: how long scheduling and listing take.

`python -m bench.compute [--hosts N] [--servers N]`. In this process, on SQLite in a temporary directory: hosts are rows that report
once, servers are rows with their claims. A schedule is what a request's transaction does for it: read all hosts, choose, claim, keep the
reasons. A list is `GET /servers/detail?limit=1000` through the API, whole answer.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from computed import claims, creating, flavors, hosts, making, placing, servers
from computed.app import make_app, prepare
from computed.port import Capacity
from computed.rules import RULES
from computed.service import Service
from core.bearer import audit_text
from core.database import Connection, Database
from core.http import Request, Response
from core.identity import Identity
from core.policy import Policy
from core.real import RealEnv
from core.rows import Row, insert, update

ROUNDS = 200
LIST_ROUNDS = 20
BATCH = 500
PROJECT = "d" * 32


def identity(env: RealEnv) -> Identity:
    """A member of the one project, who is an administrator too."""
    now_us = env.wall_us()
    return Identity(
        user_id="u" * 32,
        project_id=PROJECT,
        roles=("admin", "member", "reader"),
        issued_us=now_us,
        expires_us=now_us + 10**13,
        audit_ids=(audit_text(env.random_bytes(16)),),
    )


def flavor_row(service: Service) -> Row:
    return flavors.new_row(service, "1", "m1", ram_mb=512, vcpus=1, disk_gb=1)


def server_row(service: Service, number: int, host: str, flavor: Row) -> Row:
    """A server that runs."""
    wanted = creating.Wanted(
        {"name": f"server-{number}"},
        flavor,
        None,
        [{"device": "vda"}],
        making.Nics([]),
        ["default"],
        "",
        "",
        {},
        1,
        1,
    )
    caller = _Caller(identity(service.env))  # type: ignore[arg-type]
    row = creating.server_row(service, caller, wanted, name=f"server-{number}", keypair=None)  # type: ignore[arg-type]
    return row | {
        "number": number,
        "launch_index": 0,
        "reservation_id": "r-1",
        "group_id": None,
        "vm_state": "active",
        "task_state": None,
        "seen_power": "running",
        "power": "running",
        "host": host,
        "image_id": "i" * 32,
    }


class _Caller:
    """As much of a call as a row needs."""

    microversion = (2, 96)

    def __init__(self, who: Identity) -> None:
        self.identity = who


async def fill(service: Service, host_count: int, server_count: int) -> None:
    """Hosts, and servers spread over them with their claims."""
    flavor = flavor_row(service)
    capacity = Capacity(64, 65536, 1000, "fake", 1, "h")
    async with service.database.write() as db:
        await insert(db, flavors.TABLE, flavor)
        for number in range(host_count):
            await hosts.hear(db, service, f"host-{number:04}", capacity, "")
        await db.execute(hosts.TABLE.update().values(seen_us=service.now_us() + 10**10))
    ids = [view.id for view in await _views(service)]
    for start in range(0, server_count, BATCH):
        async with service.database.write() as db:
            for number in range(start, min(start + BATCH, server_count)):
                await _add(db, service, number, ids[number % host_count], flavor)


async def _views(service: Service) -> list[Any]:
    async with service.database.read() as db:
        return list(await hosts.views(db, service))


async def _add(db: Connection, service: Service, number: int, host_id: str, flavor: Row) -> None:

    row = server_row(service, number + 1, f"host-{number:04}", flavor)
    await insert(db, servers.TABLE, row)
    wanted = {host_id: {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}}
    owner = {"project_id": PROJECT, "user_id": "u", "kind": "INSTANCE"}
    await claims.put(db, service, row["id"], wanted, owner=owner)
    nic = making.nic_row(service, "n" * 32, network_name="private", mac="fa:16:3e:00:00:01")
    nic |= {"server_id": row["id"], "addresses": [{"addr": "10.0.0.1", "type": "fixed"}]}
    await insert(db, servers.NICS, nic)
    disk = making.disk_row(service, "image", "i" * 32, device="vda", hidden=True, boot_index=0)
    await insert(db, servers.DISKS, disk | {"server_id": row["id"]})


async def schedules(service: Service) -> list[float]:
    """Milliseconds of each of many schedules."""
    flavor, found = flavor_row(service), []
    for number in range(ROUNDS):
        row = server_row(service, 10**6 + number, "", flavor) | {"host": None}
        async with service.database.write() as db:
            await insert(db, servers.TABLE, row)
            start = time.perf_counter()
            ask = await placing.ask_of(db, row)
            verdict = await placing.place(db, service, row, ask)
            found.append((time.perf_counter() - start) * 1e3)
            assert verdict.host is not None
            await update(db, servers.TABLE, row["id"], {"host": verdict.host.name})
    return found


async def lists(service: Service) -> list[float]:
    """Milliseconds of each of some lists of a thousand servers."""
    caller = identity(service.env)  # type: ignore[arg-type]

    async def authenticate(request: Request) -> Identity:
        del request
        return caller

    app, found = make_app(service, authenticate, "http://cloud:5000"), []
    for _ in range(LIST_ROUNDS):
        headers = {b"host": b"cloud:5000", b"openstack-api-version": b"compute 2.96"}
        request = Request("GET", "/compute/v2.1/servers/detail", "limit=1000", headers)
        request.body.length = 0
        request.body.finish()
        start = time.perf_counter()
        response: Response = await app.handle(request)
        found.append((time.perf_counter() - start) * 1e3)
        assert response.status == 200
    return found


def quantile(values: list[float], share: float) -> float:
    """The value below which that share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measure(directory: Path, host_count: int, server_count: int) -> None:
    env = RealEnv()
    database = Database(f"sqlite+aiosqlite:///{directory}/cloud.db")
    nobody: Any = None
    policy = Policy(RULES, directory / "compute.yaml")
    service = Service(env, database, policy, nobody, nobody, nobody, nobody)
    await prepare(service)
    await fill(service, host_count, server_count)
    for name, values in (
        ("schedule", await schedules(service)),
        ("list of 1,000", await lists(service)),
    ):
        print(f"{name}: p50 {quantile(values, 0.5):.1f} ms, p99 {quantile(values, 0.99):.1f} ms")
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    await database.close()


def main() -> None:
    """Parse arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.compute")
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--servers", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(Path(directory), options.hosts, options.servers))


if __name__ == "__main__":
    main()
