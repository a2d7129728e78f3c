"""A blob write is done only when enough distinct pieces are durable, and gives up only for good."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.store.layout import layout_for
from proxy.store.quorum import BlobWrite, Send
from ring.policy import Policy


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, int, int]:
    """(width, needed, hand-offs)."""
    width = draw(st.integers(1, 6))
    return width, draw(st.integers(1, width)), draw(st.integers(0, 4))


@given(shapes(), st.data())
def test_a_write_is_judged_right_in_every_order_of_events(
    shape: tuple[int, int, int], data: st.DataObject
) -> None:
    """Whatever stores, fails or is slow: `done` needs distinct durable pieces, `hopeless` is final."""
    width, needed, spare = shape
    primaries = tuple(f"p{n}" for n in range(width))
    write = BlobWrite(primaries, iter([f"h{n}" for n in range(spare)]), needed)
    at_work: list[Send[str]] = write.start()
    assert [send.device for send in at_work] == list(primaries)
    durable: dict[int, set[str]] = {}
    used = set(primaries)
    was_hopeless = was_full = False
    while at_work:
        send = at_work.pop(data.draw(st.integers(0, len(at_work) - 1)))
        event = data.draw(st.sampled_from(("stored", "failed", "full", "slow")))
        following = None
        if event == "stored":
            write.stored(send.piece)
            durable.setdefault(send.piece, set()).add(send.device)
        elif event == "slow":
            at_work.append(send)
            following = write.slow(send.piece)
            if following is None:  # nothing new: let it end
                at_work.remove(send)
                write.failed(send.piece)
        else:
            following = write.failed(send.piece, full=event == "full")
            was_full = was_full or event == "full"
        if following is not None:
            assert following.piece == send.piece
            assert following.device not in used, "no device gets two pieces"
            used.add(following.device)
            at_work.append(following)
        assert write.done == (len(durable) >= needed)
        assert not (write.done and write.hopeless)
        assert write.full == was_full
        possible = set(durable) | {one.piece for one in at_work}
        assert write.hopeless == (len(possible) < needed)
        assert write.hopeless or not was_hopeless, "hopeless is final"
        was_hopeless = write.hopeless
    assert write.done or write.hopeless


@given(st.integers(1, 32))
def test_replicas_need_a_strict_majority(replicas: int) -> None:
    """G1: any two such sets of replicas meet."""
    policy = Policy(0, "p", "replicated", replicas=replicas)
    assert replicas / 2 < layout_for(policy, whole=False).needed <= replicas


@given(st.integers(1, 20), st.integers(1, 12))
def test_fragments_survive_one_loss_right_after_the_answer(k: int, m: int) -> None:
    """G1: k+1 fragments, or k when there is only one parity fragment."""
    policy = Policy(0, "p", "erasure", data=k, parity=m, codec="zfec")
    assert layout_for(policy, whole=False).needed == k + (m > 1)
