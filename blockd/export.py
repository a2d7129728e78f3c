"""An export: a disk as clients of one node may use it, and how fast."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from blockd.port import Limits
from volume.port import Disk

SECRET_INFO = b"ringstack nbd export "
BURST_S = 1.0  # so many seconds' worth may be used at once after a pause
NO_LIMITS = Limits()


def secret_of(key: bytes, name: str) -> bytes:
    """The pre-shared key of an export, 32 bytes: from the installation's key, so that it need not be kept."""
    return hmac.digest(key, SECRET_INFO + name.encode(), "sha256")


class Bucket:
    """A token bucket on any clock in seconds: `delay_s` takes tokens and says how long to wait for them."""

    def __init__(self, rate: float, burst_s: float) -> None:
        self._rate = rate
        self._burst = rate * burst_s
        self._level = self._burst
        self._at_s: float | None = None

    def delay_s(self, amount: float, now_s: float) -> float:
        """Take an amount, going into debt if need be."""
        if self._at_s is not None:
            self._level = min(self._burst, self._level + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        self._level -= amount
        return max(0.0, -self._level / self._rate)


class Throttle:
    """The buckets of one attachment."""

    def __init__(self, limits: Limits) -> None:
        def bucket(rate: int) -> Bucket | None:
            return Bucket(rate, BURST_S) if rate else None

        self._operations = {
            False: (bucket(limits.read_iops), total := bucket(limits.total_iops)),
            True: (bucket(limits.write_iops), total),
        }
        self._bytes = {
            False: (bucket(limits.read_bytes), every := bucket(limits.total_bytes)),
            True: (bucket(limits.write_bytes), every),
        }

    def delay_s(self, *, writing: bool, byte_count: int, now_s: float) -> float:
        """How long one request has to wait."""
        waits = [0.0]
        waits += [one.delay_s(1, now_s) for one in self._operations[writing] if one]
        waits += [one.delay_s(byte_count, now_s) for one in self._bytes[writing] if one]
        return max(waits)


@dataclass(slots=True)
class Export:
    """A disk under a name. `snapshots`: positions that differences can be asked since, by name."""

    name: str
    volume_id: str
    disk: Disk
    description: str = ""
    snapshots: Mapping[str, int] = field(default_factory=dict)
    limits: Limits = NO_LIMITS
    secret: bytes = b""  # pre-shared key of TLS connections; without one there are none
    _throttle: Throttle | None = None
    _held: asyncio.Event | None = None

    def limit(self, limits: Limits) -> None:
        """Set how fast it may be used, from now on."""
        self.limits = limits
        self._throttle = None if limits == NO_LIMITS else Throttle(limits)

    def hold(self) -> None:
        """Let no write begin until `release`."""
        self._held = asyncio.Event()

    def release(self) -> None:
        """Let writes go on."""
        if self._held is not None:
            self._held.set()
            self._held = None

    async def admit(self, *, writing: bool, byte_count: int) -> None:
        """Wait until one more request may be done."""
        while writing and self._held is not None:
            await self._held.wait()
        if self._throttle is None:
            return
        now_s = asyncio.get_running_loop().time()
        wait_s = self._throttle.delay_s(writing=writing, byte_count=byte_count, now_s=now_s)
        if wait_s > 0:
            await asyncio.sleep(wait_s)
