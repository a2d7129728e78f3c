"""What `ringstack ring` prints: tables for people and the same facts as plain data."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from ring.device import Device
from ring.draft import Draft
from ring.epoch import Epoch, Location
from ring.history import Newest
from ring.plan import Plan
from ring.policy import Policy
from ring.report import TableReport

Held = dict[int, dict[int, int]]  # width -> device id -> partitions


def staged_changes(draft: Draft, current: Epoch | None) -> list[str]:
    """One line for each difference between the wanted devices and the current epoch's."""
    old = {device.id: device for device in current.devices} if current else {}
    new = {device.id: device for device in draft.devices}
    lines = [f"add device {one.id} ({one.name})" for one in draft.devices if one.id not in old]
    lines += [f"remove device {one.id} ({one.name})" for one in old.values() if one.id not in new]
    for device_id in sorted(old.keys() & new.keys()):
        before, after = dataclasses.asdict(old[device_id]), dataclasses.asdict(new[device_id])
        lines += [
            f"device {device_id}: {field} {_plain(before[field])} to {_plain(after[field])}"
            for field in before
            if before[field] != after[field]
        ]
    if current is not None and current.policies != draft.policies:
        lines.append("policies change")
    return lines


def show_plan(draft: Draft, current: Epoch | None, plan: Plan) -> None:
    """The staged changes, the sum, and a row for each device that takes part."""
    for line in staged_changes(draft, current):
        _print(line)
    if not plan.epochs:
        _print("Nothing would change.")
        return
    steps = "1 epoch" if plan.epochs == 1 else f"{plan.epochs} epochs"
    if not plan.parts:
        _print(f"{steps}; nothing moves.")
        return
    size = "" if plan.bytes is None else f" ({format_bytes(plan.bytes)})"
    _print(f"{steps}; {plan.parts} replicas of partitions would move{size}.")
    table = _table("device", "in", "out", "bytes in", "bytes out")
    for flow in plan.devices:
        table.add_row(
            str(flow.device),
            str(flow.parts_in),
            str(flow.parts_out),
            "" if flow.bytes_in is None else format_bytes(flow.bytes_in),
            "" if flow.bytes_out is None else format_bytes(flow.bytes_out),
        )
    _print(table)


def show_status(draft: Draft, found: Newest, reports: list[TableReport], staged: list[str]) -> None:
    """Epoch, quality of each table, staged changes, damage."""
    epoch = found.epoch
    if epoch is None:
        _print("No epoch yet.")
    else:
        _print(
            f"Epoch {epoch.number}: {epoch.part_count} partitions, {len(epoch.devices)} devices."
        )
        table = _table("width", "used by", "balance %", "by weight %", "dispersion %")
        for report in reports:
            table.add_row(
                str(report.width),
                ", ".join(_users(draft, report.width)),
                f"{report.balance_percent:.2f}",
                f"{report.weight_balance_percent:.2f}",
                f"{report.dispersion_percent:.2f}",
            )
        _print(table)
    for error in found.damaged:
        _print(f"damaged: {error.message}")
    for line in staged:
        _print(f"staged: {line}")


def partitions_held(epoch: Epoch | None) -> Held:
    """Partitions on each device, by width; empty without an epoch."""
    if epoch is None:
        return {}
    counts = {width: Counter(table) for width, table in sorted(epoch.tables.items())}
    return {
        width: {device.id: count[place] for place, device in enumerate(epoch.devices)}
        for width, count in counts.items()
    }


def describe(source: Draft | Epoch, held: Held) -> dict[str, Any]:
    """Devices and policies as plain data."""
    return {
        "devices": [
            dataclasses.asdict(device)
            | {"partitions": {str(width): count[device.id] for width, count in held.items()}}
            for device in source.devices
        ],
        "policies": [
            dataclasses.asdict(policy) | {"width": policy.width} for policy in source.policies
        ],
    }


def show_devices(source: Draft | Epoch, held: Held) -> None:
    """Two tables: devices and policies."""
    widths = [f"partitions ({width})" for width in held]
    devices = _table("id", "name", "region", "zone", "node", "address", "path", "weight", *widths)
    for device in source.devices:
        devices.add_row(
            str(device.id),
            device.name,
            str(device.region),
            str(device.zone),
            device.node,
            device.address,
            device.path,
            f"{device.weight:g}",
            *(str(count[device.id]) for count in held.values()),
        )
    policies = _table("policy", "name", "kind", "width", "codec", "default")
    for policy in source.policies:
        policies.add_row(
            str(policy.id),
            policy.name,
            _kind(policy),
            str(policy.width),
            policy.codec,
            "yes" if policy.is_default else "",
        )
    _print(devices)
    _print(policies)


def describe_location(epoch: Epoch, subject: str, key: bytes, location: Location) -> dict[str, Any]:
    """One key's placement as plain data."""
    return {
        "subject": subject,
        "key": key.hex(),
        "epoch": epoch.number,
        "partition": location.partition,
        "primaries": [dataclasses.asdict(device) for device in location.primaries],
        "handoffs": [dataclasses.asdict(device) for device in location.handoffs],
    }


def show_location(epoch: Epoch, subject: str, location: Location) -> None:
    """One key's placement as a table."""
    _print(f"{subject}: partition {location.partition} of {epoch.part_count}, epoch {epoch.number}")
    table = _table("role", "device", "region", "zone", "node", "path")
    for replica, device in enumerate(location.primaries):
        table.add_row(f"primary {replica}", *_place(device))
    for turn, device in enumerate(location.handoffs):
        table.add_row(f"hand-off {turn}", *_place(device))
    _print(table)


def unlocated(names: tuple[str, ...]) -> str | None:
    """What an offline command cannot know about a container (and object) of an account."""
    if not names:
        return None
    what = " object ".join(names)
    return (
        f"The index range of container {names[0]} has a random id, kept in the account's records "
        f"above; ask the running cloud where container {what} is."
    )


def format_bytes(count: int) -> str:
    """1536 as 1.5 KiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


def _users(draft: Draft, width: int) -> list[str]:
    index = ["index"] if draft.settings.index_replicas == width else []
    return index + [policy.name for policy in draft.policies if policy.width == width]


def _kind(policy: Policy) -> str:
    if policy.kind == "replicated":
        return f"{policy.replicas} replicas"
    return f"erasure {policy.data}+{policy.parity}"


def _place(device: Device) -> tuple[str, ...]:
    name = f"{device.id} ({device.name})"
    return name, str(device.region), str(device.zone), device.node, device.path


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(content: str | Table) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    console.print(content, soft_wrap=isinstance(content, str))
