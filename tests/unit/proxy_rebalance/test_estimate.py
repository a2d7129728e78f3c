"""The time that a change of the ring will still take."""

from __future__ import annotations

import pytest

from proxy.rebalance.estimate import Estimate


def run(
    joint_s: float, rate_bytes_s: float, sizes: list[int]
) -> tuple[list[tuple[float, float]], float]:
    """A change whose epochs catch up for `joint_s` and then move: (time, foretold end), and the end."""
    estimate, now_s, foretold = Estimate(), 0.0, []
    left = sum(sizes)
    for number, size in enumerate(sizes):
        until_s = now_s + joint_s
        for joint in (True, False):
            while now_s < until_s:
                estimate.saw(
                    now_s, epoch=2 * number + (not joint), joint=joint, left_bytes=round(left)
                )
                left_s = estimate.left_s(len(sizes) - number - 1)
                if left_s is not None:
                    foretold.append((now_s, now_s + left_s))
                now_s += 0.25
                if not joint:
                    left -= rate_bytes_s * 0.25
            until_s = now_s + size / rate_bytes_s
    return foretold, now_s


@pytest.mark.parametrize("joint_s", [1.0, 10.0, 60.0])
def test_the_end_is_foretold_after_the_first_tenth(joint_s: float) -> None:
    """Also when catching up takes longer than moving, and sizes differ."""
    foretold, end_s = run(joint_s, 10e6, [300_000_000, 200_000_000, 250_000_000])
    tenth = next(end for now_s, end in foretold if now_s > joint_s + 7.5)
    assert abs(tenth - end_s) / end_s < 0.1
    late = foretold[-20][1]
    assert abs(late - end_s) / end_s < 0.05


def test_nothing_is_foretold_before_anything_moves() -> None:
    """A guess would only mislead."""
    estimate = Estimate()
    assert estimate.left_s(3) is None
    for second in range(20):
        estimate.saw(float(second), epoch=2, joint=True, left_bytes=1000)
    assert estimate.left_s(3) is None
    assert estimate.rate_bytes_s == 0


def test_clients_that_write_do_not_turn_time_back() -> None:
    """What is left may become more."""
    estimate = Estimate()
    for second, left in enumerate((1000, 900, 950, 800)):
        estimate.saw(float(second), epoch=3, joint=False, left_bytes=left)
    left_s = estimate.left_s(0)
    assert left_s is not None
    assert left_s > 0
