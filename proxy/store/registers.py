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
from core.errors import Full, Moved, Refused, Stale, Unavailable, UnknownOutcome
from core.stamp import ZERO, clock_of
from objectd import wire
from proxy.store import envelope as envelopes
from proxy.store import propose
from proxy.store.cluster import Cluster, Replicas
from proxy.store.envelope import NIL, Envelope
from proxy.store.propose import Blocked, Fenced, Seen
from proxy.store.round import Replies, Round, preferred
from proxy.store.turnstile import Turnstile

ROUND_TIMEOUT_S = 3.0
ACCEPT_REFUSED_WAIT_S = 1.0  # others may still store it, which saves another round
HEDGE_S = 0.05
NO_MAJORITY_S = 2.5  # how long to wait for replicas to come back before answering 503
RECORD_BYTES_MAX = limits.RECORD_META_BYTES_MAX + limits.INLINE_BYTES_MAX
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
    summary: bytes = b""
    size: int = 0
    expires_s: int = 0

    @property
    def exists(self) -> bool:
        """There is a record, and it is no tombstone."""
        return self.record != NIL


class NewRecord(NamedTuple):
    """What a mutation wants stored. `record` NIL makes a tombstone.

    `stamp`: the lowest generation in which the blobs it names anew were written or touched.
    """

    record: bytes
    summary: bytes = b""
    inline: bytes = b""
    flags: int = 0
    size: int = 0
    expires_s: int = 0
    stamp: int = wire.NOTHING_NEW


class Mutated(NamedTuple):
    """Outcome of a mutation: what was there, and the ballot of what is there now.

    `new` is None when `decide` kept the record. `certain` is False when an earlier attempt of this
    request took effect, so `before` may be its result.
    """

    before: Stored
    ballot: bytes
    new: NewRecord | None
    certain: bool = True


ABSENT = Stored(ZERO, 0, NIL, b"")
Decide = Callable[[Stored], NewRecord | None]


class _Attempt:
    """What one mutation remembers between its rounds."""

    __slots__ = ("request_id", "sent", "want")

    def __init__(self, want: int) -> None:
        self.request_id = b""
        self.sent = False
        self.want = want


class Registers:
    """The register proposer of one process.

    `broken` names rules left out on purpose: the mutants that prove the simulator's checkers can see.
    """

    def __init__(self, cluster: Cluster, *, broken: frozenset[str] = frozenset()) -> None:
        self._cluster = cluster
        self._turnstile = Turnstile()
        self._turn = 0
        self._broken = broken

    # -- reading -------------------------------------------------------------------------------

    async def read(self, register: Register, *, inline: bool = True) -> Stored:
        """The current record, confirmed by a majority.

        Raises Stale when the range has been fenced at a later stage, Unavailable without a majority.
        """
        loop = asyncio.get_running_loop()
        start = loop.time()
        tries = 0
        while True:
            try:
                seen = await self._read_round(register, inline=inline)
            except Moved as moved:
                seen = await self._follow(moved)
            if isinstance(seen, Seen):
                if (seen.confirmed or "no-write-back" in self._broken) and seen.complete:
                    return stored_of(seen, envelope_of(seen))
                return (await self.mutate(register, _keep, needs_inline=inline)).before
            waited = loop.time() - start
            hopeless = seen.lost and (waited > NO_MAJORITY_S or self._long_gone(register))
            if hopeless or waited > limits.READ_DEADLINE_S:
                raise Unavailable("NoMajority", "no majority of the index replicas answers")
            await self._pause(tries)
            tries += 1

    def _long_gone(self, register: Register) -> bool:
        """So many replicas have been unreachable for so long that waiting for them is over already."""
        targets, majority, _ = self._cluster.index_replicas(register.range_id)
        since_s = asyncio.get_running_loop().time() - NO_MAJORITY_S
        gone = [target.link.gone_since_s for target in targets]
        return not majority.of([n for n, s in enumerate(gone) if s is None or s > since_s])

    async def _follow(self, moved: Moved) -> Blocked:
        """Learn the ring by which the range has moved; then the round is repeated."""
        await self._cluster.learn(moved.epoch)
        return Blocked(ZERO, 0, full=False)

    async def _read_round(self, register: Register, *, inline: bool) -> Seen | Blocked:
        range_id, name, stage = register
        targets, majority, config = self._cluster.index_replicas(range_id)
        self._turn += 1
        first = preferred(targets, majority, self._turn)
        wants = dict.fromkeys(range(len(targets)), wire.WANT_ALL if inline else wire.WANT_META)
        for position in first[1:]:
            wants[position] = wire.WANT_BALLOT
        heads = {
            want: wire.encode(wire.Read(range_id, name, stage, want, config))
            for want in set(wants.values())
        }
        judge = propose.ReadJudge(majority, wants)
        replies = await Round(
            targets, wire.READ, lambda position: heads[wants[position]], enough=judge.settled
        ).run(first=first, hedge_s=HEDGE_S, timeout_s=ROUND_TIMEOUT_S)
        judged = judge.judge(replies)
        if isinstance(judged, Fenced):
            raise Stale(judged.stage)
        if isinstance(judged, Seen):
            self._cluster.heard(judged.generation)
        return judged

    # -- mutating ------------------------------------------------------------------------------

    async def mutate(
        self, register: Register, decide: Decide, *, needs_inline: bool = False
    ) -> Mutated:
        """Replace the record by `decide(current)`, atomically; None keeps it as it is.

        `decide` may raise a Refused error: it is passed on once the record it rests on is confirmed, and
        nothing changes. It may be called several times. With `needs_inline` it sees the inline bytes.
        Raises Stale, Full, UnknownOutcome, Unavailable.
        """
        key = (register.range_id, register.name)
        try:
            async with self._turnstile.turn(key, limits.MUTATION_DEADLINE_S):
                return await self._mutate(register, decide, needs_inline=needs_inline)
        except TimeoutError:
            raise Unavailable("Contended", "too many writers wait for this name") from None

    async def renew(self, register: Register) -> None:
        """Accept the current record again at a fresh ballot, on every replica that answers.

        This is how a replica that promised a ballot which never came is brought up to date.
        """
        await self.mutate(register, _same, needs_inline=True)

    async def _mutate(self, register: Register, decide: Decide, *, needs_inline: bool) -> Mutated:
        loop = asyncio.get_running_loop()
        start = loop.time()
        attempt = _Attempt(wire.WANT_ALL if needs_inline else wire.WANT_META)
        tries = 0
        while True:
            try:
                outcome = await self._try(register, decide, attempt)
            except Moved as moved:
                outcome = await self._follow(moved)
            if isinstance(outcome, Mutated):
                return outcome
            if outcome.above != ZERO:
                self._cluster.clock.observe(clock_of(outcome.above))
            lost = bool(outcome.lost) and self._long_gone(register)
            _give_up(outcome, attempt, loop.time() - start, lost=lost)
            await self._pause(tries)
            tries += 1

    async def _try(
        self, register: Register, decide: Decide, attempt: _Attempt
    ) -> Mutated | Blocked:
        """One prepare and one accept. Blocked means: try again with a higher ballot."""
        replicas = self._cluster.index_replicas(register.range_id)
        ballot = self._cluster.clock.ballot(register.stage, replicas.config)
        seen = await self._prepare(replicas, register, ballot, attempt)
        if isinstance(seen, Blocked):
            return seen
        if not seen.complete:
            return Blocked(ZERO, 0, full=False)
        parent = envelope_of(seen)
        current = stored_of(seen, parent)
        done = self._own_outcome(parent, attempt)
        new, refusal = (None, None) if done else _decided(decide, current)
        if new is None:
            return await self._answer(replicas, register, ballot, seen, attempt, refusal)
        if not attempt.sent:
            attempt.request_id = ballot
        child = envelopes.descend(parent, attempt.request_id, new.record)
        body = b"".join((new.summary, envelopes.seal(child), new.inline))
        _check_size(new, body)
        attempt.sent = True
        blocked = await self._accept(replicas, register, seen, ballot, new=new, body=body)
        return blocked or Mutated(current, ballot, new)

    def _own_outcome(self, parent: Envelope, attempt: _Attempt) -> bool:
        """True when this request's earlier accept is part of what was found."""
        if not attempt.sent or "no-lineage" in self._broken:
            return False
        known = envelopes.knows(parent, attempt.request_id)
        if known is None:
            raise UnknownOutcome("UnknownOutcome", "the change may or may not have taken effect")
        return known

    async def _answer(
        self,
        replicas: Replicas,
        register: Register,
        ballot: bytes,
        seen: Seen,
        attempt: _Attempt,
        refusal: Refused | None,
    ) -> Mutated | Blocked:
        """Answer from the record that was found, once it is confirmed (re-accepted if it was not)."""
        current = stored_of(seen, envelope_of(seen))
        held = seen.held
        # after an accept of our own was sent, only a higher accepted ballot makes sure it stays dead
        unsure = attempt.sent or not seen.confirmed
        if unsure and "unconfirmed-refusal" not in self._broken:
            if held.inline_bytes and attempt.want != wire.WANT_ALL:
                attempt.want = wire.WANT_ALL
                return Blocked(ZERO, 0, full=False)
            blocked = await self._accept(
                replicas, register, seen, ballot, new=_same(current), body=bytes(seen.body)
            )
            if blocked is not None:
                return blocked
            current = current._replace(ballot=ballot)
        if refusal is not None:
            raise refusal
        return Mutated(current, current.ballot, None, certain=not attempt.sent)

    # -- rounds --------------------------------------------------------------------------------

    async def _prepare(
        self, replicas: Replicas, register: Register, ballot: bytes, attempt: _Attempt
    ) -> Seen | Blocked:
        targets, majority, _ = replicas
        generation = self._cluster.generation
        head = wire.encode(
            wire.Prepare(register.range_id, register.name, ballot, attempt.want, generation)
        )
        self._turn += 1
        first = preferred(targets, majority, self._turn)
        replies = await Round(targets, wire.PREPARE, lambda _: head, enough=majority.granted).run(
            first=first, hedge_s=HEDGE_S, timeout_s=ROUND_TIMEOUT_S
        )
        wants = dict.fromkeys(range(len(targets)), attempt.want)
        judged = propose.judge_held(replies, majority, wants)
        if isinstance(judged, Fenced):
            raise _fenced_at(judged, attempt)
        if isinstance(judged, Seen):
            self._cluster.heard(judged.generation)
        return judged

    async def _accept(
        self,
        replicas: Replicas,
        register: Register,
        seen: Seen,
        ballot: bytes,
        *,
        new: NewRecord,
        body: bytes,
    ) -> Blocked | None:
        """Ask every replica to store; None once a majority has. Raises Moved, UnknownOutcome."""
        targets, majority, _ = replicas
        granted = _one_granted if "write-quorum-1" in self._broken else majority.granted
        summary_bytes = len(new.summary)
        head = wire.encode(
            wire.Accept(
                register.range_id,
                register.name,
                ballot,
                new.flags | (wire.GONE if new.record == NIL else 0),
                new.size,
                new.expires_s,
                wire.digest_of(body),
                summary_bytes,
                len(body) - summary_bytes - len(new.inline),
                basis=seen.generation,
                stamp=new.stamp,
            )
        )
        replies: Replies = await Round(
            targets,
            wire.ACCEPT,
            lambda _: head,
            body=body,
            enough=granted,
        ).run(timeout_s=ROUND_TIMEOUT_S, refused_wait_s=ACCEPT_REFUSED_WAIT_S)
        if granted(replies):
            return None
        propose.check_placed(replies)
        if any(frame.status == wire.LATE for frame in replies.values()):
            raise UnknownOutcome("TooLate", "the upload took so long that it may have been swept")
        if propose.fenced(replies) is not None:
            raise UnknownOutcome("Fenced", "the container changed while the write was under way")
        return propose.blocked(replies, len(targets))

    async def _pause(self, tries: int) -> None:
        delay_s = RETRY_S[min(tries, len(RETRY_S) - 1)]
        await asyncio.sleep(delay_s * (0.5 + self._cluster.env.random()))


def _one_granted(replies: Replies) -> bool:
    """A mutant's majority: one replica."""
    return any(frame.status == wire.OK for frame in replies.values())


def _same(current: Stored) -> NewRecord:
    """What is stored, to be stored again."""
    return NewRecord(
        current.record,
        current.summary,
        current.inline,
        current.flags,
        current.size,
        current.expires_s,
    )


def _check_size(new: NewRecord, body: bytes) -> None:
    """Refuse what no replica could hold. Raises Refused("RecordTooLarge")."""
    if len(new.summary) > wire.SUMMARY_BYTES_MAX or len(body) > RECORD_BYTES_MAX:
        raise Refused("RecordTooLarge", "the metadata of this name is too large")


def _keep(current: Stored) -> None:
    """The identity mutation: settle the record as it is."""
    del current


def _decided(decide: Decide, current: Stored) -> tuple[NewRecord | None, Refused | None]:
    """The caller's decision on a record, or its refusal, which waits until the record is confirmed."""
    try:
        return decide(current), None
    except Refused as refusal:
        return None, refusal


def _fenced_at(judged: Fenced, attempt: _Attempt) -> Unavailable:
    if attempt.sent:
        return UnknownOutcome("Fenced", "the container changed while the write was under way")
    return Stale(judged.stage)


def _give_up(outcome: Blocked, attempt: _Attempt, waited_s: float, *, lost: bool) -> None:
    """Raise when a blocked mutation must not be tried again."""
    if outcome.full:
        raise Full("InsufficientStorage", "the devices of this name have no room left")
    if attempt.sent:
        if waited_s > limits.MUTATION_DEADLINE_S - ROUND_TIMEOUT_S:
            raise UnknownOutcome("UnknownOutcome", "the change may or may not take effect")
        return
    hopeless = lost or (outcome.lost and waited_s > NO_MAJORITY_S)
    if hopeless or waited_s > limits.MUTATION_DEADLINE_S:
        raise Unavailable("NoMajority", "no majority of the index replicas answers")


def envelope_of(seen: Seen) -> Envelope:
    """Lineage and record of what was seen."""
    start = seen.held.summary_bytes
    envelope = envelopes.unseal(seen.body[start : start + seen.held.meta_bytes])
    return envelopes.raised(envelope, seen.floor) if seen.floor else envelope


def stored_of(seen: Seen, envelope: Envelope) -> Stored:
    """Record of what was seen."""
    held = seen.held
    if held.ballot == ZERO:
        return ABSENT
    end = held.summary_bytes + held.meta_bytes
    return Stored(
        held.ballot,
        held.flags,
        bytes(envelope.record),
        bytes(seen.body[end:]),
        bytes(seen.body[: held.summary_bytes]),
        held.size,
        held.expires_s,
    )
