"""What other services look up in the identity service: log-ins by name, secrets of access keys, access rules."""

from __future__ import annotations

import msgspec

from authd import credentials, methods, tokens
from authd.authority import Authority
from authd.domains import DEFAULT
from authd.followers import LookUp
from authd.proof import Proof
from authd.scope import Name, Scope
from authd.tables.application_credential import application_credential
from authd.tables.trust import trust
from core import identity_wire as wire
from core import rows
from core.api.fault import Fault, unauthorized
from core.identity import Identity


class LookUps:
    """The look-ups over one authority."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def table(self) -> dict[int, LookUp]:
        """By operation."""
        return {
            wire.LOGIN: self.login,
            wire.ACCESS_KEY: self.access_key,
            wire.ACCESS_RULES: self.access_rules,
        }

    async def access_key(self, head: bytes) -> wire.KeyReply | None:
        """Secret and signer of an EC2 credential, as long as its user may use its project."""
        call = msgspec.msgpack.decode(head, type=wire.KeyCall)
        found = await signer_of(self._authority, call.access_key)
        return None if found is None else wire.KeyReply(*found)

    async def access_rules(self, head: bytes) -> wire.RulesReply:
        """The access rules of an application credential."""
        call = msgspec.msgpack.decode(head, type=wire.RulesCall)
        async with self._authority.database.read() as db:
            found = await tokens.access_rules_of(db, call.application_credential_id)
        return wire.RulesReply(tuple((r["service"], r["method"], r["path"]) for r in found))

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


async def signer_of(authority: Authority, access: str) -> tuple[str, Identity] | None:
    """The secret of an access key and the identity it signs for, or None when it signs for nobody.

    Its rights are those of its user on its project now, and no more than those of the trust or application
    credential through which it was made.
    """
    async with authority.database.read() as db:
        found = await credentials.get_ec2(db, authority.vault, access)
        if found is None or not found["project_id"]:
            return None
        user = await methods.find_user(db, Name(id=found["user_id"]))
        if user is None:
            return None
        proof = Proof(user, ("ec2credential",))
        if found["application_credential_id"]:
            row = await rows.by_id(db, application_credential, found["application_credential_id"])
            now_us = authority.now_us()
            if row is None or (row["expires_us"] is not None and now_us >= row["expires_us"]):
                return None
            proof = proof._replace(application_credential=row)
        elif found["trust_id"]:
            row = await rows.by_id(db, trust, found["trust_id"])
            if row is None:
                return None
            proof = proof._replace(trust=row)
        scope = Scope("project", Name(id=found["project_id"]))
        try:
            identity = await tokens.identity_for(authority, db, proof, scope)
        except Fault:
            return None
    if identity.project_id != found["project_id"]:
        return None
    return found["secret"], msgspec.structs.replace(identity, access_key=access)
