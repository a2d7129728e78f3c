"""The line between the identity service and the other processes: pushes, look-ups, and what counts without it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authd import revocations
from authd.followers import Followers
from authd.lookups import LookUps
from core.errors import Refused, Unavailable
from core.identity_link import IdentityLink
from core.keyring import Keyring
from core.revocation import CREDENTIAL, USER
from tests.identity_site import ADMIN_PASSWORD, IdentitySite

KEY = b"k" * 32
ROOT = "ROOT" * 5
WITHIN_S = 1.0


class Line:
    """A site's followers at a socket, and one service that follows."""

    def __init__(self, site: IdentitySite) -> None:
        self.site = site
        self.address = f"unix:{site.directory}/apid.sock"
        self.followers: Followers | None = None
        keyring = Keyring(site.directory / "keys")
        keyring.load()
        self.link = IdentityLink(site.env, self.address, KEY, keyring)

    async def serve(self) -> None:
        self.followers = Followers(self.site.authority, KEY, LookUps(self.site.authority).table())
        await self.followers.listen(self.address)

    def die(self) -> None:
        assert self.followers is not None
        self.followers.close()
        self.site.authority.database.committed.remove(self.followers._committed)

    async def revoke(self, kind: str, key: str) -> None:
        async with self.site.database.write() as db:
            await revocations.add(db, kind, key, self.site.env.wall_us())

    async def until_refused(self, token: str) -> None:
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    self.link.verify(token)
                except Refused:
                    return
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def following(site: IdentitySite) -> AsyncIterator[Line]:
    line = Line(site)
    await line.serve()
    line.link.start()
    assert await line.link.wait_synced(5)
    try:
        yield line
    finally:
        line.link.close()
        line.die()


def user_of(site: IdentitySite, token: str) -> str:
    shown = site.admin("GET", "/v3/auth/tokens", headers={"X-Subject-Token": token})
    return str(shown.body["token"]["user"]["id"])


def test_a_revocation_arrives_by_itself(fresh: IdentitySite) -> None:
    """Within a second of its commit; what came before the start is known at the start."""
    token, user_id = fresh.token("demo"), user_of(fresh, fresh.token("demo"))

    async def play() -> None:
        async with following(fresh) as line:
            assert line.link.verify(token).user_name == "demo"
            await line.revoke(USER, user_id)
            await line.until_refused(token)
        async with following(fresh) as line:
            with pytest.raises(Refused):
                line.link.verify(token)

    fresh.run(play())


def test_nothing_counts_before_the_first_contact(fresh: IdentitySite) -> None:
    """A token may have been revoked: 503, not 200."""
    token = fresh.token("demo")

    async def play() -> None:
        line = Line(fresh)
        line.link.start()
        assert not await line.link.wait_synced(0.05)
        with pytest.raises(Unavailable):
            line.link.verify(token)
        await line.serve()
        assert await line.link.wait_synced(5)
        assert line.link.verify(token).user_name == "demo"
        line.link.close()
        line.die()

    fresh.run(play())


def test_tokens_and_known_keys_count_while_the_service_is_down(fresh: IdentitySite) -> None:
    """And what was revoked meanwhile is caught up with."""
    token, user_id = fresh.token("demo"), user_of(fresh, fresh.token("demo"))

    async def play() -> None:
        async with following(fresh) as line:
            assert await line.link.access_key(ROOT) is not None
            line.die()
            fresh.env.advance(400)  # the key is due to be asked for again
            assert line.link.verify(token).user_name == "demo"
            known = await asyncio.wait_for(line.link.access_key(ROOT), 20)
            assert known is not None
            assert known.secret == "root-secret"
            await line.revoke(USER, user_id)
            await line.serve()
            await line.until_refused(token)

    fresh.run(play())


def test_access_keys_and_log_ins_are_looked_up(fresh: IdentitySite) -> None:
    """With the roles of now; wrong ones are nobody's; a revoked key is asked for again."""

    async def play() -> None:
        async with following(fresh) as line:
            key = await line.link.access_key(ROOT)
            assert key is not None
            assert "admin" in key.identity.roles
            assert await line.link.access_key("unknown") is None
            await line.revoke(CREDENTIAL, ROOT)
            async with asyncio.timeout(WITHIN_S):
                while not line.link.revoked.revoked(key.identity):
                    await asyncio.sleep(0.005)
            again = await line.link.access_key(ROOT)
            assert again is not None
            assert again.identity.issued_us > key.identity.issued_us
            reply = await line.link.login("admin:admin", ADMIN_PASSWORD)
            assert reply is not None
            assert line.link.verify(reply.token).project_name == "admin"
            for user, password in (
                ("admin:admin", "wrong"),
                ("nobody:admin", ADMIN_PASSWORD),
                ("admin:nobody", ADMIN_PASSWORD),
                ("", ""),
                (":", ""),
                ("service:admin", ADMIN_PASSWORD),
            ):
                assert await line.link.login(user, password) is None, user

    fresh.run(play())


def test_without_the_installations_key_there_is_no_line(
    fresh: IdentitySite, tmp_path: Path
) -> None:
    """The socket answers nobody else."""
    del tmp_path

    async def play() -> None:
        async with following(fresh) as line:
            keyring = Keyring(fresh.directory / "keys")
            keyring.load()
            stranger = IdentityLink(fresh.env, line.address, b"x" * 32, keyring)
            stranger.start()
            assert not await stranger.wait_synced(0.3)
            stranger.close()

    fresh.run(play())
