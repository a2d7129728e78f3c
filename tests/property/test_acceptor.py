"""The acceptor never goes back on a promise, across restarts too."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.limits import CEILING_AHEAD_US
from core.stamp import ZERO, clock_of, make_ballot, stage_of
from objectd import acceptor as acceptors
from objectd.acceptor import Acceptor

KEYS = (b"a", b"b", b"c")
keys = st.sampled_from(KEYS)
ballots = st.builds(
    make_ballot, st.integers(0, 2), st.integers(1, 12).map(lambda n: n * 10**6), st.integers(1, 3)
)


class AcceptorRules(RuleBasedStateMachine):
    """What the device does around its acceptor, in any order, with restarts between any two steps.

    `promised` is the highest ballot ever granted to each key by any run of the process: the truth that
    must be kept although the acceptor forgets it at each restart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.acceptor = Acceptor(0)
        self.synced_us = 0
        self.stage = 0
        self.promised: dict[bytes, bytes] = dict.fromkeys(KEYS, ZERO)
        self.held: dict[bytes, bytes] = dict.fromkeys(KEYS, ZERO)
        self.writing: dict[bytes, bytes] = {}

    @rule(key=keys, ballot=ballots)
    def prepare(self, key: bytes, ballot: bytes) -> None:
        if key in self.writing or stage_of(ballot) < self.stage:
            return
        blocking = self.acceptor.refusal(key, ballot, self.held[key])
        if blocking is not None:
            assert blocking >= ballot, "a refusal names what stands in the way"
            return
        assert ballot > self.promised[key], "promised below an earlier promise"
        assert ballot > self.held[key]
        self.stage = stage_of(ballot)  # fenced durably before it is promised
        needed_us = self.acceptor.needs_ceiling(ballot)
        if needed_us is not None:
            assert needed_us >= clock_of(ballot)
            self.synced_us = max(self.synced_us, needed_us)
            self.acceptor.ceiling_synced(needed_us)
            assert self.acceptor.needs_ceiling(ballot) is None
        self.acceptor.promise(key, ballot)
        self.promised[key] = ballot

    @rule(key=keys, ballot=ballots)
    def accept(self, key: bytes, ballot: bytes) -> None:
        if key in self.writing or ballot == self.held[key] or stage_of(ballot) < self.stage:
            return
        blocking = self.acceptor.accept_refusal(key, ballot, self.held[key])
        if blocking is not None:
            assert blocking > ballot or clock_of(ballot) <= self.acceptor.floor_us
            return
        assert ballot >= self.promised[key], "accepted below a promise"
        assert ballot > self.held[key], "accepted below what is held"
        self.acceptor.accepting(key, ballot)
        self.writing[key] = ballot

    @precondition(lambda self: self.writing)
    @rule(data=st.data(), good=st.booleans())
    def written(self, data: st.DataObject, *, good: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.writing)))
        ballot = self.writing.pop(key)
        if good:
            self.held[key] = ballot
            self.acceptor.stored(key, ballot)

    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        """What was being written is there or not; promises are gone; ceilings are on disk."""
        for key, ballot in sorted(self.writing.items()):
            if data.draw(st.booleans()):
                self.held[key] = ballot
        self.writing.clear()
        self.acceptor = Acceptor(self.synced_us)

    @rule(key=keys)
    def a_fresh_ballot_gets_through(self, key: bytes) -> None:
        """Above everything that a refusal names there is always a way."""
        if key in self.writing:
            return
        ballot = make_ballot(2, 1, 9)
        assert self.stage <= 2
        for _ in range(4):
            blocking = self.acceptor.refusal(key, ballot, self.held[key])
            if blocking is None:
                return
            ballot = make_ballot(max(2, stage_of(blocking)), clock_of(blocking) + 1, 9)
        raise AssertionError("refused again and again")

    @invariant()
    def the_ceiling_covers_every_promise(self) -> None:
        assert self.acceptor.ceiling_us >= self.acceptor.floor_us
        for ballot in self.promised.values():
            assert clock_of(ballot) <= max(self.synced_us, self.acceptor.ceiling_us)


AcceptorRules.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestAcceptor = AcceptorRules.TestCase


def test_many_promises_cost_bounded_memory_and_are_kept() -> None:
    """Old promises are folded into the floor: forgotten one by one, kept all together."""
    count = acceptors.PROMISES_MAX * 2
    acceptor = Acceptor(0)
    acceptor.ceiling_synced(10**9)
    for number in range(count):
        key, ballot = b"%d" % number, make_ballot(0, number + 1, 1)
        assert acceptor.refusal(key, ballot, ZERO) is None
        acceptor.promise(key, ballot)
    assert len(acceptor._promised) <= acceptors.PROMISES_MAX
    for number in range(0, count, 997):
        lower = make_ballot(0, number + 1, 0)
        assert acceptor.refusal(b"%d" % number, lower, ZERO) is not None
        assert acceptor.accept_refusal(b"%d" % number, lower, ZERO) is not None


def test_a_ceiling_is_asked_for_before_it_is_needed() -> None:
    """While the clock moves on, no promise waits for the disk."""
    acceptor = Acceptor(0)
    synced = 0
    clock = 10**15
    acceptor.ceiling_synced(clock + CEILING_AHEAD_US)
    for _ in range(100):
        clock += CEILING_AHEAD_US // 5
        assert acceptor.needs_ceiling(make_ballot(0, clock, 1)) is None
        ahead = acceptor.wants_ceiling(clock)
        if ahead is not None:
            acceptor.ceiling_synced(ahead)
            synced += 1
    assert 20 < synced < 60
