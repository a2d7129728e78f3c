from __future__ import annotations

import numpy as np

from ring.chance import Chance, random_order


def test_the_stream_is_splitmix64() -> None:
    """A fixed sample: rings must be the same bytes on every machine and numpy version."""
    assert [f"{word:016x}" for word in Chance(1, 2).words(3).tolist()] == [
        "e68e6fc01df08360",
        "47b76c954434f7e4",
        "01ef44fb588ba575",
    ]


def test_words_continue_and_seeds_differ() -> None:
    """Two draws of one stream are one longer draw; another seed is another stream."""
    stream = Chance(7)
    parts = np.concatenate([stream.words(5), stream.words(4)])
    assert parts.tolist() == Chance(7).words(9).tolist()
    assert parts.tolist() != Chance(8).words(9).tolist()


def test_a_permutation_holds_every_number_once() -> None:
    """Also of nothing and of one."""
    for count in (0, 1, 2, 1000):
        assert sorted(Chance(3).permutation(count).tolist()) == list(range(count))


def test_numbers_below_a_bound_are_spread_over_all_of_it() -> None:
    """Each of five numbers comes up about a fifth of the time."""
    drawn = Chance(9).below(np.full(10_000, 5, dtype=np.int64))
    assert np.bincount(drawn, minlength=5).min() > 1800
    assert drawn.max() == 4


def test_equal_keys_keep_their_order() -> None:
    """Ties go to the lower index."""
    assert random_order(np.zeros(5, dtype=np.uint64)).tolist() == [0, 1, 2, 3, 4]
