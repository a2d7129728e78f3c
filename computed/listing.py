"""Lists as the Compute API has them: `limit`, `marker`, `sort_key`, `sort_dir`, filters of servers, and the next link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import sqlalchemy as sa

from computed import servers, states
from computed.api.shape import FALSE, TRUE
from computed.pattern import Pattern
from computed.sight import is_admin
from computed.times import parsed
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.database import Connection
from core.rows import Row

LIMIT_MAX = 1000
NUMBER_MAX = 2**31 - 1
TABLE = servers.TABLE
SORTS = {
    "access_ip_v4": "access_ipv4",
    "access_ip_v6": "access_ipv6",
    "auto_disk_config": "disk_config",
    "availability_zone": "availability_zone",
    "config_drive": "config_drive",
    "created_at": "created_us",
    "display_description": "description",
    "display_name": "name",
    "host": "host",
    "hostname": "hostname",
    "image_ref": "image_id",
    "instance_type_id": "flavor_id",
    "key_name": "key_name",
    "launch_index": "launch_index",
    "launched_at": "launched_us",
    "locked": "locked",
    "locked_by": "locked_by",
    "node": "host",
    "power_state": "seen_power",
    "progress": "progress",
    "project_id": "project_id",
    "root_device_name": "root_device",
    "task_state": "task_state",
    "terminated_at": "terminated_us",
    "updated_at": "updated_us",
    "user_id": "user_id",
    "uuid": "id",
    "vm_state": "vm_state",
}
ADMIN_SORTS = frozenset({"host", "node"})
EXACT = {
    "reservation_id": "reservation_id",
    "uuid": "id",
    "image": "image_id",
    "image_ref": "image_id",
    "flavor": "flavor_id",
    "host": "host",
    "node": "host",
    "availability_zone": "availability_zone",
    "key_name": "key_name",
    "vm_state": "vm_state",
    "task_state": "task_state",
    "user_id": "user_id",
    "project_id": "project_id",
    "tenant_id": "project_id",
    "launch_index": "launch_index",
    "hostname": "hostname",
    "progress": "progress",
}
EVERYONES = {"reservation_id", "name", "status", "image", "flavor", "ip", "changes-since"}
SINCE_83 = {
    "availability_zone",
    "config_drive",
    "key_name",
    "created_at",
    "launched_at",
    "terminated_at",
    "power_state",
    "task_state",
    "vm_state",
    "progress",
    "user_id",
}
PATTERNS = {"name": "name", "display_name": "name", "description": "description"}


class Page(NamedTuple):
    """Rows of a page, and whether there may be more."""

    rows: list[Row]
    more: bool


def whole(call: Call, name: str) -> int | None:
    """A number in a query. Raises Fault 400."""
    raw = call.query.get(name)
    if raw is None:
        return None
    if not raw.isascii() or not raw.isdigit() or len(raw) > 12 or int(raw) > NUMBER_MAX:
        raise bad_request(f"Invalid input for query parameters {name}. Value: {raw[:80]}.")
    return int(raw)


def limit_of(call: Call) -> int:
    """How many a page may hold."""
    limit = whole(call, "limit")
    return LIMIT_MAX if limit is None else min(limit, LIMIT_MAX)


def cut(call: Call, found: Sequence[Row], key: str = "id") -> Page:
    """The page of rows that are all read. Raises Fault 400 for a marker that is not among them."""
    marker, start = call.query.get("marker"), 0
    if marker is not None:
        names = [str(row[key]) for row in found]
        if marker not in names:
            raise bad_request(f"marker [{marker[:80]}] not found")
        start = names.index(marker) + 1
    limit = limit_of(call)
    chosen = list(found[start : start + limit])
    return Page(chosen, len(chosen) == limit and limit > 0)


def next_link(call: Call, name: str, found: Page, key: str = "id") -> dict[str, Any]:
    """The link to the next page, when a page was asked for and is full."""
    if not found.more or not found.rows or call.query.get("limit") is None:
        return {}
    fields = [field for field in call.query.fields if field[0] != "marker"]
    fields.append(("marker", str(found.rows[-1][key])))
    path = call.request.path.partition("/v2.1")[2]
    href = f"{call.base}/v2.1{path}?{urlencode(fields)}"
    return {f"{name}_links": [{"rel": "next", "href": href}]}


def truth(value: str, what: str) -> bool:
    """A flag in a query. Raises Fault 400."""
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise bad_request(f"Invalid input for query parameters {what}. Value: {value[:80]}.")


def fields_of(call: Call) -> dict[str, list[str]]:
    """The filters that this caller may use; administrators may use all, and what others may not is not there."""
    allowed_ones = EVERYONES | {"all_tenants", "deleted"}
    version = call.microversion
    if version >= (2, 5):
        allowed_ones |= {"ip6"}
    if version >= (2, 26):
        allowed_ones |= {"tags", "tags-any", "not-tags", "not-tags-any"}
    if version >= (2, 66):
        allowed_ones |= {"changes-before"}
    if version >= (2, 73):
        allowed_ones |= {"locked"}
    if version >= (2, 83):
        allowed_ones |= SINCE_83
    everything = call.may("os_compute_api:servers:allow_all_filters")
    found: dict[str, list[str]] = {}
    for name, value in call.query.fields:
        if name in allowed_ones or everything:
            found.setdefault(name, []).append(value)
    return found


def conditions(call: Call, fields: dict[str, list[str]]) -> list[sa.ColumnElement[bool]]:
    """What SQL can decide. Raises Fault 400."""
    found: list[sa.ColumnElement[bool]] = []
    for name, column in EXACT.items():
        if name in fields and name not in {"project_id", "tenant_id"}:
            values = [value.rpartition("/")[2] for value in fields[name]]
            if column in {"launch_index", "progress"}:
                found.append(sa.cast(TABLE.c[column], sa.Text).in_(values))
            else:
                found.append(TABLE.c[column].in_(values))
    if "locked" in fields:
        found.append(TABLE.c.locked == truth(fields["locked"][-1], "locked"))
    if "config_drive" in fields:
        found.append(TABLE.c.config_drive == (fields["config_drive"][-1] in TRUE))
    if "power_state" in fields:
        wanted = [
            word for word, no in states.POWER_NUMBERS.items() if str(no) in fields["power_state"]
        ]
        found.append(TABLE.c.seen_power.in_(wanted))
    return found + statuses(call, fields) + times(fields)


def statuses(call: Call, fields: dict[str, list[str]]) -> list[sa.ColumnElement[bool]]:
    """The filter `status`. Raises Fault 400 (from 2.38 on) for what is none."""
    if "status" not in fields:
        return []
    choices: list[sa.ColumnElement[bool]] = []
    for status in fields["status"]:
        fitting = states.states_of(status)
        if not fitting and call.microversion >= (2, 38):
            raise bad_request(f"Invalid status: {status[:80]}")
        for state in fitting:
            words = states.STATUSES[state]
            tasks = [task for task, word in words.items() if word == status.upper() and task]
            others = [task for task, word in words.items() if word != status.upper() and task]
            if words[""] == status.upper():
                free = TABLE.c.task_state.is_(None) | TABLE.c.task_state.not_in(others)
                choices.append((TABLE.c.vm_state == state) & free)
            else:
                choices.append((TABLE.c.vm_state == state) & TABLE.c.task_state.in_(tasks))
    return [sa.or_(*choices)] if choices else [sa.false()]


def times(fields: dict[str, list[str]]) -> list[sa.ColumnElement[bool]]:
    """`changes-since` and `changes-before`. Raises Fault 400."""
    found: list[sa.ColumnElement[bool]] = []
    bounds = {}
    for name in ("changes-since", "changes-before"):
        if name in fields:
            us = parsed(fields[name][-1])
            if us is None:
                raise bad_request(
                    f"Invalid input for query parameters {name}. Value: {fields[name][-1][:80]}."
                )
            bounds[name] = us
            found.append(
                TABLE.c.updated_us >= us if name == "changes-since" else TABLE.c.updated_us <= us
            )
    if len(bounds) == 2 and bounds["changes-since"] > bounds["changes-before"]:
        raise bad_request(
            "The value of changes-since must be less than or equal to changes-before."
        )
    return found


def living(call: Call, fields: dict[str, list[str]]) -> list[sa.ColumnElement[bool]]:
    """Deleted servers are shown to who asks for changes, and to administrators who ask for them. Raises Fault 403."""
    status = {value.upper() for value in fields.get("status", ())}
    if "DELETED" in status:
        if not is_admin(call):
            raise Fault(403, "Only administrators may list deleted instances")
        return [TABLE.c.deleted_us > 0]
    if "deleted" in fields and is_admin(call):
        deleted = truth(fields["deleted"][-1], "deleted")
        return [TABLE.c.deleted_us > 0 if deleted else TABLE.c.deleted_us == 0]
    if {"changes-since", "changes-before"} & fields.keys():
        return []
    return [TABLE.c.deleted_us == 0]


def tests_of(fields: dict[str, list[str]]) -> tuple[list[str], list[Callable[[Row], bool]]]:
    """What SQL cannot decide: columns it needs, and the tests."""
    tests: list[Callable[[Row], bool]] = []
    columns: list[str] = []
    for name, column in PATTERNS.items():
        if name in fields:
            columns.append(column)
            pattern = Pattern(fields[name][-1])
            tests.append(lambda row, p=pattern, c=column: p.found_in(row[c] or ""))  # type: ignore[misc]
    tagged = {name: set(fields[name][-1].split(",")) for name in TAGS if name in fields}
    if tagged:
        columns.append("tags")
        for name, wanted in tagged.items():
            tests.append(lambda row, t=TAGS[name], w=wanted: t(set(row["tags"]), w))  # type: ignore[misc]
    return columns, tests


TAGS: dict[str, Callable[[set[str], set[str]], bool]] = {
    "tags": lambda held, wanted: wanted <= held,
    "tags-any": lambda held, wanted: bool(wanted & held),
    "not-tags": lambda held, wanted: not wanted <= held,
    "not-tags-any": lambda held, wanted: not wanted & held,
}


def order_of(call: Call) -> list[sa.ColumnElement[Any]]:
    """The order asked for; newest first by default. Raises Fault 400, 403."""
    keys = [value for name, value in call.query.fields if name == "sort_key"]
    directions = [value for name, value in call.query.fields if name == "sort_dir"] or ["desc"]
    order: list[sa.ColumnElement[Any]] = []
    for at, key in enumerate(keys or ["created_at"]):
        if key not in SORTS:
            raise bad_request(f"Invalid input for query parameters sort_key. Value: {key[:80]}.")
        if key in ADMIN_SORTS and not is_admin(call):
            raise Fault(403, f"Sort key {key} is for administrators.")
        direction = directions[min(at, len(directions) - 1)]
        if direction not in {"asc", "desc"}:
            raise bad_request(
                f"Invalid input for query parameters sort_dir. Value: {direction[:80]}."
            )
        column = TABLE.c[SORTS[key]]
        order.append(column.asc() if direction == "asc" else column.desc())
    ascending = directions[-1] == "asc"
    newest = (TABLE.c.number, TABLE.c.id)
    order += [column.asc() if ascending else column.desc() for column in newest]
    return order


async def addressed(db: Connection, fields: dict[str, list[str]]) -> set[str] | None:
    """Ids of servers with addresses that the filters `ip` and `ip6` match; None when there is no such filter."""
    patterns = [(Pattern(fields[name][-1]), name) for name in ("ip", "ip6") if name in fields]
    if not patterns:
        return None
    found: set[str] = set()
    nics = servers.NICS
    for row in await rows.rows(db, sa.select(nics.c.server_id, nics.c.addresses)):
        for one in row["addresses"]:
            six = ":" in one["addr"]
            if any(
                (name == "ip6") == six and pattern.found_in(one["addr"])
                for pattern, name in patterns
            ):
                found.add(row["server_id"])
    return found


async def page_of_servers(db: Connection, call: Call, *where: sa.ColumnElement[bool]) -> Page:
    """The page of servers that a query asks for."""
    fields = fields_of(call)
    columns, tests = tests_of(fields)
    statement = (
        sa.select(TABLE.c.id, *(TABLE.c[name] for name in columns))
        .where(*where, *living(call, fields), *conditions(call, fields))
        .order_by(*order_of(call))
    )
    within = await addressed(db, fields)
    limit, marker = limit_of(call), call.query.get("marker")
    simple = not tests and within is None and marker is None
    held = (await db.execute(statement.limit(limit) if simple else statement)).mappings()
    ids = [
        str(row["id"])
        for row in held
        if (within is None or row["id"] in within) and all(test(dict(row)) for test in tests)
    ]
    if marker is not None:
        if marker not in ids:
            raise bad_request(f"marker [{marker[:80]}] not found")
        ids = ids[ids.index(marker) + 1 :]
    chosen = ids[:limit]
    by_id = {
        row["id"]: row
        for row in await rows.rows(db, sa.select(TABLE).where(TABLE.c.id.in_(chosen)))
    }
    return Page([by_id[name] for name in chosen], 0 < limit == len(chosen))
