"""One measured case: what was done, how fast, at what cost. Pure.

Rates count good answers only; everything else is in `errors` by its reason. CPU time is that of the
server's processes, the client's beside it. MB are 10^6 bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

KIB = 1024
MIB = 1024 * KIB

PUT, GET, HEAD, DELETE = "PUT", "GET", "HEAD", "DELETE"
LIST, LIST_CHANGED = "LIST", "LIST changed"
PUT_STREAM, GET_STREAM = "PUT stream", "GET stream"

LISTED_NAMES = 10_000
STREAM_BYTES = 256 * MIB


class Case(NamedTuple):
    """An operation, the size of its object (bytes) or listing (names), and how many at once."""

    operation: str
    size: int
    connections: int

    @property
    def title(self) -> str:
        """For a table."""
        if self.operation in {LIST, LIST_CHANGED}:
            return f"{self.operation} {self.size:,} names"
        return f"{self.operation} {size_text(self.size)}"

    @property
    def streamed(self) -> bool:
        """Measured in MB/s."""
        return self.operation in {PUT_STREAM, GET_STREAM}


class Figure(NamedTuple):
    """The result of a case on one target, over all its rounds."""

    target: str
    case: Case
    operations: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_seconds: float
    client_cpu_seconds: float
    errors: dict[str, int]

    @property
    def rate(self) -> float:
        """Operations per second, or MB/s of a stream."""
        if not self.seconds:
            return 0.0
        amount = self.operations * self.case.size / 1e6 if self.case.streamed else self.operations
        return amount / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of the server for each operation."""
        return 1000 * self.cpu_seconds / self.operations if self.operations else 0.0

    @property
    def client_cpu_ms(self) -> float:
        """CPU milliseconds of the load generator for each operation."""
        return 1000 * self.client_cpu_seconds / self.operations if self.operations else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "target": self.target,
            **self.case._asdict(),
            "operations": self.operations,
            "seconds": round(self.seconds, 3),
            "mb_per_second" if self.case.streamed else "operations_per_second": round(self.rate, 2),
            "p50_ms": round(self.p50_ms, 3),
            "p99_ms": round(self.p99_ms, 3),
            "server_cpu_ms_per_operation": round(self.cpu_ms, 4),
            "client_cpu_ms_per_operation": round(self.client_cpu_ms, 4),
            "errors": self.errors,
        }


class Ceilings(NamedTuple):
    """What the machine could do at most: blocks of 4 KiB, MB of 10^6 bytes."""

    synced_blocks_per_second: float
    write_mb_per_second: float
    read_mb_per_second: float
    md5_mb_per_second: float
    sha256_mb_per_second: float
    xxh3_mb_per_second: float
    bare_answers_per_second: float


def size_text(size: int) -> str:
    """Bytes in the largest unit that divides them."""
    if size >= MIB and size % MIB == 0:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size >= KIB and size % KIB == 0 else f"{size} B"
