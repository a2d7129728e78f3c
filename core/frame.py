"""Frames between our own processes, and the handshake that opens a connection. Pure.

A frame is a fixed 24-byte header, a head (msgpack) and a body (raw bytes). The handshake proves, both
ways, knowledge of the installation's key: the server sends a nonce; the client answers with its own
nonce and a MAC over both; the server answers with its MAC. The roles are part of what is MACed, so
neither message can be replayed as the other, and fresh nonces make old ones worthless.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import NamedTuple

from core import limits
from core.errors import Corrupt

# head length, body length, call number, ring epoch, device, operation, status
HEADER = struct.Struct("<IIIIIBBxx")
HEADER_BYTES = HEADER.size
NONCE_BYTES = 32
MAC_BYTES = 32
MAGIC = b"RSTK\x01"
HELLO_BYTES = len(MAGIC) + NONCE_BYTES
PROOF_BYTES = NONCE_BYTES + MAC_BYTES


class Frame(NamedTuple):
    """One message. `status` is 0 for success in replies; in calls it is 1 when no client waits."""

    call: int
    operation: int
    status: int
    device: int
    epoch: int
    head: bytes
    body: bytes | memoryview


class FrameHead(NamedTuple):
    """The decoded fixed header."""

    head_bytes: int
    body_bytes: int
    call: int
    epoch: int
    device: int
    operation: int
    status: int


def encode_header(frame: Frame) -> bytes:
    """Fixed header of a frame."""
    return HEADER.pack(
        len(frame.head),
        len(frame.body),
        frame.call,
        frame.epoch,
        frame.device,
        frame.operation,
        frame.status,
    )


def decode_header(data: bytes | memoryview | bytearray, offset: int = 0) -> FrameHead:
    """Decode and bound-check a header. Raises Corrupt when a length is beyond its limit."""
    head = FrameHead(*HEADER.unpack_from(data, offset))
    if head.head_bytes > limits.FRAME_HEAD_BYTES_MAX or head.body_bytes > limits.FRAME_BYTES_MAX:
        raise Corrupt("FrameTooLarge", "a frame announces more than its limit")
    return head


def mac(key: bytes, role: bytes, server_nonce: bytes, client_nonce: bytes) -> bytes:
    """Keyed BLAKE2b over the role and both nonces, 32 bytes."""
    return hashlib.blake2b(
        role + server_nonce + client_nonce, key=key, digest_size=MAC_BYTES
    ).digest()


def hello(nonce: bytes) -> bytes:
    """What the server sends first."""
    return MAGIC + nonce


def read_hello(data: bytes) -> bytes:
    """Nonce of a server's hello. Raises Corrupt when it is not one of ours."""
    if data[: len(MAGIC)] != MAGIC:
        raise Corrupt("BadHello", "the other side does not speak this protocol")
    return data[len(MAGIC) :]


def client_proof(key: bytes, server_nonce: bytes, client_nonce: bytes) -> bytes:
    """What the client answers."""
    return client_nonce + mac(key, b"client", server_nonce, client_nonce)


def check_client_proof(key: bytes, server_nonce: bytes, proof: bytes) -> bytes | None:
    """Server's final message when the proof is right, else None."""
    client_nonce, claimed = proof[:NONCE_BYTES], proof[NONCE_BYTES:]
    if not hmac.compare_digest(claimed, mac(key, b"client", server_nonce, client_nonce)):
        return None
    return mac(key, b"server", server_nonce, client_nonce)


def check_server_proof(key: bytes, server_nonce: bytes, client_nonce: bytes, proof: bytes) -> bool:
    """True when the server proved that it knows the key."""
    return hmac.compare_digest(proof, mac(key, b"server", server_nonce, client_nonce))
