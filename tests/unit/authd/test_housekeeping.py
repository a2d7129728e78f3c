"""Old revocations go, younger ones stay."""

from __future__ import annotations

from authd import housekeeping, revocations
from core.identity_wire import REVOCATION_KEPT_US
from tests.identity_site import DEMO_PASSWORD, IdentitySite


def test_revocations_go_when_their_tokens_have_expired(fresh: IdentitySite) -> None:
    """A day later; one that was made since then still counts."""
    headers = {"X-Subject-Token": fresh.token("demo")}
    assert fresh.admin("DELETE", "/v3/auth/tokens", headers=headers).status == 204
    fresh.env.advance(REVOCATION_KEPT_US / 1e6 + 1)
    fresh._tokens.clear()
    young = fresh.login("demo", DEMO_PASSWORD).headers["x-subject-token"]
    assert (
        fresh.admin("DELETE", "/v3/auth/tokens", headers={"X-Subject-Token": young}).status == 204
    )
    gone = fresh.run(housekeeping.tidy(fresh.authority))
    assert gone >= 1
    assert fresh.call("GET", "/v3/auth/catalog", token=young).status == 401

    async def left() -> int:
        async with fresh.database.read() as db:
            return len(await revocations.after(db, 0))

    assert fresh.run(left()) == 1
    assert fresh.run(housekeeping.tidy(fresh.authority)) == 0
