"""Any k of k+m fragments give the stripe back, with every codec."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Refused
from proxy.store.erasure import CODECS, codec_of
from ring.policy import Policy

shapes = st.sampled_from([(1, 1), (2, 1), (4, 2), (8, 3), (10, 4)])


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=80)
@given(shapes, st.integers(1, 20_000), st.integers(0, 2**32), st.data())
def test_any_k_fragments_are_enough(
    codec: str, shape: tuple[int, int], size: int, seed: int, data: st.DataObject
) -> None:
    """Whichever fragments are left, in whatever order they came."""
    k, m = shape
    coder = codec_of(Policy(0, "p", "erasure", data=k, parity=m, codec=codec))
    stripe = random.Random(seed).randbytes(size)
    fragments = coder.encode(stripe)
    assert len(fragments) == k + m
    assert len({len(fragment) for fragment in fragments}) == 1
    left = data.draw(st.permutations(range(k + m)))[: data.draw(st.integers(k, k + m))]
    assert coder.decode({number: fragments[number] for number in left}, size) == stripe


@pytest.mark.parametrize("codec", CODECS)
def test_a_lost_fragment_is_rebuilt_byte_for_byte(codec: str) -> None:
    """Encoding is deterministic, so a fragment made again equals the one that was lost."""
    coder = codec_of(Policy(0, "p", "erasure", data=4, parity=2, codec=codec))
    stripe = random.Random(5).randbytes(100_001)
    assert coder.encode(stripe) == coder.encode(bytes(stripe))


def test_an_unknown_codec_is_refused() -> None:
    """A policy names its codec for ever, so a name nobody knows is an error, not a default."""
    with pytest.raises(Refused) as caught:
        codec_of(Policy(0, "p", "erasure", data=2, parity=1, codec="rot13"))
    assert caught.value.code == "UnknownCodec"


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("k", "m"), [(2, 1), (4, 2), (8, 3)])
@given(st.data())
def test_missing_fragments_are_restored_byte_for_byte(
    codec: str, k: int, m: int, data: st.DataObject
) -> None:
    """Any m at most, from any k others: what repair puts back is what the writer had put there."""
    coder = codec_of(Policy(0, "p", "erasure", data=k, parity=m, codec=codec))
    stripe = data.draw(st.binary(min_size=1, max_size=5000))
    fragments = coder.encode(stripe)
    missing = data.draw(st.lists(st.integers(0, k + m - 1), min_size=1, max_size=m, unique=True))
    others = {n: fragments[n] for n in range(k + m) if n not in missing}
    kept = data.draw(st.permutations(sorted(others)))[:k]
    chosen = {number: others[number] for number in kept}
    made = coder.restore(chosen, len(stripe), missing)
    assert made == {number: fragments[number] for number in missing}
