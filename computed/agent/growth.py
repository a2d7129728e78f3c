"""Telling a running guest that its NBD disk has grown, through QEMU's monitor.

libvirt has no verb for it, and QEMU learns an export's size only when it connects. So a second connection takes the first one's
place below the disk, the guest is told the size, and a third takes the second's under the name by which libvirt knows it.
Nothing that is under way is lost: QEMU drains the disk at each exchange. Reference: QEMU's QMP, `blockdev-reopen`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from computed.agent.domain_xml import ALIAS, RECONNECT_S
from computed.port import Disk
from core.errors import Unavailable

Monitor = Callable[[str], str]
SPARE = "ringstack-grown"  # never longer than QEMU allows: 31 characters


def tell(monitor: Monitor, disk: Disk) -> None:
    """Make a machine see the present size of a disk. Raises Unavailable."""

    def ask(command: str, **arguments: Any) -> Any:
        answer = json.loads(monitor(json.dumps({"execute": command, "arguments": arguments})))
        if "error" in answer:
            raise Unavailable("Monitor", f"{command}: {answer['error'].get('desc')}")
        return answer["return"]

    top, below = nodes_of(ask("query-block"), disk.attachment_id)
    if any(node["node-name"] == SPARE for node in ask("query-named-block-nodes")):
        ask("blockdev-del", **{"node-name": SPARE})
    ask("blockdev-add", **connection(disk, SPARE))
    ask("blockdev-reopen", options=[over(disk, top, SPARE)])
    ask("blockdev-del", **{"node-name": below})
    ask("blockdev-add", **connection(disk, below))
    ask("blockdev-reopen", options=[over(disk, top, below)])
    ask("blockdev-del", **{"node-name": SPARE})
    ask("block_resize", **{"node-name": top, "size": disk.size_bytes})


def nodes_of(devices: list[dict[str, Any]], attachment_id: str) -> tuple[str, str]:
    """The node that a disk's device uses, and the connection below it. Raises Unavailable."""
    wanted = f"/{ALIAS}{attachment_id}/"
    for device in devices:
        if wanted in f"{device.get('qdev', '')}/":
            top = str(device["inserted"]["node-name"])
            return top, top.removesuffix("format") + "storage"
    raise Unavailable("NoDisk", "the machine has no such disk")


def connection(disk: Disk, name: str) -> dict[str, Any]:
    """A connection to a disk's export, as libvirt makes it."""
    if disk.unix_socket:
        server = {"type": "unix", "path": disk.unix_socket}
    else:
        server = {"type": "inet", "host": disk.host, "port": str(disk.port)}
    return {
        "driver": "nbd",
        "server": server,
        "export": disk.export,
        "reconnect-delay": RECONNECT_S,
        "node-name": name,
        "cache": {"direct": True, "no-flush": False},
        "auto-read-only": True,
        "discard": "unmap",
    }


def over(disk: Disk, top: str, below: str) -> dict[str, Any]:
    """The disk's own node on a connection."""
    return {
        "node-name": top,
        "read-only": disk.read_only,
        "cache": {"direct": True, "no-flush": False},
        "discard": "unmap",
        "driver": "raw",
        "file": below,
    }
