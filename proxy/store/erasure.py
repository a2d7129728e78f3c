"""Erasure codes: one stripe to k+m fragments and back. The only importer of pyeclib and zfec.

The codec's name is part of the policy and never changes for it: `isa_l_rs_cauchy` (ISA-L through pyeclib,
ten to twenty times faster) or `zfec` (portable). Any k of the k+m fragments give the stripe back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from core.errors import Refused
from ring.policy import Policy

ISA_L = "isa_l_rs_cauchy"
ZFEC = "zfec"
HEADER_BYTES = 80  # of a fragment of liberasurecode
CODECS = (ISA_L, ZFEC)


class Codec(Protocol):
    """Splits and joins stripes."""

    def encode(self, stripe: bytes) -> list[bytes]:
        """k+m fragments; the first k carry the data."""
        ...

    def decode(self, fragments: Mapping[int, bytes], size: int) -> bytes:
        """The stripe of `size` bytes from any k fragments by number."""
        ...

    def share(self, size: int) -> tuple[int, int]:
        """Where the stripe's own bytes begin in each data fragment, and how many each carries."""
        ...

    def restore(
        self, fragments: Mapping[int, bytes], size: int, missing: Sequence[int]
    ) -> dict[int, bytes]:
        """Missing fragments by number, byte for byte as `encode` made them, from any k others."""
        ...


class IsalCodec:
    """ISA-L's Cauchy Reed-Solomon through liberasurecode; fragments carry an 80-byte header each."""

    def __init__(self, data: int, parity: int) -> None:
        from pyeclib.ec_iface import ECDriver

        self._driver: Any = ECDriver(k=data, m=parity, ec_type=ISA_L)
        self._data = data

    def encode(self, stripe: bytes) -> list[bytes]:
        """Fragments with headers."""
        fragments: list[bytes] = self._driver.encode(bytes(stripe))
        return fragments

    def decode(self, fragments: Mapping[int, bytes], size: int) -> bytes:
        """The stripe; its length is in the headers too."""
        chosen = [bytes(fragments[number]) for number in sorted(fragments)[: self._data]]
        stripe: bytes = self._driver.decode(chosen)
        return stripe[:size]

    def share(self, size: int) -> tuple[int, int]:
        """Behind liberasurecode's header."""
        whole: int = self._driver.get_segment_info(size, size)["fragment_size"]
        return HEADER_BYTES, whole - HEADER_BYTES

    def restore(
        self, fragments: Mapping[int, bytes], size: int, missing: Sequence[int]
    ) -> dict[int, bytes]:
        """One matrix for all of them; the stripe itself is not put together."""
        del size
        chosen = [bytes(fragments[number]) for number in sorted(fragments)[: self._data]]
        numbers = sorted(missing)  # the order in which they come, whatever the order asked for
        made: list[bytes] = self._driver.reconstruct(chosen, numbers)
        return dict(zip(numbers, made, strict=True))


class ZfecCodec:
    """zfec: systematic Reed-Solomon, the stripe zero-padded to k equal shares."""

    def __init__(self, data: int, parity: int) -> None:
        import zfec

        self._encoder: Any = zfec.Encoder(data, data + parity)
        self._decoder: Any = zfec.Decoder(data, data + parity)
        self._data = data

    def encode(self, stripe: bytes) -> list[bytes]:
        """Equal shares, data first."""
        _, share = self.share(len(stripe))
        padded = bytes(stripe).ljust(share * self._data, b"\0")
        shares = [padded[start : start + share] for start in range(0, len(padded), share)]
        fragments: list[bytes] = self._encoder.encode(shares)
        return fragments

    def decode(self, fragments: Mapping[int, bytes], size: int) -> bytes:
        """The stripe without its padding."""
        numbers = sorted(fragments)[: self._data]
        shares = self._decoder.decode([bytes(fragments[n]) for n in numbers], numbers)
        return b"".join(shares)[:size]

    def share(self, size: int) -> tuple[int, int]:
        """From the first byte."""
        return 0, -(-size // self._data) or 1

    def restore(
        self, fragments: Mapping[int, bytes], size: int, missing: Sequence[int]
    ) -> dict[int, bytes]:
        """By way of the stripe."""
        made = self.encode(self.decode(fragments, size))
        return {number: made[number] for number in missing}


@lru_cache(maxsize=64)
def _make(codec: str, data: int, parity: int) -> Codec:
    if codec == ISA_L:
        return IsalCodec(data, parity)
    if codec == ZFEC:
        return ZfecCodec(data, parity)
    raise Refused(
        "UnknownCodec", f"there is no erasure codec {codec!r}; known: {', '.join(CODECS)}"
    )


def codec_of(policy: Policy) -> Codec:
    """The codec of an erasure-coded policy. Raises Refused("UnknownCodec")."""
    return _make(policy.codec, policy.data, policy.parity)
