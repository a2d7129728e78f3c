"""Pre-shared keys for TLS connections: who knows an export's key may use that export.

Python has them from 3.13 on (`SSLContext.set_psk_server_callback`). Before, the same function of OpenSSL is called
through ctypes, on the context that Python's ssl module has made: its address is the first field of the object. So
are TLS 1.3's cipher suites set, which Python cannot choose.
"""

from __future__ import annotations

import contextlib
import ctypes
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

IDENTITY_BYTES_MAX = 128
CIPHERS = "ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES256-CBC-SHA384:ECDHE-PSK-AES128-CBC-SHA256"
# OpenSSL gives keys without a hash of their own SHA-256, and beside a certificate would rather have another
SUITES = b"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_uint, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_ubyte), ctypes.c_uint
)


class Psk:
    """The key of one connection. `identity` is what the client has proved to know the key of, "" before."""

    def __init__(self, key_of: Callable[[str], bytes]) -> None:
        self._key_of = key_of
        self._keep: object = None  # the callback, for as long as OpenSSL may call it
        self.identity = ""

    def look(self, identity: str) -> bytes:
        """The key of an identity that a client claims; b"" when there is none."""
        key = self._key_of(identity) if len(identity) <= IDENTITY_BYTES_MAX else b""
        self.identity = identity if key else ""
        return key

    def install(self, context: ssl.SSLContext) -> None:
        """Let clients of a context of this connection alone use a key."""
        library = _library()
        address = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
        library.SSL_CTX_set_ciphersuites(address, SUITES)
        if sys.version_info >= (3, 13):
            context.set_psk_server_callback(lambda name: self.look(name or ""))
            return
        self._keep = _CALLBACK(self._answer)
        library.SSL_CTX_set_psk_server_callback(address, self._keep)

    def _answer(
        self, connection: int, identity: bytes | None, room: ctypes.Array[ctypes.c_ubyte], size: int
    ) -> int:
        del connection
        key = b""
        with contextlib.suppress(UnicodeDecodeError):
            key = self.look((identity or b"").decode())
        if not key or len(key) > size:
            return 0
        ctypes.memmove(room, key, len(key))
        return len(key)


def _library() -> ctypes.CDLL:
    """OpenSSL, as Python's own module has it loaded."""
    import _ssl

    library = ctypes.CDLL(str(Path(_ssl.__file__)))
    library.SSL_CTX_set_psk_server_callback.argtypes = [ctypes.c_void_p, _CALLBACK]
    library.SSL_CTX_set_psk_server_callback.restype = None
    library.SSL_CTX_set_ciphersuites.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def psk_context(psk: Psk, certified: ssl.SSLContext | None = None) -> ssl.SSLContext:
    """A server's context for one connection with a key; or, where there is `certified`, with a certificate."""
    context = certified or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS if certified is None else f"{CIPHERS}:ECDHE+AESGCM")
    context.num_tickets = 0
    psk.install(context)
    return context
