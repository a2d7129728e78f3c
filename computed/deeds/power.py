"""Power: what was wished in the request's transaction is waited for, and taken back when it does not come to pass."""

from __future__ import annotations

from computed import servers, states
from computed.deeds.job import Deed, Finish, Job, ended, fault_of, is_off, is_on
from computed.port import PAUSED, RUNNING, STOPPED, SUSPENDED
from computed.service import Service
from core import rows
from core.database import Connection
from core.rows import Row

BY_POWER = {RUNNING: states.ACTIVE, PAUSED: states.PAUSED, SUSPENDED: states.SUSPENDED}


async def power(service: Service, work: Row) -> Finish:
    """Wait until the machine is as it was wished."""
    job = Job(service, work)
    goal, number = job.asked["power"], job.asked["number"]

    def reached(row: Row) -> bool:
        if goal == STOPPED:
            return is_off(row)
        if number:
            return is_on(row, number)
        return bool(row["seen_power"] == goal)

    await job.until(reached)
    end = BY_POWER.get(goal, states.STOPPED)

    async def finish(db: Connection) -> None:
        row = await rows.by_id(db, servers.TABLE, job.server_id)
        if row is not None and row["task_state"] == job.asked["task"]:
            await ended(job, db, end, fault=None)
        else:
            await servers.conclude(db, service, job.asked["action_id"], host=None)

    return finish


async def give_up(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The server is what its host says it is, and nothing goes on trying."""
    job = Job(service, work)
    row = await rows.by_id(db, servers.TABLE, job.server_id)
    if row is None:
        return
    seen = row["seen_power"]
    power_now = seen if seen in BY_POWER else STOPPED
    await ended(
        job,
        db,
        BY_POWER.get(seen, states.STOPPED),
        error=row["seen_fault"] or reason,
        fault=fault_of(service, row["seen_fault"] or reason),
        power=power_now,
        orders=[],
    )


DEEDS = {"server.power": Deed(power, give_up)}
