"""Reads and mutations of single registers: the rounds behind `proxy.store.propose`.

Every mutation is one CASPaxos round trip pair (prepare, accept) with a fresh ballot, retried until its
deadline. Once an accept has been sent, a retry first looks for its own request id in the lineage of what
it finds, and raises UnknownOutcome rather than guess. Mutations of one register from this process
queue behind each other, so that they do not outbid one another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from core import limits
from core.errors import Full, Stale, Unavailable, UnknownOutcome
from core.stamp import ZERO, clock_of
from objectd import wire
from proxy.store import envelope as envelopes
from proxy.store import propose
from proxy.store.cluster import Cluster, Target
from proxy.store.envelope import NIL, Envelope
from proxy.store.propose import Blocked, Fenced, Seen
from proxy.store.round import Replies, Round, preferred

ROUND_TIMEOUT_S = 3.0
HEDGE_S = 0.05
NO_MAJORITY_S = 2.5  # how long to wait for replicas to come back before answering 503
RETRY_S = (0.002, 0.005, 0.01, 0.02, 0.04)


class Register(NamedTuple):
    """Address of a register."""

    range_id: bytes
    name: bytes
    stage: int


class Stored(NamedTuple):
    """A confirmed record as read. `record` is nil-msgpack for a tombstone or an absent register."""

    ballot: bytes
    flags: int
    record: bytes
    inline: bytes

    @property
    def exists(self) -> bool:
        """There is a record, and it is no tombstone."""
        return self.record != NIL


class NewRecord(NamedTuple):
    """What a mutation wants stored. `record` NIL makes a tombstone."""

    record: bytes
    summary: bytes = b""
    inline: bytes = b""
    flags: int = 0
    size: int = 0
    expires_s: int = 0


class Mutated(NamedTuple):
    """Outcome of a mutation: what was there, and the ballot of what is there now.

    `certain` is False when an earlier attempt of this request took effect, so `before` may be its result.
    """

    before: Stored
    ballot: bytes
    new: NewRecord
    certain: bool


ABSENT = Stored(ZERO, 0, NIL, b"")
Decide = Callable[[Stored], NewRecord]


class _KeepRecord(Exception):  # noqa: N818 - a decision, not an error
    """Raised by the identity mutation when nothing has to be written."""


class _Attempt:
    """What one mutation remembers between its rounds."""

    __slots__ = ("request_id", "sent", "want")

    def __init__(self, want: int) -> None:
        self.request_id = b""
        self.sent = False
        self.want = want


class Registers:
    """The register proposer of one process."""

    def __init__(self, cluster: Cluster, *, rules: frozenset[str] = frozenset()) -> None:
        self._cluster = cluster
        self._queues: dict[tuple[bytes, bytes], asyncio.Lock] = {}
        self._turn = 0
        self._broken = rules  # mutants for the tests of the tests: see tests/sim/test_mutants.py

    # -- reading -------------------------------------------------------------------------------

    async def read(self, register: Register, *, inline: bool = True) -> Stored:
        """The current record, confirmed by a majority.

        Raises Stale when the range has been fenced at a later stage, Unavailable without a majority.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limits.READ_DEADLINE_S
        patience = loop.time() + NO_MAJORITY_S
        attempt = 0
        while True:
            seen = await self._read_round(register, inline=inline)
            if isinstance(seen, Seen):
                if (seen.confirmed or "no-write-back" in self._broken) and seen.complete:
                    return stored_of(seen)
                settled = await self._settle(register)
                if settled is not None:
                    return settled
            elif seen.lost and loop.time() > patience:
                raise Unavailable("NoMajority", "no majority of the index replicas answers")
            if loop.time() > deadline:
                raise Unavailable("ReadTimeout", "the record could not be confirmed in time")
            await self._pause(attempt)
            attempt += 1

    async def _read_round(self, register: Register, *, inline: bool) -> Seen | Blocked:
        targets = self._cluster.index_targets(register.range_id)
        self._turn += 1
        first = preferred(targets, propose.majority_of(len(targets)), self._turn)
        wants = dict.fromkeys(range(len(targets)), wire.WANT_ALL if inline else wire.WANT_META)
        for position in first[1:]:
            wants[position] = wire.WANT_BALLOT
        heads = {
            want: wire.encode(wire.Read(register.range_id, register.name, register.stage, want))
            for want in set(wants.values())
        }
        count = len(targets)
        replies = await Round(
            targets,
            wire.READ,
            lambda position: heads[wants[position]],
            enough=lambda replies: propose.read_is_settled(replies, count, wants),
        ).run(first=first, hedge_s=HEDGE_S, timeout_s=ROUND_TIMEOUT_S)
        judged = propose.judge_held(replies, count, wants)
        if isinstance(judged, Fenced):
            raise Stale("Fenced", str(judged.stage))
        return judged

    async def _settle(self, register: Register) -> Stored | None:
        """Make the highest record found the confirmed one (identity round)."""

        def keep(current: Stored) -> NewRecord:
            raise _KeepRecord

        try:
            await self.mutate(register, keep)
        except _Settled as outcome:
            return outcome.stored
        return None

    # -- mutating ------------------------------------------------------------------------------

    async def mutate(
        self, register: Register, decide: Decide, *, needs_inline: bool = False
    ) -> Mutated:
        """Replace the record by `decide(current)`, atomically.

        `decide` may raise a Refused error: it is passed on once the record it rests on is confirmed, and
        nothing changes. It may be called several times. With `needs_inline` it sees the inline bytes.
        Raises Stale, Full, UnknownOutcome, Unavailable.
        """
        key = (register.range_id, register.name)
        lock = self._queues.get(key)
        if lock is None:
            lock = self._queues[key] = asyncio.Lock()
        try:
            async with asyncio.timeout(limits.MUTATION_DEADLINE_S):
                await lock.acquire()
        except TimeoutError:
            raise Unavailable("Contended", "too many writers wait for this name") from None
        try:
            return await self._mutate(register, decide, needs_inline=needs_inline)
        finally:
            lock.release()
            if not lock.locked() and not lock._waiters:  # type: ignore[attr-defined]  # noqa: SLF001
                self._queues.pop(key, None)

    async def _mutate(
        self, register: Register, decide: Decide, *, needs_inline: bool
    ) -> Mutated:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limits.MUTATION_DEADLINE_S
        patience = loop.time() + NO_MAJORITY_S
        attempt = _Attempt(wire.WANT_ALL if needs_inline else wire.WANT_META)
        tries = 0
        while True:
            outcome = await self._try(register, decide, attempt)
            if isinstance(outcome, Mutated):
                return outcome
            if outcome.above != ZERO:
                self._cluster.clock.observe(clock_of(outcome.above))
            now = loop.time()
            if attempt.sent and now > deadline - ROUND_TIMEOUT_S:
                raise UnknownOutcome("UnknownOutcome", "the change may or may not take effect")
            if not attempt.sent and outcome.full:
                raise Full("InsufficientStorage", "the devices of this name have no room left")
            if now > deadline or (not attempt.sent and outcome.lost and now > patience):
                raise Unavailable("NoMajority", "no majority of the index replicas answers")
            await self._pause(tries)
            tries += 1

    async def _try(
        self, register: Register, decide: Decide, attempt: _Attempt
    ) -> Mutated | Blocked:
        """One prepare and one accept. Blocked means: try again with a higher ballot."""
        targets = self._cluster.index_targets(register.range_id)
        ballot = self._cluster.clock.ballot(register.stage)
        seen = await self._prepare(targets, register, ballot, attempt)
        if isinstance(seen, Blocked):
            return seen
        if not seen.complete:
            return Blocked(ZERO, 0, full=False)
        current = stored_of(seen)
        parent = envelope_of(seen)
        done = self._own_outcome(parent, attempt)
        try:
            if done:
                raise _KeepRecord  # noqa: TRY301 - the same road as a settled read
            new = decide(current)
        except Exception as refusal:  # a decision of the caller: passed on once it may be
            if not done and seen.confirmed and not isinstance(refusal, _KeepRecord):
                raise
            if not isinstance(refusal, _KeepRecord) and "unconfirmed-refusal" in self._broken:
                raise
            return await self._keep(targets, register, ballot, seen, attempt, refusal)
        if not attempt.sent:
            attempt.request_id = ballot
        body = self._body_of(parent, attempt, new)
        attempt.sent = True
        blocked = await self._accept(targets, register, ballot, new, body)
        if blocked is not None:
            return blocked
        return Mutated(current, ballot, new, certain=True)

    def _own_outcome(self, parent: Envelope, attempt: _Attempt) -> bool:
        """True when this request's earlier accept is part of what was found."""
        if not attempt.sent or "no-lineage" in self._broken:
            return False
        known = envelopes.knows(parent, attempt.request_id)
        if known is None:
            raise UnknownOutcome("UnknownOutcome", "the change may or may not have taken effect")
        return known

    async def _keep(
        self,
        targets: tuple[Target, ...],
        register: Register,
        ballot: bytes,
        seen: Seen,
        attempt: _Attempt,
        refusal: Exception,
    ) -> Mutated | Blocked:
        """Re-accept the record that was found, unchanged, then give the answer that rests on it."""
        if seen.held.inline_bytes and attempt.want != wire.WANT_ALL:
            attempt.want = wire.WANT_ALL
            return Blocked(ZERO, 0, full=False)
        current = stored_of(seen)
        held = seen.held
        same = NewRecord(
            current.record, bytes(seen.body[: held.summary_bytes]), current.inline,
            held.flags, held.size, held.expires_s,
        )
        if held.ballot == ZERO and seen.confirmed:
            blocked = None  # nothing was ever written, and a majority says so
        else:
            blocked = await self._accept(targets, register, ballot, same, bytes(seen.body))
        if blocked is not None:
            return blocked
        if attempt.sent:
            return Mutated(current, ballot, same, certain=False)
        if isinstance(refusal, _KeepRecord):
            raise _Settled(current._replace(ballot=ballot if held.ballot != ZERO else ZERO))
        raise refusal

    @staticmethod
    def _body_of(parent: Envelope, attempt: _Attempt, new: NewRecord) -> bytes:
        child = envelopes.descend(parent, attempt.request_id, new.record)
        return b"".join((new.summary, envelopes.seal(child), new.inline))

    # -- rounds --------------------------------------------------------------------------------

    async def _prepare(
        self,
        targets: tuple[Target, ...],
        register: Register,
        ballot: bytes,
        attempt: _Attempt,
    ) -> Seen | Blocked:
        count = len(targets)
        needed = propose.majority_of(count)
        head = wire.encode(wire.Prepare(register.range_id, register.name, ballot, attempt.want))
        self._turn += 1
        replies = await Round(
            targets,
            wire.PREPARE,
            lambda _: head,
            enough=lambda replies: propose.granted(replies) >= needed,
        ).run(
            first=preferred(targets, needed, self._turn), hedge_s=HEDGE_S, timeout_s=ROUND_TIMEOUT_S
        )
        judged = propose.judge_held(replies, count, dict.fromkeys(range(count), attempt.want))
        if isinstance(judged, Fenced):
            raise self._stale(judged, attempt)
        return judged

    async def _accept(
        self,
        targets: tuple[Target, ...],
        register: Register,
        ballot: bytes,
        new: NewRecord,
        body: bytes,
    ) -> Blocked | None:
        count = len(targets)
        needed = 1 if "write-quorum-1" in self._broken else propose.majority_of(count)
        summary_bytes = len(new.summary)
        head = wire.encode(
            wire.Accept(
                register.range_id,
                register.name,
                ballot,
                new.flags,
                new.size,
                new.expires_s,
                wire.digest_of(body),
                summary_bytes,
                len(body) - summary_bytes - len(new.inline),
            )
        )
        replies: Replies = await Round(
            targets,
            wire.ACCEPT,
            lambda _: head,
            body=body,
            enough=lambda replies: propose.granted(replies) >= needed,
        ).run(timeout_s=ROUND_TIMEOUT_S)
        if propose.granted(replies) >= needed:
            return None
        stale = propose.fenced(replies)
        if stale is not None:
            raise UnknownOutcome("Fenced", "the container changed while the write was under way")
        return propose.blocked(replies, count)

    @staticmethod
    def _stale(judged: Fenced, attempt: _Attempt) -> Exception:
        if attempt.sent:
            return UnknownOutcome("Fenced", "the container changed while the write was under way")
        return Stale("Fenced", str(judged.stage))

    async def _pause(self, tries: int) -> None:
        delay_s = RETRY_S[min(tries, len(RETRY_S) - 1)]
        await asyncio.sleep(delay_s * (0.5 + self._cluster.env.random()))


class _Settled(Exception):  # noqa: N818 - carries a result through `mutate`
    """A settled read's record."""

    def __init__(self, stored: Stored) -> None:
        super().__init__()
        self.stored = stored


def envelope_of(seen: Seen) -> Envelope:
    """Lineage and record of what was seen."""
    start = seen.held.summary_bytes
    return envelopes.unseal(seen.body[start : start + seen.held.meta_bytes])


def stored_of(seen: Seen) -> Stored:
    """Record of what was seen."""
    held = seen.held
    if held.ballot == ZERO:
        return ABSENT
    end = held.summary_bytes + held.meta_bytes
    return Stored(held.ballot, held.flags, bytes(envelope_of(seen).record), bytes(seen.body[end:]))
