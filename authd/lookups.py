"""What other services look up in the identity service: log-ins by name, secrets of access keys, access rules."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from authd import methods, tokens, users
from authd.authority import Authority
from authd.domains import DEFAULT
from authd.followers import LookUp
from authd.proof import Proof
from authd.scope import Name, Scope
from core import identity_wire as wire
from core.api.fault import unauthorized


class RootKey(NamedTuple):
    """The access key that the installation's secrets hold."""

    access_key: str
    secret_key: str
    user_name: str
    project_id: str


class LookUps:
    """The look-ups over one authority."""

    def __init__(self, authority: Authority, root: RootKey) -> None:
        self._authority = authority
        self._root = root

    def table(self) -> dict[int, LookUp]:
        """By operation."""
        return {wire.LOGIN: self.login, wire.ACCESS_KEY: self.access_key}

    async def access_key(self, head: bytes) -> wire.KeyReply | None:
        """Secret and signer of an EC2 credential."""
        call = msgspec.msgpack.decode(head, type=wire.KeyCall)
        root = self._root
        if call.access_key != root.access_key:
            return None
        async with self._authority.database.read() as db:
            user = await users.named(db, DEFAULT, root.user_name)
            if user is None:
                return None
            proof = Proof(user, ("ec2credential",))
            scope = Scope("project", Name(id=root.project_id))
            identity = await tokens.identity_for(self._authority, db, proof, scope)
        return wire.KeyReply(
            root.secret_key, msgspec.structs.replace(identity, access_key=call.access_key)
        )

    async def login(self, head: bytes) -> wire.LoginReply:
        """`project:user`, or a user alone for their default project, in the default domain. Raises Fault 401."""
        call = msgspec.msgpack.decode(head, type=wire.LoginCall)
        project, colon, user = call.user.rpartition(":")
        given = {"name": user, "domain": {"id": DEFAULT}, "password": call.key}
        if not user:
            raise unauthorized()
        proof = await methods.password(self._authority, {"user": given})
        scope = Scope("project", Name(name=project, domain_id=DEFAULT)) if colon else Scope()
        async with self._authority.database.read() as db:
            identity = await tokens.identity_for(self._authority, db, proof, scope)
        if not identity.project_id:
            raise unauthorized()
        return wire.LoginReply(tokens.sealed(self._authority, identity), identity)
