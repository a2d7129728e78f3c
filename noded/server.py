"""What a node daemon answers: to other nodes, and to machines that want to join.

It listens where `cluster_listen` says, over TLS, and on a unix socket for the commands of its own machine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from core import identity_wire
from core.env import Env
from core.errors import RingstackError
from core.frame import Frame
from core.installation import Installation
from core.link import LOST, FrameServer, Link, ServerConnection
from core.trust import ROSTER, Trust
from noded import wire
from ring.file import encode_epoch
from ring.store import RingStore

log = logging.getLogger("ringstack.noded")

JOINS_MAX = 4  # at once


class NodeServer:
    """Answers frames. The slow ones are answered from tasks."""

    def __init__(
        self,
        env: Env,
        installation: Installation,
        trust: Trust,
        repair_now: Callable[[], None],
    ) -> None:
        self._env = env
        self._repair_now = repair_now
        self._installation = installation
        self._trust = trust
        self._config = installation.config()
        self._store = RingStore(installation.ring)
        self._tasks: set[asyncio.Task[None]] = set()
        self._identity = Link(env, installation.api_socket, installation.secrets().cluster_key)
        self.frames = FrameServer(
            env,
            installation.secrets().cluster_key,
            self.handle,
            trust=trust,
            guests=self.handle_guest,
        )

    async def listen(self) -> None:
        """Be reachable."""
        assert self._config.cluster_listen is not None
        await self.frames.listen(self._installation.socket("noded"))
        await self.frames.listen(f"tls:{self._config.cluster_listen}")

    def standing(self) -> wire.Standing:
        """What this node has now."""
        numbers = self._store.numbers()
        return wire.Standing(
            self._config.node,
            numbers[-1] if numbers else 0,
            self._trust.roster().version,
            self._store.throttle(),
        )

    def handle(self, connection: ServerConnection, call: Frame) -> None:
        """Answer another node."""
        if call.operation == wire.STANDING:
            self._answer(connection, call, lambda: wire.encode(self.standing()))
        elif call.operation == wire.EPOCH:
            number = wire.decode(call.body, int)
            self._answer(connection, call, lambda: encode_epoch(self._store.load(number)))
        elif call.operation == wire.ROSTER:
            path = self._trust.directory / ROSTER
            self._answer(connection, call, path.read_bytes)
        elif call.operation in identity_wire.OPERATIONS:
            self._relay(connection, call)
        elif call.operation == wire.REPAIR:
            self._repair_now()
            connection.reply(call, wire.OK)
        elif call.operation == wire.TOKEN:
            self._start(connection, call, lambda: self._token(call))
        else:
            connection.reply(call, wire.BAD)

    def _relay(self, connection: ServerConnection, call: Frame) -> None:
        """Pass a call on to the identity service, if it runs here, and its answer back."""
        self._identity.start()

        def answer(frame: Frame) -> None:
            status = identity_wire.FAILED if frame.status == LOST else frame.status
            connection.reply(call, status, frame.head, frame.body)

        self._identity.call(call.operation, call.device, call.head, call.body, answer)

    def handle_guest(self, connection: ServerConnection, call: Frame) -> None:
        """Answer a machine that has no certificate."""
        if call.operation == wire.AUTHORITY:
            self._start(connection, call, self._authority)
        elif call.operation == wire.JOIN and len(self._tasks) < JOINS_MAX:
            self._start(connection, call, lambda: self._join(call))
        else:
            connection.reply(call, wire.BAD)

    def _start(self, connection: ServerConnection, call: Frame, work: Callable[[], bytes]) -> None:
        """Work that reads and writes files and loads libraries, outside the event loop."""

        async def answer() -> None:
            roster = self._trust.roster()
            keeper = roster.member(roster.keeper)
            elsewhere = call.operation != wire.AUTHORITY and roster.keeper != self._config.node
            if elsewhere and keeper is not None:
                connection.reply(call, wire.ELSEWHERE, body=keeper.address.encode())
                return
            try:
                body = await self._env.offload(work)
            except RingstackError as error:
                refuse(connection, call, error)
                return
            connection.reply(call, wire.OK, body=body)

        task = asyncio.ensure_future(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    def _answer(connection: ServerConnection, call: Frame, work: Callable[[], bytes]) -> None:
        try:
            connection.reply(call, wire.OK, body=work())
        except RingstackError as error:
            refuse(connection, call, error)

    def _authority(self) -> bytes:
        from noded import keeper

        return keeper.authority_pem(self._trust.directory)

    def _token(self, call: Frame) -> bytes:
        from noded import keeper  # loads the library of certificates, which is rarely needed

        valid_s = wire.decode(call.body, int)
        return keeper.make_token(self._installation, self._env.wall_us(), valid_s).encode()

    def _join(self, call: Frame) -> bytes:
        from noded import keeper

        application = wire.decode(call.body, wire.Application)
        welcome = keeper.admit(self._installation, application, self._env.wall_us())
        log.info(
            "node %s has joined with %d devices", application.member.name, len(application.devices)
        )
        return wire.encode(welcome)


def refuse(connection: ServerConnection, call: Frame, error: RingstackError) -> None:
    """Say why not."""
    refusal = wire.Refusal(error.code, error.message)
    connection.reply(call, wire.REFUSED, body=wire.encode(refusal))
