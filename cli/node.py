"""`ringstack node`: the machines of a cluster.

`token` on a node of the cluster, `join` with it on a new machine; then `ring plan` and `ring apply` on the
keeper give the new devices their share. `list` asks every node how it is, `remove` puts one out for good.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from cli import guests
from cli.install import default_proxy_count, device_paths, node_name
from cli.options import data_option, json_option
from cli.up import check_port_free, free_port, panel, split, start, warn_of_devices
from core.errors import Conflict, Corrupt, Refused, RingstackError
from core.installation import Config, Installation, Secrets, host_of
from core.link import Link
from core.real import RealEnv, make_directory, write_durably
from core.roster import Member, Roster, check_member
from core.trust import Trust
from noded import wire
from noded.spread import ask
from ring.local import devices_of
from ring.store import RingStore

ANSWER_S = 3.0
KEY_FILE = re.compile(r"[a-z]{1,32}/[0-9]{1,9}\Z")


@click.group()
def node() -> None:
    """Machines of this cloud: let them join, list and remove them."""


@node.command()
@data_option
@json_option
@click.option(
    "--valid",
    "valid_minutes",
    type=click.IntRange(1, 10_080),
    default=60,
    show_default=True,
    help="Minutes until it is too old.",
)
def token(data: Path, *, as_json: bool, valid_minutes: int) -> None:
    """A token that lets one machine join, once."""
    from noded import keeper

    installation = Installation(data)
    roster = keeper.roster_of(installation)
    if installation.config().node == roster.keeper:
        text = keeper.make_token(installation, RealEnv().wall_us(), valid_minutes * 60)
    else:
        text = asyncio.run(token_of_keeper(installation, roster, valid_minutes * 60))
    address = keeper_address(roster)
    if as_json:
        click.echo(json.dumps({"token": text, "address": address, "minutes": valid_minutes}))
        return
    click.echo(f"On the new machine, within {valid_minutes} minutes:")
    click.echo(f"  ringstack node join {address} --token {text}")


def keeper_address(roster: Roster) -> str:
    """HOST:PORT of the keeper."""
    member = roster.member(roster.keeper)
    assert member is not None
    return member.address.removeprefix("tls:")


async def token_of_keeper(installation: Installation, roster: Roster, valid_s: int) -> str:
    """Ask the keeper for a token, as one of its nodes."""
    link = Link(
        RealEnv(),
        f"tls:{keeper_address(roster)}",
        installation.secrets().cluster_key,
        trust=Trust(installation.identity),
    )
    await link.wait_up(ANSWER_S)
    try:
        return (await ask(link, wire.TOKEN, wire.encode(valid_s))).decode()
    finally:
        link.close()


@node.command()
@click.argument("address")
@data_option
@click.option("--token", "token_text", required=True, help="From `ringstack node token`.")
@click.option("--devices", multiple=True, metavar="N|PATH", help="How many, or each directory.")
@click.option("--name", help="This node's name. [default: the host's]")
@click.option("--zone", type=click.IntRange(0, 65535), default=1, show_default=True)
@click.option("--region", type=click.IntRange(0, 65535), default=1, show_default=True)
@click.option("--cluster-listen", required=True, metavar="HOST:PORT", help="Where others reach it.")
@click.option("--plain-links", is_flag=True, help="No TLS between the storage of nodes.")
@click.option("--listen", default="127.0.0.1", show_default=True, metavar="ADDR")
@click.option("--object-port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("--api-port", type=click.IntRange(0, 65535), default=5000, show_default=True)
@click.option("--proxies", type=click.IntRange(1, 64), help="[default: one for each two cores]")
@click.option("--objectd-count", type=click.IntRange(1, 64), help="[default: one for each device]")
@click.option("--no-start", is_flag=True, help="Only join; `ringstack up` starts it.")
@json_option
def join(
    address: str,
    data: Path,
    *,
    token_text: str,
    devices: tuple[str, ...],
    name: str | None,
    zone: int,
    region: int,
    cluster_listen: str,
    plain_links: bool,
    listen: str,
    object_port: int,
    api_port: int,
    proxies: int | None,
    objectd_count: int | None,
    no_start: bool,
    as_json: bool,
) -> None:
    """Make this machine a node of the cluster that has a node at ADDRESS."""
    began = time.monotonic()
    installation = Installation(data)
    if installation.exists or installation.identity.exists():
        raise Conflict("Exists", f"there is a cloud in {installation.data}: choose another --data")
    member = Member(name or node_name(), f"tls:{cluster_listen}", zone, region)
    check_member(member)
    paths = device_paths(installation, split(devices))
    config = Config(
        installation="",
        listen=listen,
        object_port=object_port or free_port(listen),
        api_port=api_port or free_port(listen),
        region="",
        domains=(),
        proxy_count=proxies or default_proxy_count(),
        node=member.name,
        zone=zone,
        ring_region=region,
        cluster_listen=cluster_listen,
        plain_links=plain_links,
        objectd_count=objectd_count,
        without=(guests.COMPUTE,),  # volumes are served to guests on the API's own node alone
    )
    check_port_free(config)
    try:
        become_member(installation, config, address.removeprefix("tls:"), token_text, paths)
    except BaseException:
        shutil.rmtree(installation.identity, ignore_errors=True)
        raise
    if not no_start and as_json:
        start(installation, detach=True)
    if as_json:
        url = f"http://{host_of(config)}:{config.object_port}"
        facts = {"node": member.name, "staged_devices": len(paths), "object_url": url}
        click.echo(json.dumps({**facts, "started": not no_start}, indent=2))
        return
    click.echo(f"{member.name} is a node of the cluster; its {len(paths)} devices are staged.")
    if not no_start:
        start(installation, detach=True)
        click.echo(panel(installation, f"ready in {time.monotonic() - began:.1f} s"))
        warn_of_devices(installation)
    click.echo("Next, on the keeper: ringstack ring plan, then apply.")


def become_member(
    installation: Installation, config: Config, address: str, token_text: str, paths: list[Path]
) -> None:
    """Join with a token and write this node's data directory. Raises Refused, Conflict, Unavailable."""
    from noded import authority, guest
    from noded.token import decode_token

    fingerprint, secret = decode_token(token_text)
    make_directory(installation.data)
    installation.data.chmod(0o700)
    public = authority.make_key(installation.identity)
    assert config.cluster_listen is not None
    application = wire.Application(
        secret,
        Member(config.node, f"tls:{config.cluster_listen}", config.zone, config.ring_region),
        public,
        tuple(str(path) for path in paths),
        config.objectd_count,
        config.plain_links,
    )

    async def ask_to_join() -> tuple[bytes, wire.Welcome]:
        pem = await guest.fetch_authority(address, fingerprint)
        return pem, await guest.join(address, pem, application)

    pem, welcome = asyncio.run(ask_to_join())
    store_welcome(installation, config, pem, welcome)


def store_welcome(
    installation: Installation, config: Config, pem: bytes, welcome: wire.Welcome
) -> None:
    """Write what the keeper has handed over; the settings last. Raises Corrupt."""
    from noded import authority
    from ring.file import decode_epoch

    for directory in (installation.run, installation.logs, installation.ring):
        make_directory(directory)
    authority.store_certificate(installation.identity, welcome.certificate, pem)
    authority.store_roster(installation.identity, authority.verify(pem, welcome.roster))
    RingStore(installation.ring).write(decode_epoch(welcome.ring, "the keeper's ring"))
    for name, key in welcome.keys.items():
        if not KEY_FILE.match(name):
            raise Corrupt("BadKeyName", f"the keeper has a key file named {name!r}")
        make_directory((installation.data / "keys" / name).parent)
        write_durably(installation.data / "keys" / name, key)
    installation.write(
        msgspec.structs.replace(
            config,
            installation=welcome.installation,
            region=welcome.region,
            domains=welcome.domains,
            database=welcome.database,
            identity="" if welcome.database else welcome.identity,
        ),
        msgspec.json.decode(welcome.secrets, type=Secrets),
    )


@node.command("list")
@data_option
@json_option
def list_(data: Path, *, as_json: bool) -> None:
    """Every node: its place, its devices, and how it is."""
    from noded.keeper import roster_of

    installation = Installation(data)
    roster = roster_of(installation)
    rows = asyncio.run(standings(installation, roster))
    if as_json:
        click.echo(json.dumps({"version": roster.version, "nodes": rows}, indent=2))
        return
    wide = max(len(row["name"]) for row in rows)
    click.echo(f"{'node':<{wide}}  {'address':<24} {'region':>6} {'zone':>5} {'devices':>7}  state")
    for row in rows:
        state = f"ring {row['ring']}" if row["up"] else "does not answer"
        role = ", keeper" if row["keeper"] else ""
        click.echo(
            f"{row['name']:<{wide}}  {row['address']:<24} {row['region']:>6} {row['zone']:>5} "
            f"{row['devices']:>7}  {state}{role}"
        )


async def standings(installation: Installation, roster: Roster) -> list[dict[str, Any]]:
    """Ask each node for its newest ring and list."""
    env, trust = RealEnv(), Trust(installation.identity)
    key = installation.secrets().cluster_key
    epoch = RingStore(installation.ring).current()

    async def one(member: Member) -> dict[str, Any]:
        link = Link(env, member.address, key, trust=trust)
        standing = None
        try:
            if await link.wait_up(ANSWER_S):
                standing = wire.decode(await ask(link, wire.STANDING), wire.Standing)
        except RingstackError:
            standing = None
        finally:
            link.close()
        return {
            "name": member.name,
            "address": member.address,
            "region": member.ring_region,
            "zone": member.zone,
            "devices": 0 if epoch is None else len(devices_of(epoch.devices, member.name)),
            "keeper": member.name == roster.keeper,
            "up": standing is not None,
            "ring": None if standing is None else standing.ring,
            "list": None if standing is None else standing.roster,
        }

    return list(await asyncio.gather(*(one(member) for member in roster.members)))


@node.command()
@data_option
@json_option
def repair(data: Path, *, as_json: bool) -> None:
    """Have every node compare its devices with the others now, and repair what differs."""
    from noded.keeper import roster_of

    installation = Installation(data)
    silent = asyncio.run(repair_now(installation, roster_of(installation)))
    if as_json:
        click.echo(json.dumps({"silent": silent}))
        return
    for name in silent:
        click.echo(f"node {name} does not answer")


async def repair_now(installation: Installation, roster: Roster) -> list[str]:
    """Ask all nodes; returns the names of those that do not answer."""
    env, trust = RealEnv(), Trust(installation.identity)
    key = installation.secrets().cluster_key

    async def one(member: Member) -> str | None:
        link = Link(env, member.address, key, trust=trust)
        try:
            if not await link.wait_up(ANSWER_S):
                return member.name
            await ask(link, wire.REPAIR)
        except RingstackError:
            return member.name
        finally:
            link.close()
        return None

    answers = await asyncio.gather(*(one(member) for member in roster.members))
    return [name for name in answers if name is not None]


@node.command()
@click.argument("name")
@data_option
@json_option
@click.option("--lost", is_flag=True, help="It is gone for good, with what its devices hold.")
def remove(name: str, data: Path, *, as_json: bool, lost: bool) -> None:
    """Put the node NAME out of the cluster for good."""
    from noded import keeper

    installation = Installation(data)
    if not installation.exists:
        raise Refused("NoInstallation", f"there is no cloud in {installation.data}")
    staged = keeper.remove(installation, name, lost=lost)
    if as_json:
        click.echo(json.dumps({"removed": name, "staged_devices": staged}))
        return
    click.echo(f"Node {name} is removed; its certificate counts no more.")
    if staged:
        numbers = ", ".join(map(str, staged))
        click.echo(f"Its devices {numbers} leave the ring with the next `ringstack ring apply`.")
