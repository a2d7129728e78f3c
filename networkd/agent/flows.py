"""Connections that a router no longer translates are ended, with Debian's `conntrack`."""

from __future__ import annotations

from core import command
from core.errors import Unavailable
from networkd.agent import inside
from networkd.plan.flows import ANY_PORT, Flow, stale
from networkd.port import Router

ABSENT = 1  # its status when there was nothing to delete


def _ending(flow: Flow) -> tuple[str, ...]:
    found = ("conntrack", "-D", "-p", flow.protocol, "-s", flow.source, "-d", flow.target)
    return found if flow.target_port == ANY_PORT else (*found, "--dport", str(flow.target_port))


async def end_stale(space: str, router: Router) -> int:
    """End them in a router's namespace; how many there were. Raises Unavailable, NotFound("NoTool")."""
    listed = await command.run(*inside.tool(space, "conntrack", "-L", "--any-nat"))
    if listed.status:
        raise Unavailable("Flows", f"{space}: {listed.errors[:200]}")
    found = stale(listed.output.decode("ascii", "replace"), router)
    for ending in sorted({_ending(flow) for flow in found}):
        done = await command.run(*inside.tool(space, *ending))
        if done.status not in {0, ABSENT}:
            raise Unavailable("Flows", f"{space}: {done.errors[:200]}")
    return len(found)
