"""How rings, throttles and lists of nodes reach every node: each asks all others for newer ones, again and again.

Asking is enough: a node that was away catches up when it asks, and nobody has to know who needs what.
What is fetched is checked (checksum of the ring file, the keeper's signature of the list) before it is
stored. Daemons that talk to each other exchange rings too, with every frame that shows a difference; this
is for nodes that nobody talks to, and for the list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from core.env import Env
from core.errors import Conflict, RingstackError, Unavailable
from core.installation import Installation
from core.link import LOST, Link
from core.real import write_durably
from core.roster import Member
from core.trust import AUTHORITY, ROSTER, Trust
from noded import wire
from ring.epoch import Epoch
from ring.file import decode_epoch
from ring.store import RingStore

log = logging.getLogger("ringstack.noded")

EVERY_S = 1.0
CALL_S = 5.0


class Spread:
    """Links to all other nodes, and what they have that is newer."""

    def __init__(
        self,
        env: Env,
        installation: Installation,
        trust: Trust,
        on_epoch: Callable[[Epoch], object],
    ) -> None:
        self._env = env
        self._on_epoch = on_epoch
        self._trust = trust
        self._node = installation.config().node
        self._key = installation.secrets().cluster_key
        self._store = RingStore(installation.ring)
        self._links: dict[str, Link] = {}

    async def run_for_ever(self) -> None:
        """Ask everybody, about once a second."""
        while True:
            await asyncio.sleep(EVERY_S * (0.75 + 0.5 * self._env.random()))
            await self.once()

    async def once(self) -> None:
        """Ask every other node once; those that do not answer are asked again next time."""
        members = self._trust.roster().members
        others = [one for one in members if one.name != self._node]
        for address in set(self._links) - {one.address for one in others}:
            self._links.pop(address).close()
        results = await asyncio.gather(*(self._ask(one) for one in others), return_exceptions=True)
        for member, result in zip(others, results, strict=True):
            if isinstance(result, RingstackError):
                log.debug("node %s: %s", member.name, result.message)
            elif result is not None:
                raise result

    async def _ask(self, member: Member) -> None:
        link = self._links.get(member.address)
        if link is None:
            link = Link(self._env, member.address, self._key, trust=self._trust)
            self._links[member.address] = link
        link.start()
        standing = wire.decode(await ask(link, wire.STANDING), wire.Standing)
        if standing.roster > self._trust.roster().version:
            await self._take_roster(await ask(link, wire.ROSTER))
        if standing.throttle.version > self._store.throttle().version:
            self._store.write_throttle(standing.throttle)
        numbers = self._store.numbers()
        if standing.ring > (numbers[-1] if numbers else 0):
            body = await ask(link, wire.EPOCH, wire.encode(standing.ring))
            self._take_epoch(body, member.name)

    async def _take_roster(self, data: bytes) -> None:
        from noded import authority  # loads the library of certificates, which is rarely needed

        pem = (self._trust.directory / AUTHORITY).read_bytes()
        signed = await self._env.offload(lambda: authority.verify(pem, data))
        if signed.roster.version > self._trust.roster().version:
            write_durably(self._trust.directory / ROSTER, data)
            log.info(
                "list of nodes %d: %d nodes", signed.roster.version, len(signed.roster.members)
            )

    def _take_epoch(self, data: bytes, name: str) -> None:
        epoch = decode_epoch(data, f"ring of node {name}")
        try:
            self._store.keep(epoch)
        except Conflict as error:
            log.error("%s", error.message)
            return
        self._on_epoch(epoch)
        log.info("ring epoch %d from node %s", epoch.number, name)

    def close(self) -> None:
        """Close all links."""
        for link in self._links.values():
            link.close()


async def ask(link: Link, operation: int, body: bytes = b"") -> bytes:
    """The body of an answer. Raises Unavailable, and Conflict when it is a refusal."""
    try:
        async with asyncio.timeout(CALL_S):
            reply = await link.ask(operation, 0, b"", body)
    except TimeoutError:
        raise Unavailable("NoAnswer", f"{link.address} does not answer") from None
    if reply.status == wire.OK:
        return bytes(reply.body)
    if reply.status == wire.REFUSED:
        refusal = wire.decode(reply.body, wire.Refusal)
        raise Conflict(refusal.code, refusal.message)
    what = "cannot be reached" if reply.status == LOST else f"answers {reply.status}"
    raise Unavailable("NoAnswer", f"{link.address} {what}")
