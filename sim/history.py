"""What clients did and saw: operations with the time of call and return. Pure.

A value is identified by its ETag, and every written value is unique. An operation without an answer, or
with an answer that leaves the outcome open (a 5xx, a cut connection), may take effect at any time after
its call, or never.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GET = "get"
PUT = "put"
PUT_IF_MATCH = "put-if-match"
PUT_IF_ABSENT = "put-if-absent"
DELETE = "delete"
DELETE_IF_MATCH = "delete-if-match"
CONDITIONAL = frozenset({PUT_IF_MATCH, PUT_IF_ABSENT, DELETE_IF_MATCH})

OK = "ok"
REFUSED = "refused"  # the condition did not hold
UNKNOWN = "unknown"


@dataclass(slots=True)
class Operation:
    """One operation on one key. `value` is what was written, or what a GET saw (None = absent)."""

    client: str
    kind: str
    key: str
    called_at: float
    value: str | None = None
    expected: str | None = None
    returned_at: float = float("inf")
    outcome: str = UNKNOWN

    def finish(self, now: float, outcome: str) -> None:
        """Record the answer."""
        self.returned_at = now
        self.outcome = outcome


@dataclass(slots=True)
class History:
    """All operations of a run."""

    operations: list[Operation] = field(default_factory=list)

    def call(self, client: str, kind: str, key: str, now: float) -> Operation:
        """Begin an operation."""
        operation = Operation(client, kind, key, now)
        self.operations.append(operation)
        return operation

    def by_key(self) -> dict[str, list[Operation]]:
        """Operations of each key, in order of call."""
        keys: dict[str, list[Operation]] = {}
        for operation in self.operations:
            keys.setdefault(operation.key, []).append(operation)
        return {key: sorted(ops, key=lambda op: op.called_at) for key, ops in keys.items()}
