"""One round of the agent: from a plan to a host that is so, and the report about it.

A namespace that was found as planned is not looked at again until its plan changes, or a full round is due. Nothing here is
kept on disk, and nothing that is kept matters: a new process finds what is there and changes what differs.
"""

from __future__ import annotations

import logging

from core import namespace
from core.env import Env
from core.errors import RingstackError, Unavailable
from networkd.agent import flows
from networkd.agent.dnsmasq import Dnsmasqs
from networkd.agent.kernel import Kernel, what
from networkd.agent.metadata import Metadata
from networkd.plan.difference import Seen, clashes, steps
from networkd.plan.plan import MACHINE, Plan, Space
from networkd.plan.step import Rules, Step
from networkd.port import HostReport, Router

log = logging.getLogger("ringstack.network")

ROUNDS_MAX = 3


class Host:
    """What this agent is the agent of."""

    def __init__(self, env: Env, host_space: str, metadata: Metadata | None) -> None:
        self._kernel = Kernel(env)
        self._dnsmasqs = Dnsmasqs(env, host_space)
        self._metadata = metadata
        self._host_space = host_space
        self._settled: dict[str, Space] = {}
        self._seen: dict[str, Seen] = {}
        self._clashes: dict[str, str] = {}  # addresses that the machine cannot have, by network
        self._translated: dict[str, Router] = {}  # as the connections of each namespace are
        self.steps = 0  # done so far

    async def settle(self, plan: Plan, *, full: bool) -> dict[str, str]:
        """Make the host what the plan says; what could not be, by id."""
        if full:
            self._settled.clear()
        failed: dict[str, str] = {}
        for _ in range(ROUNDS_MAX):
            failed, done = await self._round(plan)
            if not done:
                break
        faults = plan.faults | self._clashes | failed
        faults |= await self._dnsmasqs.settle(plan.services)
        if self._metadata is not None:
            faults |= await self._metadata.settle(plan.listeners)
        faults |= await self._end_flows(plan)
        await self._remove_spaces(plan)
        return faults

    async def _end_flows(self, plan: Plan) -> dict[str, str]:
        """End connections that are translated in a way that holds no longer; what failed, by router."""
        faults: dict[str, str] = {}
        for space, router in plan.translations.items():
            if self._translated.get(space) == router or space not in self._settled:
                continue
            try:
                await flows.end_stale(space, router)
            except RingstackError as error:
                faults[router.id] = error.message
            else:
                self._translated[space] = router
        return faults

    async def _round(self, plan: Plan) -> tuple[dict[str, str], int]:
        """Compare and change what is not settled; what failed, and how many steps there were."""
        making: list[Step] = []
        wiring: list[Step] = []
        clean: list[Space] = []
        failed: dict[str, str] = {}
        for space in plan.spaces.values():
            if self._settled.get(space.name) == space:
                continue
            try:
                seen = await self._kernel.see(space)
            except Unavailable as error:
                failed[space.owner or space.name] = error.message
                continue
            made, wired = steps(space, seen, self._host_space)
            if seen is not None:
                self._seen[space.name] = seen
            if space.name == MACHINE and seen is not None:
                found = clashes(space, seen)
                self._clashes = {space.links[link].owner: why for (link, _), why in found.items()}
            if made or wired:
                making += made
                wiring += wired
            else:
                clean.append(space)
        # what is settled may lose something by what is done elsewhere (an end of a pair), so this comes first
        self._settled.update({space.name: space for space in clean})
        wrong = await self._kernel.do(making)
        # without its rules nothing of a namespace is turned on
        open_spaces = {step.space for step, _ in wrong if isinstance(step, Rules)}
        wrong += await self._kernel.do(one for one in wiring if one.space not in open_spaces)
        self.steps += len(making) + len(wiring)
        # of several failures of one thing the first says most
        failed |= {
            step.owner or step.space: f"{what(step)}: {error}" for step, error in wrong[::-1]
        }
        return failed, len(making) + len(wiring)

    async def _remove_spaces(self, plan: Plan) -> None:
        for name in namespace.named(self._host_space):
            if name not in plan.spaces:
                self._settled.pop(name, None)
                self._seen.pop(name, None)
                self._translated.pop(name, None)
                try:
                    await namespace.remove(name)
                except RingstackError as error:
                    log.warning("%s could not be removed: %s", name, error.message)

    def wired(self, space: str, link: str) -> bool:
        """An interface is there and up, as far as it was seen."""
        seen = self._seen.get(space)
        return seen is not None and link in seen.links and seen.links[link].up

    def report(self, plan: Plan, tunnel_address: str, faults: dict[str, str]) -> HostReport:
        """What there is now."""
        ports = [port for port, place in plan.ports.items() if self.wired(*place)]
        routers = [router for router, space in plan.routers.items() if space in self._seen]
        return HostReport(
            plan.version,
            tunnel_address,
            tuple(ports),
            tuple(routers),
            plan.physical,
            {key: why for key, why in faults.items() if key != MACHINE},
        )
