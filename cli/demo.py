"""`ringstack demo`: the main job, shown on real data.

Stores a directory tree through S3, kills a storage node half-way, reads everything back through Swift,
compares every byte, and says what happened and how fast. Then, where guests can run, it boots a server and uses it
(`demo_server`). `--stay` leaves the cloud in the foreground.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from bench.client import Answer, Failed, S3Client, SwiftClient
from cli import guests
from cli.demo_server import show_server
from cli.env import variables
from cli.install import default_proxy_count, install
from cli.options import data_option
from cli.status import processes
from cli.up import check_port_free, panel, start, stay
from core.errors import Corrupt, Refused
from core.installation import Installation

BUCKET = "demo"
AT_ONCE = 16
TRIES = 60
RETRY_S = 0.25
FILES_MAX = 5000
BYTES_MAX = 300_000_000
FILE_BYTES_MAX = 64_000_000


@click.command()
@data_option
@click.option(
    "--tree",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory to store; default: Python's own library on this machine.",
)
@click.option("--object-port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--stay", "remain", is_flag=True, help="Leave the cloud running in the foreground.")
def demo(data: Path, *, tree: Path | None, object_port: int, remain: bool) -> None:
    """Store a directory, kill a storage node, read everything back."""
    installation = Installation(data)
    supervisor = ensure_running(installation, object_port, detach=not remain)
    try:
        asyncio.run(show(installation, tree or default_tree()))
        if guests_run(installation):
            asyncio.run(show_server(installation, Path("screen.png").absolute()))
    except BaseException:
        if supervisor is not None and remain:
            supervisor.terminate()
            supervisor.wait()
        raise
    if remain and supervisor is not None:
        sys.exit(stay(supervisor))


def ensure_running(
    installation: Installation, object_port: int, *, detach: bool
) -> subprocess.Popen[bytes] | None:
    """Start the cloud if it is down; returns its supervisor when it was started here."""
    if installation.supervisor_pid() is not None:
        click.echo(panel(installation, "already running"))
        return None
    began = time.monotonic()
    if not installation.exists:
        install(
            installation,
            devices=(),
            listen="127.0.0.1",
            object_port=object_port,
            api_port=5000,
            proxy_count=default_proxy_count(),
        )
    check_port_free(installation.config())
    supervisor = start(installation, detach=detach)
    click.echo(panel(installation, f"ready in {time.monotonic() - began:.1f} s"))
    return supervisor


def guests_run(installation: Installation) -> bool:
    """Servers can be shown too; otherwise why not is said."""
    if guests.COMPUTE in installation.config().without:
        return False
    if missing := guests.missing():
        click.echo(f"no servers on this machine: {missing}")
        return False
    from cli.seed import seed_quietly

    click.echo(f"Servers begin with: {seed_quietly(installation)}")
    return True


def default_tree() -> Path:
    """A directory of real files that every machine with Python has."""
    return Path(sysconfig.get_path("stdlib"))


@dataclass
class Item:
    """A file to store."""

    path: Path
    name: str
    size: int


@dataclass
class Tally:
    """What happened."""

    retries: int = 0
    killed: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


def files_of(tree: Path) -> list[Item]:
    """Regular files of a tree, up to the demonstration's limits, in order of their names."""
    return list(_limited(tree))


def _limited(tree: Path) -> Iterator[Item]:
    count = total = 0
    for path in sorted(tree.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            continue
        count, total = count + 1, total + size
        if count > FILES_MAX or total > BYTES_MAX:
            return
        yield Item(path, str(path.relative_to(tree)), size)


async def show(installation: Installation, tree: Path) -> None:
    """The demonstration. Raises Corrupt when a byte differs."""
    items = files_of(tree)
    if not items:
        raise Refused("EmptyTree", f"there are no files in {tree}")
    total = sum(item.size for item in items)
    click.echo(f"\nStoring {len(items)} files, {total / 1e6:.0f} MB of {tree} through S3")
    values = variables(installation)
    tally = Tally()
    s3 = S3Client(
        values["AWS_ENDPOINT_URL"],
        values["AWS_ACCESS_KEY_ID"],
        values["AWS_SECRET_ACCESS_KEY"],
        values["AWS_DEFAULT_REGION"],
    )
    async with s3:
        (await persist(lambda: s3.make_container(BUCKET), tally)).expect()
        await store_all(s3, items, installation, tally)
    async with SwiftClient(values["ST_AUTH"], values["ST_USER"], values["ST_KEY"]) as swift:
        different = await compare_all(swift, items, tally)
    summary(items, tally, different)
    if different:
        raise Corrupt("Different", f"{len(different)} files differ, the first is {different[0]}")


async def persist(send: Callable[[], Awaitable[Answer]], tally: Tally) -> Answer:
    """Send a request again while the cloud answers 5xx or not at all, as every client does."""
    for _ in range(TRIES):
        try:
            answer = await send()
            if answer.status < 500:
                return answer
        except (Failed, OSError):
            pass  # the connection broke; the next try tells
        tally.retries += 1
        await asyncio.sleep(RETRY_S)
    return await send()


async def store_all(
    s3: S3Client, items: list[Item], installation: Installation, tally: Tally
) -> None:
    """Upload everything; half-way a storage node dies."""
    half = sum(item.size for item in items) / 2

    async def put(item: Item) -> None:
        body = item.path.read_bytes()
        (await persist(lambda: s3.put(BUCKET, item.name, body), tally)).expect()

    def progress(done: float) -> None:
        if done >= half and not tally.killed:
            tally.killed = kill_one(installation)

    await run_all("stored  ", items, put, progress, tally)


def kill_one(installation: Installation) -> str:
    """Kill -9 of a storage node; returns its name."""
    row = next(row for row in processes(installation) if row["name"].startswith("objectd"))
    os.kill(row["pid"], signal.SIGKILL)
    return str(row["name"])


async def compare_all(swift: SwiftClient, items: list[Item], tally: Tally) -> list[str]:
    """Download everything and compare; returns the names that differ."""
    different: list[str] = []

    async def get(item: Item) -> None:
        answer = await persist(lambda: swift.get(BUCKET, item.name), tally)
        if answer.status != 200 or answer.body != item.path.read_bytes():
            different.append(item.name)

    await run_all("compared", items, get, None, tally)
    return different


async def run_all(
    verb: str,
    items: list[Item],
    work: Callable[[Item], Awaitable[None]],
    watch: Callable[[float], None] | None,
    tally: Tally,
) -> None:
    """Work through the files, AT_ONCE at a time, with a progress bar on a terminal."""
    console = Console()
    queue = iter(items)
    done = 0
    began = time.monotonic()
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(verb, total=sum(item.size for item in items))

        async def worker() -> None:
            nonlocal done
            for item in queue:
                await work(item)
                done += item.size
                bar.update(task, advance=item.size)
                if watch is not None:
                    watch(done)

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    tally.seconds[verb] = time.monotonic() - began


def summary(items: list[Item], tally: Tally, different: list[str]) -> None:
    """What was done, with rates."""
    total = sum(item.size for item in items)
    for verb, seconds in tally.seconds.items():
        click.echo(
            f"  {verb}  {len(items)} files in {seconds:.1f} s: "
            f"{len(items) / seconds:.0f} files/s, {total / seconds / 1e6:.0f} MB/s"
        )
    click.echo(f"  killed    {tally.killed} half-way; {tally.retries} requests were sent again")
    verdict = "every byte is the same" if not different else f"{len(different)} files differ"
    click.echo(f"  result    {verdict}; look with: aws s3 ls s3://{BUCKET}\n")
