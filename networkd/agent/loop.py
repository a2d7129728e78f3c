"""The agent's loop: ask what should be, make it so, say what is.

One task waits at the API for another state, one works: at each new state at once, at every full round whether or not there is
one, and more and more slowly while something fails. A report goes out after each piece of work and as a sign of life in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging

from core.env import Env
from core.errors import NotFound, RingstackError
from networkd.agent.control import Control
from networkd.agent.host import Host
from networkd.agent.watch import Watch
from networkd.plan.asking import Askers
from networkd.plan.ground import Ground
from networkd.plan.state import plan
from networkd.port import HostReport, HostState

log = logging.getLogger("ringstack.network")

LIFE_S = 4.0  # between signs of life; a host counts as dead after 15 s
FULL_ROUND_S = 60.0
RETRY_S, RETRY_MAX_S = 0.2, 5.0


def give_back() -> None:
    """Return memory to the system: the kernel's answers are large, and forgotten after each look."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


class Loop:
    """The agent of one host."""

    def __init__(
        self, env: Env, control: Control, host: Host, ground: Ground, shown: dict[str, float]
    ) -> None:
        self._env = env
        self._control = control
        self._host = host
        self._ground = ground
        self._shown = shown  # metrics
        self._changed = asyncio.Event()
        self.state: HostState | None = None
        self.askers = Askers(HostState("", ""))
        self.faults: dict[str, str] = {}
        self._report: HostReport | None = None
        self._told: dict[str, str] = {}
        self._watch = Watch(env, ground.host_space, self.gone)
        self._wanted: frozenset[str] = frozenset()  # interfaces of the host's namespace
        self._disturbed = False

    def gone(self, name: str) -> None:
        """An interface has gone. When it should be there, everything is looked at again."""
        if name in self._wanted:
            self._disturbed = True
            self._changed.set()

    def owner(self, networks: tuple[str, ...], address: str) -> str | None:
        """The port that has an address in one of these networks."""
        return self.askers.owner(networks, address)

    async def follow(self) -> None:
        """Learn of new states, for ever."""
        delay_s = RETRY_S
        while True:
            try:
                state = await self._control.wanted(self.state.version if self.state else "")
            except NotFound:
                await self._introduce()
                await asyncio.sleep(RETRY_S)
                continue
            except RingstackError as error:
                log.warning("no state of the networks: %s", error.message)
                await asyncio.sleep(delay_s * (1 + self._env.random()))
                delay_s = min(delay_s * 2, RETRY_MAX_S)
                continue
            delay_s = RETRY_S
            if self.state is None or state.version != self.state.version:
                self.state = state
                self._changed.set()

    async def _introduce(self) -> None:
        """Say that this host exists; the API knows it from its first report."""
        with contextlib.suppress(RingstackError):
            physical = dict(self._ground.bridges)
            await self._control.report(
                HostReport("", self._ground.tunnel_address, physical=physical)
            )

    async def work(self) -> None:
        """Make the host so, for ever."""
        loop = asyncio.get_running_loop()
        delay_s = RETRY_S
        full_at = loop.time()
        while True:
            if self.state is None:
                await self._changed.wait()
            full = self._disturbed or loop.time() >= full_at
            self._disturbed = False
            if full:
                full_at = loop.time() + FULL_ROUND_S
            self._changed.clear()
            await self._round(full=full)
            if full:
                give_back()
            self._shown |= {
                "network_faults": float(len(self.faults)),
                "network_steps": float(self._host.steps),
            }
            failing = bool(self.faults)
            wait_s = delay_s if failing else full_at - loop.time()
            delay_s = min(delay_s * 2, FULL_ROUND_S) if failing else RETRY_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait_s, 0.0)):
                    await self._changed.wait()
                    delay_s = RETRY_S

    async def _round(self, *, full: bool) -> None:
        state = self.state
        assert state is not None
        try:
            wanted = plan(state, self._ground)
            self.askers = Askers(state)
            self._wanted = frozenset(wanted.spaces[wanted.host_space].links)
            self.faults = await self._host.settle(wanted, full=full)
            await self._watch.ensure()
        except RingstackError as error:
            self.faults = {self._ground.host_space: error.message}
            log.error("the networks could not be made: %s", error.message)
            return
        except Exception as error:  # the loop must live: the next state may be one that it can do
            self.faults = {self._ground.host_space: f"{type(error).__name__}: {error}"}
            log.exception("the networks could not be made")
            return
        for key in sorted(self.faults.keys() - self._told.keys()):
            log.warning("%s: %s", key, self.faults[key])
        self._told = dict(self.faults)
        report = self._host.report(wanted, self._ground.tunnel_address, self.faults)
        if report != self._report:
            self._report = report
            await self._tell()

    async def _tell(self) -> None:
        if self._report is not None:
            with contextlib.suppress(RingstackError):  # told again with the next sign of life
                await self._control.report(self._report)

    async def live(self) -> None:
        """Give signs of life, for ever."""
        while True:
            await asyncio.sleep(LIFE_S)
            await self._tell()
