"""`ringstack status`: every process of the cloud with its ports and memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.options import data_option, json_option
from cli.supervisor import DaemonState
from core.installation import Installation

MIB = 1024 * 1024
HELPERS = ("dnsmasq", "libvirtd")


def pss_bytes(pid: int) -> int:
    """Proportional set size of a process, or 0 when it has gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def processes(installation: Installation) -> list[dict[str, Any]]:
    """Name, pid, ports, PSS, restarts and readiness of every process; empty when it is down."""
    pid = installation.supervisor_pid()
    if pid is None:
        return []
    rows: list[dict[str, Any]] = [
        {
            "name": "supervisor",
            "pid": pid,
            "ports": {},
            "pss_bytes": pss_bytes(pid),
            "restarts": 0,
            "ready": True,
        }
    ]
    try:
        data = installation.state_file.read_bytes()
    except FileNotFoundError:
        return rows
    for state in msgspec.json.decode(data, type=list[DaemonState]):
        row = msgspec.to_builtins(state)
        rows.append({**row, "pss_bytes": pss_bytes(state.pid)})
    return rows + [
        {
            "name": name,
            "pid": helper,
            "ports": {},
            "pss_bytes": pss_bytes(helper),
            "restarts": 0,
            "ready": True,
        }
        for name, helper in helpers_of(installation)
    ]


def helpers_of(installation: Installation) -> list[tuple[str, int]]:
    """Programs that the agents run for this cloud: name and process id."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            name = Path(words[0].decode(errors="replace")).name
            ours = any(word.startswith(str(installation.data).encode()) for word in words)
            if name in HELPERS and ours:
                found.append((name, int(entry.name)))
    return sorted(found)


@click.command()
@data_option
@json_option
def status(data: Path, *, as_json: bool) -> None:
    """Every process, with its ports and memory."""
    rows = processes(Installation(data))
    if as_json:
        click.echo(json.dumps({"running": bool(rows), "processes": rows}, indent=2))
        return
    if not rows:
        click.echo("not running; `ringstack up` starts it")
        return
    click.echo(f"{'process':<12} {'pid':>7} {'memory':>9}  {'restarts':>8}  ports")
    for row in rows:
        ports = ", ".join(f"{name} {port}" for name, port in row["ports"].items())
        state = "" if row["ready"] else "  (not ready)"
        click.echo(
            f"{row['name']:<12} {row['pid']:>7} {row['pss_bytes'] / MIB:>5.1f} MiB"
            f"  {row['restarts']:>8}  {ports}{state}"
        )
    total = sum(row["pss_bytes"] for row in rows)
    click.echo(f"{len(rows)} processes, {total / MIB:.0f} MiB")
