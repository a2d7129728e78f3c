"""The life of a server as a table: which action is allowed when, what it is called meanwhile, and where it leads. Pure.

`vm_state` is where a server is, `task_state` what is being done with it. The drawing in docs/servers.md is made of
ACTIONS; names and allowed states are those that the Compute API documents.
"""

from __future__ import annotations

from typing import NamedTuple

from computed import port
from core.api.fault import Fault, conflict

ACTIVE, BUILDING, PAUSED, SUSPENDED, STOPPED = (
    "active",
    "building",
    "paused",
    "suspended",
    "stopped",
)
RESCUED, RESIZED, SHELVED, OFFLOADED = "rescued", "resized", "shelved", "shelved_offloaded"
ERROR, DELETED = "error", "deleted"
LIVING = (ACTIVE, BUILDING, PAUSED, SUSPENDED, STOPPED, RESCUED, RESIZED, SHELVED, OFFLOADED, ERROR)


class Action(NamedTuple):
    """An action: allowed in these states while nothing else is being done, its name meanwhile, and its end ("": where it began)."""

    name: str
    states: tuple[str, ...]
    task: str = ""
    end: str = ""
    during: tuple[str, ...] = ()  # task states in which it is allowed beside none


ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        Action("create", (), "scheduling", ACTIVE),
        Action("start", (STOPPED,), "powering-on", ACTIVE),
        Action("stop", (ACTIVE, ERROR), "powering-off", STOPPED),
        Action("reboot", (ACTIVE,), "rebooting", ACTIVE),
        Action(
            "reboot_hard",
            (ACTIVE, STOPPED, PAUSED, SUSPENDED, ERROR),
            "rebooting_hard",
            ACTIVE,
            ("rebooting", "rebooting_hard"),
        ),
        Action("pause", (ACTIVE,), "pausing", PAUSED),
        Action("unpause", (PAUSED,), "unpausing", ACTIVE),
        Action("suspend", (ACTIVE,), "suspending", SUSPENDED),
        Action("resume", (SUSPENDED,), "resuming", ACTIVE),
        Action("rescue", (ACTIVE, STOPPED, ERROR), "rescuing", RESCUED),
        Action("unrescue", (RESCUED,), "unrescuing", ACTIVE),
        Action("shelve", (ACTIVE, STOPPED, PAUSED, SUSPENDED), "shelving", OFFLOADED),
        Action("shelveOffload", (SHELVED,), "shelving_offloading", OFFLOADED),
        Action("unshelve", (SHELVED, OFFLOADED), "unshelving", ACTIVE),
        Action("resize", (ACTIVE, STOPPED), "resize_prep", RESIZED),
        Action("migrate", (ACTIVE, STOPPED), "resize_prep", RESIZED),
        Action("confirmResize", (RESIZED,), "", ACTIVE),
        Action("revertResize", (RESIZED,), "resize_reverting", ACTIVE),
        Action("rebuild", (ACTIVE, STOPPED, ERROR), "rebuilding", ACTIVE),
        Action("evacuate", (ACTIVE, STOPPED, PAUSED, SUSPENDED, ERROR), "rebuilding", ACTIVE),
        Action("createImage", (ACTIVE, STOPPED, PAUSED, SUSPENDED), "image_snapshot"),
        Action("attach_volume", (ACTIVE, PAUSED, STOPPED, RESIZED, SHELVED, OFFLOADED), ""),
        Action("detach_volume", (ACTIVE, PAUSED, STOPPED, RESIZED, SHELVED, OFFLOADED), ""),
        Action("attach_interface", (ACTIVE, PAUSED, STOPPED), ""),
        Action("detach_interface", (ACTIVE, PAUSED, STOPPED), ""),
        Action("update_server_metadata", (ACTIVE, PAUSED, SUSPENDED, STOPPED), ""),
        Action("delete_server_metadata", (ACTIVE, PAUSED, SUSPENDED, STOPPED), ""),
        Action("changePassword", (ACTIVE,), ""),
        Action("trigger_crash_dump", (ACTIVE, PAUSED, RESCUED, RESIZED, ERROR), ""),
        Action("os-migrateLive", (ACTIVE, PAUSED), ""),
        Action("get_diagnostics", (ACTIVE, PAUSED, RESCUED, RESIZED, SUSPENDED, STOPPED), ""),
        Action("restore", (), ""),
        Action("delete", LIVING, "deleting", DELETED),
    )
}

STATUSES: dict[str, dict[str, str]] = {
    ACTIVE: {
        "": "ACTIVE",
        "rebooting": "REBOOT",
        "rebooting_hard": "HARD_REBOOT",
        "rebuilding": "REBUILD",
        "resize_prep": "RESIZE",
        "resize_migrating": "RESIZE",
        "resize_migrated": "RESIZE",
        "resize_finish": "RESIZE",
    },
    BUILDING: {"": "BUILD"},
    STOPPED: {
        "": "SHUTOFF",
        "rebooting_hard": "HARD_REBOOT",
        "rebuilding": "REBUILD",
        "resize_prep": "RESIZE",
        "resize_migrating": "RESIZE",
        "resize_migrated": "RESIZE",
        "resize_finish": "RESIZE",
    },
    RESIZED: {"": "VERIFY_RESIZE", "resize_reverting": "REVERT_RESIZE"},
    PAUSED: {"": "PAUSED", "rebooting_hard": "HARD_REBOOT"},
    SUSPENDED: {"": "SUSPENDED", "rebooting_hard": "HARD_REBOOT"},
    RESCUED: {"": "RESCUE"},
    ERROR: {"": "ERROR", "rebuilding": "REBUILD", "rebooting_hard": "HARD_REBOOT"},
    SHELVED: {"": "SHELVED"},
    OFFLOADED: {"": "SHELVED_OFFLOADED"},
    DELETED: {"": "DELETED"},
}
POWER_NUMBERS = {
    port.ABSENT: 0,
    port.RUNNING: 1,
    port.PAUSED: 3,
    port.STOPPED: 4,
    port.CRASHED: 6,
    port.SUSPENDED: 4,
}


def status_of(vm_state: str, task_state: str | None) -> str:
    """The one word that clients see."""
    words = STATUSES[vm_state]
    return words.get(task_state or "", words[""])


def states_of(status: str) -> list[str]:
    """The vm states that may be shown as a status; none for a word that is no status."""
    wanted = status.upper()
    return [state for state, words in STATUSES.items() if wanted in words.values()]


def refusal_of(action: str, vm_state: str, task_state: str | None, server_id: str) -> Fault | None:
    """Why an action is not allowed now, or None when it is."""
    entry = ACTIONS[action]
    shown = {"reboot_hard": "reboot", "detach_interface": "detach_interface"}.get(action, action)
    if vm_state not in entry.states:
        return conflict(f"Cannot '{shown}' instance {server_id} while it is in vm_state {vm_state}")
    if task_state and task_state not in entry.during and action != "delete":
        return conflict(
            f"Cannot '{shown}' instance {server_id} while it is in task_state {task_state}"
        )
    return None


def drawing() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    edges: dict[tuple[str, str], list[str]] = {}
    for action in ACTIONS.values():
        if not action.end or action.name == "delete":
            continue
        for state in action.states or ("[*]",):
            edges.setdefault((state, action.end), []).append(action.name)
    lines += [f"    {start} --> {end}: {', '.join(names)}" for (start, end), names in edges.items()]
    return "\n".join(lines)
