"""Who may do what: log-in at /auth/v1.0, tokens, and the rights of owners and ACLs.

A caller is known only by a verified token. The owner of an account may do everything in it, an
administrator everything in any account named `AUTH_...`; others need the container's ACL. A request
without a token that is refused gets 401, one with a token 403. Log-in answers an unknown user and a
wrong key alike, in the same time.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import NotFound, Refused
from core.http import Request, Response
from proxy.gate import Gate
from proxy.identity import ACCOUNT_PREFIX, Identity
from proxy.large import Permit
from proxy.swift import account_acl, acl
from proxy.swift.call import Call, Site
from proxy.swift.errors import HTML, SwiftError, status_page
from proxy.swift.names import quoted

READS = frozenset({"GET", "HEAD"})
LOGIN_PATHS = ("/auth/v1.0", "/auth/v1")


def unauthorized(account: str) -> SwiftError:
    """401 with the challenge that names the account."""
    realm = quoted(account) or "unknown"
    return SwiftError(401, headers=[("Www-Authenticate", f'Swift realm="{realm}"')])


class Authority:
    """Logs in, verifies tokens and decides."""

    def __init__(self, site: Site, gate: Gate) -> None:
        self._site = site
        self._gate = gate

    # -- log-in --------------------------------------------------------------------------------

    async def login(self, request: Request) -> Response:
        """`GET /auth/v1.0` (Swift TempAuth): headers with the token and the storage URL.

        The user is `project:user`, or a user with a default project, of the default domain.
        """
        if request.method != "GET":
            return status_page(405, [("Allow", "GET")])
        user = request.header("x-auth-user") or request.header("x-storage-user") or ""
        key = request.header("x-auth-key") or request.header("x-storage-pass") or ""
        login = await self._gate.login(user, key)
        if login is None:
            raise unauthorized("unknown")
        life_s = (login.expires_us - self._site.env.wall_us()) // 1_000_000
        host = request.header("host") or "localhost"
        url = f"{self._site.scheme}://{host}/v1/{quoted(login.identity.account)}"
        return Response(
            200,
            [
                HTML,
                ("X-Storage-Url", url),
                ("X-Auth-Token", login.token),
                ("X-Storage-Token", login.token),
                ("X-Auth-Token-Expires", str(life_s)),
            ],
        )

    # -- identity ------------------------------------------------------------------------------

    async def identify(self, call: Call) -> None:
        """Set the caller of a request from its token; a token that does not hold is 401."""
        headers = call.headers
        raw = headers.get(b"x-auth-token") or headers.get(b"x-storage-token") or bearer_of(headers)
        if raw is None:
            return
        try:
            call.identity = await self._gate.identify(raw.decode("latin-1"), call.request)
        except Refused:
            raise unauthorized(call.account) from None
        call.owner = owns(call.identity, call.account)


def bearer_of(headers: Mapping[bytes, bytes]) -> bytes | None:
    """An access token in `Authorization: Bearer` (RFC 6750), or None."""
    kind, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if kind.lower() == b"bearer" else None


def owns(identity: Identity, account: str) -> bool:
    """The caller may do everything in the account."""
    return (identity.operator and identity.account == account) or (
        identity.admin and account.startswith(ACCOUNT_PREFIX) and account != ACCOUNT_PREFIX
    )


def reads(identity: Identity | None, account: str) -> bool:
    """The caller may read everything in the account, whatever its ACLs say."""
    if identity is None:
        return False
    return (identity.reader and identity.account == account) or (
        identity.auditor and account.startswith(ACCOUNT_PREFIX)
    )


def denied(call: Call) -> SwiftError:
    """403 for a known caller, 401 for an unknown one."""
    return SwiftError(403) if call.identity is not None else unauthorized(call.account)


def require_owner(call: Call) -> None:
    """Containers are made and deleted by the account's owner only."""
    if not call.owner:
        raise denied(call)


async def authorise(call: Call) -> None:
    """Let the request of a Call pass, or raise SwiftError 401 or 403."""
    if call.owner or call.scope is not None or call.method == "COPY":
        return  # a copy has two ends, authorised each in copy.py
    write = call.method not in READS
    if not write and reads(call.identity, call.account):
        return
    granted = await account_grant(call, call.account)
    if granted.admin:
        call.owner = True
        return
    if granted.read if not write else (granted.write and call.container):
        return
    if not call.container or (write and not call.name):
        raise denied(call)
    await authorise_in(call, call.account, call.container, write=write, listing=not call.name)


async def account_grant(call: Call, account: str) -> account_acl.Grant:
    """What the ACL of an account gives the caller."""
    if call.identity is None or not account.startswith(ACCOUNT_PREFIX):
        return account_acl.NOTHING
    info = await call.store.get_account(account)
    return account_acl.grant_of(info.record.attributes.get(account_acl.ATTRIBUTE), call.identity)


async def authorise_in(
    call: Call, account: str, container: str, *, write: bool, listing: bool = False
) -> None:
    """Let the caller touch a container that another part of the request names (a copy's other end).

    Raises SwiftError 401 or 403; whether a container exists is not told to strangers.
    """
    if call.identity is not None and owns(call.identity, account):
        return
    if not write and reads(call.identity, account):
        return
    if call.scope is not None:
        if write or call.scope[0] != account or call.scope[1] not in {"", container}:
            raise denied(call)
        return
    granted_all = await account_grant(call, account)
    if granted_all.write if write else granted_all.read:
        return
    try:
        info = await call.store.get_container(account, container)
    except NotFound:
        raise denied(call) from None
    granted = info.record.attributes.get("swift:write" if write else "swift:read")
    referer = call.header(b"referer") or ""
    if not acl.permits(granted, call.identity, referer=referer, listing=listing):
        raise denied(call)


def reader(call: Call) -> Permit:
    """The caller's rights, for reading the segments and targets that an object names."""

    async def permit(account: str, container: str, listing: bool) -> None:  # noqa: FBT001
        await authorise_in(call, account, container, write=False, listing=listing)

    return permit
