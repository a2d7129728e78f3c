"""Performs the steps of `reconcile.steps` with a hypervisor, one after the other.

What one server's step cannot do is that server's fault and holds up no other. A guest is asked once to power itself
off, and is powered off when it has not done so in time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from computed import reconcile
from computed.port import HostWanted, Hypervisor, Observed
from computed.reconcile import Step, steps
from core.errors import NotFound, RingstackError

log = logging.getLogger("ringstack.computed.host")


class Hands:
    """One host's machines. `done`: the highest order carried out, by server id; keep it durably."""

    def __init__(
        self, hypervisor: Hypervisor, now_s: Callable[[], float], done: dict[str, int]
    ) -> None:
        self._hypervisor = hypervisor
        self._now_s = now_s
        self.done = done
        self.faults: dict[str, str] = {}
        self._asked_s: dict[str, float] = {}

    async def pass_once(self, wanted: HostWanted) -> int:
        """Observe and do what can be done now; how many steps there were."""
        found = steps(wanted, await self._hypervisor.observe(), self.done)
        left: set[str] = set()
        self.faults = {}
        for step in found:
            if step.server_id in left:
                continue
            try:
                await self._perform(step)
            except (TimeoutError, RingstackError, OSError) as error:
                left.add(step.server_id)
                self.faults[step.server_id] = str(error)
                log.warning("%s of server %s: %s", step.verb, step.server_id, error)
        named = {one.server_id for one in wanted.servers}
        for gone in [name for name in self.done if name not in named]:
            del self.done[gone]
        return len(found)

    async def _perform(self, step: Step) -> None:
        if step.verb == reconcile.SHUTDOWN:
            await self._shutdown(step)
            return
        self._asked_s.pop(step.server_id, None)
        await self._call(step)
        if step.order:
            self.done[step.server_id] = step.order

    async def _shutdown(self, step: Step) -> None:
        asked_s = self._asked_s.get(step.server_id)
        if asked_s is None:
            self._asked_s[step.server_id] = self._now_s()
            await self._hypervisor.shutdown(step.server_id)
        elif self._now_s() - asked_s >= step.stop_s:
            del self._asked_s[step.server_id]
            await self._hypervisor.stop(step.server_id)

    async def _call(self, step: Step) -> None:
        machine, name = self._hypervisor, step.server_id
        if step.verb == reconcile.DEFINE:
            assert step.domain is not None
            await machine.define(step.domain)
        elif step.disk is not None:
            grow = step.verb == reconcile.RESIZE_DISK
            await (machine.resize_disk if grow else machine.attach_disk)(name, step.disk)
        elif step.interface is not None:
            await machine.attach_interface(name, step.interface)
        elif step.verb == reconcile.DETACH_DISK:
            await machine.detach_disk(name, step.name)
        elif step.verb == reconcile.DETACH_INTERFACE:
            await machine.detach_interface(name, step.name)
        elif step.verb == reconcile.DESTROY:
            try:
                await machine.destroy(name)
            except NotFound:
                return
        elif step.verb != reconcile.DONE:
            verbs = {
                reconcile.START: machine.start,
                reconcile.STOP: machine.stop,
                reconcile.PAUSE: machine.pause,
                reconcile.RESUME: machine.resume,
                reconcile.SUSPEND: machine.suspend,
            }
            await verbs[step.verb](name)

    async def observed(self) -> tuple[Observed, ...]:
        """What there is now, with the orders carried out and what stood in the way."""
        seen = await self._hypervisor.observe()
        found = []
        for server_id, one in seen.items():
            fault, done = self.faults.get(server_id, ""), self.done.get(server_id, 0)
            values = {name: getattr(one, name) for name in one.__struct_fields__}
            values |= {"fault": fault, "order_done": max(done, one.order_done)}
            found.append(Observed(**values))
        found += [
            Observed(server_id, "absent", fault=fault)
            for server_id, fault in self.faults.items()
            if server_id not in seen
        ]
        return tuple(found)
