"""`ringstack volume`: volumes of the cloud on this machine, as a block device or as an address for NBD tools.

A volume is attached through the Block Storage API, so that everybody sees it, and served by this machine's block
daemon. The device is the kernel's own NBD client where there is one, otherwise a file of `nbdfuse` under a loop device; `nbdkit`'s
retry filter between them waits for a daemon that is being restarted. What was attached is written down, so
that `attach` after a crash of the machine goes on with the same attachment, and `detach` finds everything.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click
import msgspec

from blockd.calls import DaemonExports
from blockd.export import secret_of
from blockd.port import Limits
from cli.options import data_option, json_option
from cli.ring_view import format_bytes
from core.api.client import Client, Reply
from core.errors import Conflict, NotFound, Refused, RingstackError, Unavailable
from core.installation import Installation, identity_url
from core.keyring import Keyring
from core.real import RealEnv, write_durably
from core.service_identity import PROJECT_ID, ServiceIdentity

MICROVERSION = "volume 3.54"
CREATE_S = 30.0
DEVICE_S = 15.0
SOCKET_BYTES_MAX = 107  # sun_path of Linux, without its end
GONE_S = 15.0
RETRY = ("retries=120", "retry-delay=1", "retry-exponential=no")
PACKAGES = {"nbdfuse": "libnbd-bin", "nbdkit": "nbdkit", "fusermount3": "fuse3", "losetup": "mount"}
T = TypeVar("T")


class Attached(msgspec.Struct):
    """An attachment of this machine. `pid`: of nbdfuse, 0 with the kernel's client."""

    volume_id: str
    name: str
    attachment_id: str
    socket: str
    export: str
    device: str = ""
    pid: int = 0
    host: str = ""  # where TLS clients find it
    port: int = 0
    read_only: bool = False
    view: bool = False  # of a snapshot or a time, which the API knows nothing of


@click.group()
def volume() -> None:
    """Volumes on this machine: a local block device, or an address for NBD tools."""


read_only_option = click.option("--read-only", is_flag=True, help="Nothing can be written.")
at_option = click.option(
    "--at",
    metavar="TIME",
    help="As it was then (2026-01-31T12:00:00, or -90s): read-only, inside the volume's retention window.",
)
snapshot_option = click.option("--snapshot", metavar="ID", help="A snapshot of it, read-only.")


@volume.command()
@data_option
@json_option
@click.argument("name")
@read_only_option
@snapshot_option
@at_option
@click.option("--tls", is_flag=True, help="The address over the network, and a file with its key.")
def export(
    data: Path,
    name: str,
    *,
    as_json: bool,
    read_only: bool,
    snapshot: str | None,
    at: str | None,
    tls: bool,
) -> None:
    """Serve volume NAME (or its id) and print the NBD address, for qemu-img, nbdcopy and the like."""
    installation = Installation(data)
    found = connect(installation, name, read_only=read_only, snapshot=snapshot, at=at)
    uri = tls_uri_of(installation, found) if tls else uri_of(found)
    click.echo(json.dumps({**msgspec.to_builtins(found), "uri": uri}) if as_json else uri)


@volume.command()
@data_option
@json_option
@click.argument("name")
@read_only_option
@snapshot_option
@at_option
def attach(
    data: Path, name: str, *, as_json: bool, read_only: bool, snapshot: str | None, at: str | None
) -> None:
    """Make volume NAME (or its id) a block device of this machine and print the device."""
    installation = Installation(data)
    check_root()
    found = connect(installation, name, read_only=read_only, snapshot=snapshot, at=at)
    if not alive(found):
        clear(installation, found)
        make_device(installation, found, read_only=read_only or bool(snapshot or at))
        remember(installation, found)
    click.echo(json.dumps(msgspec.to_builtins(found)) if as_json else found.device)


@volume.command()
@data_option
@click.argument("name")
def detach(data: Path, name: str) -> None:
    """End what `attach` or `export` began. A mounted device is refused."""
    installation = Installation(data)
    found = [
        one for one in known(installation) if name in {one.name, one.volume_id, one.attachment_id}
    ]
    if not found:
        raise NotFound("NotAttached", f"{name} is not attached to this machine by this command")
    for one in found:
        if one.device and (where := mounted(one.device)):
            raise Conflict("Mounted", f"{one.device} is mounted on {where}: unmount it first")
        forget(installation, one)
    click.echo(f"{name} is detached")


@volume.command()
@data_option
@json_option
def exports(data: Path, *, as_json: bool) -> None:
    """What this machine's block daemon serves."""
    rows = run(Installation(data), lambda api: api.daemon.rows())
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(row) for row in rows]))
        return
    for row in rows:
        mode = "read-only" if row.read_only else "read-write"
        click.echo(
            f"{row.name}  {format_bytes(row.size):>9}  {mode:<10} {row.clients} clients  volume {row.volume_id}"
        )


# -- the API and the daemon ------------------------------------------------------------------------


class Cloud:
    """The two that a volume command speaks to."""

    def __init__(self, installation: Installation) -> None:
        config = installation.config()
        env = RealEnv()
        keyring = Keyring(installation.keys)
        keyring.load()
        self._service = ServiceIdentity(env, keyring)
        base = identity_url(config).removesuffix("/identity")
        self._client = Client(f"{base}/volume/v3/{PROJECT_ID}")
        self.node = config.node
        self.daemon = DaemonExports(
            env, installation.block_socket, installation.secrets().cluster_key
        )

    async def _call(self, method: str, path: str, body: Any = None) -> Reply:
        headers = {
            "X-Auth-Token": self._service.token(),
            "OpenStack-API-Version": MICROVERSION,
        }
        return await self._client.call(method, path, body, headers=headers)

    async def find(self, name: str) -> dict[str, Any]:
        """A volume by id or by its only name. Raises NotFound, Conflict, Unavailable."""
        reply = await self._call("GET", f"/volumes/{quote(name, safe='')}")
        if reply.status == 200:
            return dict(reply.json()["volume"])
        reply = await self._call(
            "GET", f"/volumes/detail?all_tenants=1&name={quote(name, safe='')}"
        )
        rows = good(reply)["volumes"]
        if not rows:
            raise NotFound("NoSuchVolume", f"there is no volume {name}")
        if len(rows) > 1:
            raise Conflict("ManyVolumes", f"{len(rows)} volumes are called {name}: use an id")
        return dict(rows[0])

    async def create(self, name: str, size: int) -> None:
        """A volume of the service's own. Raises Refused, Unavailable."""
        body = {"volume": {"name": name, "size": size}}
        made = good(await self._call("POST", "/volumes", body))["volume"]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CREATE_S
        row = await self.find(made["id"])
        while row["status"] == "creating" and loop.time() < deadline:
            await asyncio.sleep(0.05)
            row = await self.find(made["id"])
        if row["status"] != "available":
            raise Unavailable("BlockStorage", f"volume {name} is {row['status']}")

    async def delete(self, name: str) -> None:
        """Remove a volume."""
        row = await self.find(name)
        good(await self._call("DELETE", f"/volumes/{row['id']}"))

    async def attach(self, row: dict[str, Any], *, read_only: bool) -> Attached:
        """Attach a volume to this machine through the API."""
        connector = {"host": self.node, "platform": os.uname().machine, "os_type": "linux"}
        wanted = {
            "volume_uuid": row["id"],
            "connector": connector,
            "mode": "ro" if read_only else "rw",
        }
        made = good(await self._call("POST", "/attachments", {"attachment": wanted}))["attachment"]
        info = made["connection_info"]
        info = info.get("data") or info
        socket, found = info.get("unix_socket", ""), info.get("export", "")
        try:
            good(await self._call("POST", f"/attachments/{made['id']}/action", {"os-complete": {}}))
        except RingstackError:
            await self._call("DELETE", f"/attachments/{made['id']}")
            raise
        return Attached(
            row["id"],
            row["name"] or row["id"],
            made["id"],
            socket,
            found,
            host=info.get("host", ""),
            port=info.get("port", 0),
            read_only=read_only,
        )

    async def view(self, row: dict[str, Any], snapshot: str | None, time_us: int) -> Attached:
        """Serve a read-only view, which needs no attachment."""
        name = f"view-{snapshot or time_us}"[:64]
        info = await self.daemon.open(
            row["id"],
            name,
            read_only=True,
            limits=Limits(),
            snapshot_id=snapshot or "",
            time_us=time_us,
        )
        return Attached(
            row["id"],
            name,
            name,
            info.unix_socket,
            info.export,
            host=info.host,
            port=info.port,
            read_only=True,
            view=True,
        )

    async def let_go(self, one: Attached) -> None:
        """End an attachment, or a view. One that has gone already is no error."""
        if one.view:
            await self.daemon.close(one.attachment_id)
            return
        reply = await self._call("DELETE", f"/attachments/{one.attachment_id}")
        if reply.status != 404:
            good(reply)


def good(reply: Reply) -> Any:
    """The body of an answer that is not a refusal. Raises Refused, Unavailable."""
    body = reply.json() or {}
    if reply.status < 300:
        return body
    fault: Any = next(iter(body.values()), {}) if isinstance(body, dict) else {}
    message = fault.get("message") if isinstance(fault, dict) else None
    text = str(message or f"the Block Storage API answers {reply.status}")
    if reply.status >= 500:
        raise Unavailable("BlockStorage", text)
    raise Refused("BlockStorage", text)


def run(installation: Installation, work: Callable[[Cloud], Awaitable[T]]) -> T:
    """Do something with the API and the daemon."""

    async def body() -> T:
        cloud = Cloud(installation)
        cloud.daemon.start()
        try:
            return await work(cloud)
        finally:
            cloud.daemon.stop()

    return asyncio.run(body())


def forget(installation: Installation, one: Attached) -> None:
    """End an attachment, or a view, and whatever there is of it on this machine."""
    clear(installation, one)
    run(installation, lambda cloud: cloud.let_go(one))
    state_path(installation, one).unlink(missing_ok=True)
    state_path(installation, one).with_suffix(".psk").unlink(missing_ok=True)


@contextmanager
def scratch_volume(installation: Installation, name: str, size: int) -> Iterator[None]:
    """A volume of so many GiB for as long as it is needed."""
    run(installation, lambda cloud: cloud.create(name, size))
    try:
        yield
    finally:
        run(installation, lambda cloud: cloud.delete(name))


def connect(
    installation: Installation, name: str, *, read_only: bool, snapshot: str | None, at: str | None
) -> Attached:
    """Where a volume is served to this machine, as before or from now on."""
    view = snapshot is not None or at is not None
    if not view:
        for one in known(installation):
            if name in {one.name, one.volume_id} and not one.view:
                if one.read_only != read_only:
                    mode = "read-only" if one.read_only else "read-write"
                    raise Conflict("Attached", f"{name} is attached {mode}: detach it first")
                return one

    async def work(cloud: Cloud) -> Attached:
        row = await cloud.find(name)
        if view:
            return await cloud.view(row, snapshot, 0 if at is None else time_of(at))
        return await cloud.attach(row, read_only=read_only)

    found = run(installation, work)
    if not found.socket:
        raise Unavailable("NoSocket", "the volume is served on another machine")
    if len(found.socket.encode()) > SOCKET_BYTES_MAX:
        click.echo(
            f"{found.socket} is too long a name for most tools: use --tls, or a cloud in a shorter directory",
            err=True,
        )
    remember(installation, found)
    return found


def uri_of(one: Attached) -> str:
    """The address that NBD tools take."""
    return f"nbd+unix:///{quote(one.export, safe='')}?socket={quote(one.socket)}"


def tls_uri_of(installation: Installation, one: Attached) -> str:
    """The address over TLS; its key is in a file that only the owner can read."""
    path = installation.data / "block" / "attached" / f"{one.attachment_id}.psk"
    secret = secret_of(installation.secrets().cluster_key, one.export)
    write_durably(path, f"{one.export}:{secret.hex()}\n".encode())
    export, host = quote(one.export, safe=""), f"[{one.host}]" if ":" in one.host else one.host
    return f"nbds://{export}@{host}:{one.port}/{export}?tls-psk-file={quote(str(path))}"


def time_of(text: str, now: Callable[[], float] = time.time) -> int:
    """Microseconds since 1970 of a time, or of so many seconds, minutes, hours or days ago. Raises Refused."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        if text.startswith("-") and text[-1] in units:
            return int((now() - float(text[1:-1]) * units[text[-1]]) * 1e6)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused("BadTime", f"{text} is no time: write 2026-01-31T12:00:00 or -90s") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)


# -- what is written down --------------------------------------------------------------------------


def state_path(installation: Installation, one: Attached) -> Path:
    """Where an attachment of this machine is written down."""
    return installation.data / "block" / "attached" / f"{one.attachment_id}.json"


def remember(installation: Installation, one: Attached) -> None:
    """Write it down."""
    path = state_path(installation, one)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, msgspec.json.encode(one))


def known(installation: Installation) -> list[Attached]:
    """All of them."""
    paths = sorted((installation.data / "block" / "attached").glob("*.json"))
    return [msgspec.json.decode(path.read_bytes(), type=Attached) for path in paths]


# -- devices ---------------------------------------------------------------------------------------


def check_root() -> None:
    """Devices are the administrator's. Raises Refused."""
    if os.geteuid() != 0:
        raise Refused(
            "NotRoot", "a block device needs root: use sudo, or `ringstack volume export`"
        )


def kernel_client() -> str | None:
    """A free device of the kernel's NBD client, or None where there is none."""
    if shutil.which("nbd-client") is None:
        return None
    for path in sorted(Path("/sys/block").glob("nbd*")):
        if not (path / "pid").exists() and (path / "size").read_text().strip() == "0":
            return f"/dev/{path.name}"
    return None


def make_device(installation: Installation, one: Attached, *, read_only: bool) -> None:
    """Make the device of an export; `one` then knows it. Raises Unavailable, Refused."""
    device = kernel_client()
    if device is not None:
        command(
            "nbd-client", "-unix", one.socket, device, "-name", one.export, "-persist",
            "-timeout", "120", *(["-readonly"] if read_only else []),
        )  # fmt: skip
        one.device, one.pid = device, 0
        return
    missing = [PACKAGES[tool] for tool in PACKAGES if shutil.which(tool) is None]
    if missing:
        raise Refused("NoTools", f"a block device needs: apt-get install {' '.join(missing)}")
    directory = mount_point(installation, one)
    directory.mkdir(parents=True, exist_ok=True)
    log = installation.logs / f"attach-{one.attachment_id}.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [
                "nbdfuse", *(["-r"] if read_only else []), str(directory / "volume"), "--command",
                "nbdkit", "-s", "--exit-with-parent", "--filter=retry", "nbd", f"uri={uri_of(one)}", *RETRY,
            ],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )  # fmt: skip
    one.pid = process.pid
    remember(installation, one)
    try:
        wait_for(lambda: (directory / "volume").exists() or process.poll() is not None, DEVICE_S)
        if not (directory / "volume").exists():
            raise Unavailable("NoDevice", f"nbdfuse did not start: see {log}")
        options = ["-r"] if read_only else []
        one.device = command(
            "losetup", "-f", "--show", "--direct-io=on", *options, str(directory / "volume")
        ).strip()
    except BaseException:
        clear(installation, one)
        raise


def mount_point(installation: Installation, one: Attached) -> Path:
    """The directory in which nbdfuse shows a volume as a file."""
    return installation.run / "attached" / one.attachment_id


def alive(one: Attached) -> bool:
    """Its device is there and is still that of this volume."""
    if not one.device:
        return False
    if not one.pid:
        return (Path("/sys/block") / Path(one.device).name / "pid").exists()
    backing = Path("/sys/block") / Path(one.device).name / "loop" / "backing_file"
    try:
        shown = backing.read_text()
        words = Path(f"/proc/{one.pid}/cmdline").read_bytes()
    except OSError:
        return False
    return one.attachment_id in shown and words.startswith(b"nbdfuse")


def clear(installation: Installation, one: Attached) -> None:
    """Take away whatever there is of its device."""
    if one.device and not one.pid:
        subprocess.run(["nbd-client", "-d", one.device], capture_output=True, check=False)
    directory = mount_point(installation, one)
    for device in loops_of(directory / "volume"):
        command("losetup", "-d", device)
    wait_for(lambda: not loops_of(directory / "volume"), GONE_S)
    if os.path.ismount(directory) or broken(directory):
        command("fusermount3", "-u", "-z", str(directory))
    if one.pid and process_is(one.pid, "nbdfuse"):
        wait_for(lambda: not process_is(one.pid, "nbdfuse"), GONE_S, fail=False)
        if process_is(one.pid, "nbdfuse"):
            os.kill(one.pid, signal.SIGTERM)
    if directory.is_dir():
        directory.rmdir()
    one.device, one.pid = "", 0


def loops_of(path: Path) -> list[str]:
    """Loop devices over a file, also one that is gone."""
    if shutil.which("losetup") is None:
        return []
    done = subprocess.run(
        ["losetup", "-l", "-n", "-O", "NAME,BACK-FILE"], capture_output=True, text=True, check=False
    )
    rows = [line.split(None, 1) for line in done.stdout.splitlines()]
    return [row[0] for row in rows if len(row) == 2 and row[1].split(" ")[0] == str(path)]


def broken(directory: Path) -> bool:
    """A mount whose daemon has died."""
    try:
        directory.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def process_is(pid: int, program: str) -> bool:
    """A process runs, and is that program (not a later one of the same number)."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == program and (
            "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        )
    except OSError:
        return False


def mounted(device: str) -> str | None:
    """Where a device is mounted, or None."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, target, *_ = line.split(" ")
        if source == device:
            return target
    return None


def wait_for(ready: Callable[[], bool], timeout_s: float, *, fail: bool = True) -> None:
    """Look until something is so. Raises Unavailable when it takes too long."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            if fail:
                raise Unavailable("TooSlow", "the device did not appear or go in time")
            return
        time.sleep(0.02)


def command(*words: str) -> str:
    """Output of a program. Raises Unavailable with what it said."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable("CommandFailed", f"{words[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout
