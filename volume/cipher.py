"""AES-256-XTS of the blocks of a volume (IEEE 1619): the tweak is the block's number. Pure.

A block that the collector moves keeps its number and therefore its ciphertext; clones share their parent's key for
the same reason. XTS hides content, not which blocks were written, nor does it detect changes: the store does.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from volume.port import BLOCK_BYTES

KEY_BYTES = 64  # two AES-256 keys


class BlockCipher:
    """Both directions for one key."""

    def __init__(self, key: bytes) -> None:
        self._algorithm = algorithms.AES(key)

    def _context(self, block: int) -> Cipher[modes.XTS]:
        return Cipher(self._algorithm, modes.XTS(block.to_bytes(16, "little")))

    def encrypt(self, block: int, data: bytes | memoryview) -> bytes:
        """Whole blocks from `block` on."""
        return b"".join(
            self._context(block + at // BLOCK_BYTES).encryptor().update(data[at : at + BLOCK_BYTES])
            for at in range(0, len(data), BLOCK_BYTES)
        )

    def decrypt(self, block: int, data: bytes | memoryview) -> bytes:
        """Whole blocks from `block` on."""
        return b"".join(
            self._context(block + at // BLOCK_BYTES).decryptor().update(data[at : at + BLOCK_BYTES])
            for at in range(0, len(data), BLOCK_BYTES)
        )
