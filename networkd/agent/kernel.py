"""The kernel as the agent's loop sees it: a namespace is read, steps are carried out, rules are replaced."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from functools import partial
from itertools import groupby

import msgspec
from pyroute2.netlink.exceptions import NetlinkError

from core import command, namespace
from core.env import Env
from core.errors import RingstackError, Unavailable
from networkd.agent import announce, doing, inside, reading
from networkd.plan.difference import TABLES, Seen
from networkd.plan.plan import MACHINE, Space
from networkd.plan.step import SEAL, AddLink, AddSpace, Rules, Step, transaction

AGAIN_S = (0.5, 2.0)


class Kernel:
    """One host's kernel."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._announcing: set[asyncio.Task[None]] = set()

    async def see(self, wanted: Space) -> Seen | None:
        """What a namespace has; None when there is none. Raises Unavailable."""
        work = partial(reading.seen, tuple(wanted.settings))
        try:
            if wanted.name == MACHINE:
                return await self._env.offload(work)
            if not inside.path_of(wanted.name).exists():
                return None
            found = await self._env.offload(lambda: inside.within(wanted.name, work))
        except (OSError, NetlinkError) as error:
            raise Unavailable("Kernel", f"{wanted.name}: {error}") from None
        if not wanted.tables:
            return found
        return msgspec.structs.replace(found, tables=await self.tables(wanted.name))

    async def tables(self, space: str) -> dict[tuple[str, str], str]:
        """The seals of our tables in a namespace. Raises Unavailable."""
        done = await command.run(*inside.tool(space, "nft", "-j", "list", "chains"))
        if done.status:
            raise Unavailable("Rules", f"{space}: {done.errors}")
        found: dict[tuple[str, str], str] = {}
        for item in msgspec.json.decode(done.output)["nftables"]:
            chain = item.get("chain")
            if chain and chain["table"].startswith(TABLES):
                key = (chain["family"], chain["table"])
                found.setdefault(key, "")
                if chain["name"].startswith(SEAL):
                    found[key] = chain["name"].removeprefix(SEAL)
        return found

    async def do(self, steps: Iterable[Step]) -> list[tuple[Step, str]]:
        """Carry out steps in order; those that failed, and why."""
        failed: list[tuple[Step, str]] = []
        for (kind, space), some in groupby(steps, _place):
            if kind == "rules":
                for step in some:
                    failed += await self._replace(step)
            elif kind == "space":
                for step in some:
                    failed += await self._add_space(step)
            else:
                failed += await self._offloaded(kind, space, list(some))
        return failed

    async def _offloaded(self, kind: str, space: str, steps: list[Step]) -> list[tuple[Step, str]]:
        try:
            if kind == "links":
                made = [step for step in steps if isinstance(step, AddLink)]
                return await self._env.offload(lambda: doing.make_links(made))
            work = partial(doing.perform_all, steps)
            if space == MACHINE:
                return await self._env.offload(work)
            failed = await self._env.offload(lambda: inside.within(space, work))
        except (OSError, NetlinkError) as error:
            return [(step, str(error)) for step in steps]
        if announced := doing.announced(steps):
            task = asyncio.create_task(self._announce_again(space, announced))
            self._announcing.add(task)
            task.add_done_callback(self._announcing.discard)
        return failed

    async def _announce_again(self, space: str, announced: list[tuple[str, str]]) -> None:
        """A new interface may have carried nothing yet when its addresses were announced."""
        for wait_s in AGAIN_S:
            await asyncio.sleep(wait_s)
            with contextlib.suppress(OSError):  # the namespace may have gone
                await self._env.offload(
                    lambda: inside.within(space, partial(announce.send_all, announced))
                )

    async def _add_space(self, step: Step) -> list[tuple[Step, str]]:
        try:
            await namespace.ensure(step.space)
        except RingstackError as error:
            return [(step, error.message)]
        return []

    async def _replace(self, step: Step) -> list[tuple[Step, str]]:
        assert isinstance(step, Rules)
        text = transaction(step)
        try:
            done = await command.run(*inside.tool(step.space, "nft", "-f", "-"), data=text.encode())
        except RingstackError as error:
            return [(step, error.message)]
        return [(step, done.errors[:500])] if done.status else []


def _place(step: Step) -> tuple[str, str]:
    """Steps that go together."""
    if isinstance(step, Rules):
        return "rules", step.space
    if isinstance(step, AddSpace):
        return "space", step.space
    if isinstance(step, AddLink):
        return "links", ""
    return "inside", step.space


def what(step: Step) -> str:
    """A step in words."""
    name = getattr(step, "name", "") or getattr(step, "link", "")
    name = getattr(name, "name", name)
    return " ".join(part for part in (type(step).__name__, step.space, str(name)) if part)
