"""`ringstack bench`: load benchmarks, side by side with a peer where there is one."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.options import data_option, json_option
from core.installation import Installation

if TYPE_CHECKING:
    from bench.object import Announce, Plan
    from bench.report import Report
    from bench.target import Target

    Peer = Callable[[Path], AbstractContextManager[list[Target]]]

F = TypeVar("F", bound=Callable[..., Any])

PEER_DIRECTORY = Path("~/.cache/ringstack/peer-swift")
CHOICES = {
    "api": ("s3", "swift"),
    "operations": ("put", "get", "head", "delete", "list", "stream"),
    "sizes": ("4k", "64k", "1m"),
}
KEYSTONE_DIRECTORY = Path("~/.cache/ringstack/peer-keystone")
PYTHON = click.Path(exists=True, dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.group()
def bench() -> None:
    """Load benchmarks."""


def words(_context: click.Context, option: click.Parameter, value: str) -> tuple[str, ...]:
    """A comma-separated list of known words."""
    allowed = CHOICES[option.name or ""]
    given = tuple(word.strip() for word in value.split(",") if word.strip())
    wrong = [word for word in given if word not in allowed]
    if wrong or not given:
        raise click.BadParameter(f"choose from {', '.join(allowed)}")
    return given


def listed(name: str) -> Callable[[F], F]:
    """An option `--name` that takes some of its CHOICES; all by default."""
    everything = ",".join(CHOICES[name])
    return click.option(
        f"--{name}", default=everything, show_default=True, callback=words, metavar="LIST"
    )


@bench.command("object")
@click.option("--data", type=DIRECTORY, help="Measure the running cloud in this directory.")
@click.option("--own", is_flag=True, help="Start a cloud and remove it afterwards (the default).")
@listed("api")
@listed("operations")
@listed("sizes")
@click.option(
    "--seconds",
    type=click.FloatRange(0.05),
    default=1.0,
    show_default=True,
    help="Length of a round.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Rounds of each case.",
)
@click.option("--scratch", type=DIRECTORY, help="Where the clouds it starts keep their data.")
@click.option("--peer-swift", is_flag=True, help="Measure OpenStack Swift beside it.")
@click.option(
    "--peer-python",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="A Python that has Swift; implies --peer-swift.",
)
@click.option("--peer-install", is_flag=True, help=f"Install Swift in {PEER_DIRECTORY}.")
@click.option("--peer-s3", metavar="URL", help="Measure this S3 service beside it.")
@click.option("--peer-pid", type=int, multiple=True, help="A process of that service, for its CPU.")
@json_option
def object_(
    *,
    data: Path | None,
    own: bool,
    api: tuple[str, ...],
    operations: tuple[str, ...],
    sizes: tuple[str, ...],
    seconds: float,
    rounds: int,
    scratch: Path | None,
    peer_swift: bool,
    peer_python: Path | None,
    peer_install: bool,
    peer_s3: str | None,
    peer_pid: tuple[int, ...],
    as_json: bool,
) -> None:
    """Objects, listings and streams through both APIs."""
    from bench.object import Plan
    from bench.report import show

    if data is not None and own:
        raise click.UsageError("--data and --own exclude each other")
    plan = Plan(seconds, rounds, operations, sizes)
    peer: Peer = no_peer
    if peer_swift or peer_python or peer_install:
        peer = swift_peer(peer_interpreter(peer_python, install=peer_install))
    elif peer_s3:
        peer = s3_peer(peer_s3, peer_pid)
    with progress(quiet=as_json) as announce:
        report = measure(data, api, plan, announce=announce, scratch=scratch, peer=peer)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        show(report)
    sys.exit(1 if report.errors else 0)


def measure(
    data: Path | None,
    apis: tuple[str, ...],
    plan: Plan,
    *,
    announce: Announce,
    scratch: Path | None,
    peer: Peer,
) -> Report:
    """Start what is wanted, run every case, stop it again."""
    import uvloop

    from bench import ceilings, report, target
    from bench.object import ObjectBench

    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch, prefix="bench-")))
        announce("measuring the machine's ceilings")
        bounds = ceilings.measure(root)
        announce("starting a cloud")
        installation = stack.enter_context(cloud(data, root))
        targets = target.targets_of(installation, apis, disposable=data is None)
        announce("starting the peer")
        theirs = stack.enter_context(peer(root))
        targets += theirs
        figures = uvloop.run(ObjectBench(targets, plan, announce).run())
        memory = {each.name: each.memory_bytes() for each in targets}
        place = ceilings.file_system_of(installation.data)
        facts = report.setting(plan.seconds, plan.rounds, file_system=place)
        names = [each.name for each in theirs]
    return report.Report(figures, bounds, memory, facts, peer="".join(names))


def daemon_pids(installation: Installation, name: str) -> list[int]:
    """The processes of a daemon of a running cloud."""
    import msgspec

    from cli.supervisor import DaemonState

    states = msgspec.json.decode(installation.state_file.read_bytes(), type=list[DaemonState])
    return [state.pid for state in states if state.name == name]


@contextmanager
def no_peer(_root: Path) -> Iterator[list[Target]]:
    """Nobody to compare with."""
    yield []


def swift_peer(python: Path) -> Peer:
    """OpenStack Swift, started below a directory."""

    @contextmanager
    def started(root: Path) -> Iterator[list[Target]]:
        from bench.peer_swift import SwiftPeer
        from bench.target import target_of_peer

        with SwiftPeer(python, root / "swift") as peer:
            yield [target_of_peer(peer)]

    return started


def s3_peer(url: str, pids: tuple[int, ...]) -> Peer:
    """A service that runs already."""

    @contextmanager
    def running(_root: Path) -> Iterator[list[Target]]:
        from bench.target import target_of_endpoint

        yield [target_of_endpoint(url, list(pids), os.environ)]

    return running


@contextmanager
def cloud(data: Path | None, root: Path) -> Iterator[Installation]:
    """The running cloud in `data`, or one of our own below `root`."""
    from bench.target import own_cloud

    if data is not None:
        yield Installation(data)
        return
    with own_cloud(root / "cloud") as installation:
        yield installation


def peer_interpreter(python: Path | None, *, install: bool) -> Path:
    """The Python that has Swift: as named, or in our own place for it."""
    from bench.peer_swift import DISTRIBUTION
    from bench.peer_swift import install as install_peer

    if python is not None:
        return python.absolute()
    directory = PEER_DIRECTORY.expanduser()
    if not install and not (directory / "bin" / "python").exists():
        raise click.UsageError(
            "--peer-swift needs a Python that has Swift: name it with --peer-python, or add "
            f"--peer-install to install {DISTRIBUTION} in {PEER_DIRECTORY}"
        )
    if install:
        click.echo(f"installing {DISTRIBUTION} in {directory}", err=True)
    return install_peer(directory)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Announce]:
    """Says what is being done, on one line of a terminal that goes away; elsewhere nothing."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _text: None
        return
    with console.status("") as status:
        yield status.update


@bench.command("block")
@click.option("--data", type=DIRECTORY, help="Measure the running cloud in this directory.")
@click.option("--size", type=click.IntRange(1, 1024), default=1, show_default=True, help="GiB.")
@click.option("--seconds", type=click.FloatRange(0.5), default=5.0, show_default=True)
@click.option("--scratch", type=DIRECTORY, help="Where it keeps what it starts.")
@click.option(
    "--peer",
    multiple=True,
    metavar="NAME=URI[,PID…]",
    help="Another NBD server, as qemu-nbd over an RBD image. Its export is overwritten.",
)
@json_option
def block(
    *,
    data: Path | None,
    size: int,
    seconds: float,
    scratch: Path | None,
    peer: tuple[str, ...],
    as_json: bool,
) -> None:
    """A volume with three synced replicas beside local files and other NBD servers."""
    from bench import block as blocks
    from bench import ceilings, report
    from cli import volume

    blocks.check_tools()
    with ExitStack() as stack:
        announce = stack.enter_context(progress(quiet=as_json))
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch, prefix="bench-")))
        announce("starting a cloud")
        installation = stack.enter_context(cloud(data, root))
        name = f"bench-{os.getpid()}"
        stack.enter_context(volume.scratch_volume(installation, name, size))
        found = volume.connect(installation, name, read_only=False, snapshot=None, at=None)
        stack.callback(volume.forget, installation, found)
        supervisor = installation.supervisor_pid()
        servers = [blocks.Server("ringstack", volume.uri_of(found), [supervisor or 0])]
        servers += stack.enter_context(blocks.floors(root, size << 30))
        servers += [peer_server(text) for text in peer]
        lines, memory = blocks.measure(
            servers, size=size << 30, seconds=seconds, scratch=root, announce=announce
        )
        place = ceilings.file_system_of(installation.data)
        facts = report.setting(seconds, 1, file_system=place, size_gib=size)
    result = blocks.BlockReport(lines, memory, facts)
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
    else:
        blocks.show(result)


def peer_server(text: str) -> Any:
    """A server named as NAME=URI[,PID…]."""
    from bench.block import Server

    name, _, rest = text.partition("=")
    uri, *pids = rest.split(",")
    if not name or "://" not in uri or not all(pid.isdigit() for pid in pids):
        raise click.BadParameter(f"{text} is not NAME=URI[,PID…]")
    return Server(name, uri, [int(pid) for pid in pids])


@bench.command("identity")
@click.option("--data", type=DIRECTORY, help="Measure the running cloud in this directory.")
@click.option("--seconds", type=click.FloatRange(0.05), default=5.0, show_default=True)
@click.option("--connections", type=click.IntRange(1), default=16, show_default=True)
@click.option("--peer-keystone", is_flag=True, help="Measure OpenStack Keystone beside it.")
@click.option("--peer-python", type=PYTHON, help="A Python that has Keystone and uWSGI.")
@click.option("--peer-install", is_flag=True, help="Install Keystone for itself first.")
@click.option("--scratch", type=DIRECTORY, help="Where the services it starts keep their data.")
@json_option
def identity(
    *,
    data: Path | None,
    seconds: float,
    connections: int,
    peer_keystone: bool,
    peer_python: Path | None,
    peer_install: bool,
    scratch: Path | None,
    as_json: bool,
) -> None:
    """Log-ins and validations per second over HTTP, and verifications inside a service."""
    from bench import identity as load
    from bench.peer_keystone import PROJECT, USER, KeystonePeer, install
    from cli.env import variables
    from core.real import RealEnv

    python = peer_python or KEYSTONE_DIRECTORY.expanduser() / "bin" / "python"
    if peer_keystone and not python.exists() and not peer_install:
        raise click.UsageError("--peer-keystone needs --peer-python, or --peer-install")
    with ExitStack() as stack:
        announce = stack.enter_context(progress(quiet=as_json))
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch, prefix="bench-")))
        announce("starting a cloud")
        installation = stack.enter_context(cloud(data, root))
        values = variables(installation)
        accounts = [
            load.Account(
                "ringstack",
                values["OS_AUTH_URL"].removesuffix("/v3"),
                values["OS_USERNAME"],
                values["OS_PASSWORD"],
                values["OS_PROJECT_NAME"],
                daemon_pids(installation, "apid"),
            )
        ]
        if peer_keystone:
            announce("starting Keystone")
            python = install(python.parent.parent) if peer_install else python
            count = max(1, os.cpu_count() or 1)
            peer = stack.enter_context(KeystonePeer(python, root / "keystone", count))
            accounts.append(
                load.Account("Keystone", peer.url, USER, peer.password, PROJECT, peer.pids)
            )
        announce(f"measuring for {seconds:g} s each")
        report = load.bench(RealEnv(), accounts, seconds=seconds, connections=connections)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        load.show(report)
    sys.exit(1 if report.errors else 0)


@bench.command()
@click.option("--data", type=DIRECTORY, help="Load the running cloud in this directory.")
@click.option("--own", is_flag=True, help="Start a cloud and remove it afterwards (the default).")
@click.option("--seconds", type=click.FloatRange(1), default=30.0, show_default=True)
@click.option("--clients", type=click.IntRange(1), default=16, show_default=True)
@click.option("--scratch", type=DIRECTORY, help="Where a cloud it starts keeps its data.")
@json_option
def mixed(
    *,
    data: Path | None,
    own: bool,
    seconds: float,
    clients: int,
    scratch: Path | None,
    as_json: bool,
) -> None:
    """Popular and unpopular objects of all sizes through both APIs at once, by locust."""
    import uvloop

    from bench import mixed as load
    from bench.report import show_mixed
    from bench.target import S3, targets_of

    if data is not None and own:
        raise click.UsageError("--data and --own exclude each other")
    if not load.has_locust():
        click.echo("installing locust, which only this benchmark needs", err=True)
        load.install_locust()
    with ExitStack() as stack:
        announce = stack.enter_context(progress(quiet=as_json))
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch, prefix="bench-")))
        announce("starting a cloud")
        installation = stack.enter_context(cloud(data, root))
        (target,) = targets_of(installation, (S3,), disposable=data is None)
        container = load.new_container()
        announce("storing the objects")
        uvloop.run(load.prepare(target, container))
        try:
            announce(f"{clients} clients for {seconds:g} s")
            report = load.run(installation, target, container, seconds=seconds, clients=clients)
        finally:
            if not target.disposable:
                announce("cleaning up")
                uvloop.run(load.clean(target, container))
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        show_mixed(report)
    sys.exit(1 if report.failures else 0)


@bench.command()
@data_option
@click.option("--servers", "count", type=click.IntRange(1), default=10, show_default=True)
@json_option
def boot(*, data: Path, count: int, as_json: bool) -> None:
    """Servers of a running cloud: from the request to running, and to gone, for disks of 1 and 100 GB."""
    import asyncio

    from bench import boot as load
    from cli.openstack import OpenStack

    figures = asyncio.run(load.bench(OpenStack(Installation(data)), (1, 100), count))
    if as_json:
        click.echo(json.dumps([one.to_json() for one in figures], indent=2))
    else:
        load.show(figures)


@bench.command("ring", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ring(arguments: tuple[str, ...]) -> None:
    """Building and rebalancing a large ring (--help for its options)."""
    from bench.ring import main

    sys.exit(main(arguments))
