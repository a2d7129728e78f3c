"""The judge of histories accepts what one register could have done and nothing else."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sim import history as h
from sim.history import Operation
from sim.linear import apply, check_key


def op(  # one operation in a line
    kind: str,
    called: float,
    returned: float = float("inf"),
    outcome: str = h.OK,
    *,
    value: str | None = None,
    expected: str | None = None,
) -> Operation:
    return Operation("c", kind, "k", called, value, expected, returned, outcome)


def test_a_read_of_the_last_write_is_valid() -> None:
    """Write, then read it."""
    assert check_key([op(h.PUT, 0, 1, value="a"), op(h.GET, 2, 3, value="a")]) is None


def test_a_stale_read_is_caught() -> None:
    """A read that began after a write was acknowledged must see it."""
    history = [
        op(h.PUT, 0, 1, value="a"),
        op(h.PUT, 2, 3, value="b"),
        op(h.GET, 4, 5, value="a"),
    ]
    assert check_key(history) is history[2]


def test_a_lost_write_is_caught() -> None:
    """An acknowledged object that reads as absent was lost."""
    history = [op(h.PUT, 0, 1, value="a"), op(h.GET, 2, 3, value=None)]
    assert check_key(history) is history[1]


def test_two_winners_of_one_create_are_caught() -> None:
    """Only one of two create-if-absent operations may succeed."""
    history = [op(h.PUT_IF_ABSENT, 0, 5, value="a"), op(h.PUT_IF_ABSENT, 1, 6, value="b")]
    assert check_key(history) is not None


def test_a_refusal_needs_a_reason() -> None:
    """A condition that held at every possible instant may not be refused."""
    history = [
        op(h.PUT, 0, 1, value="a"),
        op(h.PUT_IF_MATCH, 2, 3, h.REFUSED, value="b", expected="a"),
    ]
    assert check_key(history) is history[1]


def test_reads_that_go_back_in_time_are_caught() -> None:
    """Once a read has seen the new value, no later read may see the old one."""
    history = [
        op(h.PUT, 0, 1, value="a"),
        op(h.PUT, 2, outcome=h.UNKNOWN, value="b"),
        op(h.GET, 3, 4, value="b"),
        op(h.GET, 5, 6, value="a"),
    ]
    assert check_key(history) is history[3]


def test_an_open_outcome_may_take_effect_late_or_never() -> None:
    """A write without an answer may surface after other operations, or not at all."""
    late = [
        op(h.PUT, 0, 1, value="a"),
        op(h.PUT, 2, outcome=h.UNKNOWN, value="b"),
        op(h.GET, 3, 4, value="a"),
        op(h.GET, 5, 6, value="b"),
    ]
    never = [*late[:3], op(h.GET, 5, 6, value="a")]
    assert check_key(late) is None
    assert check_key(never) is None


VALUES = ("a", "b", "c")
operations = st.builds(
    lambda kind, start, length, outcome, value, expected: op(
        kind,
        start,
        start + length if outcome != h.UNKNOWN else float("inf"),
        outcome,
        value=value if kind not in {h.DELETE, h.DELETE_IF_MATCH} else None,
        expected=expected,
    ),
    st.sampled_from((h.GET, h.PUT, h.PUT_IF_MATCH, h.PUT_IF_ABSENT, h.DELETE, h.DELETE_IF_MATCH)),
    st.integers(0, 6),
    st.integers(1, 4),
    st.sampled_from((h.OK, h.REFUSED, h.UNKNOWN)),
    st.sampled_from(VALUES),
    st.sampled_from(VALUES),
)


def brute_force(history: list[Operation]) -> bool:
    """Try every order of every subset that includes all answered operations."""
    answered = [o for o in history if o.outcome != h.UNKNOWN]
    unanswered = [o for o in history if o.outcome == h.UNKNOWN and o.kind != h.GET]
    for size in range(len(unanswered) + 1):
        for chosen in itertools.combinations(unanswered, size):
            for order in itertools.permutations([*answered, *chosen]):
                if _in_time(order) and _replays(order):
                    return True
    return False


def _in_time(order: tuple[Operation, ...]) -> bool:
    return all(
        not later.returned_at < earlier.called_at
        for index, earlier in enumerate(order)
        for later in order[index + 1 :]
    )


def _replays(order: tuple[Operation, ...]) -> bool:
    value: str | None = None
    for operation in order:
        fits, value = apply(operation, value)
        if not fits:
            return False
    return True


@given(st.lists(operations, max_size=5))
def test_the_judge_agrees_with_trying_every_order(history: list[Operation]) -> None:
    """Against brute force, on small random histories of every kind."""
    history = [o for o in history if not (o.outcome == h.REFUSED and o.kind in {h.GET, h.PUT})]
    assert (check_key(sorted(history, key=lambda o: o.called_at)) is None) == brute_force(history)
