"""The machine that wants to join, before it has a certificate: small calls over TLS, one to a connection."""

from __future__ import annotations

import asyncio
import ssl

from core import frame as framing
from core.errors import Conflict, Corrupt, Refused, Unavailable
from core.frame import Frame
from core.link import split_host
from noded import authority, wire

CALL_S = 30.0
REDIRECTS_MAX = 2


async def fetch_authority(address: str, fingerprint: bytes) -> bytes:
    """The authority's certificate (PEM) from a node, if it is the one of the token. Raises Refused."""
    context = _context()
    context.verify_mode = ssl.CERT_NONE  # nothing is said before the fingerprint has been compared
    reply = await _call(address, wire.AUTHORITY, b"", context)
    pem = _body(reply)
    if authority.fingerprint(pem) != fingerprint:
        raise Refused("OtherCluster", f"the cloud at {address} is not the one of the token")
    return pem


async def join(address: str, pem: bytes, application: wire.Application) -> wire.Welcome:
    """Apply at the keeper, which any node names. Raises Refused, Conflict, Unavailable, Corrupt."""
    context = _context()
    context.load_verify_locations(cadata=pem.decode("ascii"))
    context.verify_mode = ssl.CERT_REQUIRED
    for _ in range(REDIRECTS_MAX):
        reply = await _call(address, wire.JOIN, wire.encode(application), context)
        if reply.status != wire.ELSEWHERE:
            return wire.decode(_body(reply), wire.Welcome)
        address = bytes(reply.body).decode().removeprefix("tls:")
    raise Unavailable("NoKeeper", "the nodes do not agree on who the keeper is; try again")


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # certificates name nodes, not hosts
    return context


def _body(reply: Frame) -> bytes:
    if reply.status == wire.OK:
        return bytes(reply.body)
    if reply.status == wire.REFUSED:
        refusal = wire.decode(reply.body, wire.Refusal)
        raise Conflict(refusal.code, refusal.message)
    raise Unavailable("NoAnswer", "the node does not let machines join now; try again")


async def _call(address: str, operation: int, body: bytes, context: ssl.SSLContext) -> Frame:
    host, port = split_host(address)
    try:
        async with asyncio.timeout(CALL_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                writer.write(framing.encode_header(Frame(1, operation, 0, 0, 0, b"", body)) + body)
                head = framing.decode_header(await reader.readexactly(framing.HEADER_BYTES))
                data = await reader.readexactly(head.head_bytes + head.body_bytes)
            finally:
                writer.close()
    except ssl.SSLCertVerificationError as error:
        raise Refused("OtherCluster", f"{address}: {error.verify_message}") from None
    except (OSError, TimeoutError, asyncio.IncompleteReadError, Corrupt) as error:
        raise Unavailable("NoAnswer", f"no answer from {address}: {error or 'too slow'}") from None
    return Frame(
        head.call,
        head.operation,
        head.status,
        head.device,
        head.epoch,
        data[: head.head_bytes],
        data[head.head_bytes :],
    )
