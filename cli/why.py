"""`ringstack why`: why something is where it is, and what happens next with it.

`why server ID` asks Compute which hosts were thought of for a server, and what each of their filters said.

`why object CONTAINER NAME` asks the running cloud: the partition, its epoch and devices, which of them hold the
register and which pieces of the body, and what is about to be done about those that do not.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import click

from cli.openstack import answered
from cli.options import data_option, json_option
from core.api.client import Client
from core.errors import Conflict, NotFound, RingstackError
from core.installation import Installation, identity_url
from core.keyring import Keyring
from core.real import RealEnv
from core.service_identity import ServiceIdentity
from objectd import wire
from proxy.connect import connect
from proxy.repair.peers import ask
from proxy.store import names
from proxy.store.cluster import Cluster, Target
from proxy.store.layout import layout_of
from proxy.store.record import Extent, ObjectName
from proxy.store.verbs import ClusterStore
from ring.device import Device
from ring.store import RingStore

LINKS_UP_S = 3.0
BLOBS_SHOWN_MAX = 20


@click.group()
def why() -> None:
    """Why something is where it is, and what happens next."""


class Copy(NamedTuple):
    """What one device holds: "good", "older", "absent", "bad", or "silent"."""

    device: Device
    role: str
    state: str

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        device = self.device
        return {
            "device": device.id,
            "name": device.name,
            "node": device.node,
            "zone": device.zone,
            "role": self.role,
            "state": self.state,
        }


@why.command("object")
@data_option
@json_option
@click.option("--account", help="Storage account. [default: the administrator's]")
@click.argument("container")
@click.argument("name")
def of_object(data: Path, *, as_json: bool, account: str | None, container: str, name: str) -> None:
    """Why object NAME of CONTAINER is where it is."""
    installation = Installation(data)
    if installation.supervisor_pid() is None:
        raise Conflict("NotRunning", "the cloud is not running; start it with ringstack up")
    where = ObjectName(account or installation.secrets().account, container, name)
    report = asyncio.run(_explain(installation, where))
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        show(report)


@why.command("server")
@data_option
@json_option
@click.argument("server_id")
def of_server(data: Path, *, as_json: bool, server_id: str) -> None:
    """Why a server is on its host, or on none."""
    report = asyncio.run(_explain_server(Installation(data), server_id))
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    where = f"is on {report['host']}" if report["host"] else "is on no host"
    click.echo(f"server {report['server_id']} {where}; {report['host_count']} hosts are known")
    fault = report.get("fault") or {}
    if fault.get("message"):
        click.echo(f"fault: {fault['message']}")
    for one in report["reasons"]:
        said = f"weighs {one['why']}" if one["filter"] == "weight" else one["why"]
        click.echo(f"  {one['host']:<24} {one['filter']:<18} {said}")
    if not report["reasons"]:
        click.echo("the scheduler has not been asked about it")


async def _explain_server(installation: Installation, server_id: str) -> dict[str, Any]:
    keyring = Keyring(installation.keys)
    keyring.load()
    token = ServiceIdentity(RealEnv(), keyring).token()
    base = identity_url(installation.config()).removesuffix("/identity")
    path = f"/compute/why/{quote(server_id, safe='')}"
    reply = await Client(base).call("GET", path, headers={"X-Auth-Token": token})
    if reply.status == 404:
        raise NotFound("NoSuchServer", f"there is no server {server_id}: use its id")
    report: dict[str, Any] = answered(reply)
    return report


async def _explain(installation: Installation, where: ObjectName) -> dict[str, Any]:
    cluster = connect(installation, RealEnv(), background=True)
    try:
        await cluster.wait_up(LINKS_UP_S)
        store = ClusterStore(cluster)
        info = await store.get_container(where.account, where.container)
        range_id = names.container_range(info.record.incarnation, where.space)
        epoch = cluster.epoch
        partition = epoch.partition(range_id)
        version, size = b"", 0
        manifest: tuple[Extent, ...] = ()
        try:
            found = await store.get_object(where)
            version, size = found.version, found.record.size
            manifest = tuple(found.record.manifest or ())
        except NotFound:
            pass
        paused = RingStore(installation.ring).throttle().paused
        copies = await _register_copies(cluster, range_id, where.name.encode(), version)
        blobs = [
            await _blob(cluster, one, paused=paused)
            for one in list(dict.fromkeys(manifest))[:BLOBS_SHOWN_MAX]
        ]
        return {
            "object": f"{where.container}/{where.name}",
            "exists": bool(version),
            "size": size,
            "policy": cluster.policies[info.record.policy].name,
            "epoch": epoch.number,
            "joint": len(epoch.index_sets(partition)) > 1,
            "register": {
                "range": range_id.hex(),
                "partition": partition,
                "since_epoch": epoch.since[partition],
                "copies": [copy.to_json() for copy in copies],
                "next": _next_of_register(copies),
            },
            "inline": bool(version) and not manifest,
            "blobs": blobs,
            "blobs_left_out": max(0, len(set(manifest)) - BLOBS_SHOWN_MAX),
        }
    finally:
        cluster.close()


async def _register_copies(
    cluster: Cluster, range_id: bytes, name: bytes, version: bytes
) -> list[Copy]:
    targets, majority, _ = cluster.index_replicas(range_id)
    read = wire.Read(range_id, name, wire.ANY_STAGE, wire.WANT_BALLOT, wire.ANY_CONFIG)
    copies = []
    for position, target in enumerate(targets):
        try:
            reply = await asyncio.wait_for(
                target.link.ask(wire.READ, target.device, wire.encode(read)), LINKS_UP_S
            )
        except TimeoutError:
            state = "silent"
        else:
            state = _state(reply.status, reply.head, version)
        role = "replica"
        if not majority.shared(position):
            role = "joining" if position in majority.sets[0] else "leaving"
        copies.append(Copy(cluster.epoch.device(target.device), role, state))
    return copies


def _state(status: int, head: bytes, version: bytes) -> str:
    if status == wire.CORRUPT:
        return "bad"
    if status != wire.OK:
        return "silent"
    held = wire.decode_held(head)
    if held.ballot == version or not (version or held.flags & wire.LIVE):
        return "good"
    return "older" if any(held.ballot) else "absent"


def _next_of_register(copies: list[Copy]) -> str:
    if any(copy.role == "joining" and copy.state != "good" for copy in copies):
        return "the joining device catches up; until then both replica sets decide"
    if any(copy.state in {"older", "absent", "bad"} for copy in copies):
        return "repair brings the lagging copies up to date within a pass"
    if any(copy.state == "silent" for copy in copies):
        return "the silent device catches up when it answers again"
    return "nothing: every replica agrees"


async def _blob(cluster: Cluster, extent: Extent, *, paused: bool) -> dict[str, Any]:
    """Who holds which piece of one blob."""
    policy = cluster.policies[extent.policy]
    epoch = cluster.epoch
    partition = epoch.partition(extent.blob)
    layout = layout_of(policy, extent.blob_size)
    homes = epoch.primaries(partition, policy.width)
    targets = {target.device: target for target in cluster.targets}
    copies = []
    for device, piece in zip(homes, layout.pieces, strict=False):
        state = await _piece(targets[device.id], extent.blob, piece)
        role = f"fragment {piece}" if layout.coded else "replica"
        copies.append(Copy(device, role, state))
    missing = [copy for copy in copies if copy.state != "good"]
    source = epoch.source(partition, policy.width)
    if missing and source is not None:
        state = await _piece(
            targets[source.device.id],
            extent.blob,
            layout.pieces[min(source.replica, len(layout.pieces) - 1)],
        )
        copies.append(Copy(source.device, "leaving", state))
    return {
        "blob": extent.blob.hex(),
        "length": extent.blob_size,
        "policy": policy.name,
        "partition": partition,
        "enough": layout.enough,
        "copies": [copy.to_json() for copy in copies],
        "next": _next_of_blob(missing, moving=source is not None, paused=paused),
    }


async def _piece(target: Target, blob: bytes, piece: int) -> str:
    head = wire.encode(wire.HaveCall([(blob, piece)]))
    try:
        (held,) = wire.decode_have(await ask(target.link, wire.HAVE, target.device, head))
    except RingstackError:
        return "silent"
    return "good" if held else "absent"


def _next_of_blob(missing: list[Copy], *, moving: bool, paused: bool) -> str:
    if not missing:
        return "nothing: it is complete"
    if any(copy.state == "silent" for copy in missing):
        return "a device does not answer; repair completes it when it does, or when it is replaced"
    if moving:
        return "it moves when the rebalance goes on" if paused else "it is about to move here"
    return "repair restores the missing copy within a pass"


def show(report: dict[str, Any]) -> None:
    """The report for a person."""
    where, register = report["object"], report["register"]
    if report["exists"]:
        click.echo(f"{where}: {report['size']} bytes, policy {report['policy']}")
    else:
        click.echo(f"{where}: there is no such object (a name has its place all the same)")
    moving = ", moving" if report["joint"] else ""
    click.echo(
        f"register: partition {register['partition']} of epoch {report['epoch']}, "
        f"replicas since epoch {register['since_epoch']}{moving}"
    )
    _show_copies(register)
    if report["inline"]:
        click.echo("body: in the register itself")
    for blob in report["blobs"]:
        click.echo(f"blob {blob['blob']}: {blob['length']} bytes, partition {blob['partition']}")
        _show_copies(blob)
    if report["blobs_left_out"]:
        click.echo(f"and {report['blobs_left_out']} more blobs")


def _show_copies(part: dict[str, Any]) -> None:
    for copy in part["copies"]:
        place = f"{copy['name']} on {copy['node']}, zone {copy['zone']}"
        click.echo(f"  {copy['state']:<7} {copy['role']:<11} {place}")
    click.echo(f"  next: {part['next']}")
