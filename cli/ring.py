"""`ringstack ring`: create, change, plan, apply and look at the ring of one cloud.

Changes are staged in `<data>/ring/builder.json`. `plan` shows what would move; `apply` makes what was
staged the goal, to which the running cloud moves its data, epoch by epoch.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import ring_view
from cli.install import node_name
from cli.options import data_option, json_option
from core.errors import Conflict, NotFound, Refused
from core.installation import Installation
from core.trust import Trust
from ring.device import Device
from ring.draft import Draft
from ring.epoch import Epoch, account_range_id, locate_key
from ring.goal import Goal, Throttle
from ring.local import devices_of
from ring.place import next_address
from ring.plan import Plan, bytes_by_device, make_plan
from ring.policy import Policy
from ring.report import report_table
from ring.settings import Settings
from ring.store import RingStore

if TYPE_CHECKING:
    from ring.build import Change

PART_POWER_DEFAULT = 12
WEIGHT_DEFAULT = 100.0
CODEC_DEFAULT = "isa_l_rs_cauchy"


@click.group()
def ring() -> None:
    """Devices, placement and rebalancing."""


@ring.command()
@data_option
@click.option("--part-power", type=int, default=PART_POWER_DEFAULT, show_default=True)
@click.option("--index-replicas", type=int, default=3, show_default=True)
@click.option(
    "--policy",
    "specs",
    multiple=True,
    help="NAME:replicated:N or NAME:erasure:K+M[:CODEC]; the first is the default. "
    "[default: standard:replicated:3]",
)
@click.option(
    "--overload",
    type=float,
    help="Percent a device may exceed its weight's share so that replicas are kept apart. "
    "[default: as much as it takes]",
)
@click.option("--seed", help="64-bit salt, hexadecimal. [default: random]")
def create(
    data: Path,
    *,
    part_power: int,
    index_replicas: int,
    specs: tuple[str, ...],
    overload: float | None,
    seed: str | None,
) -> None:
    """Start a ring: 2^PART_POWER partitions, no devices yet."""
    settings = Settings(
        part_power,
        secrets.randbits(64) if seed is None else _parse_seed(seed),
        index_replicas,
        None if overload is None else overload / 100,
    )
    policies = tuple(
        parse_policy(number, spec)
        for number, spec in enumerate(specs or ("standard:replicated:3",))
    )
    store = _store(data)
    with store.locked():
        if store.has_draft() or store.numbers():
            raise Conflict("RingExists", f"there is a ring in {store.directory} already")
        store.write_draft(Draft(settings, policies))
    click.echo(f"Created a ring of {settings.part_count} partitions in {store.directory}.")
    click.echo("Next: ringstack ring add, then plan and apply.")


def parse_policy(number: int, spec: str) -> Policy:
    """A policy from NAME:replicated:N or NAME:erasure:K+M[:CODEC]; policy 0 is the default."""
    name, _, rest = spec.partition(":")
    kind, _, shape = rest.partition(":")
    try:
        if kind == "replicated":
            replicas = int(shape)
            return Policy(number, name, kind, replicas=replicas, is_default=number == 0)
        if kind == "erasure":
            numbers, _, codec = shape.partition(":")
            data, parity = map(int, numbers.split("+"))
            return Policy(
                number,
                name,
                kind,
                data=data,
                parity=parity,
                codec=codec or CODEC_DEFAULT,
                is_default=number == 0,
            )
    except ValueError:
        pass
    raise Refused(
        "InvalidPolicy", f"{spec!r} is neither NAME:replicated:N nor NAME:erasure:K+M[:CODEC]"
    )


def _parse_seed(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise Refused("InvalidSettings", f"seed {text!r} is not hexadecimal") from None


@ring.command()
@data_option
@click.option("--node", help="Name of the device's machine. [default: this one]")
@click.option(
    "--address",
    help="unix:PATH, tcp:HOST:PORT or tls:HOST:PORT of its objectd. [default: the next]",
)
@click.option("--path", required=True, help="The device's directory on that node.")
@click.option("--region", type=int, default=1, show_default=True)
@click.option("--zone", type=int, default=1, show_default=True)
@click.option("--weight", type=float, default=WEIGHT_DEFAULT, show_default=True)
@click.option("--name", help="Unique name. [default: device-ID]")
def add(
    data: Path, *, name: str | None, node: str | None, address: str | None, **fields: Any
) -> None:
    """Stage a new device."""
    store = _store(data)
    with store.locked():
        draft = store.draft()
        device_id = _next_id(draft, store.current())
        node = node or _own_node(data)
        device = Device(
            id=device_id,
            name=name or f"device-{device_id}",
            node=node,
            address=address or _next_address(data, node, draft.devices),
            **fields,
        )
        store.write_draft(draft.with_device(device))
    click.echo(f"Staged device {device.id} ({device.name}); see ringstack ring plan.")


def _own_node(data: Path) -> str:
    installation = Installation(data)
    return installation.config().node if installation.exists else node_name()


def _next_address(data: Path, node: str, devices: tuple[Device, ...]) -> str:
    """Where a further device of this machine is served. Raises Refused for another machine's."""
    installation = Installation(data)
    taken = devices_of(devices, node)
    if installation.exists and node == installation.config().node:
        config = installation.config()
        return next_address(installation.listens(config), taken, config.objectd_count)
    trust = Trust(installation.identity)
    member = trust.roster().member(node) if trust.exists else None
    if member is None:
        raise Refused("AddressNeeded", f"say with --address where node {node} serves the device")
    return next_address(member.address, taken, None)


def _next_id(draft: Draft, current: Epoch | None) -> int:
    devices = (*draft.devices, *(current.devices if current else ()))
    return 1 + max((device.id for device in devices), default=-1)


@ring.command("set-weight")
@data_option
@click.argument("device", type=int)
@click.argument("weight", type=float)
def set_weight(data: Path, *, device: int, weight: float) -> None:
    """Stage a new WEIGHT for DEVICE; 0 empties it."""
    store = _store(data)
    with store.locked():
        store.write_draft(store.draft().with_weight(device, weight))
    click.echo(f"Staged weight {weight:g} for device {device}; see ringstack ring plan.")


@ring.command()
@data_option
@click.argument("device", type=int)
def remove(data: Path, *, device: int) -> None:
    """Stage the removal of DEVICE; the next epochs empty it first."""
    store = _store(data)
    with store.locked():
        store.write_draft(store.draft().without_device(device))
    click.echo(f"Staged the removal of device {device}; see ringstack ring plan.")


@ring.command()
@data_option
@json_option
def plan(data: Path, *, as_json: bool) -> None:
    """Show what apply would move, in all and per device."""
    store = _store(data)
    draft, current = store.draft(), store.current()
    changes = _changes(draft, _stable(current))
    made = _plan(data, current, changes)
    if as_json:
        _print_json(_outline(draft, current, changes) | made.to_json())
    else:
        ring_view.show_plan(draft, current, made)


@ring.command()
@data_option
@json_option
@click.option("--detach", is_flag=True, help="Do not wait until everything has moved.")
def apply(data: Path, *, as_json: bool, detach: bool) -> None:
    """Set out for the ring that was staged, and show how it comes along.

    The running cloud moves its data epoch by epoch; this command may be interrupted at any time.
    """
    store = _store(data)
    _check_keeper(data)
    with store.locked():
        draft, current = store.draft(), store.current()
        changes = _changes(draft, _stable(current))
        made = _plan(data, current, changes)
        moving = bool(made.parts) and current is not None and _holds_data(data, current)
        if moving:
            assert current is not None
            store.write_goal(
                Goal(draft, time.time_ns() // 1000, current.number, made.parts, made.bytes or 0)
            )
        else:
            _write_all(store, changes)
            store.end_goal()
    if as_json:
        _print_json(_outline(draft, current, changes) | made.to_json() | {"moving": moving})
    elif not changes:
        click.echo("Nothing is staged; the ring stays as it is.")
    elif not moving:
        click.echo(f"The ring is at epoch {changes[-1].epoch.number}; {made.parts} replicas moved.")
    elif Installation(data).supervisor_pid() is None:
        click.echo(f"{made.parts} replicas move once the cloud runs: ringstack up")
    elif not detach:
        _follow(data)


def _write_all(store: RingStore, changes: list[Change]) -> None:
    """Epochs that move nothing that anybody holds."""
    for change in changes:
        if change.joint is not None:
            store.write(change.joint)
        store.write(change.epoch)


def _stable(current: Epoch | None) -> Epoch | None:
    """What the builder goes on from: a joint epoch is as good as settled."""
    return current.settled() if current is not None and current.joint else current


def _holds_data(data: Path, current: Epoch) -> bool:
    """Some device of the ring may hold data: one elsewhere of a cloud that was started, or one with a log."""
    started, node = Installation(data).exists, _own_node(data)
    return any(
        (started and device.node != node) or _log_bytes(data, device) is not None
        for device in current.devices
    )


def _check_keeper(data: Path) -> None:
    """Refuse to change the ring anywhere but on the node that keeps it."""
    installation = Installation(data)
    if not installation.exists or installation.config().cluster_listen is None:
        return
    keeper = Trust(installation.identity).roster().keeper
    if keeper != installation.config().node:
        raise Conflict("NotTheKeeper", f"the ring is kept on node {keeper}: change it there")


def _follow(data: Path) -> None:
    from cli import rebalance

    goal = _store(data).goal()
    if goal is None:
        click.echo("Nothing moves.")
    elif rebalance.follow(data, goal):
        epoch = _store(data).current()
        click.echo(f"The ring is at epoch {epoch.number if epoch else 0}; everything has moved.")
    else:
        click.echo("The data goes on moving; see ringstack ring status.")


@ring.command()
@data_option
def follow(data: Path) -> None:
    """Show how the change that is under way comes along."""
    _follow(data)


@ring.command()
@data_option
def pause(data: Path) -> None:
    """Let nothing move until `resume`; nothing is lost by it."""
    _throttle(data, paused=True)
    click.echo("Paused. ringstack ring resume goes on.")


@ring.command()
@data_option
def resume(data: Path) -> None:
    """Go on where `pause` stopped."""
    _throttle(data, paused=False)
    click.echo("Data moves again.")


@ring.command()
@data_option
@click.argument("rate_mib_s", type=click.IntRange(min=0))
def throttle(data: Path, *, rate_mib_s: int) -> None:
    """Let each node move at most RATE_MIB_S MiB a second; 0 is as fast as is kind to clients."""
    _throttle(data, rate_bytes_s=rate_mib_s * 1024 * 1024)
    click.echo("Set." if rate_mib_s else "As fast as is kind to clients.")


def _throttle(data: Path, *, paused: bool | None = None, rate_bytes_s: int | None = None) -> None:
    store = _store(data)
    _check_keeper(data)
    with store.locked():
        old = store.throttle()
        store.write_throttle(
            Throttle(
                old.version + 1,
                old.paused if paused is None else paused,
                old.rate_bytes_s if rate_bytes_s is None else rate_bytes_s,
            )
        )


@ring.command()
@data_option
def abort(data: Path) -> None:
    """Turn back: the wanted devices are those from before the change, and what has moved moves back."""
    store = _store(data)
    _check_keeper(data)
    with store.locked():
        goal, current = store.goal(), store.current()
        if goal is None or current is None:
            raise Conflict("NothingMoves", "no change of the ring is under way")
        before = store.load(goal.from_epoch)
        draft = Draft(before.settings, before.policies, before.devices)
        store.write_draft(draft)
        store.write_goal(
            Goal(draft, time.time_ns() // 1000, current.number, goal.planned_parts, 0, back=True)
        )
    click.echo("Turning back; see ringstack ring status.")


@ring.command()
@data_option
@click.argument("device", type=int)
def drain(data: Path, *, device: int) -> None:
    """Stage emptying DEVICE; it stays in the ring with weight 0."""
    store = _store(data)
    with store.locked():
        store.write_draft(store.draft().with_weight(device, 0.0))
    click.echo(f"Staged weight 0 for device {device}; see ringstack ring plan.")


@ring.command()
@data_option
@click.argument("device", type=int)
def replace(data: Path, *, device: int) -> None:
    """Stage a new, empty device in the place of DEVICE, which is lost: same directory and weight."""
    store = _store(data)
    with store.locked():
        draft, current = store.draft(), store.current()
        old = next((one for one in draft.devices if one.id == device), None)
        if old is None:
            raise NotFound("UnknownDevice", f"there is no device {device}")
        number = _next_id(draft, current)
        new = dataclasses.replace(old, id=number, name=f"device-{number}")
        store.write_draft(draft.without_device(device).with_device(new))
    click.echo(f"Staged device {number} in the place of {device}; see ringstack ring plan.")


@ring.command()
@data_option
@json_option
def status(data: Path, *, as_json: bool) -> None:
    """Show the epoch, its quality, what is staged, and what is under-replicated."""
    from cli import rebalance

    store = _store(data)
    draft, found = store.draft(), store.newest()
    reports = (
        [report_table(found.epoch, width) for width in sorted(found.epoch.tables)]
        if found.epoch
        else []
    )
    staged = ring_view.staged_changes(draft, found.epoch)
    report = rebalance.health(rebalance.look_once(data, timed=True))
    goal, throttle = store.goal(), store.throttle()
    if as_json:
        _print_json(
            {
                "health": report,
                "moving": goal is not None,
                "paused": throttle.paused,
                "epoch": found.epoch.number if found.epoch else None,
                "partitions": draft.settings.part_count,
                "devices": len(found.epoch.devices) if found.epoch else 0,
                "index_replicas": draft.settings.index_replicas,
                "tables": [report.to_json() for report in reports],
                "staged": staged,
                "damaged": [error.message for error in found.damaged],
            }
        )
    else:
        ring_view.show_status(draft, found, reports, staged)
        rebalance.show_health(report, click.echo)
        if goal is not None:
            paused = ", paused" if throttle.paused else ""
            click.echo(f"A change from epoch {goal.from_epoch} is under way{paused}.")


@ring.command()
@data_option
@json_option
@click.option("--staged", is_flag=True, help="The wanted devices instead of the current epoch's.")
def show(data: Path, *, as_json: bool, staged: bool) -> None:
    """List the devices and the policies."""
    store = _store(data)
    draft, current = store.draft(), store.current()
    source = draft if staged or current is None else current
    held = ring_view.partitions_held(None if source is draft else current)
    if as_json:
        _print_json(ring_view.describe(source, held))
    else:
        ring_view.show_devices(source, held)


@ring.command()
@data_option
@json_option
@click.argument("names", metavar="[ACCOUNT [CONTAINER [OBJECT]]]", nargs=-1)
@click.option("--key", "key_text", metavar="HEX", help="A blob id or range id.")
@click.option("--policy", "policy_name", help="Policy of a blob key. [default: the default policy]")
@click.option("--index", is_flag=True, help="The key is an index range id.")
def locate(
    data: Path,
    *,
    as_json: bool,
    names: tuple[str, ...],
    key_text: str | None,
    policy_name: str | None,
    index: bool,
) -> None:
    """Show where an account's records, or a key, are placed."""
    if len(names) > 3 or (not names) == (key_text is None):
        raise click.UsageError("Give either ACCOUNT [CONTAINER [OBJECT]] or --key HEX.")
    epoch = _store(data).current()
    if epoch is None:
        raise Refused("NoEpoch", "the ring has no epoch yet; run ringstack ring apply")
    if key_text is not None:
        key = _parse_key(key_text)
        policy = epoch.policy(policy_name) if policy_name else epoch.default_policy
        width = epoch.index_replicas if index else policy.width
        subject = f"key {key.hex()}"
    else:
        key, width = account_range_id(names[0]), epoch.index_replicas
        subject = f"account {names[0]}, range {key.hex()}"
    location = locate_key(epoch, key, width)
    note = ring_view.unlocated(names[1:])
    if as_json:
        _print_json(ring_view.describe_location(epoch, subject, key, location) | {"note": note})
    else:
        ring_view.show_location(epoch, subject, location)
        if note:
            click.echo(note)


def _parse_key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Refused("InvalidKey", f"{text!r} is not hexadecimal") from None


def _changes(draft: Draft, current: Epoch | None) -> list[Change]:
    from ring.build import build_all  # numpy, which most commands do not need

    return build_all(draft, current)


def _plan(data: Path, current: Epoch | None, changes: list[Change]) -> Plan:
    replica_bytes = None
    live = None
    if current is not None:
        from cli import rebalance

        live = rebalance.look_once(data)
    if live is not None:
        replica_bytes = rebalance.bytes_of_moves(live.epoch, live.tables)
    elif current is not None:
        used = {device.id: _log_bytes(data, device) or 0 for device in current.devices}
        replica_bytes = bytes_by_device(current, used)
    return make_plan(
        (move for change in changes for move in change.moves),
        epochs=len(changes),
        pending=changes[-1].pending if changes else 0,
        replica_bytes=replica_bytes,
    )


def _outline(draft: Draft, current: Epoch | None, changes: list[Change]) -> dict[str, Any]:
    before = current.number if current else None
    return {
        "from_epoch": before,
        "to_epoch": changes[-1].epoch.number if changes else before,
        "staged": ring_view.staged_changes(draft, current),
    }


def _store(data: Path) -> RingStore:
    return RingStore(data / "ring")


def _device_path(data: Path, device: Device) -> Path:
    return data / device.path


def _log_bytes(data: Path, device: Device) -> int | None:
    """Bytes in the device's log segments; None when it has none on this machine."""
    segments = list((_device_path(data, device) / "log").glob("*.seg"))
    return sum(path.stat().st_size for path in segments) if segments else None


def _print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2))
