"""A service's line to the identity service: revocations as they happen, and the few look-ups a token cannot answer.

While the identity service is down, what is known goes on counting: tokens are verified, access keys that were
used lately sign. Before the first contact nothing counts, because a token may have been revoked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import NamedTuple

import msgspec

from core import identity_wire as wire
from core.access_rules import AccessRule, permits
from core.authenticator import Authenticator
from core.env import Env
from core.errors import Refused, Unavailable
from core.identity import Identity
from core.keyring import Keyring, follow
from core.link import Link
from core.revocation import Revocation, RevocationList
from core.trust import Trust

log = logging.getLogger("ringstack.identity")

ASK_TIMEOUT_S = 10.0
RETRY_S = 0.1
KEYS_MAX = 10_000
KEY_FRESH_US = 300_000_000  # asked for again after this, when there is somebody to ask
ABSENT_FRESH_US = 1_000_000
FORGET_EVERY_US = 600_000_000


class AccessKey(NamedTuple):
    """A secret and who signs with it."""

    secret: str
    identity: Identity


class _Known(NamedTuple):
    key: AccessKey | None
    asked_us: int


class IdentityLink:
    """Tokens, access keys and log-ins for one service process."""

    def __init__(
        self,
        env: Env,
        address: str,
        cluster_key: bytes,
        keyring: Keyring,
        *,
        trust: Trust | None = None,
    ) -> None:
        self._env = env
        self._link = Link(env, address, cluster_key, trust=trust)
        self.revoked = RevocationList()
        self._authenticator = Authenticator(env, keyring, self.revoked)
        self._keys: dict[str, _Known] = {}
        self._rules: dict[str, tuple[AccessRule, ...]] = {}
        self._keyring = keyring
        self._tasks: list[asyncio.Task[None]] = []
        self._synced = asyncio.Event()
        self._forgot_us = 0

    def start(self) -> None:
        """Begin following."""
        self._link.start()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._follow()),
            loop.create_task(follow(self._keyring)),
        ]

    async def wait_synced(self, timeout_s: float) -> bool:
        """Wait until all revocations so far are known; False when that took too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._synced.wait()
        return self._synced.is_set()

    def close(self) -> None:
        """Stop following."""
        for task in self._tasks:
            task.cancel()
        self._link.close()

    def verify(self, token: str) -> Identity:
        """The identity of a token. Raises Refused, or Unavailable before the first contact."""
        self._need_contact()
        return self._authenticator.verify(token)

    def _need_contact(self) -> None:
        if not self._synced.is_set():
            raise Unavailable("NoIdentityService", "the identity service has not been reached yet")

    async def access_key(self, access: str) -> AccessKey | None:
        """An access key, None when there is none. Raises Unavailable."""
        self._need_contact()
        known = self._keys.get(access)
        if known is not None and self._fresh(known):
            return known.key
        try:
            frame_status, head = await self._ask(wire.ACCESS_KEY, wire.KeyCall(access))
        except Unavailable:
            if known is not None and known.key and not self.revoked.revoked(known.key.identity):
                return known.key
            raise
        key = None
        if frame_status == wire.OK:
            reply = msgspec.msgpack.decode(head, type=wire.KeyReply)
            key = AccessKey(reply.secret, reply.identity)
        if len(self._keys) >= KEYS_MAX:
            self._keys.clear()
        self._keys[access] = _Known(key, self._env.wall_us())
        return key

    def _fresh(self, known: _Known) -> bool:
        age_us = abs(self._env.wall_us() - known.asked_us)
        if known.key is None:
            return age_us < ABSENT_FRESH_US
        return age_us < KEY_FRESH_US and not self.revoked.revoked(known.key.identity)

    async def check_access(self, identity: Identity, service: str, method: str, path: str) -> None:
        """Refuse what the access rules of a restricted application credential do not cover.

        Rules never change, so they are asked for once. Raises Refused("NotCovered"), Unavailable.
        """
        credential = identity.application_credential_id
        rules = self._rules.get(credential)
        if rules is None:
            status, head = await self._ask(wire.ACCESS_RULES, wire.RulesCall(credential))
            if status != wire.OK:
                raise Refused("NotCovered", "the application credential is not known")
            reply = msgspec.msgpack.decode(head, type=wire.RulesReply)
            rules = tuple(AccessRule(*rule) for rule in reply.rules)
            if len(self._rules) >= KEYS_MAX:
                self._rules.clear()
            self._rules[credential] = rules
        if not permits(rules, service, method, path):
            raise Refused("NotCovered", "the application credential's access rules do not cover it")

    async def login(self, user: str, key: str) -> wire.LoginReply | None:
        """Log in by name and password; None when refused. Raises Unavailable."""
        frame_status, head = await self._ask(wire.LOGIN, wire.LoginCall(user, key))
        if frame_status != wire.OK:
            return None
        return msgspec.msgpack.decode(head, type=wire.LoginReply)

    async def _ask(self, operation: int, call: msgspec.Struct) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                if not self._link.up:
                    await self._link.wait_up(ASK_TIMEOUT_S / 2)
                frame = await self._link.ask(operation, 0, msgspec.msgpack.encode(call))
        except TimeoutError:
            raise Unavailable("NoIdentityService", "the identity service does not answer") from None
        if frame.status not in {wire.OK, wire.ABSENT}:
            raise Unavailable("NoIdentityService", "the identity service cannot be reached")
        return frame.status, frame.head

    async def _follow(self) -> None:
        """Apply revocations as they come, for ever."""
        while True:
            if not await self._link.wait_up(wire.POLL_S):
                continue
            call = msgspec.msgpack.encode(wire.EventsCall(self.revoked.last, self._synced.is_set()))
            frame = await self._link.ask(wire.EVENTS, 0, call)
            if frame.status != wire.OK:
                await asyncio.sleep(RETRY_S)
                continue
            reply = msgspec.msgpack.decode(frame.head, type=wire.EventsReply)
            for event in reply.events:
                self.revoked.add(Revocation(*event))
            if reply.synced:
                self._synced.set()
            self._forget()

    def _forget(self) -> None:
        now_us = self._env.wall_us()
        if now_us - self._forgot_us > FORGET_EVERY_US:
            self._forgot_us = now_us
            self.revoked.forget_before(now_us - wire.REVOCATION_KEPT_US)
