"""The time that a change of the ring will still take."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from proxy.rebalance.estimate import Estimate


def run(joint_s: float, rate_bytes_s: float, parts: list[int]) -> tuple[list[Foretold], float]:
    """A change whose epochs catch up for `joint_s` for each hundred replicas of 1 MB, then move them.

    What was foretold when, and the end. Joint epochs show nonsense: the new devices do not answer yet.
    """
    estimate, now_s, foretold = Estimate(), 0.0, []
    left = sum(parts) * 1e6
    for number, count in enumerate(parts):
        later = sum(parts[number + 1 :])
        for joint in (True, False):
            length_s = joint_s * count / 100 if joint else count * 1e6 / rate_bytes_s
            until_s = now_s + length_s
            while now_s < until_s:
                estimate.saw(
                    now_s,
                    epoch=2 * number + 2 - joint,
                    joint=joint,
                    left_bytes=17 if joint else round(left),
                    parts=0 if joint else count,
                )
                left_s = estimate.left_s(later)
                if left_s is not None:
                    foretold.append(Foretold(now_s, now_s + left_s))
                now_s += 0.25
                if not joint:
                    left -= rate_bytes_s * 0.25
    return foretold, now_s


class Foretold(NamedTuple):
    """The end, as it was foretold at a time."""

    at_s: float
    end_s: float


@pytest.mark.parametrize("joint_s", [1.0, 5.0, 20.0])
def test_the_end_is_foretold_after_the_first_tenth(joint_s: float) -> None:
    """Also when catching up takes longer than moving, and epochs differ in size."""
    parts = [300, 80, 250]
    foretold, end_s = run(joint_s, 10e6, parts)
    tenth_s = joint_s * 3 + sum(parts) / 10 / 10
    tenth = next(one.end_s for one in foretold if one.at_s > tenth_s)
    assert abs(tenth - end_s) / end_s < 0.1
    assert abs(foretold[-20].end_s - end_s) / end_s < 0.05


def test_nothing_is_foretold_before_anything_moves() -> None:
    """A guess would only mislead."""
    estimate = Estimate()
    assert estimate.left_s(3) is None
    for second in range(20):
        estimate.saw(float(second), epoch=2, joint=True, left_bytes=1000, parts=5)
    assert estimate.left_s(3) is None
    assert estimate.rate_bytes_s == 0


def test_clients_that_write_do_not_turn_time_back() -> None:
    """What is left may become more."""
    estimate = Estimate()
    for second, left in enumerate((1000, 900, 950, 800)):
        estimate.saw(float(second), epoch=3, joint=False, left_bytes=left, parts=5)
    left_s = estimate.left_s(0)
    assert left_s is not None
    assert left_s > 0
