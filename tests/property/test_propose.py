"""Judging a round: what a majority holds, and never more than that."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.frame import Frame
from core.stamp import ZERO, make_ballot
from objectd import wire
from proxy.store import propose
from proxy.store.majority import plain
from proxy.store.propose import Blocked, Fenced, Seen

COUNTS = (1, 2, 3, 4, 5)
BALLOTS = [ZERO, *(make_ballot(0, n, 1) for n in range(1, 4))]
SUMMARY, META, INLINE = b"sum", b"meta meta", b"inline"


def held_frame(ballot: bytes, want: int, *, spoiled: bool) -> Frame:
    if ballot == ZERO:
        return Frame(0, 0, wire.OK, 0, 0, wire.encode(wire.Held()), b"")
    whole = SUMMARY + META + INLINE + ballot[-8:]
    inline_bytes = len(INLINE) + 8
    head = wire.Held(
        ballot, wire.LIVE, 1, 0, wire.digest_of(whole), len(SUMMARY), len(META), inline_bytes
    )
    body = {wire.WANT_BALLOT: b"", wire.WANT_META: SUMMARY + META, wire.WANT_ALL: whole}[want]
    if spoiled and body:
        body = body[:-1] + bytes((body[-1] ^ 1,))
    return Frame(0, 0, wire.OK, 0, 0, wire.encode(head), body)


def refusal_frame(status: int, ballot: bytes) -> Frame:
    head = wire.encode(wire.Refusal(ballot)) if status in {wire.REFUSED, wire.STALE} else b""
    return Frame(0, 0, status, 0, 0, head, b"")


@st.composite
def rounds(draw: st.DrawFn) -> tuple[int, dict[int, Frame], dict[int, int], dict[int, bytes]]:
    """(replica count, answers, wants, ballots of those who said yes)."""
    count = draw(st.sampled_from(COUNTS))
    replies, wants, yes = {}, {}, {}
    for position in range(count):
        wants[position] = draw(st.sampled_from((wire.WANT_BALLOT, wire.WANT_META, wire.WANT_ALL)))
        kind = draw(st.sampled_from(("silent", "yes", "yes", "yes", "no", "full", "broken")))
        if kind == "yes":
            ballot = draw(st.sampled_from(BALLOTS))
            spoiled = draw(st.integers(0, 5)) == 0
            replies[position] = held_frame(ballot, wants[position], spoiled=spoiled)
            yes[position] = ballot
        elif kind == "no":
            replies[position] = refusal_frame(wire.REFUSED, draw(st.sampled_from(BALLOTS)))
        elif kind == "full":
            replies[position] = refusal_frame(wire.FULL, ZERO)
        elif kind == "broken":
            status = draw(st.sampled_from((wire.FAILED, wire.CORRUPT, wire.BAD, 255)))
            replies[position] = refusal_frame(status, ZERO)
    return count, replies, wants, yes


@given(rounds())
def test_a_majority_is_needed_and_the_highest_ballot_counts(round_) -> None:
    """Seen exactly when a majority said yes; confirmed exactly when a majority hold that ballot."""
    count, replies, wants, yes = round_
    judged = propose.judge_held(replies, plain(count), wants)
    if len(yes) * 2 <= count:
        assert isinstance(judged, Blocked)
        return
    assert isinstance(judged, Seen)
    best = max(yes.values())
    assert judged.held.ballot == best
    same = sum(ballot == best for ballot in yes.values())
    assert judged.confirmed == (same * 2 > count)
    settled = propose.ReadJudge(plain(count), wants).settled(replies)
    assert settled == (judged.confirmed and judged.complete)


@given(rounds())
def test_a_complete_body_is_the_right_one(round_) -> None:
    """Bytes are taken only from a replica that holds the chosen ballot, and whole bodies are verified."""
    count, replies, wants, _ = round_
    judged = propose.judge_held(replies, plain(count), wants)
    if not isinstance(judged, Seen) or not judged.complete or judged.held.ballot == ZERO:
        return
    body = bytes(judged.body)
    assert len(body) in {len(SUMMARY + META), len(SUMMARY + META + INLINE) + 8}
    if len(body) > len(SUMMARY + META):
        assert body == SUMMARY + META + INLINE + judged.held.ballot[-8:]


@given(rounds())
def test_a_no_is_never_counted_as_a_yes(round_) -> None:
    """`blocked` names the highest ballot in the way, who was lost, and who was full."""
    count, replies, _, yes = round_
    why = propose.blocked(replies, count)
    refused = [f for f in replies.values() if f.status == wire.REFUSED]
    expected = max((wire.decode_refusal(f.head).ballot for f in refused), default=ZERO)
    assert why.above == expected
    assert why.full == any(frame.status == wire.FULL for frame in replies.values())
    full = sum(frame.status == wire.FULL for frame in replies.values())
    assert why.lost == count - len(yes) - len(refused) - full
    assert plain(count).granted(replies) == (len(yes) * 2 > count)


@given(rounds(), st.integers(1, 9), st.integers(0, 4))
def test_one_fence_outranks_every_yes(round_, stage: int, position: int) -> None:
    """A replica that has seen a later stage stops the round, whatever the others say."""
    count, replies, wants, _ = round_
    replies[position % count] = refusal_frame(wire.STALE, make_ballot(stage, 0, 0))
    assert propose.judge_held(replies, plain(count), wants) == Fenced(stage)
