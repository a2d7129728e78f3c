"""Servers in SQL: rows, what is wanted of them, and the record of what was done with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from computed.fault import absent
from computed.service import Service
from computed.states import refusal_of
from computed.tables import server as tables
from computed.tables import work as work_tables
from core import rows
from core.api.call import Call
from core.api.fault import conflict
from core.database import Connection
from core.rows import Row
from core.work import Asker, Book, Promise

TABLE = tables.server
DISKS = tables.disk
NICS = tables.nic
ACTIONS = tables.action
BOOK = Book(work_tables.work)
EVENTS_MAX = 50


async def get(db: Connection, server_id: str) -> Row:
    """A server that is there, whoever asks. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, server_id)
    if row is None or row["deleted_us"]:
        raise absent("Instance", server_id)
    return row


async def disks_of(db: Connection, *server_ids: str) -> list[Row]:
    """Their disks, in order."""
    found = sa.select(DISKS).where(DISKS.c.server_id.in_(server_ids))
    return await rows.rows(db, found.order_by(DISKS.c.position, DISKS.c.created_us))


async def nics_of(db: Connection, *server_ids: str) -> list[Row]:
    """Their interfaces, in order."""
    found = sa.select(NICS).where(NICS.c.server_id.in_(server_ids))
    return await rows.rows(db, found.order_by(NICS.c.position, NICS.c.created_us))


async def change(db: Connection, service: Service, server_id: str, **columns: Any) -> None:
    """Change a server; its `updated` says when."""
    await rows.update(db, TABLE, server_id, {**columns, "updated_us": service.now_us()})


def wish(row: Row, power: str, order: str = "", argument: str = "") -> Row:
    """Columns that make a host bring a server to a power state, by an order if it has to happen anew. Pure."""
    columns: Row = {"power": power}
    number = row["order_number"]
    kept = [one for one in row["orders"] if one["id"] > row["seen_order"]]
    if power != row["power"]:  # what led elsewhere is taken back
        kept = [one for one in kept if one["kind"] == "resize_disk"]
    if order:
        number += 1
        kept.append({"id": number, "kind": order, "argument": argument})
    return {**columns, "orders": kept, "order_number": number}


def check(row: Row, action: str) -> None:
    """Raises Fault 409 when an action is not allowed now."""
    refused = refusal_of(action, row["vm_state"], row["task_state"], row["id"])
    if refused is not None:
        raise refused


def check_unlocked(call: Call, row: Row) -> None:
    """Raises Fault 409 for a server that somebody has locked, unless the caller may override it."""
    if row["locked"] and not call.may("os_compute_api:os-lock-server:unlock:unlock_override"):
        raise conflict(f"Instance {row['id']} is locked")


def check_placed(row: Row) -> None:
    """Raises Fault 409 for a server that is on no host."""
    if not row["host"]:
        raise conflict(f"Instance {row['id']} is not ready")


async def note(
    db: Connection, service: Service, call: Call, server_id: str, action: str, *, event: str = ""
) -> str:
    """Record that an action was asked for; its id. `event` is the step that is recorded with it."""
    now_us = service.now_us()
    action_id = service.new_id()
    events = [] if not event else [begun(event, now_us)]
    row = {
        "id": action_id,
        "server_id": server_id,
        "request_id": str(call.request.context.get("id", "")),
        "action": action,
        "project_id": call.identity.project_id,
        "user_id": call.identity.user_id,
        "message": None,
        "events": events,
        "start_us": now_us,
        "updated_us": now_us,
    }
    await rows.insert(db, ACTIONS, row)
    return action_id


def begun(event: str, now_us: int) -> Row:
    """An event that has begun."""
    return {
        "event": event,
        "start_us": now_us,
        "finish_us": None,
        "result": None,
        "traceback": None,
        "host": None,
        "details": None,
    }


async def conclude(
    db: Connection, service: Service, action_id: str, *, host: str | None, error: str = ""
) -> None:
    """Record how an action ended."""
    row = await rows.by_id(db, ACTIONS, action_id) if action_id else None
    if row is None:
        return
    now_us = service.now_us()
    events = [
        one
        if one["finish_us"]
        else {
            **one,
            "finish_us": now_us,
            "result": "Error" if error else "Success",
            "details": error or None,
            "host": host,
        }
        for one in row["events"]
    ]
    changes: Row = {"events": events[-EVENTS_MAX:], "updated_us": now_us}
    if error:
        changes["message"] = "Error"
    await rows.update(db, ACTIONS, action_id, changes)


async def promise(
    db: Connection,
    service: Service,
    call: Call,
    kind: str,
    server_id: str,
    *,
    deadline_s: int = 300,
    **parameters: Any,
) -> None:
    """Promise to end what begins in this transaction."""
    request_id = str(call.request.context.get("id", ""))
    asker = Asker(call.identity.project_id, call.identity.user_id, request_id)
    await BOOK.add(
        db,
        Promise(
            service.new_id(), kind, server_id, asker, service.now_us(), deadline_s, 0, parameters
        ),
    )


async def follow(
    db: Connection, service: Service, before: Row, kind: str, **parameters: Any
) -> None:
    """Promise something more for whom another row of work was."""
    asker = Asker(before["project_id"], before["user_id"], before["request_id"])
    name = before["subject_id"]
    await BOOK.add(
        db,
        Promise(service.new_id(), kind, name, asker, service.now_us(), 3600, 0, parameters),
    )


class Doing(NamedTuple):
    """What is begun: the action as it is recorded, the work that ends it, and what it is called meanwhile."""

    action: str
    work: str
    task: str | None
    deadline_s: int = 300


async def begin(
    db: Connection,
    service: Service,
    call: Call,
    row: Row,
    doing: Doing,
    columns: Row | None = None,
    **parameters: Any,
) -> None:
    """Start an action: the task is shown, the wish is written, and work promises its end."""
    event = f"compute_{doing.action.replace('-', '_')}"
    action_id = await note(db, service, call, row["id"], doing.action, event=event)
    await change(db, service, row["id"], task_state=doing.task, **(columns or {}))
    parameters |= {"action_id": action_id, "task": doing.task, "was": row["vm_state"]}
    await promise(
        db, service, call, doing.work, row["id"], deadline_s=doing.deadline_s, **parameters
    )


async def of_host(db: Connection, name: str) -> list[Row]:
    """Servers that are on a host."""
    found = sa.select(TABLE).where(TABLE.c.host == name, TABLE.c.deleted_us == 0)
    return await rows.rows(db, found.order_by(TABLE.c.number))


async def project_of(db: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Projects of servers, by id."""
    found = await rows.rows(
        db, sa.select(TABLE.c.id, TABLE.c.project_id).where(TABLE.c.id.in_(ids))
    )
    return {row["id"]: row["project_id"] for row in found}
