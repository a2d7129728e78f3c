"""Is a history linearizable? Just-in-time linearization of one register at a time. Pure.

(After Lowe, "Testing for linearizability", 2017, and Wing & Gong.) Objects are independent, so each key is
judged alone. Events are walked in time order; a configuration is the register's value and the set of
pending operations that have already taken effect. When an operation returns, every configuration is
extended by pending operations until that operation has taken effect; none left means not linearizable.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sim import history as h
from sim.history import Operation

CONFIGURATIONS_MAX = 2_000_000

Config = tuple[str | None, frozenset[int]]


class Verdict(NamedTuple):
    """`valid`, or the key and the operation that cannot be placed. `undecided` when the search was cut."""

    valid: bool
    key: str = ""
    operation: Operation | None = None
    undecided: bool = False


class TooWide(Exception):
    """The search has more configurations than it may keep."""


def apply(operation: Operation, value: str | None) -> tuple[bool, str | None]:
    """Whether the operation's answer fits the register's value at its instant, and the value after it."""
    kind, outcome = operation.kind, operation.outcome
    if kind == h.GET:
        return operation.value == value, value
    holds = {
        h.PUT: True,
        h.PUT_IF_MATCH: value is not None and value == operation.expected,
        h.PUT_IF_ABSENT: value is None,
        h.DELETE: value is not None,
        h.DELETE_IF_MATCH: value is not None and value == operation.expected,
    }[kind]
    after = None if kind in {h.DELETE, h.DELETE_IF_MATCH} else operation.value
    if outcome == h.OK:
        return holds, after
    if outcome == h.REFUSED:
        return not holds, value
    return True, after if holds else value


def check_key(operations: list[Operation]) -> Operation | None:
    """None when the operations of one key are linearizable, else the first that cannot be placed."""
    useful = [op for op in operations if not (op.kind == h.GET and op.outcome == h.UNKNOWN)]
    events: list[tuple[float, int, int]] = []
    for number, operation in enumerate(useful):
        events.append((operation.called_at, 0, number))
        if operation.outcome != h.UNKNOWN:
            events.append((operation.returned_at, 1, number))
    events.sort()
    pending: dict[int, Operation] = {}
    configs: set[Config] = {(None, frozenset())}
    for _, is_return, number in events:
        if not is_return:
            pending[number] = useful[number]
            continue
        configs = _linearize(configs, pending, number)
        if not configs:
            return useful[number]
        del pending[number]
    return None


def _linearize(configs: set[Config], pending: dict[int, Operation], number: int) -> set[Config]:
    """Configurations in which operation `number` has taken effect (and is then forgotten)."""
    done: set[Config] = set()
    seen = set(configs)
    stack = list(configs)
    while stack:
        value, taken = stack.pop()
        if number in taken:
            done.add((value, taken - {number}))
            continue
        for other, operation in pending.items():
            if other in taken:
                continue
            fits, after = apply(operation, value)
            if not fits:
                continue
            config = (after, taken | {other})
            if config not in seen:
                seen.add(config)
                stack.append(config)
        if len(seen) > CONFIGURATIONS_MAX:
            raise TooWide
    return done


def check(histories: Iterable[tuple[str, list[Operation]]]) -> Verdict:
    """Judge all keys."""
    undecided = False
    for key, operations in histories:
        try:
            bad = check_key(operations)
        except TooWide:
            undecided = True
            continue
        if bad is not None:
            return Verdict(valid=False, key=key, operation=bad)
    return Verdict(valid=not undecided, undecided=undecided)
