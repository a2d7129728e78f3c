"""`ringstack up`: make the cloud if there is none, start it, say where it is."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from cli import guests
from cli.install import default_proxy_count, device_paths, install, local_devices
from cli.options import data_option
from cli.supervisor import DaemonState
from core import keyring
from core.errors import Conflict, Unavailable
from core.installation import DEFAULT_DATA, Config, Installation, host_of, identity_url
from core.real import RealEnv
from ring.device import Device
from ring.place import next_address
from ring.store import RingStore

START_TIMEOUT_S = 90.0
LEFTOVER_S = 30.0


@click.command()
@data_option
@click.option("--devices", multiple=True, metavar="N|PATH", help="How many, or each directory.")
@click.option("--detach", is_flag=True, help="Return once the cloud serves.")
@click.option("--listen", default="127.0.0.1", show_default=True, metavar="ADDR")
@click.option("--object-port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--api-port", type=click.IntRange(0, 65535), default=5000, show_default=True)
@click.option(
    "--database", default="", metavar="URL", help="postgresql+asyncpg://… [default: SQLite]"
)
@click.option("--cluster-listen", metavar="HOST:PORT", help="Where other nodes reach this one.")
@click.option("--plain-links", is_flag=True, help="No TLS between the storage of nodes.")
@click.option("--name", help="This node's name. [default: the host's]")
@click.option("--zone", type=click.IntRange(0, 65535), default=1, show_default=True)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice([guests.COMPUTE]),
    help="Run no guests and no networks on this machine.",
)
@click.option("--objectd-count", type=click.IntRange(1, 64), help="[default: one for each device]")
@click.option(
    "--proxies",
    type=click.IntRange(1, 64),
    default=None,
    help="Proxy processes [default: one for each two cores]",
)
def up(
    data: Path,
    devices: tuple[str, ...],
    *,
    detach: bool,
    listen: str,
    object_port: int,
    api_port: int,
    database: str,
    cluster_listen: str | None,
    plain_links: bool,
    name: str | None,
    zone: int,
    objectd_count: int | None,
    proxies: int | None,
    without: tuple[str, ...],
) -> None:
    """Start a cloud on this machine (made at the first start)."""
    began = time.monotonic()
    installation = Installation(data)
    if installation.supervisor_pid() is not None:
        if cluster_listen and cluster_listen != installation.config().cluster_listen:
            raise Conflict(
                "Running", "stop the cloud first (`ringstack down`): its addresses change"
            )
        click.echo(panel(installation, "already running"))
        return
    wait_for_leftovers(installation)
    made = not installation.exists
    if made:
        install(
            installation,
            devices=split(devices),
            listen=listen,
            object_port=object_port or free_port(listen),
            api_port=api_port or free_port(listen),
            proxy_count=proxies or default_proxy_count(),
            database=database,
            node=name,
            zone=zone,
            cluster_listen=cluster_listen,
            plain_links=plain_links,
            objectd_count=objectd_count,
            without=without,
        )
    else:
        if devices:
            check_same_devices(installation, split(devices))
        if cluster_listen:
            open_to_others(installation, cluster_listen, plain_links=plain_links)
    check_port_free(installation.config())
    supervisor = start(installation, detach=detach)
    click.echo(panel(installation, f"ready in {time.monotonic() - began:.1f} s"))
    warn_of_devices(installation)
    tell_of_guests(installation, made=made)
    if not detach:
        sys.exit(stay(supervisor))


def wait_for_leftovers(installation: Installation) -> None:
    """Daemons of a supervisor that was killed are on their way out: let them finish."""
    try:
        states = msgspec.json.decode(installation.state_file.read_bytes(), type=list[DaemonState])
    except (FileNotFoundError, msgspec.MsgspecError):
        return
    deadline = time.monotonic() + LEFTOVER_S
    for state in states:
        while installation.process_runs(state.pid, state.module):
            if time.monotonic() > deadline:
                raise Conflict(
                    "Leftover", f"process {state.pid} of an earlier start does not end: kill it"
                )
            time.sleep(0.05)


def open_to_others(installation: Installation, listen: str, *, plain_links: bool) -> None:
    """Give a cloud of one machine an address for others: a new epoch, in which nothing moves."""
    from noded.keeper import found
    from ring.build import build_all

    old = installation.config()
    config = msgspec.structs.replace(old, cluster_listen=listen, plain_links=plain_links)
    if config == old:
        return
    store = RingStore(installation.ring)
    with store.locked():
        draft, current = store.draft(), store.current()
        if current is None or draft.devices != current.devices:
            raise Conflict("Staged", "a change of the ring is staged: apply or undo it first")
        if any(device.node != config.node for device in draft.devices):
            raise Conflict("NotAlone", "other nodes know this one by its address: it cannot change")
        fresh: list[Device] = []
        for device in draft.devices:
            address = next_address(installation.listens(config), fresh, config.objectd_count)
            fresh.append(dataclasses.replace(device, address=address))
        draft = dataclasses.replace(draft, devices=tuple(fresh))
        found(installation, config)
        installation.write_config(config)
        store.write_draft(draft)
        for change in build_all(draft, current):
            store.write(change.epoch)


def warn_of_devices(installation: Installation) -> None:
    """Say which devices are not served, if any."""
    states = msgspec.json.decode(installation.state_file.read_bytes(), type=list[DaemonState])
    refused = sum(state.refused for state in states)
    if refused:
        command = own_command(installation)
        click.echo(f"  warning      {refused} devices are not served: see `{command('doctor')}`")


def tell_of_guests(installation: Installation, *, made: bool) -> None:
    """Give a new cloud what servers begin with, or say why this machine runs none."""
    if guests.COMPUTE in installation.config().without:
        return
    if missing := guests.missing():
        click.echo(f"  servers      not on this machine: {missing}")
    elif made:
        from cli.seed import seed_quietly

        click.echo(f"  servers      {seed_quietly(installation)}")


def split(devices: tuple[str, ...]) -> tuple[str, ...]:
    """`--devices a,b --devices c` as one list."""
    return tuple(part for value in devices for part in value.split(",") if part)


_given_ports: set[int] = set()


def free_port(listen: str) -> int:
    """A port that nobody uses now, another one at each call."""
    while True:
        with socket.create_server((listen, 0)) as probe:
            port = int(probe.getsockname()[1])
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def check_same_devices(installation: Installation, devices: tuple[str, ...]) -> None:
    """Refuse `--devices` that differ from what the cloud was made with."""
    wanted = {str(path) for path in device_paths(installation, devices)}
    if wanted != {device.path for device in local_devices(installation)}:
        raise Conflict(
            "OtherDevices",
            f"the cloud in {installation.data} has other devices; change them with `ringstack ring`",
        )


def check_port_free(config: Config) -> None:
    """Refuse to start on a port that another program has."""
    for option, port in (("--object-port", config.object_port), ("--api-port", config.api_port)):
        try:
            socket.create_server((config.listen, port)).close()
        except OSError as error:
            raise Conflict(
                "PortTaken",
                f"cannot listen on {config.listen}:{port} ({error.strerror}): "
                f"stop what uses it, or choose another with {option} and a new --data",
            ) from None


def start(installation: Installation, *, detach: bool) -> subprocess.Popen[bytes]:
    """Start the supervisor and wait until everything serves. Raises Unavailable with the log's end."""
    for directory in (installation.run, installation.logs):
        directory.mkdir(exist_ok=True, mode=0o700)
    keyring.create(installation.keys, RealEnv())  # before anybody looks for them
    reader, writer = os.pipe()
    log_path = installation.logs / "supervisor.log"
    arguments = ["--data", str(installation.data), "--ready-fd", str(writer)]
    if not detach:
        arguments += ["--with-parent", str(os.getpid())]
    with log_path.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.supervisor", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            pass_fds=(writer,),
            cwd="/",
            start_new_session=True,
        )
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    if answer != b"ready":
        process.wait(START_TIMEOUT_S)
        raise Unavailable("StartFailed", "the cloud did not start:\n" + last_words(installation))
    return process


def last_words(installation: Installation) -> str:
    """The end of each log, for a start that failed."""
    lines = []
    for path in sorted(installation.logs.glob("*.log")):
        tail = path.read_text(errors="replace").strip().splitlines()[-3:]
        lines += [f"  {path.name}: {line[-400:]}" for line in tail]
    return "\n".join(lines) + f"\nMore in {installation.logs}."


def stay(supervisor: subprocess.Popen[bytes]) -> int:
    """Wait in the foreground; Ctrl-C and SIGTERM stop the cloud."""

    def stop(number: int, frame: object) -> None:
        del number, frame
        supervisor.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    click.echo("Ctrl-C stops it.")
    status = supervisor.wait()
    click.echo("stopped")
    return status


def panel(installation: Installation, state: str) -> str:
    """What a person needs to know, in a few lines."""
    config = installation.config()
    url = f"http://{host_of(config)}:{config.object_port}"
    command = own_command(installation)
    return (
        f"Ringstack is {state}\n"
        f"  S3           {url}\n"
        f"  Swift        {url}/auth/v1.0\n"
        f"  OpenStack    {identity_url(config)}\n"
        f'  credentials  eval "$({command("env")})"\n'
        f"  data         {installation.data} ({len(local_devices(installation))} devices)\n"
        f"  stop         {command('down')}"
    )


def own_command(installation: Installation) -> Callable[[str], str]:
    """How this person calls a subcommand for this cloud: by name when it is on the PATH."""
    program = Path(sys.argv[0]).absolute()
    name = "ringstack" if shutil.which("ringstack") == str(program) else os.path.relpath(program)
    default = Installation(DEFAULT_DATA).data
    data = "" if installation.data == default else f" --data {installation.data}"
    return lambda subcommand: f"{name} {subcommand}{data}"
