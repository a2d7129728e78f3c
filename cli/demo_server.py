"""The second half of the demonstration: a server from an image on the ring, on a network of its own, with a volume.

It boots, is waited for until its log-in prompt, spoken to by SSH over its floating IP, given a volume that it formats and
mounts, its volume is snapshotted, and its screen is saved; each step is told with its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from cli.openstack import Body, OpenStack, until
from cli.seed import IMAGE, PRIVATE, PUBLIC
from cli.status import processes
from core.api.client import Client
from core.errors import NotFound, Refused, Unavailable
from core.installation import Installation, host_of
from core.keyring import Keyring
from core.real import RealEnv
from core.service_identity import ServiceIdentity

NAME = "demo"
FLAVOR = "tiny"
READY_S = 120.0
STEP_S = 60.0
PROMPT = "login:"
AGENT = "compute"
COMPUTE, NETWORK, VOLUME = "/compute/v2.1", "/network/v2.0", "/volume/v3"


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """A line with what was done and how long it took."""
    began = time.monotonic()
    yield
    click.echo(f"  {title:<58} {time.monotonic() - began:6.2f} s")


async def show_server(installation: Installation, picture: Path) -> None:
    """The whole of it; what it makes it removes again. Raises RingstackError when a step fails."""
    cloud = OpenStack(installation)
    await cloud.log_in()
    click.echo("\nBooting a server from an image on the ring")
    with tempfile.TemporaryDirectory() as directory:
        demo = Demo(installation, cloud, Path(directory))
        try:
            await demo.run(picture)
        finally:
            await demo.remove()


class Demo:
    """One server and what belongs to it."""

    def __init__(self, installation: Installation, cloud: OpenStack, directory: Path) -> None:
        self._installation = installation
        self._cloud = cloud
        self._key = directory / "key"
        self._made: list[str] = []  # paths to delete, the last first
        self._address = ""

    async def run(self, picture: Path) -> None:
        """Every step."""
        with step("host of servers is up"):
            await until(self._host, "the host's start", STEP_S)
        with step("key pair made, server asked for"):
            server = await self._create()
        with step("server is ACTIVE (nothing was copied)"):
            await until(lambda: self._active(server["id"]), "the boot", STEP_S)
        with step("guest has booted to its log-in prompt"):
            await until(lambda: self._prompt(server["id"]), "the guest's boot", READY_S)
        with step("floating IP answers SSH"):
            await self._float(server["id"])
            await until(self._answers, "SSH", STEP_S)
        with step("volume attached"):
            volume_id = await self._attach(server["id"])
            disk = await until(self._disk, "the guest's disk", STEP_S)
        with step("volume formatted and mounted by the guest"):
            await self._ssh(f"mkfs.ext4 -q /dev/{disk} && mount /dev/{disk} /mnt")
            await self._ssh("echo ringstack > /mnt/greeting && sync && cat /mnt/greeting")
        with step("volume snapshotted"):
            await self._snapshot(volume_id)
        with step(f"screen saved to {picture}"):
            await self._save_screen(server["id"], picture)

    async def _host(self) -> bool | None:
        path = f"{COMPUTE}/os-services?binary=nova-compute"
        services = (await self._cloud.call("GET", path))["services"]
        return True if any(one["state"] == "up" for one in services) else None

    async def _create(self) -> Body:
        pair = {"keypair": {"name": f"{NAME}-{os.getpid()}"}}
        made = (await self._cloud.call("POST", f"{COMPUTE}/os-keypairs", pair))["keypair"]
        self._made.append(f"{COMPUTE}/os-keypairs/{made['name']}")
        self._key.write_text(made["private_key"])
        self._key.chmod(0o600)
        server = {
            "name": NAME,
            "imageRef": await self._id("/image/v2/images", "images", IMAGE),
            "flavorRef": await self._id(f"{COMPUTE}/flavors", "flavors", FLAVOR),
            "networks": [{"uuid": await self._id(f"{NETWORK}/networks", "networks", PRIVATE)}],
            "key_name": made["name"],
        }
        body = await self._cloud.call("POST", f"{COMPUTE}/servers", {"server": server})
        self._made.append(f"{COMPUTE}/servers/{body['server']['id']}")
        return dict(body["server"])

    async def _id(self, path: str, kind: str, name: str) -> str:
        found = await self._cloud.named(path, kind, name)
        if found is None:
            raise NotFound("NoSuchThing", f"the cloud has no {name} among its {kind}")
        return str(found["id"])

    async def _active(self, server_id: str) -> bool | None:
        server = (await self._cloud.call("GET", f"{COMPUTE}/servers/{server_id}"))["server"]
        if server["status"] == "ERROR":
            raise Refused("Server", str(server.get("fault", {}).get("message", "it is in error")))
        return True if server["status"] == "ACTIVE" else None

    async def _prompt(self, server_id: str) -> bool | None:
        action = {"os-getConsoleOutput": {"length": 20}}
        path = f"{COMPUTE}/servers/{server_id}/action"
        return True if PROMPT in (await self._cloud.call("POST", path, action))["output"] else None

    async def _float(self, server_id: str) -> None:
        ports = await self._cloud.call("GET", f"{NETWORK}/ports?device_id={server_id}")
        wanted = {
            "floating_network_id": await self._id(f"{NETWORK}/networks", "networks", PUBLIC),
            "port_id": ports["ports"][0]["id"],
        }
        made = await self._cloud.call("POST", f"{NETWORK}/floatingips", {"floatingip": wanted})
        self._made.append(f"{NETWORK}/floatingips/{made['floatingip']['id']}")
        self._address = str(made["floatingip"]["floating_ip_address"])

    async def _ssh(self, command: str) -> str:
        """Output of a command in the guest. Raises Unavailable."""
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=3")
        process = await asyncio.create_subprocess_exec(
            *(
                "ssh",
                "-q",
                "-i",
                str(self._key),
                *(word for one in options for word in ("-o", one)),
            ),
            *("-o", "BatchMode=yes", f"root@{self._address}", command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(STEP_S):
                output, said = await process.communicate()
        except TimeoutError:
            process.kill()
            raise Unavailable("Ssh", f"the guest does not finish `{command}`") from None
        if process.returncode:
            raise Unavailable("Ssh", f"`{command}` failed in the guest: {said.decode().strip()}")
        return output.decode()

    async def _answers(self) -> bool | None:
        try:
            return True if await self._ssh("hostname") else None
        except Unavailable:
            return None

    async def _attach(self, server_id: str) -> str:
        path = f"{VOLUME}/volumes"
        made = await self._cloud.call("POST", path, {"volume": {"name": NAME, "size": 1}})
        volume_id = str(made["volume"]["id"])
        self._made.append(f"{path}/{volume_id}")

        async def is_(status: str) -> bool | None:
            shown = (await self._cloud.call("GET", f"{path}/{volume_id}"))["volume"]["status"]
            return True if shown == status else None

        await until(lambda: is_("available"), "a new volume", STEP_S)
        attachments = f"{COMPUTE}/servers/{server_id}/os-volume_attachments"
        body = {"volumeAttachment": {"volumeId": volume_id}}
        await self._cloud.call("POST", attachments, body)
        await until(lambda: is_("in-use"), "attaching", STEP_S)
        self._made.append(f"{attachments}/{volume_id}")
        return volume_id

    async def _disk(self) -> str | None:
        """The guest's name of its newest disk."""
        names = (await self._ssh("ls /sys/block")).split()
        disks = sorted(name for name in names if name.startswith("vd"))
        return disks[-1] if len(disks) > 1 else None

    async def _snapshot(self, volume_id: str) -> None:
        wanted = {"snapshot": {"volume_id": volume_id, "name": NAME, "force": True}}
        made = (await self._cloud.call("POST", f"{VOLUME}/snapshots", wanted))["snapshot"]
        path = f"{VOLUME}/snapshots/{made['id']}"
        self._made.append(path)

        async def done() -> bool | None:
            shown = (await self._cloud.call("GET", path))["snapshot"]["status"]
            return True if shown == "available" else None

        await until(done, "the snapshot", STEP_S)

    async def _save_screen(self, server_id: str, picture: Path) -> None:
        """The host's agent has it; services may ask for it."""
        keyring = Keyring(self._installation.keys)
        keyring.load()
        token = ServiceIdentity(RealEnv(), keyring).token()
        row = next(row for row in processes(self._installation) if row["name"] == AGENT)
        host = host_of(self._installation.config())
        agent = Client(f"http://{host}:{row['ports']['console']}")
        headers = {"X-Auth-Token": token}
        reply = await agent.call("GET", f"/screenshot/{server_id}", headers=headers)
        if reply.status != 200:
            raise Unavailable("Screen", f"the screen cannot be had (status {reply.status})")
        await asyncio.to_thread(picture.write_bytes, reply.body)

    async def remove(self) -> None:
        """Give everything back, the newest first."""
        for path in reversed(self._made):

            async def gone(path: str = path) -> bool | None:
                try:
                    await self._cloud.call("DELETE", path)
                except NotFound:
                    return True
                except (Refused, Unavailable):  # still in use by what is just going
                    return None
                return None

            await until(gone, f"the removal of {path}", STEP_S)
