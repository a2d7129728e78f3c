"""What every hypervisor keeps: the fake in memory, and libvirt with real machines (without a guest in them)."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cli import guests
from computed.agent.domain_xml import Surroundings
from computed.agent.libvirt_driver import LibvirtHypervisor
from computed.agent.libvirtd import Libvirtd
from computed.fake import FakeHypervisor
from computed.port import (
    PAUSED,
    RUNNING,
    STOPPED,
    SUSPENDED,
    Capacity,
    Disk,
    Domain,
    Hypervisor,
    Interface,
    Observed,
)
from core import namespace
from core.errors import NotFound, RingstackError
from core.real import RealEnv
from tests import installing, nbd_tools

CAPACITY = Capacity(2, 2048, 10, "QEMU", 0, "host-1")
SERVER = "0b6a8f1e-0000-4000-8000-00000000f001"
PORT = "33333333-1111-4111-8111-111111111111"
TAP = "tap33333333-11"
Body = Callable[[Hypervisor, Path], Awaitable[None]]


@asynccontextmanager
async def in_memory(root: Path) -> AsyncIterator[Hypervisor]:
    del root
    yield FakeHypervisor(RealEnv(), CAPACITY)


@asynccontextmanager
async def by_libvirt(root: Path) -> AsyncIterator[Hypervisor]:
    """A libvirtd of this test's own, in a namespace with one tap."""
    with installing.alone():
        guests.install()
    nbd_tools.install("qemu-img")
    name = f"rs-t{uuid.uuid4().hex[:8]}"
    await namespace.ensure(name)
    for words in (("tuntap", "add", TAP, "mode", "tap"), ("link", "set", TAP, "up")):
        subprocess.run(["ip", "-n", name, *words], check=True)
    daemon = Libvirtd(root / "lv", name)
    (root / "m").mkdir()
    await daemon.start(str(uuid.uuid4()))
    hypervisor = LibvirtHypervisor(
        RealEnv(), daemon.uri, Surroundings("qemu", str(root / "m")), CAPACITY
    )
    try:
        yield hypervisor
    finally:
        for server_id in await hypervisor.observe():
            await hypervisor.destroy(server_id)
        hypervisor.close()
        await daemon.stop()
        await namespace.remove(name)


@pytest.fixture(
    params=[
        in_memory,
        pytest.param(by_libvirt, marks=[pytest.mark.slow]),
    ]
)
def on_hypervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Body], None]:
    """Runs a test with a hypervisor and a directory."""

    def run(work: Body) -> None:
        async def body() -> None:
            async with asyncio.timeout(120), request.param(tmp_path) as hypervisor:
                await work(hypervisor, tmp_path)

        asyncio.run(body())

    return run


class Exports:
    """Disks of 1 MiB, served by QEMU's own NBD server."""

    def __init__(self, root: Path, names: str) -> None:
        self.root = root
        self.processes = []
        for name in names:
            with (root / f"{name}.raw").open("wb") as file:
                file.truncate(1 << 20)
            command = ["qemu-nbd", "-f", "raw", "-t", "-k", self.socket(name), "-x", name]
            self.processes.append(subprocess.Popen([*command, str(root / f"{name}.raw")]))

    def socket(self, name: str) -> str:
        return str(self.root / f"{name}.sock")

    async def ready(self) -> None:
        sockets = [Path(self.socket(one.stem)) for one in self.root.glob("?.raw")]
        while not all(path.exists() for path in sockets):
            await asyncio.sleep(0.01)

    def disk(self, name: str, device: str, boot: int = -1) -> Disk:
        attachment = f"{ord(name):08d}-1111-4111-8111-111111111111"
        return Disk("v" + name, attachment, device, name, self.socket(name), boot_index=boot)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


async def seen(hypervisor: Hypervisor) -> Observed:
    return (await hypervisor.observe())[SERVER]


def test_the_life_of_a_machine(on_hypervisor: Callable[[Body], None]) -> None:
    """Every verb does what it says, and nothing more when it is repeated."""

    async def work(hypervisor: Hypervisor, root: Path) -> None:
        exports = Exports(root, "ab")
        await exports.ready()
        first, second = exports.disk("a", "vda", 0), exports.disk("b", "vdb")
        interface = Interface(PORT, "fa:16:3e:00:00:01", TAP, 1450)
        drive = {"openstack/latest/meta_data.json": base64.b64encode(b"{}").decode()}
        domain = Domain(SERVER, "instance-1", 64, 1, (first,), (interface,), drive)
        assert await hypervisor.observe() == {}
        for _ in range(2):
            await hypervisor.define(domain)
        one = await seen(hypervisor)
        assert (one.power, one.disks, one.interfaces) == (STOPPED, (first.attachment_id,), (PORT,))
        for _ in range(2):
            await hypervisor.attach_disk(SERVER, second)
        assert len((await seen(hypervisor)).disks) == 2
        for _ in range(2):
            await hypervisor.start(SERVER)
        one = await seen(hypervisor)
        assert one.power == RUNNING
        assert one.started_us > 0
        for verb, power in (
            (hypervisor.pause, PAUSED),
            (hypervisor.resume, RUNNING),
            (hypervisor.suspend, SUSPENDED),
            (hypervisor.resume, RUNNING),
            (hypervisor.reset, RUNNING),
            (hypervisor.stop, STOPPED),
        ):
            for _ in range(2):
                await verb(SERVER)
                assert (await seen(hypervisor)).power == power, verb
        for _ in range(2):
            await hypervisor.detach_disk(SERVER, second.attachment_id)
            await hypervisor.detach_interface(SERVER, PORT)
        one = await seen(hypervisor)
        assert (one.disks, one.interfaces) == ((first.attachment_id,), ())
        for _ in range(2):  # its root disk is replaced, as when a server is rebuilt
            await hypervisor.detach_disk(SERVER, first.attachment_id)
            assert (await seen(hypervisor)).disks == ()
            await hypervisor.attach_disk(SERVER, first)
            assert (await seen(hypervisor)).disks == (first.attachment_id,)
        await hypervisor.start(SERVER)
        await hypervisor.stop(SERVER)
        facts = await hypervisor.diagnostics(SERVER)
        assert (facts["state"], facts["num_cpus"], facts["num_disks"]) == ("shutdown", 1, 1)
        assert isinstance(await hypervisor.console_log(SERVER), bytes)
        for _ in range(2):
            await hypervisor.destroy(SERVER)
        assert await hypervisor.observe() == {}
        exports.close()

    on_hypervisor(work)


def test_what_is_not_there_is_not_found(on_hypervisor: Callable[[Body], None]) -> None:
    """Every verb but destroy, for a server that the host never had."""

    async def work(hypervisor: Hypervisor, root: Path) -> None:
        disk = Disk("v", "a", "vdb", "x", str(root / "x"))
        interface = Interface(PORT, "fa:16:3e:00:00:01", TAP)
        for verb in (
            hypervisor.start,
            hypervisor.shutdown,
            hypervisor.stop,
            hypervisor.reset,
            hypervisor.pause,
            hypervisor.resume,
            hypervisor.suspend,
            hypervisor.console_log,
            hypervisor.diagnostics,
        ):
            with pytest.raises(NotFound):
                await verb(SERVER)
        with pytest.raises(NotFound):
            await hypervisor.attach_disk(SERVER, disk)
        with pytest.raises(NotFound):
            await hypervisor.attach_interface(SERVER, interface)
        with pytest.raises(NotFound):
            await hypervisor.detach_disk(SERVER, "a")
        await hypervisor.destroy(SERVER)

    on_hypervisor(work)


@pytest.mark.slow
def test_a_machine_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A disk that nobody serves, a tap that is not there: a reason, and a machine that starts once it is."""

    async def work() -> None:
        async with asyncio.timeout(120), by_libvirt(tmp_path) as hypervisor:
            absent = Interface(PORT, "fa:16:3e:00:00:01", "tapabsent")
            await hypervisor.define(Domain(SERVER, "instance-1", 64, 1, (), (absent,)))
            with pytest.raises(RingstackError) as caught:
                await hypervisor.start(SERVER)
            assert caught.value.message
            assert (await seen(hypervisor)).power == STOPPED
            present = Interface(PORT, "fa:16:3e:00:00:01", TAP)
            await hypervisor.define(Domain(SERVER, "instance-1", 64, 1, (), (present,)))
            await hypervisor.start(SERVER)
            assert (await seen(hypervisor)).power == RUNNING

    asyncio.run(work())
